"""Estimators for scikit-learn: neural networks in pipelines, searches and cross-validations.

They require scikit-learn, which dlcli does not install, and do not write run folders.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import (
    Tags,
    assert_all_finite,
    check_array,
    check_consistent_length,
    check_random_state,
)
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from dlcli.arrays import mask_to_numpy, to_numpy
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_file import make_config
from dlcli.config.data_section import MEMORY
from dlcli.errors import ConfigError, DataError, UsageError
from dlcli.pipeline.train_run import fit_only
from dlcli.prediction.predictions import Predictions
from dlcli.prediction.predictor import Predictor
from dlcli.tables.memory_tables import MemoryTable, memory_table
from dlcli.tables.table import Table

Setting = Any
"""A section of the config: a mapping, a list, a name or a number; `None` for the preset's."""
_TARGET, _WEIGHT = "(target)", "(sample weight)"
_NO_SECTIONS = ("preset", "overrides", "random_state", "warm_start")
"""Parameters that are not sections of the config."""
_MOST_SEED = 2**31 - 1


_estimator = dataclass(repr=False, eq=False, kw_only=True)
"""Creates the constructor, from whose signature scikit-learn reads the parameters."""


@_estimator
class _Dense(BaseEstimator):  # type: ignore[misc]
    """The base of both estimators."""

    _type: ClassVar[Literal["numeric", "categorical"]]
    """The type of target."""
    predictor_: Predictor = field(init=False)
    """The trained network or ensemble, with its encoding."""
    history_: dict[str, list[float]] = field(init=False)
    """Loss and metrics of each epoch, by name; for an ensemble, means over its members."""
    _names: tuple[str, ...] = field(init=False)
    """The names of the features, in the order of the training columns."""
    _starter_text: str = field(init=False)
    """The config of the preset for the training rows."""

    preset: Literal["simple", "good", "best"] = "good"
    hidden: Setting = None
    output: Setting = None
    loss: Setting = None
    optimizer: Setting = None
    learning_rate_schedule: Setting = None
    epochs: int | None = None
    batch_size: int | None = None
    early_stopping: Setting = None
    ensemble: Setting = None
    input: Setting = None
    overrides: Mapping[str, object] | None = None
    random_state: int | np.random.RandomState | None = None
    warm_start: bool = False

    @property
    def loss_curve_(self) -> list[float]:
        """The training loss of each epoch."""
        check_is_fitted(self)
        return self.history_["loss"]

    @property
    def n_iter_(self) -> int:
        """The number of epochs trained; for an ensemble, the largest number of a member."""
        return len(self.loss_curve_)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    def set_params(self, **params: object) -> Self:
        """Set parameters; a path in the config, such as `hidden[0].units`, is added to `overrides`.

        Raises:
            ValueError: if a name is neither a parameter nor a path.
        """
        paths = {name: value for name, value in params.items() if "." in name or "[" in name}
        super().set_params(**{name: params[name] for name in params if name not in paths})
        if paths:
            self.overrides = {**(self.overrides or {}), **paths}
        return self

    def _require_target(self, y: Any) -> Any:  # noqa: ANN401
        """Return the target, or raise `ValueError` if it is missing."""
        if y is None:
            name = type(self).__name__
            raise ValueError(f"{name} requires y to be passed, but the target y is None")
        return y

    def _fit(self, X: Any, y: NDArray[Any], sample_weight: Any) -> None:  # noqa: ANN401, N803
        """Train on features, an encoded target of one or more columns, and row weights.

        Raises:
            ValueError: for invalid rows or settings.
        """
        with _value_errors():
            targets, features = dict(_named_targets(y)), self._columns(X, is_new=True)
            for name in (*targets, _WEIGHT):
                if name in features:
                    raise ValueError(f"X: no column may have the name '{name}'; rename it")
            columns: dict[str, object] = {**features, **targets}
            table = memory_table(columns, "X")
            earlier = getattr(self, "predictor_", None) if self.warm_start else None
            text = self._starter_text if earlier else self._starter(table, [*targets])
            settings = self._settings()
            overrides = {**_validation_for(text, settings, table), **settings}
            if sample_weight is not None:
                weights = check_array(sample_weight, ensure_2d=False, dtype=np.float64)
                check_consistent_length(weights, y)
                if not weights.any():
                    raise ValueError("all sample weights are zero")
                overrides["data.sample_weight"] = _WEIGHT
                table = memory_table({**columns, _WEIGHT: column_or_1d(weights)}, "X")
            file = make_config(text, overrides, {"train": table})
            if self.warm_start and file.config.ensemble is not None:
                raise ValueError("warm_start requires a single network, such as preset='simple'")
            result = fit_only(file, earlier=earlier)
            history = {name: [*values] for name, values in result.training.history.items()}
            if earlier:
                history = {name: self.history_[name] + history[name] for name in history}
            self.predictor_, self.history_, self._starter_text = result.predictor, history, text

    def _starter(self, table: MemoryTable, targets: Sequence[str]) -> str:
        from dlcli.starter.config_writing import starter_config

        return starter_config(table, targets, type=self._type, preset=self.preset)

    def _settings(self) -> dict[str, object]:
        """Return the settings that differ from the preset. No test rows are held out."""
        given = self.get_params(deep=False)
        sections = {
            name: value
            for name, value in given.items()
            if name not in _NO_SECTIONS and value is not None
        }
        seed = int(check_random_state(self.random_state).randint(_MOST_SEED))
        return {"data.test": None, "seed": seed, **sections, **(self.overrides or {})}

    def _columns(self, X: Any, *, is_new: bool) -> dict[str, object]:  # noqa: ANN401, N803
        """Return the features by name: the columns of a data frame, or `x0`, `x1` and so on.

        As in other estimators, columns that lack the names of the training columns are matched by
        position.

        Args:
            X: a data frame, an array, or a sparse matrix of SciPy, (rows, features).
            is_new: whether the rows are for a new training.
        """
        columns = self._named_columns(X, is_new=is_new)
        if is_new:
            self._names = tuple(columns)
        elif not _has_names(X) or columns.keys() != {*self._names}:
            return dict(zip(self._names, columns.values(), strict=True))
        return columns

    def _named_columns(self, X: Any, *, is_new: bool) -> dict[str, object]:  # noqa: ANN401, N803
        if _has_names(X):
            validate_data(self, X, reset=is_new, skip_check_array=True)
            data = memory_table(X, "X").data
            if is_new:
                _refuse_unreadable(data)
            return dict(zip(data.column_names, data.columns, strict=True))
        matrix = validate_data(
            self,
            X,
            reset=is_new,
            dtype=None,
            accept_sparse=True,
            ensure_all_finite="allow-nan",
            ensure_min_samples=2 if is_new else 1,
        )
        if issparse(matrix):
            matrix = matrix.toarray()
        return {f"x{at}": matrix[:, at] for at in range(matrix.shape[1])}

    def _predict(self, X: Any) -> Predictions:  # noqa: ANN401, N803
        check_is_fitted(self)
        with _value_errors():
            columns, predictor = self._columns(X, is_new=False), self.predictor_

            def table() -> Table:
                return predictor.read(memory_table(columns, "X"))

            numbers = [each for each in map(_numbers, columns.values()) if each is not None]
            if len(numbers) < len(columns):
                return predictor.predict(table(), ValueProblems())
            rows = predictor.number_rows(np.column_stack(numbers), [*columns], table)
            return predictor.predict(rows, ValueProblems())


