"""Losses, optimizers and learning rate schedules, under Keras's names.

Not supported: the losses `ctc` and `circle` (for sequences and for learned distances), `dice` and
`tversky` (statistics of a whole batch, which row weights and the smaller last batch distort); the
optimizers `loss_scale` (part of mixed_float16) and `multi_optimizer` (one network has one
optimizer). The output layer includes its activation, so there is no `from_logits`. Names and
defaults follow https://keras.io/api/losses/ and https://keras.io/api/optimizers/.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from dlcli.config.layer_choices import Activation, Exponential, Linear, OutputForm, Sigmoid, Softmax
from dlcli.metrics.definitions import LOG_LOSS, POISSON_DEVIANCE, RMSE
from dlcli.metrics.metric import Metric
from dlcli.schema import section

TargetForm = Literal["number", "numbers", "two classes", "classes", "labels"]
"""The form of the target: one or more numbers, one of two or more classes, or several labels."""


class _Loss(section.Choice):
    """A loss, with the properties that determine where it can be used."""

    fits: ClassVar[tuple[TargetForm, ...]] = ("number", "numbers")
    """Forms of targets for which the loss is defined."""
    needs_original_scale: ClassVar[bool] = False
    """True if the loss depends on the position of 0, so the target must not be scaled."""
    requires_nonnegative: ClassVar[bool] = False
    """True if the loss is undefined for targets below 0."""
    requires_nonzero: ClassVar[bool] = False
    """True if the loss is undefined for targets of 0."""
    output: ClassVar[OutputForm] = "number"
    """Interpretation of the output."""
    default_activation: ClassVar[Activation] = Linear()
    """Activation of the output, unless the config sets one."""
    one_hot: ClassVar[bool] = False
    """True if targets are one-hot rows instead of class indices."""
    is_signed: ClassVar[bool] = False
    """True if the loss can be negative, so percentages of its value are not meaningful."""
    metric: ClassVar[Metric | None] = None
    """See `comparison_metric`."""
    formula: ClassVar[Callable[..., Any] | None] = None
    """For a loss that Keras lacks: a NumPy function of the encoded target and the network's output.
    It returns the loss of each output, shape (rows, units). Training, exported scripts and the
    metric are derived from it, see `Traced`."""

    @property
    def comparison_metric(self) -> Metric | None:
        """The metric that the loss minimizes; it determines the best constant prediction.

        If it is `None`, numbers are compared by the absolute error, and classes and labels by their
        ranking, because such losses change the probabilities on purpose.
        """
        return self.metric

    @property
    def bounds(self) -> tuple[float, float]:
        """The smallest and largest possible value."""
        return (-math.inf if self.is_signed else 0.0), math.inf


class _ProbabilityLoss(_Loss):
    """A loss of the probability of each unit, compared with 0 or 1."""

    fits = ("two classes", "labels")
    output = "probability"
    default_activation = Sigmoid()


class _MarginLoss(_Loss):
    """A loss of a margin, whose sign is the predicted class."""

    fits = ("two classes",)
    output = "margin"


class _SharesLoss(_Loss):
    """A loss of the probabilities of all classes."""

    fits = ("two classes", "classes")
    output = "shares"
    default_activation = Softmax()


class MeanSquaredError(_Loss, name="mean_squared_error"):
    """mean((y − ŷ)²)."""

    aliases = ("mse",)
    metric = RMSE


class MeanAbsoluteError(_Loss, name="mean_absolute_error"):
    """mean(|y − ŷ|): less sensitive to outliers."""

    aliases = ("mae",)


class MeanAbsolutePercentageError(_Loss, name="mean_absolute_percentage_error"):
    """100 · mean(|y − ŷ|/|y|): for targets without zeros."""

    aliases = ("mape",)
    needs_original_scale = True
    requires_nonzero = True


class MeanSquaredLogarithmicError(_Loss, name="mean_squared_logarithmic_error"):
    """mean((log(1 + y) − log(1 + ŷ))²), with a positive output."""

    aliases = ("msle",)
    needs_original_scale = True
    requires_nonnegative = True
    default_activation = Exponential()  # Keras clips ŷ to 0 or more, where the gradient is 0


class Huber(_Loss, name="huber"):
    """Quadratic up to an error of delta, linear beyond."""

    delta: section.Positive = 1.0
    """Error above which the loss is linear, in units of the scaled target (see output.scaling)."""


class LogCosh(_Loss, name="log_cosh"):
    """mean(log(cosh(ŷ − y))): a smooth mean absolute error."""


class Poisson(_Loss, name="poisson"):
    """mean(ŷ − y·log ŷ): for counts, with a positive output."""

    metric = POISSON_DEVIANCE
    is_signed = True
    needs_original_scale = True
    requires_nonnegative = True
    output = "positive"
    default_activation = Exponential()


class CosineSimilarity(_Loss, name="cosine_similarity"):
    """−cos of the angle between y and ŷ: for several numbers whose direction matters."""

    fits = ("numbers",)
    is_signed = True
    needs_original_scale = True


class KLDivergence(_Loss, name="kl_divergence"):
    """Σ y·log(y/ŷ): for several numbers that are shares of a whole."""

    aliases = ("kld",)
    fits = ("numbers",)
    is_signed = True
    needs_original_scale = True
    requires_nonnegative = True
    output = "positive"
    default_activation = Softmax()


class BinaryCrossentropy(_ProbabilityLoss, name="binary_crossentropy"):
    """−mean(y·log p + (1 − y)·log(1 − p)): for two classes, or for each of several labels."""

    aliases = ("bce",)
    metric = LOG_LOSS
    label_smoothing: section.Share = 0.0
    """Amount by which labels move toward 1/2, from 0 to 1: 0.2 yields 0.1 and 0.9."""


class BinaryFocalCrossentropy(_ProbabilityLoss, name="binary_focal_crossentropy"):
    """Binary cross-entropy with less weight on well-predicted rows (Lin et al. 2017)."""

    apply_class_balancing: section.Flag = False
    """Weight labels 1 and 0 by alpha and 1 − alpha."""
    alpha: section.Share = 0.25
    """Weight of the second class, or of the labels of a row, from 0 to 1."""
    gamma: section.NonNegative = 2.0
    """Exponent that reduces the weight of well-predicted rows; 0 is cross-entropy."""
    label_smoothing: section.Share = 0.0
    """Amount by which labels move toward 1/2, from 0 to 1."""

    def conflicts(self) -> Iterator[section.Conflict]:
        """Yield `alpha` without class balancing."""
        if not self.apply_class_balancing:
            yield from self.without_effect("alpha", because="without apply_class_balancing: true")


class Hinge(_MarginLoss, name="hinge"):
    """mean(max(1 − y·ŷ, 0)) with y of −1 and 1: two classes, separated by a margin."""


class SquaredHinge(_MarginLoss, name="squared_hinge"):
    """mean(max(1 − y·ŷ, 0)²) with y of −1 and 1."""


class SparseCategoricalCrossentropy(_SharesLoss, name="sparse_categorical_crossentropy"):
    """−log of the true class's probability: for several classes."""

    metric = LOG_LOSS


