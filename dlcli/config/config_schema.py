"""The whole config: layers, training, and the checks between sections."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import BeforeValidator, Field

from dlcli.columns.scaling import OutputScaling
from dlcli.config import layer_choices, training_choices
from dlcli.config.data_section import Data, Input, ScalingLayer, TimeSplit
from dlcli.config.tune_section import Tune
from dlcli.errors import did_you_mean
from dlcli.metrics.definitions import METRICS
from dlcli.schema.section import (
    Choice,
    Conflict,
    Expected,
    Flag,
    Fraction,
    Monitor,
    NonNegative,
    NonNegativeInt,
    Number,
    OneOf,
    Positive,
    PositiveInt,
    Section,
    is_number,
    not_as_expected,
    shown,
    shown_in_yaml,
    to_metric,
    value_error,
)

Units = Annotated[int, Field(gt=0, le=1_000_000), Expected("a positive integer up to 1000000")]
JitCompile = Annotated[Literal["auto"] | Flag, Expected("true, false or auto")]
ClassWeight = Annotated[
    Literal["balanced"] | Annotated[Mapping[str, Positive], Field(min_length=1)],
    Expected("balanced, or a weight above 0 for each class"),
]
RunName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"),
    Expected("up to 64 of A-Z a-z 0-9 . _ -, the first a letter or digit"),
]
Seed = Annotated[int, Field(ge=0, lt=2**32), Expected("an integer from 0 to 4294967295")]
Threads = Annotated[
    Literal["auto"] | Annotated[int, Field(gt=0, le=1024)],
    Expected("auto, or a positive integer up to 1024"),
]
Epochs = Annotated[int, Field(gt=0, le=100_000_000), Expected("a positive integer")]
Members = Annotated[int, Field(ge=2, le=64), Expected("an integer from 2 to 64")]
EnsembleFolds = Annotated[
    Literal["auto", "none"] | Annotated[int, Field(ge=2, le=64)],
    Expected("auto, none, or an integer from 2 to 64"),
]
RunFolder = Annotated[str, Field(min_length=1), Expected("a run folder")]
if TYPE_CHECKING:
    MetricName = str
else:
    MetricName = Literal[tuple(name for name, metric in METRICS.items() if metric.is_trained)]
"""The metrics that can be computed for each epoch."""


def _to_epoch_metric(name: object) -> object:
    """Return the name of a metric as dlcli spells it.

    Raises:
        PydanticCustomError: if it is a metric that only results have.
    """
    name = to_metric(name)
    if name in METRICS and name not in get_args(MetricName):
        raise value_error(f"{shown(name)} is not computed for each epoch; results always have it")
    return name


Metric = Annotated[MetricName, BeforeValidator(_to_epoch_metric)]


class BatchNormalization(Section):
    """Normalization of each unit to mean 0 and variance 1 (Ioffe & Szegedy 2015)."""

    momentum: Fraction = 0.99
    """Decay of the running mean and variance per step, in [0, 1)."""
    epsilon: Positive = 0.001
    """Small number that keeps the divisor above 0."""
    center: Flag = True
    """Train an offset."""
    scale: Flag = True
    """Train a factor."""


def _expand_flag(value: object) -> Any:  # noqa: ANN401
    """Expand `true` to batch normalization with Keras's defaults, `false` to none."""
    if isinstance(value, bool):
        return {} if value else None
    return value


Normalization = Annotated[
    BatchNormalization | None,
    BeforeValidator(_expand_flag, json_schema_input_type=BatchNormalization | bool | None),
]


class _Dense(Section):
    """The parameters that hidden layers and the output share."""

    use_bias: Flag = True
    """Give each unit a bias."""
    kernel_initializer: layer_choices.Initializer = layer_choices.GlorotUniform()
    """Initial weights of the kernel.

    Examples: [he_normal]
    """
    bias_initializer: layer_choices.Initializer = layer_choices.Zeros()
    """Initial weights of the bias."""
    kernel_regularizer: layer_choices.KernelRegularizer | None = None
    """Regularization penalty on the kernel. Omitted: none.

    Examples: [{name: l2, l2: 0.0001}]
    """
    bias_regularizer: layer_choices.BiasRegularizer | None = None
    """Regularization penalty on the bias. Omitted: none."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the parameters of a bias that doesn't exist."""
        if not self.use_bias:
            keys = ("bias_initializer", "bias_regularizer")
            yield from self.without_effect(*keys, because="with use_bias: false")