@_estimator
class DenseRegressor(RegressorMixin, _Dense):  # type: ignore[misc]
    """Predicts one or more numbers with a neural network or an ensemble.

    The preset creates a config for the table, like `dlcli init`. Each other parameter replaces the
    section of the same name in this config; write it as in YAML.

    Args:
        preset: `good`: an ensemble of eight networks; `simple`: one small network; `best`: an
            ensemble of 32 networks with different settings.
        hidden: the hidden layers: `[{"units": 64, "activation": "relu"}]`.
        output: the output layer.
        loss: the loss.
        optimizer: `adam`, or `{"name": "adam", "learning_rate": 0.01}`.
        learning_rate_schedule: the schedule.
        epochs: number of passes over the rows.
        batch_size: number of rows per step.
        early_stopping: early stopping, for example `{"patience": 10}`.
        ensemble: the ensemble, for example `{"members": 8}`.
        input: scaling and encoding of columns.
        overrides: any settings by path: `{"hidden[0].units": 64}`. `set_params` and searches also
            accept paths as parameters.
        random_state: the random seed.
        warm_start: whether `fit` continues with the network and the encoding of the previous fit;
            for single networks only.
    """

    _type = "numeric"

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: ANN401, N803
        """Train.

        Args:
            X: a data frame of mixed columns, an array, or a sparse matrix of SciPy, (rows,
                features); NaN is missing.
            y: numbers, (rows,) or (rows, outputs).
            sample_weight: the weights of the rows, (rows,).

        Raises:
            ValueError: for invalid rows or settings.
        """
        numbers = {"dtype": np.float64, "ensure_2d": False, "input_name": "y"}
        target = check_array(self._require_target(y), **numbers)
        if target.ndim == 1 or target.shape[1] == 1:
            target = column_or_1d(target, warn=True)
        check_consistent_length(X, target)
        self._fit(X, target, sample_weight)
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:  # noqa: ANN401, N803
        """Predict numbers, (rows,), or (rows, outputs) for several outputs.

        Raises:
            ValueError: for columns or values that can't be read.
        """
        values: NDArray[np.float64] = self._predict(X).values
        return values if values.shape[1] > 1 else values[:, 0]