class CategoricalCrossentropy(_SharesLoss, name="categorical_crossentropy"):
    """Cross-entropy on one-hot targets, which can be smoothed."""

    metric = LOG_LOSS
    one_hot = True
    label_smoothing: section.Share = 0.0
    """Amount by which targets move toward equal probabilities of all classes, from 0 to 1."""


class CategoricalFocalCrossentropy(_SharesLoss, name="categorical_focal_crossentropy"):
    """Cross-entropy with less weight on well-predicted rows (Lin et al. 2017)."""

    one_hot = True
    alpha: section.Share = 0.25
    """Factor of the loss, from 0 to 1."""
    gamma: section.NonNegative = 2.0
    """Exponent that reduces the weight of well-predicted rows; 0 is cross-entropy."""
    label_smoothing: section.Share = 0.0
    """Amount by which targets move toward equal probabilities of all classes, from 0 to 1."""


class CategoricalGeneralizedCrossEntropy(_SharesLoss, name="categorical_generalized_cross_entropy"):
    """(1 − p^q)/q: between cross-entropy and absolute error, for classes that are partly wrong."""

    q: section.OpenFraction = 0.5
    """Near 0: cross-entropy; near 1: mean absolute error (Zhang & Sabuncu 2018)."""


class CategoricalHinge(_SharesLoss, name="categorical_hinge"):
    """max(1 + the largest output of a wrong class − the output of the true class, 0)."""

    one_hot = True


