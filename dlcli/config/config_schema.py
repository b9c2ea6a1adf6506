"""The whole config: layers, training, and the checks between sections."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import BeforeValidator, Field

from dlcli.columns.scaling import OutputScaling
from dlcli.config import layer_choices, training_choices
from dlcli.config.data_section import Data, Input, ScalingLayer, TimeSplit
from dlcli.config.decision_section import Decision
from dlcli.config.tune_section import (
    FIXED,
    Seconds,
    Tune,
    Variants,
    settings_conflicts,
    space_conflicts,
)
from dlcli.errors import did_you_mean
from dlcli.metrics.definitions import METRICS, metric_bounds
from dlcli.schema.section import (
    IN_PARTS,
    TEXTS_IF_LONG,
    Choice,
    ColumnName,
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
    at_most,
    is_number,
    not_as_expected,
    shown,
    shown_in_yaml,
    to_metric,
    value_error,
)
from dlcli.schema.yaml_document import Path, format_path

Units = Annotated[int, Field(gt=0, le=1_000_000), Expected("a positive integer up to 1,000,000")]
JitCompile = Annotated[Literal["auto"] | Flag, Expected("true, false or auto")]
ClassWeight = Annotated[
    Literal["balanced"] | Annotated[Mapping[str, Positive], Field(min_length=1), IN_PARTS],
    Expected("balanced, or a weight above 0 for each class"),
]
RunName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"),
    Expected("up to 64 characters (A-Z a-z 0-9 . _ -), beginning with a letter or digit"),
]
Seed = Annotated[int, Field(ge=0, lt=2**32), Expected("an integer from 0 to 4,294,967,295")]
Threads = Annotated[
    Literal["auto"] | Annotated[int, Field(gt=0, le=1024)],
    Expected("auto, or a positive integer up to 1,024"),
]
Epochs = Annotated[int, Field(gt=0, le=100_000_000), Expected("a positive integer")]
MOST_MEMBERS = 64
"""Maximum number of networks of an ensemble."""
Members = Annotated[
    int, Field(ge=2, le=MOST_MEMBERS), Expected(f"an integer from 2 to {MOST_MEMBERS}")
]
EnsembleFolds = Annotated[
    Literal["auto", "none"] | Annotated[int, Field(ge=2, le=64)],
    Expected("auto, none, or an integer from 2 to 64"),
]
ProbabilityFloor = Annotated[
    Literal["auto"] | Annotated[float, Field(ge=0, lt=1)],
    Expected("auto, or a number of 0 or more and below 1"),
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
        PydanticCustomError: for a metric that is only computed for results.
    """
    name = to_metric(name)
    if name in METRICS and name not in get_args(MetricName):
        raise value_error(
            f"{shown(name)} can't be computed per epoch; omit it, the results always contain it"
        )
    return name


Metric = Annotated[MetricName, BeforeValidator(_to_epoch_metric)]


class BatchNormalization(Section):
    """Scaling of each unit to mean 0 and variance 1 in each batch (Ioffe & Szegedy 2015)."""

    momentum: Fraction = 0.99
    """Decay of the running mean and variance in each step, in [0, 1)."""
    epsilon: Positive = 0.001
    """Small number that is added to the variance, to avoid a division by 0."""
    center: Flag = True
    """Learn an offset for each unit."""
    scale: Flag = True
    """Learn a factor for each unit."""


def _expand_flag(value: object) -> Any:  # noqa: ANN401
    """Convert `true` to batch normalization with Keras's defaults, and `false` to none."""
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
    """Add a bias to each unit."""
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
        """Yield parameters of the bias if there is none."""
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
        """Return what to write for a layer in Keras's notation."""
        if isinstance(value, Mapping):
            if key.lower() == "dense":
                return f"write {shown_in_yaml(value)}"
            value = next(iter(value.values()), "VALUE")
        return super().moved(key, value)

    @classmethod
    def instead_of(cls, value: object) -> str:
        """Return the layer to write for a number of units or an activation."""
        return "" if value is None else f"write {cls.layer_of(value)}"

    @staticmethod
    def layer_of(value: object) -> str:
        """Return a layer with this number of units or this activation, as YAML."""
        units = value if isinstance(value, int) and not isinstance(value, bool) else 64
        activation = value if isinstance(value, str) and value.isidentifier() else "relu"
        return f"{{units: {units}, activation: {activation}}}"

    units: Units
    """Number of units (neurons), up to 1,000,000.

    Examples: [64]
    """
    activation: layer_choices.Activation = layer_choices.Linear()
    """Activation of the units. If all hidden layers are `linear`, the network computes no more than
    a linear model.

    Examples: [relu, {name: leaky_relu, negative_slope: 0.1}]
    """
    batch_normalization: Normalization = None
    """Batch normalization before the activation: `true`, or its parameters. Omitted: none.

    Examples: [true]
    """
    dropout: Fraction = 0.0
    """Fraction of the units whose outputs are set to 0 in each training step, in [0, 1).

    Examples: [0.2]
    """

    def conflicts(self) -> Iterator[Conflict]:
        """Yield an activation that is constant for a single unit."""
        yield from super().conflicts()
        if self.units == 1 and self.activation.across_units:
            yield "activation", f"'{self.activation.name}' is constant for a single unit"