def _has_margins(classifier: DenseClassifier) -> bool:
    """Return whether a fitted classifier has margins, or an unfitted one will have them.

    Raises:
        ConfigError: if the loss is invalid.
    """
    if hasattr(classifier, "predictor_"):
        return not classifier.predictor_.task.has_probabilities
    return _trains_margins(classifier)


def _trains_margins(classifier: DenseClassifier) -> bool:
    settings = {"loss": classifier.loss, **(classifier.overrides or {})}
    data = {"train": MEMORY, "target": "y"}
    of_loss = {path: value for path, value in settings.items() if path.startswith("loss")}
    loss = make_config({"data": data, "hidden": [], "epochs": 1}, of_loss).config.loss
    return loss is not None and loss.output == "margin"


@_estimator
class DenseClassifier(ClassifierMixin, _Dense):  # type: ignore[misc]
    """Predicts a class with a neural network or an ensemble.

    Args:
        class_weight: `balanced`, or the weight of each class.
        decision: the rule that predicts a class: `{"maximize": "f1"}` chooses a threshold on
            out-of-fold or validation rows, as `TunedThresholdClassifierCV` does with folds; or
            `{"costs": {"false_positive": 1, "false_negative": 20}}`, or costs by true and
            predicted class.
        preset: see `DenseRegressor`, also for the other parameters.
    """

    _type = "categorical"
    class_weight: Setting = None
    decision: Setting = None
    classes_: NDArray[Any] = field(init=False)
    """The classes, sorted."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: ANN401, N803
        """Train.

        Args:
            X: a data frame of mixed columns, an array, or a sparse matrix of SciPy, (rows,
                features); NaN is missing.
            y: classes, (rows,).
            sample_weight: the weights of the rows, (rows,).

        Raises:
            ValueError: for invalid rows or settings.
        """
        target = column_or_1d(self._require_target(y), warn=True)
        assert_all_finite(target, input_name="y")
        check_classification_targets(target)
        check_consistent_length(X, target)
        classes, codes = np.unique(target, return_inverse=True)
        if len(classes) == 1:
            raise ValueError(f"y has only one class, {classes.tolist()[0]!r}")
        if self.warm_start and not np.array_equal(getattr(self, "classes_", classes), classes):
            raise ValueError(
                f"warm_start requires the classes of the previous fit, {self.classes_.tolist()}, "
                f"but y has {classes.tolist()}"
            )
        self.classes_ = classes
        self._fit(X, codes.astype(str).astype(object), sample_weight)
        return self

    def _settings(self) -> dict[str, object]:
        settings = super()._settings()
        if isinstance(self.class_weight, Mapping):
            settings["class_weight"] = self._weights_by_code(self.class_weight)
        if isinstance(self.decision, Mapping) and isinstance(self.decision.get("costs"), Mapping):
            settings["decision"] = {**self.decision, "costs": self._costs_by_code()}
        if "output" not in settings and _trains_margins(self):  # there are no probabilities
            settings = {"output.probability_floor": None, **settings}
        return settings

    def _costs_by_code(self) -> dict[str, object]:
        """Return the costs of the decision by class code instead of class."""
        codes = {name: str(code) for code, name in enumerate(self.classes_.tolist())}

        def by_code(given: Mapping[Any, object]) -> dict[str, object]:
            return {codes.get(name, name): each for name, each in given.items()}

        return {
            name: by_code(each) if name in codes.values() and isinstance(each, Mapping) else each
            for name, each in by_code(self.decision["costs"]).items()
        }

    def _weights_by_code(self, given: Mapping[Any, object]) -> dict[str, object]:
        """Return class weights by class code; a fold may lack some classes.

        Raises:
            ValueError: if unknown classes have weights and known classes do not.
        """
        classes = self.classes_.tolist()
        weights = {str(code): given[name] for code, name in enumerate(classes) if name in given}
        unweighted = [name for name in classes if name not in given]
        if unweighted and len(weights) < len(given):
            raise ValueError(f"The classes, {unweighted}, are not in class_weight")
        return weights

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: ANN401, N803
        """Predict classes, (rows,).

        Raises:
            ValueError: for columns or values that can't be read.
        """
        predictions = self._predict(X)
        codes = np.array(predictions.task.names, dtype=np.int64)
        classes: NDArray[Any] = self.classes_[codes[predictions.values]]
        return classes

    @available_if(lambda classifier: not _has_margins(classifier))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> NDArray[np.float64]:  # noqa: ANN401, N803
        """Predict the probability of each class, in the order of `classes_`, (rows, classes).

        Raises:
            ValueError: for columns or values that can't be read.
            AttributeError: for a hinge loss; see `decision_function`.
        """
        predictions = self._predict(X)
        assert predictions.probabilities is not None  # no hinge loss
        order = np.argsort(np.array(predictions.task.names, dtype=np.int64))
        shares: NDArray[np.float64] = predictions.probabilities[:, order].astype(np.float64)
        # In float32, the sums differ from 1 more than scikit-learn's metrics accept for float64.
        shares /= shares.sum(axis=1, keepdims=True)
        return shares

    @available_if(_has_margins)  # type: ignore[untyped-decorator]
    def decision_function(self, X: Any) -> NDArray[np.float64]:  # noqa: ANN401, N803
        """Predict margins, above 0 for the second class, (rows,); only for hinge losses.

        Raises:
            ValueError: for columns or values that can't be read.
        """
        predictions = self._predict(X)
        margins: NDArray[np.float64] = predictions.scores[:, 0]
        return margins if predictions.task.names[1] == "1" else -margins


def _named_targets(y: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the columns of a target with their names.

    Args:
        y: the target, (rows,) or (rows, outputs).
    """
    if y.ndim == 1:
        yield _TARGET, y
        return
    for at in range(y.shape[1]):
        yield f"(target {at})", y[:, at]