_CROSS_ENTROPY = (
    "write binary_crossentropy for two classes or labels, or sparse_categorical_crossentropy for "
    "several classes; if you omit it, the loss follows from the target"
)
Loss = Annotated[
    _Loss,
    section.OneOf(
        "loss",
        instead=dict.fromkeys(
            ("crossentropy", "crossentropyloss", "ce", "logloss", "nll", "nllloss"), _CROSS_ENTROPY
        ),
    ),
]


StepCount = Annotated[int, Field(ge=2, lt=2**31), section.Expected("an integer of 2 or more")]
LayerNames = Annotated[tuple[str, ...], section.Expected("a list of layer names")]


WeightKind = Literal["kernels", "biases", "encodings", "scaling_layer"]
"""The kernels of Dense layers; their biases and the weights of batch normalization; embeddings and
the weights of periodic encodings; the weights of the scaling layer."""


class LearningRateMultipliers(section.Section):
    """Learning rates of some weights, relative to the learning rate of the optimizer."""

    kernels: Annotated[
        section.Positive | Literal["inverse_sqrt_fan_in"],
        section.Expected("a positive number or inverse_sqrt_fan_in"),
    ] = 1.0
    """Kernels of Dense layers. `inverse_sqrt_fan_in`: 1/√inputs of each layer, which keeps the
    change of its outputs in a step independent of its width, as in the neural tangent
    parametrization (Jacot et al. 2018, https://arxiv.org/abs/1806.07572)."""
    biases: section.Positive = 1.0
    """Biases of Dense layers, and the weights of batch normalization."""
    encodings: section.Positive = 1.0
    """Embeddings, and the weights of periodic encodings."""


class _CommonParameters(section.Choice):
    """The parameters that all optimizers share, without the learning rate."""

    weight_decay: section.NonNegative | None = None
    """Weight decay: this fraction of each weight, times the learning rate, is subtracted in each
    step. Omitted: none."""
    clipnorm: section.Positive | None = None
    """Maximum norm of the gradient of each weight array. Omitted: not clipped."""
    clipvalue: section.Positive | None = None
    """Maximum absolute value of a gradient entry. Omitted: not clipped."""
    global_clipnorm: section.Positive | None = None
    """Maximum norm of all gradients combined. Omitted: not clipped."""
    use_ema: section.Flag = False
    """Replace the final weights by their exponential moving average."""
    ema_momentum: section.Share = 0.99
    """Decay of the average per step, from 0 to 1."""
    ema_overwrite_frequency: section.PositiveInt | None = None
    """Steps after which the average replaces the weights. Omitted: only at the end."""
    loss_scale_factor: section.Positive | None = None
    """Factor that scales the loss up and the gradients down, to avoid underflow. Omitted: none."""
    gradient_accumulation_steps: StepCount | None = None
    """Number of batches whose mean gradient is used for one step. Omitted: 1."""

    def conflicts(self) -> Iterator[section.Conflict]:
        """Yield a second kind of clipping, and parameters of a moving average that isn't used."""
        clips = [key for key in ("clipnorm", "clipvalue", "global_clipnorm") if self.differs(key)]
        for key in clips[1:]:
            yield key, f"can't be combined with {clips[0]}; choose one of them"
        if not self.use_ema:
            keys = ("ema_momentum", "ema_overwrite_frequency")
            yield from self.without_effect(*keys, because="without use_ema: true")


class _Optimizer(_CommonParameters):
    """An optimizer."""

    synonyms: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("lr", "learning_rate_init"), "learning_rate"
    )
    learning_rate: section.Positive = 0.001
    """Learning rate."""