class Output(_Dense):
    """The output layer. By default, it follows from the target."""

    units: Units | None = None
    """Number of units. Omitted: 1 for a single number or for two classes, else one for each class,
    label or target column."""
    activation: layer_choices.Activation | None = None
    """Activation. Omitted: it follows from the loss. It is sigmoid for two classes or labels;
    softmax for more classes and for `kl_divergence`; exponential for `poisson`, `tweedie`, `gamma`
    and `mean_squared_logarithmic_error`; and linear for `hinge`, `squared_hinge` and all other
    losses of numbers."""
    scaling: OutputScaling | None = None
    """Scaling of numeric targets before training; predictions are scaled back. Omitted: `standard`;
    `mean` for `tweedie` and `gamma`; or `none` if the loss or the activation does not allow
    scaling."""
    probability_floor: ProbabilityFloor | None = None
    """Keeps predicted probabilities away from 0 and 1. Each probability p becomes (1 − e)·p + e/k,
    where e is this number, and k is the number of classes, or 2 for a label. `auto`: 5 divided by
    the number of training rows, at most 0.1. In an ensemble, the floor is applied to the mean
    probability. It applies to all predictions and final metrics, but not to the losses and metrics
    of single epochs. Omitted: none.

    Examples: [auto, 0.001]
    """