def _has_names(X: Any) -> bool:  # noqa: ANN401, N803
    """Return whether `X` is a data frame, whose columns have names."""
    return hasattr(X, "__arrow_c_stream__") or (hasattr(X, "columns") and hasattr(X, "iloc"))


def _numbers(values: Any) -> NDArray[np.float64] | None:  # noqa: ANN401
    """Return a column as numbers, NaN where missing; `None` if it has another type.

    Args:
        values: NumPy or Arrow values, (rows,).
    """
    if isinstance(values, np.ndarray):
        is_plain = values.dtype.kind in "iuf" and values.dtype.itemsize <= np.float64().itemsize
        return values.astype(np.float64) if is_plain else None
    if not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type)):
        return None
    numbers = to_numpy(values.cast(pa.float64(), safe=False), np.float64)
    if values.null_count:
        numbers[mask_to_numpy(values.is_null())] = np.nan
    return numbers


def _refuse_unreadable(data: pa.Table) -> None:
    """Raise `ValueError` for a column that training would ignore and `predict` would not read.

    Refuses infinite numbers, like scikit-learn does in arrays, and lists, bytes and durations.
    """
    types = pa.types
    for name, values in zip(data.column_names, data.columns, strict=True):
        kind = values.type
        is_binary = types.is_binary(kind) or types.is_large_binary(kind)
        if types.is_nested(kind) or is_binary or types.is_duration(kind):
            raise ValueError(f"X['{name}'] holds {kind}, which is not supported; omit it")
        if types.is_floating(kind):
            assert_all_finite(values.to_numpy(), allow_nan=True, input_name=f"X['{name}']")


def _validation_for(
    text: str, settings: Mapping[str, object], table: MemoryTable
) -> dict[str, object]:
    """Return the validation share for an ensemble, if it differs from the preset.

    Args:
        text: the config of the preset.
        settings: the settings that differ from it.
        table: the rows.

    Raises:
        ConfigError: if the ensemble is invalid.
    """
    from dlcli.starter.table_facts import HELD_OUT

    ensemble = {path: value for path, value in settings.items() if path.startswith("ensemble")}
    if not ensemble:
        return {}
    preset = make_config(text, {}, {"train": table}).config
    # Ignore keys that depend on folds.
    free = {"data.validation": None, "early_stopping": None}
    folds = make_config(text, {**free, **ensemble}, {"train": table}).config.ensemble_folds
    if folds is not None and preset.data.has_validation:
        return {"data.validation": None}
    if folds is None and preset.ensemble_folds is not None:
        return {"data.validation": HELD_OUT.validation}
    return {}


@contextmanager
def _value_errors() -> Iterator[None]:
    """Convert errors to `ValueError`, which scikit-learn expects for invalid rows and settings."""
    try:
        yield
    except (ConfigError, DataError, UsageError) as error:
        raise ValueError(str(error)) from error