class _AdamLike(_Optimizer):
    """An optimizer with running means of gradients and of their squares or largest values."""

    beta_1: section.Fraction = 0.9
    """Decay of the running mean of the gradients per step, in [0, 1)."""
    beta_2: section.Fraction = 0.999
    """Decay of the running mean of the squared gradients per step, in [0, 1)."""
    epsilon: section.Positive = 1e-7
    """Small number that keeps the divisor above 0."""


class Adadelta(_Optimizer, name="adadelta"):
    """Gradients scaled by the ratio of the running means of steps and gradients (Zeiler 2012)."""

    learning_rate: section.Positive = 0.001
    """Learning rate; 1 in the paper."""
    rho: section.Share = 0.95
    """Decay of the running means per step, from 0 to 1."""
    epsilon: section.Positive = 1e-7
    """Small number that keeps the divisor above 0."""


class Adafactor(_Optimizer, name="adafactor"):
    """Adam with running means by row and column, to save memory (Shazeer & Stern 2018)."""

    learning_rate: section.Positive = 0.001
    """Learning rate, relative to the size of the weights."""
    beta_2_decay: section.Number = -0.8
    """Exponent of the step number in the decay of the running mean."""
    epsilon_1: section.Positive = 1e-30
    """Small number that is added to squared gradients."""
    epsilon_2: section.Positive = 0.001
    """Smallest size of the weights that steps are relative to."""
    clip_threshold: section.Positive = 1.0
    """Largest root mean square of a step."""
    relative_step: section.Flag = True
    """Limit the learning rate to 1/√step."""


class Adagrad(_Optimizer, name="adagrad"):
    """Gradients divided by the root of the sum of all their squares so far (Duchi et al. 2011)."""

    initial_accumulator_value: section.NonNegative = 0.1
    """Initial value of the sum."""
    epsilon: section.Positive = 1e-7
    """Small number that keeps the divisor above 0."""


class Adam(_AdamLike, name="adam"):
    """Running mean of gradients, divided by the root of the mean of squares (Kingma & Ba 2014)."""

    amsgrad: section.Flag = False
    """Divide by the largest mean of squares so far (Reddi et al. 2018)."""


class Adamax(_AdamLike, name="adamax"):
    """Adam with the largest gradient instead of the mean of squares (Kingma & Ba 2014)."""

    beta_2: section.Fraction = 0.999
    """Decay of the largest gradient per step, in [0, 1)."""


class AdamW(_AdamLike, name="adamw"):
    """Adam with weight decay separate from the gradients (Loshchilov & Hutter 2019)."""

    weight_decay: section.NonNegative = 0.004
    """Weight decay: this fraction of each weight, times the learning rate, is subtracted in each
    step."""
    amsgrad: section.Flag = False
    """Divide by the largest mean of squares so far."""


class Ftrl(_Optimizer, name="ftrl"):
    """Follow the regularized leader: for wide, sparse, linear models (McMahan et al. 2013)."""

    learning_rate_power: Annotated[
        float, Field(le=0, allow_inf_nan=False), section.Expected("a number of 0 or less")
    ] = -0.5
    """Exponent of the sum of squared gradients that divides the rate, 0 or less; 0: constant."""
    initial_accumulator_value: section.NonNegative = 0.1
    """Initial value of the sum of squared gradients."""
    l1_regularization_strength: section.NonNegative = 0.0
    """Factor of the penalty on absolute weights."""
    l2_regularization_strength: section.NonNegative = 0.0
    """Factor of the penalty on squared weights."""
    l2_shrinkage_regularization_strength: section.NonNegative = 0.0
    """Factor of a penalty on squared weights with nonzero gradients."""
    beta: section.NonNegative = 0.0
    """Beta of the paper."""


class Lamb(_AdamLike, name="lamb"):
    """Adam with steps relative to the norm of each array: for large batches (You et al. 2019)."""


class Lion(_Optimizer, name="lion"):
    """The sign of the momentum (Chen et al. 2023); needs a smaller learning rate than Adam."""

    beta_1: Annotated[float, Field(gt=0, le=1), section.Expected("a number above 0, up to 1")] = 0.9
    """Weight of the momentum in a step, above 0, up to 1."""
    beta_2: section.Fraction = 0.99
    """Decay of the momentum per step, in [0, 1)."""