class EarlyStopping(Section):
    """End training when the monitored value stops improving."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        "mode": "omit it; the direction follows from the monitored value",
    }

    @classmethod
    def instead_of(cls, value: object) -> str:
        """Return the section to write for `true` or a number of epochs."""
        if value is False:
            return "omit it to train all epochs"
        patience = value if isinstance(value, int) and value is not True else 10
        return f"write {{patience: {patience}}}"

    monitor: Monitor = "val_loss"
    """Loss or metric to monitor: a column of history.csv, such as `val_loss`."""
    patience: NonNegativeInt = 10
    """Number of epochs without improvement after which training ends."""
    min_delta: NonNegative = 0.0
    """Smallest change that counts as an improvement, in the unit of the monitored value."""
    tolerance: NonNegative = 0.0
    """Absolute difference from the best value, in the unit of the monitored value. Epochs that are
    worse by less than this do not count toward `patience`, so training ends only after `patience`
    epochs that are clearly worse. If it is larger than the final differences between epochs,
    training never ends early."""
    restore_best_weights: Flag = True
    """Keep the weights of the best epoch instead of the last one."""
    start_from_epoch: NonNegativeInt = 0
    """Number of epochs before monitoring begins."""


_DATA = "all networks read the same rows and inputs"
_MEAN = "the predictions of all networks are averaged"
FIXED_FOR_MEMBERS: Mapping[Path, str] = {
    **FIXED,
    ("data",): _DATA,
    ("metrics",): "they have no effect on the networks",
    ("tune",): "other commands than tune ignore it",
    **{("input", key): _DATA for key in Input.model_fields if key != "encoding"},
    ("class_weight",): _MEAN,
    ("loss",): _MEAN,
    ("output",): _MEAN,
    ("ensemble",): "it defines the networks",
    ("seed",): "each network has a different one",
    ("gates",): "they have no effect on the networks",
    ("evaluate_by",): "it has no effect on the networks",
    ("precision",): "it affects speed and memory",
}
"""Settings that are the same for all networks of an ensemble, and why."""


class Ensemble(Section):
    """Several networks with different random seeds, whose predictions are averaged."""

    @classmethod
    def instead_of(cls, value: object) -> str:
        """Return the section to write for a number of networks."""
        is_count = isinstance(value, int) and not isinstance(value, bool)
        return f"write {{members: {value if is_count else 8}}}"

    members: Members
    """Number of networks, from 2 to 64. If `vary` is a mapping, `members` must be a multiple
    of `folds`, and at least 2 × `folds`. If `vary` is a list of g items, `members` must be
    (g + 1) × `folds`. With `folds: none`, count `folds` as 1."""
    folds: EnsembleFolds = "auto"
    """Number of folds into which the training rows are split, at most `members`. Each network is
    validated on one fold and trained on all others, so the ensemble uses all rows for training. The
    validation metrics are then computed from out-of-fold predictions: each row is predicted only by
    the networks that were not trained on it. Folds can't be combined with `data.validation`, unless
    `data.train_on_validation` is set. `auto`: one fold for each network. `none`: no folds; all
    networks have the validation rows of `data.validation`."""
    vary: Variants | None = None
    """Settings that differ between groups of networks. A group has one network for each fold, all
    with the same settings; with 32 members and 8 folds, there are four groups. The first group has
    the settings of the config. If `vary` is a list, each item gives the settings of one more
    group, with paths as keys. If it is a mapping, it has a list of choices or a range for each
    path, as in `tune.space`, from which the settings of each further group are drawn at random.
    These settings can't differ: `data`, `input` (except `input.encoding`), `output`, `loss`,
    `metrics`, `class_weight`, `decision`, `seed`, `precision`, `initial_weights`,
    `initial_encoding`, `ensemble`, `tune`, `time`, `gates`, `evaluate_by`, `engine`, `device`,
    `threads`, `checkpoint`, `explanation` and `name`. `folds: auto` can't be combined with
    `vary`. Omitted: all networks have the settings of the config.

    Examples:
      - {optimizer.learning_rate: [0.001, 0.003], hidden_layers: {dropout: [0.05, 0.2]}}
      - - {optimizer.learning_rate: 0.003}
        - {optimizer.learning_rate: 0.001, hidden_layers: {number: 2, units: 256}}
    """
    select: Literal["all", "greedy"] = "all"
    """How the groups of `vary` are combined. `all`: all networks have the same weight in the mean
    prediction. `greedy`: groups have weights that are chosen in 50 rounds. Each round adds one
    group, possibly again: the group with which the loss of the out-of-fold predictions is lowest. A
    group's weight is the number of times that it was added, up to the round with the lowest loss;
    groups that were not added are removed. `greedy` requires `vary` and folds."""
    stop_after_member: PositiveInt | None = None
    """Number of networks after which training ends; the others are not trained. With folds, rows
    whose fold has no network have no out-of-fold prediction. With `vary`, it must be a multiple of
    `folds`. `dlcli train --resume RUN --finish` sets it. Omitted: all `members` are trained.

    Examples: [3]
    """

    @property
    def trained(self) -> int:
        """The number of networks that are trained."""
        return self.stop_after_member or self.members

    @property
    def group_size(self) -> int:
        """The number of networks in a group of `vary`; 1 without `vary`."""
        return 1 if self.vary is None else self.fold_count or 1

    @property
    def validated_folds(self) -> int | None:
        """The number of folds that a trained network is validated on; `None` without folds."""
        return self.fold_count and min(self.fold_count, self.trained)

    @property
    def one_per_fold(self) -> Self | None:
        """The ensemble with one network for each of these folds; `None` without folds."""
        folds = self.fold_count
        if folds is None:
            return None
        last = self.trained if self.trained < folds else None
        return type(self)(members=folds, stop_after_member=last)

    @property
    def groups(self) -> int:
        """The number of groups of networks with the same settings."""
        if isinstance(self.vary, tuple):
            return 1 + len(self.vary)
        return 1 if self.vary is None else self.members // (self.fold_count or 1)

    def fits(self, members: int) -> bool:
        """Return whether a trained ensemble can have this size; `select` may remove members."""
        if self.select == "all":
            return members == self.trained
        return 0 < members <= self.trained and members % (self.fold_count or 1) == 0

    @property
    def fold_count(self) -> int | None:
        """The number of folds; `None` if all members have the same rows."""
        if self.folds == "none":
            return None
        return self.members if self.folds == "auto" else self.folds

    def conflicts(self) -> Iterator[Conflict]:
        """Yield folds that validate no member, and other numbers that don't fit together."""
        yield from self._end_conflicts()
        if isinstance(self.folds, int) and self.folds > self.members:
            yield (
                "folds",
                f"expected at most one fold for each of the {self.members} members, got "
                f"{self.folds}",
            )
        if self.vary is None:
            if self.select != "all":
                yield "select", "has no effect without vary, because all networks are alike"
            return
        folds = self.fold_count
        if isinstance(self.vary, tuple):
            for at, settings in enumerate(self.vary):
                yield from settings_conflicts(("vary", at), settings, FIXED_FOR_MEMBERS)
            if self.members != self.groups * (folds or 1):
                number: object = self.groups * (folds or 1)
                if self.folds == "auto":
                    number = f"{self.groups} times folds, and folds set to a number"
                yield (
                    "members",
                    f"expected {number}, because each of the {self.groups} groups (the settings of "
                    "the config, and each item of vary) has one network for each fold; got "
                    f"{self.members}",
                )
        else:
            yield from space_conflicts("vary", self.vary, FIXED_FOR_MEMBERS)
            if self.members % (folds or 1) or self.groups < 2:
                yield (
                    "members",
                    f"expected a multiple of the {folds} folds, at least {2 * (folds or 1)}, "
                    "because the networks of all folds share the settings of vary; got "
                    f"{self.members}",
                )
        if self.select == "greedy" and folds is None:
            yield "select", "greedy requires out-of-fold predictions; set folds to a number"

    def _end_conflicts(self) -> Iterator[Conflict]:
        last, size = self.stop_after_member, self.group_size
        if last is not None and last >= self.members:
            yield "stop_after_member", f"has no effect on {self.members} members; omit it"
        elif last is not None and last % size:
            yield "stop_after_member", f"expected a multiple of the {size} folds, got {last}"