class Hidden(_Dense):
    """A hidden layer: Dense, then optionally batch normalization, activation and dropout."""

    synonyms: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("neurons", "nodes", "size", "width"), "units"),
        **dict.fromkeys(("dropout_rate", "rate"), "dropout"),
        **dict.fromkeys(("batch_norm", "batchnorm", "normalization"), "batch_normalization"),
        **dict.fromkeys(("l1", "l2", "regularizer"), "kernel_regularizer"),
        "initializer": "kernel_initializer",
    }
    elsewhere: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("name", "type", "layer"), "omit it, every layer is a Dense layer"),
        **dict.fromkeys(("Dense", "dense"), "write {units: VALUE, activation: relu}"),
        **dict.fromkeys(("Dropout",), "write dropout: VALUE in the layer before"),
    }

    @classmethod
    def moved(cls, key: str, value: object) -> str:
        """Return the parameters of a layer that is named as in Keras, or what they belong to."""
        if isinstance(value, Mapping):
            if key.lower() == "dense":
                return f"write {shown_in_yaml(value)}"
            value = next(iter(value.values()), "VALUE")
        return super().moved(key, value)

    @classmethod
    def instead_of(cls, value: object) -> str:
        """Return the layer that a number of units or an activation means."""
        return "" if value is None else f"write {cls.layer_of(value)}"

    @staticmethod
    def layer_of(value: object) -> str:
        """Return a layer of so many units or with an activation, as YAML."""
        units = value if isinstance(value, int) and not isinstance(value, bool) else 64
        activation = value if isinstance(value, str) and value.isidentifier() else "relu"
        return f"{{units: {units}, activation: {activation}}}"

    units: Units
    """Number of units, up to 1,000,000.

    Examples: [64]
    """
    activation: layer_choices.Activation = layer_choices.Linear()
    """Activation of the units. With the default, hidden layers add nothing to a linear model.

    Examples: [relu, {name: leaky_relu, negative_slope: 0.1}]
    """
    batch_normalization: Normalization = None
    """`true` or the parameters of batch normalization, before the activation. Omitted: none.

    Examples: [true]
    """
    dropout: Fraction = 0.0
    """Fraction of the units that is set to 0 at each training step, in [0, 1).

    Examples: [0.2]
    """

    def conflicts(self) -> Iterator[Conflict]:
        """Yield an activation that is constant for a single unit."""
        yield from super().conflicts()
        if self.units == 1 and self.activation.across_units:
            yield "activation", f"'{self.activation.name}' of one unit is constant"


class Output(_Dense):
    """The output layer; what is omitted follows from the target."""

    units: Units | None = None
    """Number of units: 1 for a number or two classes, else 1 per class, label or column."""
    activation: layer_choices.Activation | None = None
    """Activation, which follows from the loss: linear for most losses of numbers, exponential for
    `poisson` and `mean_squared_logarithmic_error`, sigmoid for two classes or labels, softmax for
    more classes and for `kl_divergence`, linear for `hinge` and `squared_hinge`."""
    scaling: OutputScaling | None = None
    """Scaling of numeric targets. Omitted: standard, if loss and activation allow it."""