class Muon(_Optimizer, name="muon"):
    """Momentum, orthogonalized for each kernel; AdamW for other weights (Jordan 2024)."""

    weight_decay: section.NonNegative | None = 0.004
    """Fraction of each weight, times the learning rate, subtracted in each step."""
    adam_beta_1: section.Fraction = 0.9
    """Decay of AdamW's running mean of the gradients per step, in [0, 1)."""
    adam_beta_2: section.Fraction = 0.999
    """Decay of AdamW's running mean of the squared gradients per step, in [0, 1)."""
    adam_weight_decay: section.NonNegative = 0.004
    """Weight decay of AdamW."""
    epsilon: section.Positive = 1e-7
    """Small number that keeps the divisor above 0."""
    exclude_layers: LayerNames | None = None
    """Layers to train with AdamW, as parts of their names; often `[output]`. Omitted: none."""
    exclude_embeddings: section.Flag = True
    """Train embeddings with AdamW."""
    muon_a: section.Number = 3.4445
    """First coefficient of the Newton–Schulz iteration."""
    muon_b: section.Number = -4.775
    """Second coefficient."""
    muon_c: section.Number = 2.0315
    """Third coefficient."""
    adam_lr_ratio: section.Positive = 1.0
    """Learning rate of AdamW as a multiple of Muon's."""
    momentum: section.Share = 0.95
    """Decay of the momentum per step, from 0 to 1."""
    ns_steps: section.PositiveInt = 5
    """Newton–Schulz iterations per step."""
    nesterov: section.Flag = True
    """Use Nesterov's momentum."""
    rms_rate: section.NonNegative | None = 0.2
    """Root mean square of a step; the default suits Adam's rate and decay; null for none."""


class Nadam(_AdamLike, name="nadam"):
    """Adam with Nesterov's momentum (Dozat 2015)."""


class RMSprop(_Optimizer, name="rmsprop"):
    """Gradients divided by the root of a running mean of their squares."""

    rho: section.Share = 0.9
    """Decay of the running mean per step, from 0 to 1."""
    momentum: section.Share = 0.0
    """Fraction of the last step that is added to the next, from 0 to 1."""
    epsilon: section.Positive = 1e-7
    """Small number that keeps the divisor above 0."""
    centered: section.Flag = False
    """Divide by the standard deviation of the gradients instead."""


class SGD(_Optimizer, name="sgd"):
    """Gradient descent, optionally with momentum."""

    learning_rate: section.Positive = 0.01
    """Learning rate."""
    momentum: section.Share = 0.0
    """Fraction of the last step that is added to the next, from 0 to 1."""
    nesterov: section.Flag = False
    """Take the gradient after the step of the momentum (Nesterov)."""

    def conflicts(self) -> Iterator[section.Conflict]:
        """Yield `nesterov` without momentum."""
        yield from super().conflicts()
        if self.momentum == 0:
            yield from self.without_effect("nesterov", because="while momentum is 0")


class ScheduleFreeAdamW(_Optimizer, name="schedule_free_adamw"):
    """AdamW with averaged weights, which needs no schedule (Defazio et al. 2024)."""

    learning_rate: section.Positive = 0.0025
    """Learning rate."""
    beta_1: Annotated[float, Field(gt=0, lt=1), section.Expected("a number between 0 and 1")] = 0.9
    """Weight of the average in the weights at which gradients are taken, between 0 and 1."""
    beta_2: section.Fraction = 0.999
    """Decay of the running mean of the squared gradients per step, in [0, 1)."""
    epsilon: section.Positive = 1e-8
    """Small number that keeps the divisor above 0."""
    warmup_steps: section.NonNegativeInt = 0
    """Number of steps in which the learning rate rises from 0."""


Optimizer = Annotated[_Optimizer, section.OneOf("optimizer")]


class ConstantLearningRate(section.Choice, name="constant"):
    """A constant learning rate."""