class Distill(Section):
    """Training on the predictions of an ensemble (Hinton et al. 2015), see `dlcli distill`."""

    teacher: RunFolder
    """Run folder of the ensemble. It must have folds and must have been trained on the same data.
    For each training row, the network learns the prediction of the members that were not trained on
    this row."""
    target_weight: Annotated[
        float, Field(ge=0, lt=1), Expected("a number of 0 or more and below 1")
    ] = 0.5
    """The network learns a mix of the true target and the ensemble's prediction. This number is the
    weight of the true target, in [0, 1)."""
    synthetic_rows: NonNegativeInt = 4
    """Number of synthetic rows for each training row, up to 100,000 rows in all. A synthetic row is
    a copy of a training row in which each column takes the value of another training row with a
    probability of 30 %. Its target is the prediction of the whole ensemble."""


class Gate(Section):
    """Requirements on a metric of a set of rows. The gate passes if all of them are met.

    The name of a gate is the set and the metric, such as `test.accuracy`. The sets are `train`,
    `validation` and `test`. For an ensemble with folds, `validation` means the out-of-fold
    predictions of the training rows.
    """

    synonyms: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("min", "minimum", "lower_bound", "greater_than"), "at_least"),
        **dict.fromkeys(("max", "maximum", "upper_bound", "less_than"), "at_most"),
        "by": "compare",
    }

    @classmethod
    def instead_of(cls, value: object) -> str:
        """Return the requirement to write for a number."""
        return f"write {{at_least: {value}}} or {{at_most: {value}}}" if is_number(value) else ""

    at_least: Number | None = None
    """Smallest accepted value of the metric."""
    at_most: Number | None = None
    """Largest accepted value of the metric."""
    better_than: Literal["constant", "linear"] | None = None
    """Require that the network is significantly better than this baseline: the 95 % confidence
    interval of the difference must exclude 0."""
    compare: Literal["value", "confidence_bound"] = "value"
    """Number to compare with `at_least` and `at_most`: the `value` of the metric, or the worse end
    of its 95 % confidence interval (`confidence_bound`)."""
    for_each: ColumnName | None = None
    """Column whose values divide the rows into groups, each of which must meet the requirements;
    `sex*region` combines two columns. The network need not read the column. Numbers with more than
    ten different values are divided into four ranges with about as many rows. Can't be combined
    with `better_than`. Omitted: all rows together."""
    min_rows: PositiveInt | None = None
    """Number of rows below which a group of `for_each` is not checked; its name is reported.
    Omitted: 30."""


class Checkpointing(Section):
    """How often the state of training is stored, so interrupted training can be resumed."""

    @classmethod
    def instead_of(cls, value: object) -> str:
        """Return the section to write for a number of seconds."""
        return f"write {{seconds: {value if is_number(value) else 30}}}"

    seconds: Positive = 30.0
    """Time between two checkpoints in seconds. If storing a checkpoint is slow, dlcli waits at
    least ten times as long. Checkpoints are also stored at the beginning, at the end and on
    interruption."""


MOST_BACKGROUND_ROWS = 256


class Explaining(Section):
    """What the run folder contains to explain predictions, see `dlcli explain`."""

    @classmethod
    def instead_of(cls, value: object) -> str:
        """Return the section to write instead of a number or `false`."""
        return f"write {{background_rows: {value if is_number(value) else 0}}}"

    background_rows: Annotated[
        int,
        Field(ge=0, le=MOST_BACKGROUND_ROWS),
        Expected(f"an integer from 0 to {MOST_BACKGROUND_ROWS}"),
    ] = 32
    """Number of training rows that are stored in the run folder, in encoded form. An explanation
    compares a prediction with the mean prediction for these rows. With more rows, explanations are
    more precise and take longer. `0`: the run folder contains no training rows; `dlcli explain`
    then requires `--background FILE`."""


class AutoEngine(Choice, name="auto"):
    """The engine `compiled`."""


class CompiledEngine(Choice, name="compiled"):
    """Training as one TensorFlow program; the same results as `keras`, many times faster."""

    jit_compile: JitCompile = "auto"
    """Compile the program with XLA. `false`: run it as a TensorFlow graph. `auto`: use XLA if the
    program is then expected to be faster, including the time to compile. This choice depends only
    on the config and the shape of the table."""


class KerasEngine(Choice, name="keras"):
    """Training with Keras `fit` and Keras callbacks."""


Engine = Annotated[AutoEngine | CompiledEngine | KerasEngine, OneOf("engine")]


def _require_layers(value: object) -> object:
    """Refuse layers outside a list, with the list to write."""
    if isinstance(value, tuple) or value is None:
        return value
    layer = shown_in_yaml(value) if isinstance(value, dict) else Hidden.layer_of(value)
    raise not_as_expected("a list of layers", value, f"; write [{layer}]")