class EarlyStopping(Section):
    """End of training when the monitored value stops improving."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        "mode": "omit it, as the direction follows from the monitored value",
    }

    @classmethod
    def instead_of(cls, value: object) -> str:
        """Return the section that `true` or a number of epochs means."""
        if value is False:
            return "omit it to train all epochs"
        patience = value if isinstance(value, int) and value is not True else 10
        return f"write {{patience: {patience}}}"

    monitor: Monitor = "val_loss"
    """Monitored value: a column of history.csv."""
    patience: NonNegativeInt = 10
    """Number of epochs without improvement before training ends."""
    min_delta: NonNegative = 0.0
    """Smallest change that counts as an improvement, in the unit of the monitored value."""
    restore_best_weights: Flag = True
    """Keep the weights of the best epoch instead of the last."""
    start_from_epoch: NonNegativeInt = 0
    """Number of epochs before monitoring begins."""


class Ensemble(Section):
    """Several networks with different random seeds, whose predictions are averaged."""

    @classmethod
    def instead_of(cls, value: object) -> str:
        """Return the section that a number of networks means."""
        is_count = isinstance(value, int) and not isinstance(value, bool)
        return f"write {{members: {value if is_count else 8}}}"

    members: Members
    """Number of networks, from 2 to 64."""
    folds: EnsembleFolds = "auto"
    """Number of folds of the training rows: each network is validated on one fold and trained on
    the others, so that all rows are trained on, and each row is predicted by networks that were not
    trained on it; these predictions stand for those of validation rows. `auto` is the number of
    members; with `none`, all share the rows of data.validation."""

    @property
    def fold_count(self) -> int | None:
        """The number of folds; `None` if all members have the same rows."""
        if self.folds == "none":
            return None
        return self.members if self.folds == "auto" else self.folds

    def conflicts(self) -> Iterator[Conflict]:
        """Yield folds on which no member would be validated."""
        if isinstance(self.folds, int) and self.folds > self.members:
            yield "folds", f"{self.folds} folds need as many members, and there are {self.members}"


class Gate(Section):
    """Requirements on a metric; those that are set must all be met."""

    synonyms: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("min", "minimum", "lower_bound", "greater_than"), "at_least"),
        **dict.fromkeys(("max", "maximum", "upper_bound", "less_than"), "at_most"),
        "by": "compare",
    }

    @classmethod
    def instead_of(cls, value: object) -> str:
        """Return the requirement that a number may mean."""
        return f"write {{at_least: {value}}} or {{at_most: {value}}}" if is_number(value) else ""

    at_least: Number | None = None
    """Smallest value that is accepted."""
    at_most: Number | None = None
    """Largest value that is accepted."""
    better_than: Literal["constant", "linear"] | None = None
    """The baseline than which the network must be better, beyond the confidence interval of the
    difference on the same rows, by the metric that decides on it."""
    compare: Literal["value", "confidence_bound"] = "value"
    """The number that is compared with `at_least` and `at_most`: the value of the metric, or the
    worse end of its 95 % confidence interval."""


class Checkpointing(Section):
    """Times at which checkpoints are stored, from which interrupted training is resumed."""

    @classmethod
    def instead_of(cls, value: object) -> str:
        """Return the section that a number of seconds means."""
        return f"write {{seconds: {value if is_number(value) else 30}}}"

    seconds: Positive = 30.0
    """Seconds between checkpoints, but at least ten times as long as storing one takes. Checkpoints
    are also stored at the beginning, the end and an interruption."""


class AutoEngine(Choice, name="auto"):
    """`compiled`, which supports every config."""


class CompiledEngine(Choice, name="compiled"):
    """Training as one TensorFlow program: the results of `fit`, many times faster."""

    jit_compile: JitCompile = "auto"
    """Compile with XLA instead of running a TensorFlow graph; `auto` decides by the config and the
    shape of the table only, and accounts for compile time."""


class KerasEngine(Choice, name="keras"):
    """`Model.fit` with Keras callbacks: the reference."""


Engine = Annotated[AutoEngine | CompiledEngine | KerasEngine, OneOf("engine")]


def _require_layers(value: object) -> object:
    """Refuse layers that are not in a list, with the list to write."""
    if isinstance(value, tuple) or value is None:
        return value
    layer = shown_in_yaml(value) if isinstance(value, dict) else Hidden.layer_of(value)
    raise not_as_expected("a list of layers", value, f"; write [{layer}]")


_IN_LAYERS = ("dropout", "batch_normalization", "kernel_regularizer", "kernel_initializer")
_IN_DATA = ("train", "validation", "test", "target", "split", "sample_weight", "missing", "format")
_IN_OPTIMIZER = ("learning_rate", "weight_decay", "clipnorm", "clipvalue", "use_ema")
_LEARNING_RATE = "write optimizer: {name: adam, learning_rate: VALUE}"
_VALIDATION = "write data: {validation: VALUE, ...}"
_LAYERS = "write hidden: [{units: 64, activation: relu}]"


class Config(Section):
    """A training run: data, input, hidden, output, loss, optimizer, epochs."""

    synonyms: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("max_iter", "num_epochs", "n_epochs"), "epochs"),
        "random_state": "seed",
        "solver": "optimizer",
        "n_jobs": "threads",
        "n_estimators": "ensemble",
    }
    elsewhere: ClassVar[Mapping[str, str]] = {
        **{key: f"write data: {{{key}: VALUE, ...}}" for key in _IN_DATA},
        **{key: f"write optimizer: {{name: adam, {key}: VALUE}}" for key in _IN_OPTIMIZER},
        **{
            key: f"write hidden: [{{units: 64, activation: relu, {key}: VALUE}}]"
            for key in _IN_LAYERS
        },
        "activation": "write hidden: [{units: 64, activation: VALUE}]",
        "layers": _LAYERS,
        "hidden_layers": _LAYERS,
        "hidden_layer_sizes": _LAYERS,
        "units": "write hidden: [{units: VALUE, activation: relu}]",
        "lr": _LEARNING_RATE,
        "learning_rate_init": _LEARNING_RATE,
        "momentum": "write optimizer: {name: sgd, momentum: VALUE}",
        "validation_split": _VALIDATION,
        "validation_data": _VALIDATION,
        "validation_fraction": _VALIDATION,
        "features": "write input: {features: VALUE}",
        "scaling": "write input: {scaling: VALUE}",
        "encoding": "write input: {encoding: VALUE}",
        "label_smoothing": "write loss: {name: categorical_crossentropy, label_smoothing: VALUE}",
        "patience": "write early_stopping: {patience: VALUE}",
        "callbacks": "write early_stopping: {patience: 10}, or learning_rate_schedule: "
        "reduce_on_plateau",
        "shuffle": "omit it, as rows are shuffled in every epoch; data: {split: {name: time, "
        "column: COLUMN}, ...} splits them in order",
        "verbose": "omit it; see -q and -v on the command line",
    }

    name: RunName | None = None
    """Name of the run folder. Omitted: the name of the config file.

    Examples: [houses]
    """
    seed: Seed = 0
    """Random seed of splits, initial weights, row order and dropout.

    Examples: [7]
    """
    data: Data
    """Files, target, and split into training, validation and test rows.

    Examples:
      - train: houses.csv
        target: price
        validation: 0.15
        test: 0.15
    """
    input: Input = Input()
    """Features and their types.

    Examples:
      - features:
          area: {type: numeric, scaling: log1p}
          city: categorical
          "*": auto
    """
    hidden: Annotated[tuple[Hidden, ...], BeforeValidator(_require_layers)]
    """Layers between input and output; `[]` is a linear model.

    Examples:
      - - {units: 64, activation: relu, batch_normalization: true}
        - {units: 32, activation: relu, dropout: 0.2}
      - []
    """
    output: Output = Output()
    """Output layer.

    Examples: [{scaling: log1p}, {activation: softmax}]
    """
    loss: training_choices.Loss | None = None
    """Loss that training minimizes. Omitted: follows from the target.

    Examples: [huber, {name: categorical_crossentropy, label_smoothing: 0.1}]
    """
    metrics: tuple[Metric, ...] | None = None
    """Metrics in history.csv for each epoch, besides the loss. Omitted: follow from the target.

    Examples: [[mae, r2], [accuracy, auc]]
    """
    class_weight: ClassWeight | None = None
    """Weight of each class in training: a mapping, or `balanced` for equal sums. With a weight
    column, training metrics in history.csv are weighted by the product of both, final metrics by
    the weight column only. Omitted: 1 for each class.

    Examples: [balanced, {fraud: 50, honest: 1}]
    """
    optimizer: training_choices.Optimizer = training_choices.Adam()
    """Optimizer.

    Examples: [{name: adamw, learning_rate: 0.001, weight_decay: 0.01}, sgd]
    """
    learning_rate_schedule: training_choices.Schedule = training_choices.ConstantLearningRate()
    """Schedule of the learning rate, in epochs.

    Examples: [{name: cosine_decay, warmup_epochs: 2}, reduce_on_plateau]
    """
    epochs: Epochs
    """Maximum number of passes over the training rows.

    Examples: [100]
    """
    batch_size: PositiveInt = 32
    """Number of rows per step.

    Examples: [128]
    """
    early_stopping: EarlyStopping | None = None
    """When to stop before the last epoch. Omitted: never.

    Examples: [{monitor: val_loss, patience: 10}]
    """
    ensemble: Ensemble | None = None
    """Several networks with different random seeds, whose predictions are averaged: of numbers in
    the target's unit, or of probabilities. Omitted: one network.

    Examples: [{members: 8, folds: none}]
    """
    initial_weights: RunFolder | None = None
    """Run folder with the weights to start from; its network must have the same shape. Omitted:
    random weights.

    Examples: [runs/houses]
    """
    engine: Engine = AutoEngine()
    """Implementation of training; all engines give the same weights up to rounding.

    Examples: [keras, {name: compiled, jit_compile: true}]
    """
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Device to train on; `auto` is a GPU if there is one.

    Examples: [cpu]
    """
    threads: Threads = "auto"
    """Number of CPU threads, up to 1,024; results are exactly reproducible only with the same
    number. `auto` uses all.

    Examples: [4]
    """
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    """Number format of the computations in layers; weights are always float32.

    Examples: [mixed_bfloat16]
    """
    gates: Annotated[Mapping[str, Gate], Field(min_length=1)] | None = None
    """Requirements on the result, by set of rows and metric, such as `test.accuracy`. A run that
    misses one is kept, and the command ends with exit code 6. `dlcli cv` checks them on the rows of
    all folds, `dlcli evaluate` on the rows that it evaluates. Omitted: none.

    Examples: [{test.accuracy: {at_least: 0.9, better_than: linear}}]
    """
    checkpoint: Checkpointing = Checkpointing()
    """Times at which checkpoints are stored, from which interrupted training is resumed.

    Examples: [{seconds: 60}]
    """
    tune: Tune | None = None
    """Search space and settings of `dlcli tune`; not used by `dlcli train`.

    Examples:
      - trials: 50
        space:
          hidden_layers:
            number: {low: 1, high: 3}
            units: [16, 32, 64]
          optimizer.learning_rate: {low: 0.0001, high: 0.01, log: true}
    """

    @property
    def reserved(self) -> tuple[str, ...]:
        """Columns that are not features.

        The column of a time split is a feature, too, if `input.features` names it.
        """
        split, named = self.data.split, self.input.features or {}
        time = split.column if isinstance(split, TimeSplit) and split.column in named else None
        return tuple(column for column in self.data.reserved if column != time)

    @property
    def networks(self) -> int:
        """Number of networks of a fit."""
        return 1 if self.ensemble is None else self.ensemble.members

    def with_scaling_layer(self, multiplier: float | None) -> Self:
        """Return the config with a scaling layer of this learning-rate multiplier, or with none."""
        layer = ScalingLayer(learning_rate_multiplier=multiplier) if multiplier else None
        own = self.input.model_copy(update={"scaling_layer": layer})
        return self.model_copy(update={"input": own})

    @property
    def ensemble_folds(self) -> int | None:
        """Number of folds on which the members of an ensemble are validated, if they are."""
        return None if self.ensemble is None else self.ensemble.fold_count

    @property
    def has_validation(self) -> bool:
        """True if there are rows to validate a network on that it is not trained on."""
        return self.data.has_validation or self.ensemble_folds is not None

    def adjective(self, split: str) -> str:
        """Return the word for the rows of a set: `training`, `validation`, `test`.

        Validation rows of an ensemble with folds are `out-of-fold`: training rows, each predicted
        by the members that were not trained on it.
        """
        if split == "validation" and self.ensemble_folds is not None:
            return "out-of-fold"
        return "training" if split == "train" else split

    def conflicts(self) -> Iterator[Conflict]:
        """Yield what is valid in its own section but conflicts with others."""
        yield from self._monitor_conflicts()
        yield from self._ensemble_conflicts()
        yield from self._epoch_conflicts()
        yield from self._gate_conflicts()
        stopping, optimizer = self.early_stopping, self.optimizer
        at_end = optimizer.use_ema and optimizer.ema_overwrite_frequency is None
        if at_end and stopping and stopping.restore_best_weights:
            yield (
                "optimizer.use_ema",
                "has no effect while early_stopping restores the best epoch's own weights;"
                " set restore_best_weights: false",
            )
        if self.precision == "mixed_float16" and optimizer.loss_scale_factor is not None:
            reason = "has no effect with mixed_float16, which scales the loss by itself; omit it"
            yield "optimizer.loss_scale_factor", reason
        if self.tune and "seed" in (self.tune.space or ()) and any(self.data.shares):
            reason = "it also determines the rows of data.validation and data.test"
            yield "tune.space.seed", f"can't be varied: {reason}"
        if self.metrics and len(set(self.metrics)) < len(self.metrics):
            yield "metrics", "names a metric twice"
        is_xla = isinstance(self.engine, CompiledEngine) and self.engine.jit_compile is True
        if is_xla and self.precision != "float32":
            # Where XLA fuses operations, it keeps more bits than the format has.
            yield "engine.jit_compile", f"does not round as Keras does with {self.precision}"

    def _ensemble_conflicts(self) -> Iterator[Conflict]:
        if self.ensemble is None:
            return
        if self.ensemble_folds is not None and self.data.has_validation:
            yield (
                "data.validation",
                "has no effect, as each member of the ensemble is validated on its own fold; omit "
                "it, or set ensemble.folds: none",
            )
        if self.initial_weights is not None:
            yield "initial_weights", "is for one network; omit ensemble"

    def _gate_conflicts(self) -> Iterator[Conflict]:
        has_rows = {"validation": self.has_validation, "test": self.data.test is not None}
        is_linear = all(isinstance(layer.activation, layer_choices.Linear) for layer in self.hidden)
        for name, gate in (self.gates or {}).items():
            path, split = ("gates", name), name.partition(".")[0]
            if split not in ("train", *has_rows) or "." not in name:
                yield path, "expected a set of rows and a metric, such as test.accuracy"
                continue
            least, most = gate.at_least, gate.at_most
            if least is None and most is None and gate.better_than is None:
                yield path, "requires nothing; set at_least, at_most or better_than"
            if least is not None and most is not None and least > most:
                yield path, f"no value is at least {least:g} and at most {most:g}"
            if not has_rows.get(split, True):
                trains_on = split == "validation" and self.data.train_on_validation
                way_out = "train_on_validation: false" if trains_on else f"{split}: 0.15"
                yield path, f"needs {split} rows; set data.{way_out}"
            if split == "train" and gate.better_than is not None:
                yield (*path, "better_than"), "is for rows that were not trained on"
            if gate.better_than == "linear" and is_linear:
                yield (*path, "better_than"), "is for networks that are not linear themselves"

    def _epoch_conflicts(self) -> Iterator[Conflict]:
        stopping, schedule = self.early_stopping, self.learning_rate_schedule
        reach = f"is never reached in {self.epochs} epochs"
        if stopping and stopping.start_from_epoch >= self.epochs:
            yield "early_stopping.start_from_epoch", f"{stopping.start_from_epoch} {reach}"
        if isinstance(schedule, training_choices.PiecewiseConstant):
            late = [boundary for boundary in schedule.boundaries if boundary >= self.epochs]
            if late:
                yield "learning_rate_schedule.boundaries", f"{late[0]} {reach}"
        if (
            isinstance(schedule, training_choices.CosineDecay)
            and schedule.warmup_epochs >= self.epochs
        ):
            yield (
                "learning_rate_schedule.warmup_epochs",
                f"takes all of the {self.epochs} epochs; none are left to decay",
            )

    def _monitor_conflicts(self) -> Iterator[Conflict]:
        known = ("loss", *(self.metrics if self.metrics is not None else get_args(MetricName)))
        for key in ("early_stopping", "learning_rate_schedule"):
            section = getattr(self, key)
            if not isinstance(section, EarlyStopping | training_choices.ReduceOnPlateau):
                continue
            name = section.monitor.removeprefix("val_")
            means = [METRICS[each].mean_over_parts_of for each in known if each in METRICS]
            means += [each for each in METRICS if METRICS[each].mean_over_parts_of in known]
            if name not in (*known, *means):
                allowed = [*known, *(f"val_{each}" for each in known)]
                is_metric = name in get_args(MetricName)  # but not one of this config
                way_out = "" if is_metric else did_you_mean(section.monitor, allowed)
                way_out = way_out or f"; allowed: {', '.join(allowed)}"
                yield f"{key}.monitor", f"unknown '{section.monitor}'{way_out}"
            elif name != section.monitor and not self.has_validation:
                is_trained_on = self.data.train_on_validation
                way_out = "train_on_validation: false" if is_trained_on else "validation: 0.15"
                yield (
                    f"{key}.monitor",
                    f"'{section.monitor}' needs rows to validate on; set data.{way_out}",
                )


def json_schema() -> str:
    """Return the JSON Schema of the config, as `dlcli schema` prints it."""
    dialect = "https://json-schema.org/draft/2020-12/schema"
    document = {"$schema": dialect, **Config.model_json_schema(), "title": "dlcli config"}
    return json.dumps(document, indent=2) + "\n"


def find_setting(name: str) -> str | None:
    """Return the path of the setting that a name means, as for `--set`; None if there is none.

    Args:
        name: a key of the config, or the name that other programs have for it: `epochs`, `lr`.
    """
    sections: dict[str, type[Section]] = {
        "": Config,
        "data.": Data,
        "hidden[0].": Hidden,
        "optimizer.": training_choices.Adam,
        "early_stopping.": EarlyStopping,
        "tune.": Tune,
    }
    for path, section in sections.items():
        key = section.synonyms.get(name, name)
        if key in section.model_fields:
            return path + key
    return None