class ExponentialDecay(section.Choice, name="exponential_decay"):
    """Exponential decay: rate · decay_rate^(epoch/decay_epochs), updated in each step."""

    decay_epochs: section.Positive
    """Number of epochs after which the rate is multiplied by decay_rate."""
    decay_rate: section.Positive
    """Factor, usually below 1."""
    staircase: section.Flag = False
    """Change the rate only after each decay_epochs instead of in each step."""


class PiecewiseConstant(section.Choice, name="piecewise_constant"):
    """The optimizer's rate up to the first boundary, then the next value after each boundary."""

    aliases = ("piecewise_constant_decay", "piecewiseconstantdecay")
    boundaries: Annotated[tuple[section.PositiveInt, ...], section.Expected("a list of epochs")]
    """Epochs after which the rate changes, in increasing order."""
    values: Annotated[tuple[section.Positive, ...], section.Expected("a list of rates above 0")]
    """Rate after each boundary."""

    def conflicts(self) -> Iterator[section.Conflict]:
        """Yield boundaries that don't increase, and lists of different lengths."""
        if list(self.boundaries) != sorted(set(self.boundaries)):
            yield "boundaries", "expected increasing epochs"
        if len(self.values) != len(self.boundaries):
            expected, got = len(self.boundaries), len(self.values)
            yield "values", f"expected as many rates as boundaries ({expected}), got {got}"


class CosineDecay(section.Choice, name="cosine_decay"):
    """Half a cosine from the optimizer's rate to alpha times this rate.

    Loshchilov & Hutter 2017.
    """

    warmup_epochs: section.NonNegative = 0.0
    """Number of epochs in which the rate first rises from 0."""
    decay_epochs: section.Positive | None = None
    """Number of epochs of the decay, after the warmup. Omitted: all remaining epochs."""
    alpha: section.Share = 0.0
    """Final rate as a fraction of the optimizer's rate, from 0 to 1."""


class CosineDecayRestarts(section.Choice, name="cosine_decay_restarts"):
    """Cosine decay with warm restarts: the rate falls and jumps back several times (SGDR).

    Loshchilov & Hutter 2017.
    """

    first_decay_epochs: section.Positive | None = None
    """Number of epochs of the first cycle. Omitted: chosen so the last cycle ends with training."""
    cycles: Annotated[int, Field(ge=1, le=20), section.Expected("an integer from 1 to 20")] = 4
    """Number of cycles in all epochs, if first_decay_epochs is omitted."""
    t_mul: Annotated[float, Field(ge=1, le=10), section.Expected("a number from 1 to 10")] = 2.0
    """Length of each cycle relative to the previous one. With 4 cycles and 2.0, they take 1/15,
    2/15, 4/15 and 8/15 of the epochs."""
    m_mul: section.Positive = 1.0
    """Initial rate of each cycle relative to the previous one."""
    alpha: section.Share = 0.0
    """Final rate of each cycle as a fraction of the optimizer's rate, from 0 to 1."""

    def first_decay(self, epochs: int) -> float:
        """Return the number of epochs of the first cycle, given the number of all epochs."""
        shares = sum(self.t_mul**cycle for cycle in range(self.cycles))
        return self.first_decay_epochs or epochs / shares


class ReduceOnPlateau(section.Choice, name="reduce_on_plateau"):
    """Multiply the rate by a factor whenever the monitored value stops improving."""

    aliases = ("reduce_lr_on_plateau", "reducelronplateau")
    monitor: section.Monitor = "val_loss"
    """Monitored value: a column of history.csv."""
    factor: section.OpenFraction = 0.1
    """Factor, between 0 and 1."""
    patience: section.NonNegativeInt = 10
    """Number of epochs without improvement before the rate is reduced."""
    min_delta: section.NonNegative = 1e-4
    """Smallest change that counts as an improvement, in the unit of the monitored value."""
    cooldown: section.NonNegativeInt = 0
    """Number of epochs to wait after a reduction."""
    min_lr: section.NonNegative = 0.0
    """Minimum rate."""


Schedule = Annotated[
    ConstantLearningRate
    | ExponentialDecay
    | PiecewiseConstant
    | CosineDecay
    | CosineDecayRestarts
    | ReduceOnPlateau,
    section.OneOf("schedule"),
]