_IN_LAYERS = ("dropout", "batch_normalization", "kernel_regularizer", "kernel_initializer")
_IN_DATA = (
    *("train", "validation", "test", "target", "split", "sample_weight", "exposure", "missing"),
    "format",
)
_IN_OPTIMIZER = ("learning_rate", "weight_decay", "clipnorm", "clipvalue", "use_ema")
_LEARNING_RATE = "write optimizer: {name: adam, learning_rate: VALUE}"
_VALIDATION = "write data: {validation: VALUE, ...}"
_LAYERS = "write hidden: [{units: 64, activation: relu}]"


class Config(Section):
    """A training run: data, input, hidden, output, loss, optimizer, epochs."""

    synonyms: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("max_iter", "num_epochs", "n_epochs", "epoch"), "epochs"),
        **dict.fromkeys(("time_limit", "max_time", "timeout"), "time"),
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
        "shuffle": "omit it; rows are shuffled in every epoch, and data: {split: {name: time, "
        "column: COLUMN}, ...} splits them in order",
        "verbose": "omit it; see -q and -v on the command line",
    }

    required: ClassVar[Mapping[str, str]] = {
        "hidden": f"{_LAYERS}, or hidden: [] for a linear model",
        "epochs": "write epochs: 100",
    }

    name: RunName | None = None
    """Name of the run folder. Omitted: the name of the config file.

    Examples: [bikes]
    """
    seed: Seed = 0
    """Random seed for splits, initial weights, row order and dropout.

    Examples: [7]
    """
    data: Data
    """Files, target, and split into training, validation and test rows.

    Examples:
      - train: data/bikes.csv
        target: rentals
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
    hidden: Annotated[tuple[Hidden, ...], BeforeValidator(_require_layers), at_most(1_000)]
    """Hidden layers, in order. `[]` is a linear model.

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
    """Loss that training minimizes. Omitted: the default for the type of the target.

    Examples:
      - huber
      - {name: categorical_crossentropy, label_smoothing: 0.1}
      - {name: tweedie, power: 1.5}
    """
    metrics: Annotated[tuple[Metric, ...], at_most(100)] | None = None
    """Metrics that are computed in each epoch and stored in history.csv, in addition to the loss.
    Omitted: the default for the type of the target.

    Examples: [[mae, r2], [accuracy, auc]]
    """
    class_weight: ClassWeight | None = None
    """Weight of each class in the loss: a mapping from class to weight, or `balanced`, which gives
    all classes the same total weight. The predicted class is the one with the largest product of
    weight and probability. With cross-entropy, probabilities are not affected: after training, the
    output's bias is corrected, so they are again those of the training rows. With other losses,
    `label_smoothing`, or an output without bias, they are not corrected. Metrics of epochs on
    training rows are weighted; final metrics are not. `data.sample_weight` can also be set:
    training then multiplies both weights, and final metrics use only the sample weights. Omitted: 1
    for each class.

    Examples: [balanced, {fraud: 50, honest: 1}]
    """
    decision: Decision | None = None
    """How probabilities become a predicted class: a threshold, or costs of wrong predictions.
    Omitted: the most probable class; of two classes, the positive one if its probability is above
    0.5.

    Examples: [{maximize: f1}, {costs: {false_positive: 1, false_negative: 20}}]
    """
    optimizer: training_choices.Optimizer = training_choices.Adam()
    """Optimizer that updates the weights.

    Examples: [{name: adamw, learning_rate: 0.001, weight_decay: 0.01}, sgd]
    """
    learning_rate_schedule: training_choices.Schedule = training_choices.ConstantLearningRate()
    """How the learning rate changes during training.

    Examples: [{name: cosine_decay, warmup_epochs: 2}, reduce_on_plateau]
    """
    learning_rate_multipliers: training_choices.LearningRateMultipliers = (
        training_choices.LearningRateMultipliers()
    )
    """Separate learning rates for some kinds of weights, as multiples of `optimizer.learning_rate`.
    Weight decay uses the learning rate without these multipliers. The scaling layer has a separate
    multiplier in `input.scaling_layer`.

    Examples: [{kernels: inverse_sqrt_fan_in, biases: 0.1, encodings: 0.1}]
    """
    exclude_from_weight_decay: tuple[training_choices.WeightKind, ...] = ()
    """Kinds of weights to which no weight decay is applied.

    Examples: [[biases, encodings, scaling_layer]]
    """
    epochs: Epochs
    """Maximum number of passes over the training rows.

    Examples: [100]
    """
    stop_after_epoch: PositiveInt | None = None
    """Epoch after which training ends, although learning rate schedules are planned for all
    `epochs`. `dlcli train --resume RUN --finish` sets it. Omitted: training ends with the last of
    `epochs`, or by `early_stopping`.

    Examples: [40]
    """
    time: Seconds | None = None
    """Time limit of training, in seconds or with units such as 90s, 10m or 1h30m. A few epochs are
    measured before training. The largest number of epochs that fits into the limit, at most
    `epochs`, is then fixed and written to the resolved config, so learning rate schedules end with
    the last epoch, and the run can be resumed and reproduced exactly. `decay_epochs`,
    `first_decay_epochs` and `boundaries` of a schedule become smaller in proportion;
    `warmup_epochs` does not change. The members of an ensemble share the time, and each is trained
    for at least one epoch. Reading the data and evaluation are not included. The limit is not
    exact: on a machine that becomes slower, training takes longer. Omitted: no limit.

    Examples: [10m]
    """
    batch_size: PositiveInt = 32
    """Number of rows in each training step.

    Examples: [128]
    """
    early_stopping: EarlyStopping | None = None
    """Rule that ends training before the last epoch. Omitted: all epochs are trained.

    Examples: [{monitor: val_loss, patience: 10}]
    """
    ensemble: Ensemble | None = None
    """Several networks with different random seeds, whose predictions (numbers or probabilities)
    are averaged. Omitted: one network.

    Examples:
      - members: 8
        folds: 4
        vary: {optimizer.learning_rate: [0.001, 0.003], hidden_layers: {dropout: [0.05, 0.2]}}
        select: greedy
      - {members: 8, folds: none}
    """
    distill: Distill | None = None
    """An ensemble whose predictions the network learns, in addition to the true target. `dlcli
    distill` sets this section. Omitted: the network learns only the true target.

    Examples: [{teacher: runs/bikes}]
    """
    initial_weights: RunFolder | None = None
    """Run folder of a trained network with the same layers and inputs; training begins with its
    weights. Omitted: random weights.

    Examples: [runs/bikes]
    """
    initial_encoding: RunFolder | None = None
    """Run folder whose fitted encoding is used: its scalings, categories and vocabularies, and the
    scaling of a numeric target. If `initial_weights` names the same run, the weights of the first
    layer keep their meaning. Categories that this run does not have are unknown, and the settings
    of `input` other than the types of columns do not apply. Omitted: the encoding is fitted to the
    training rows.

    Examples: [runs/bikes]
    """
    engine: Engine = AutoEngine()
    """Implementation of training. All engines yield the same weights, up to rounding.

    Examples: [keras, {name: compiled, jit_compile: true}]
    """
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Device on which the network is trained. `auto`: a GPU if there is one, else the CPU.

    Examples: [cpu]
    """
    threads: Threads = "auto"
    """Number of CPU threads, up to 1,024. Two runs are bit-identical only if they use the same
    number. `auto`: all available ones.

    Examples: [4]
    """
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    """Number format of the computations in the layers. Weights are always float32.

    Examples: [mixed_bfloat16]
    """
    gates: Annotated[Mapping[str, Gate], Field(min_length=1)] | None = None
    """Quality gates: requirements on a metric of a set of rows, such as `test.accuracy`. If one is
    not met, the run is kept, but the exit code is 6. `dlcli cv` checks the gates on the rows of all
    folds, and `dlcli evaluate` on its table. Omitted: none.

    Examples:
      - test.accuracy: {at_least: 0.9, better_than: linear}
      - test.recall: {at_least: 0.8, for_each: region}
    """
    evaluate_by: Annotated[tuple[ColumnName, ...], Field(min_length=1), TEXTS_IF_LONG] | None = None
    """Columns that divide the held-out rows into groups. The metrics of each group are computed,
    with 95 % confidence intervals and the largest differences between groups. `sex*region` combines
    two columns. The network need not read the columns: to exclude one, set its type to `ignored`.
    Columns of `for_each` in `gates` are included. `dlcli cv` evaluates the rows of all folds.
    Omitted: none.

    Examples: [[sex, region]]
    """
    checkpoint: Checkpointing = Checkpointing()
    """How often the state of training is stored, so interrupted training can be resumed.

    Examples: [{seconds: 60}]
    """
    explanation: Explaining = Explaining()
    """What the run folder contains to explain predictions.

    Examples: [{background_rows: 0}]
    """
    tune: Tune | None = None
    """Search space and settings of `dlcli tune`; other commands ignore them.

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

        The column of a time split, and columns of costs, are also features if `input.features`
        lists them.
        """
        split, named = self.data.split, self.input.features or {}
        times = {*split.columns} & {*named} if isinstance(split, TimeSplit) else set()
        costs = () if self.decision is None else self.decision.cost_columns.values()
        others = (name for name in costs if name not in named and name not in self.data.reserved)
        return (*(column for column in self.data.reserved if column not in times), *others)

    @property
    def group_columns(self) -> dict[str, str]:
        """The columns by whose groups rows are evaluated, with the path of each in the config."""
        found = {name: f"evaluate_by[{at}]" for at, name in enumerate(self.evaluate_by or ())}
        for name, gate in (self.gates or {}).items():
            if gate.for_each is not None:
                found.setdefault(gate.for_each, format_path(("gates", name, "for_each")))
        return found

    @property
    def networks(self) -> int:
        """Number of networks of a fit."""
        return 1 if self.ensemble is None else self.ensemble.trained

    @property
    def last_epoch(self) -> int:
        """The epoch after which training ends, unless early stopping ends it before."""
        return self.stop_after_epoch or self.epochs

    def ended_after(self, *, epoch: int | None = None, member: int | None = None) -> Self:
        """Return the config of a run that ends after an epoch, or after a member of its ensemble.

        Args:
            epoch: the epoch; by default, the last one.
            member: the number of the member; by default, the last one.
        """
        ensemble = self.ensemble
        if ensemble is not None:
            last = None if member == ensemble.members else member
            ensemble = ensemble.model_copy(update={"stop_after_member": last})
        last = None if epoch == self.epochs else epoch
        return self.model_copy(update={"stop_after_epoch": last, "ensemble": ensemble})

    def within_epochs(self, epochs: int) -> Self:
        """Return the config with fewer epochs instead of a time limit.

        A schedule with durations in epochs is shortened in proportion.
        """
        schedule = self.learning_rate_schedule
        if epochs < self.epochs:
            schedule = schedule.shortened(epochs, self.epochs)
        update = {"epochs": epochs, "time": None, "learning_rate_schedule": schedule}
        return self.model_copy(update=update)

    def on_all_rows(self) -> Self:
        """Return the config without `data.sample`, which a search or a cross-validation used."""
        return self.model_copy(update={"data": self.data.model_copy(update={"sample": None})})

    def with_scaling_layer(self, multiplier: float | None) -> Self:
        """Return the config with a scaling layer of this learning rate multiplier, or without."""
        layer = ScalingLayer(learning_rate_multiplier=multiplier) if multiplier else None
        own = self.input.model_copy(update={"scaling_layer": layer})
        return self.model_copy(update={"input": own})

    @property
    def ensemble_folds(self) -> int | None:
        """Number of folds that the members of an ensemble are validated on, or None."""
        return None if self.ensemble is None else self.ensemble.fold_count

    @property
    def validated_folds(self) -> int | None:
        """Number of these folds that have a network, see `ensemble.stop_after_member`."""
        return None if self.ensemble is None else self.ensemble.validated_folds

    @property
    def has_validation(self) -> bool:
        """True if each network can be validated on rows that it is not trained on."""
        return self.data.has_validation or self.ensemble_folds is not None

    def adjective(self, split: str) -> str:
        """Return the adjective for a set of rows: `training`, `validation`, `test`.

        For the validation rows of an ensemble with folds, it is `out-of-fold`: training rows, each
        predicted by members that were not trained on it.
        """
        if split == "validation" and self.ensemble_folds is not None:
            return "out-of-fold"
        return "training" if split == "train" else split

    def conflicts(self) -> Iterator[Conflict]:
        """Yield conflicts between sections."""
        yield from self._monitor_conflicts()
        yield from self._ensemble_conflicts()
        yield from self.epoch_conflicts()
        yield from self._monotone_conflicts()
        yield from self._gate_conflicts()
        stopping, optimizer = self.early_stopping, self.optimizer
        at_end = optimizer.use_ema and optimizer.ema_overwrite_frequency is None
        if at_end and stopping and stopping.restore_best_weights:
            yield (
                "optimizer.use_ema",
                "has no effect, because early_stopping restores the weights of the best epoch; "
                "set restore_best_weights: false",
            )
        if self.precision == "mixed_float16" and optimizer.loss_scale_factor is not None:
            reason = "has no effect with mixed_float16, which already scales the loss; omit it"
            yield "optimizer.loss_scale_factor", reason
        if self.tune and "seed" in (self.tune.space or ()) and any(self.data.shares):
            reason = "it also determines the rows of data.validation and data.test"
            yield "tune.space.seed", f"can't be varied: {reason}"
        if self.decision and self.decision.needs_rows and (self.distill or not self.has_validation):
            way_out = "set data.validation: 0.15, or ensemble: {members: 8}"
            if self.distill:
                way_out = "set decision.threshold, such as that of the ensemble"
            reason = (
                "requires rows that were not used for training, to choose the threshold on them"
            )
            yield "decision.maximize", f"{reason}; {way_out}"
        has_held_out = self.data.test is not None or self.has_validation
        if self.evaluate_by is not None and not has_held_out:
            yield "evaluate_by", "requires held-out rows; set data.test: 0.15"
        if self.exclude_from_weight_decay and not optimizer.weight_decay:
            yield "exclude_from_weight_decay", "has no effect without optimizer.weight_decay"
        if self.metrics and len(set(self.metrics)) < len(self.metrics):
            yield "metrics", "lists a metric twice"
        is_xla = isinstance(self.engine, CompiledEngine) and self.engine.jit_compile is True
        if is_xla and self.precision != "float32":
            # Where XLA fuses operations, it keeps more bits than the format has.
            yield "engine.jit_compile", f"rounds differently from Keras with {self.precision}"

    def _ensemble_conflicts(self) -> Iterator[Conflict]:
        if self.ensemble is None:
            return
        if self.distill is not None:
            yield "ensemble", "can't be combined with distill, which trains one network; omit it"
            return
        if self.ensemble_folds is not None and self.data.has_validation:
            yield (
                "data.validation",
                "has no effect, because each member of the ensemble is validated on its own fold; "
                "omit it, or set ensemble.folds: none",
            )
        if self.initial_weights is not None:
            yield "initial_weights", "can't be combined with ensemble; omit one of them"

    def _gate_conflicts(self) -> Iterator[Conflict]:
        has_rows = {"validation": self.has_validation, "test": self.data.test is not None}
        is_linear = all(isinstance(layer.activation, layer_choices.Linear) for layer in self.hidden)
        for name, gate in (self.gates or {}).items():
            path, split = ("gates", name), name.partition(".")[0]
            if split not in ("train", *has_rows) or "." not in name:
                yield path, _not_a_gate(name)
                continue
            yield from _bound_conflicts(path, gate, *metric_bounds(name.removeprefix(f"{split}.")))
            if not has_rows.get(split, True):
                trains_on = split == "validation" and self.data.train_on_validation
                way_out = "train_on_validation: false" if trains_on else f"{split}: 0.15"
                if split == "test" and self.ensemble_folds is not None:
                    way_out += f", or use validation{name.removeprefix(split)} (out-of-fold rows)"
                yield path, f"requires {split} rows; set data.{way_out}"
            if split == "validation" and self.distill is not None:
                reason = "distill.teacher was trained on the validation rows; use test rows"
                yield path, reason
            if gate.for_each is not None and gate.better_than is not None:
                reason = "can't be combined with for_each; write a separate gate without for_each"
                yield (*path, "better_than"), reason
            if gate.for_each is None and gate.min_rows is not None:
                yield (*path, "min_rows"), "has no effect without for_each"
            if split == "train" and gate.better_than is not None:
                yield (*path, "better_than"), "can't be used with training rows; use test rows"
            if gate.better_than == "linear" and is_linear:
                yield (*path, "better_than"), "can't be used with a linear network"

    def _monotone_conflicts(self) -> Iterator[Conflict]:
        """Yield activations that fall somewhere, if a column is monotone."""
        monotone = (name for name, each in (self.input.features or {}).items() if each.direction)
        if (column := next(monotone, None)) is None:
            return
        for index, layer in enumerate(self.hidden):
            if not layer.activation.is_monotone:
                falls = f"'{layer.activation.name}' falls for some inputs"
                rising = "use relu, elu, softplus, tanh or another one that never falls"
                path = ("hidden", index, "activation")
                yield path, f"{falls}, so '{column}' can't be monotone; {rising}"

    def epoch_conflicts(self) -> Iterator[Conflict]:
        """Yield settings that need more epochs than there are."""
        if self.stop_after_epoch is not None:
            if self.time is not None:
                yield "stop_after_epoch", "can't be combined with time; omit one of them"
            elif self.stop_after_epoch >= self.epochs:
                yield "stop_after_epoch", f"has no effect on {self.epochs} epochs; omit it"
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
                f"covers all {self.epochs} epochs, so the learning rate never decays",
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
                    f"'{section.monitor}' requires validation rows; set data.{way_out}",
                )


_SETS = {
    **dict.fromkeys(("out-of-fold", "out_of_fold", "oof", "val", "valid"), "validation"),
    "training": "train",
    "holdout": "test",
}
"""Sets of rows in gates by their names in other programs and in results."""


def _not_a_gate(name: str) -> str:
    """Return the message for a name of a gate without a known set of rows."""
    split, _, metric = name.partition(".")
    if meant := _SETS.get(split.lower()) if metric else None:
        return f"unknown set of rows '{split}'; did you mean '{meant}.{metric}'?"
    return "expected train, validation or test, and a metric, such as test.accuracy"


def _bound_conflicts(path: Path, gate: Gate, lowest: float, highest: float) -> Iterator[Conflict]:
    """Yield a missing condition of a gate, and bounds that exclude all values of its metric."""
    least, most = gate.at_least, gate.at_most
    if least is None and most is None and gate.better_than is None:
        yield path, "has no condition; set at_least, at_most or better_than"
    if least is not None and most is not None and least > most:
        yield path, f"at_least: {least:g} is above at_most: {most:g}"
    if least is not None and least > highest:
        yield (*path, "at_least"), f"can never be met; the maximum is {highest:g}"
    if most is not None and most < lowest:
        yield (*path, "at_most"), f"can never be met; the minimum is {lowest:g}"


def json_schema() -> str:
    """Return the JSON Schema of the config, as `dlcli schema` prints it."""
    dialect = "https://json-schema.org/draft/2020-12/schema"
    document = {"$schema": dialect, **Config.model_json_schema(), "title": "dlcli config"}
    return json.dumps(document, indent=2) + "\n"


def find_setting(name: str) -> str | None:
    """Return the path of a setting for `--set`; None for an unknown name.

    Args:
        name: a key of the config, or its name in other programs: `epochs`, `lr`.
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
