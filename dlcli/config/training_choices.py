"""Losses, optimizers and learning rate schedules, under Keras's names.

Not supported: the losses `ctc` and `circle` (for sequences and for learned distances), `dice` and
`tversky` (statistics of a whole batch, which row weights and the smaller last batch distort); the
optimizers `loss_scale` (part of mixed_float16) and `multi_optimizer` (one network has one
optimizer). The output layer includes its activation, so there is no `from_logits`. Names and
defaults follow https://keras.io/api/losses/ and https://keras.io/api/optimizers/.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from dlcli.arrays import np
from dlcli.config.layer_choices import Activation, Exponential, Linear, OutputForm, Sigmoid, Softmax
from dlcli.metrics.definitions import (
    BINOMIAL_DEVIANCE,
    GAMMA_DEVIANCE,
    LOG_LOSS,
    POISSON_DEVIANCE,
    RMSE,
    TWEEDIE_DEVIANCE,
    of_deviance,
    of_levels,
)
from dlcli.metrics.deviances import BinomialDeviance, Deviance, GammaDeviance, TweedieDeviance
from dlcli.metrics.metric import Metric
from dlcli.metrics.quantiles import pinball_loss
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
    scales_with_target: ClassVar[bool] = False
    """True if dividing target and output by the same number only multiplies the loss by another, so
    the target is divided by its mean."""
    allows_exposure: ClassVar[bool] = False
    """True if the output may be a rate that is multiplied by an exposure, see `data.exposure`."""
    exposure_advice: ClassVar[str] = ""
    """Advice for a config that sets `data.exposure` with a loss that does not allow it."""
    requires_share: ClassVar[bool] = False
    """True if the loss is undefined for targets below 0 or above 1."""
    requires_positive: ClassVar[bool] = False
    """True if the loss is undefined for targets of 0 or below."""
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
    shows_metric: ClassVar[bool] = False
    """True if a config without metrics shows the comparison metric for each epoch."""
    formula: ClassVar[Callable[..., Any] | None] = None
    """For a loss that Keras lacks: a NumPy function of the encoded target and the network's output.
    It returns the loss of each output, shape (rows, units). Training, exported scripts and the
    metric are derived from it, see `Traced`."""

    @property
    def units_per_number(self) -> int:
        """The number of outputs for each number of the target."""
        return 1

    @property
    def exposure_power(self) -> float:
        """The power of an exposure e by which the loss of the rate y/e is multiplied."""
        return 1.0

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
    """mean((y − ŷ)²), where y is the target and ŷ the prediction."""

    aliases = ("mse",)
    metric = RMSE


class MeanAbsoluteError(_Loss, name="mean_absolute_error"):
    """mean(|y − ŷ|), which is less sensitive to outliers."""

    aliases = ("mae",)


class MeanAbsolutePercentageError(_Loss, name="mean_absolute_percentage_error"):
    """100 · mean(|y − ŷ|/|y|), for targets that are never 0."""

    aliases = ("mape",)
    needs_original_scale = True
    requires_nonzero = True


class MeanSquaredLogarithmicError(_Loss, name="mean_squared_logarithmic_error"):
    """mean((log(1 + y) − log(1 + ŷ))²), for targets of 0 or more; the output is positive."""

    aliases = ("msle",)
    needs_original_scale = True
    requires_nonnegative = True
    default_activation = Exponential()  # Keras clips ŷ to 0 or more, where the gradient is 0


class Huber(_Loss, name="huber"):
    """Quadratic for errors up to `delta`, and linear for larger ones."""

    delta: section.Positive = 1.0
    """Error above which the loss is linear, in the unit of the scaled target (see
    `output.scaling`)."""


class LogCosh(_Loss, name="log_cosh"):
    """mean(log(cosh(ŷ − y))), a smooth variant of the mean absolute error."""


class Poisson(_Loss, name="poisson"):
    """mean(ŷ − y·log ŷ), for counts; the output is positive."""

    metric = POISSON_DEVIANCE
    allows_exposure = True
    is_signed = True
    needs_original_scale = True
    requires_nonnegative = True
    output = "positive"
    default_activation = Exponential()


_LEAST_MEAN = 1e-7
"""Is added to predicted means, as in Keras's Poisson loss, so their powers are finite."""


class _DevianceLoss(_Loss):
    """The deviance of a distribution of amounts; the network predicts the mean."""

    needs_original_scale = True
    scales_with_target = True
    allows_exposure = True
    output: ClassVar[OutputForm] = "positive"
    default_activation: ClassVar[Activation] = Exponential()
    shows_metric = True

    @property
    def deviance(self) -> Deviance:
        """The deviance with its parameters."""
        raise NotImplementedError

    def formula(self, true: Any, output: Any) -> Any:  # noqa: ANN401
        """Return the deviance of each output, see `_Loss.formula`."""
        return self.deviance.of(true, output + _LEAST_MEAN)


TweediePower = Annotated[float, Field(gt=1, lt=2), section.Expected("a number above 1 and below 2")]


class Tweedie(_DevianceLoss, name="tweedie"):
    """Tweedie deviance, for amounts that are often 0, such as the cost of insurance claims.

    2·mean(y^(2−p)/((1−p)(2−p)) − y·ŷ^(1−p)/(1−p) + ŷ^(2−p)/(2−p)), where p is `power`. The output
    is positive. It suits a sum of a random number of positive amounts, such as all claims in a
    year.
    """

    requires_nonnegative = True
    power: TweediePower = 1.5
    """Number between 1 and 2: the variance of an amount is proportional to this power of its mean.
    Near 1, amounts are distributed like a count times a constant; near 2, like a gamma
    distribution."""

    @property
    def deviance(self) -> Deviance:
        """The Tweedie deviance of this power."""
        return TweedieDeviance(self.power)

    @property
    def exposure_power(self) -> float:
        """2 − p, see `_Loss.exposure_power`."""
        return 2 - self.power

    @property
    def comparison_metric(self) -> Metric:
        """The Tweedie deviance of this power."""
        return of_deviance(TWEEDIE_DEVIANCE, self.deviance)


class Gamma(_DevianceLoss, name="gamma"):
    """Gamma deviance, 2·mean(log(ŷ/y) + y/ŷ − 1), for amounts above 0.

    It suits amounts whose typical deviation is proportional to their mean, such as the cost of one
    claim. The output is positive.
    """

    metric = GAMMA_DEVIANCE
    requires_positive = True

    def formula(self, true: Any, output: Any) -> Any:  # noqa: ANN401
        """Return the deviance of each output; also finite for rows of zeros, which are padding."""
        return self.deviance.of(true + _LEAST_MEAN, output + _LEAST_MEAN)

    @property
    def deviance(self) -> Deviance:
        """The gamma deviance."""
        return GammaDeviance()

    @property
    def exposure_power(self) -> float:
        """0, see `_Loss.exposure_power`."""
        return 0.0


class Binomial(_DevianceLoss, name="binomial"):
    """Binomial deviance, 2·mean(y·log(y/ŷ) + (1 − y)·log((1 − y)/(1 − ŷ))), for shares.

    The target is the share of successes in some trials, from 0 to 1, such as the share of visitors
    who buy. The output is a probability. With different numbers of trials, set `data.sample_weight`
    to the column with these numbers, so each trial has the same weight.
    """

    metric = BINOMIAL_DEVIANCE
    scales_with_target = False
    allows_exposure = False
    exposure_advice = "set data.sample_weight to the number of trials"
    requires_share = True
    output = "probability"
    default_activation = Sigmoid()

    def formula(self, true: Any, output: Any) -> Any:  # noqa: ANN401
        """Return the deviance of each output; finite for all shares, as in Keras's crossentropy."""
        low, high = _LEAST_MEAN, 1 - _LEAST_MEAN
        return self.deviance.of(np.clip(true, low, high), np.clip(output, low, high))

    @property
    def deviance(self) -> Deviance:
        """The binomial deviance."""
        return BinomialDeviance()


Levels = Annotated[
    tuple[section.OpenFraction, ...],
    Field(min_length=1, max_length=25),
    section.Expected("a list of 1 to 25 numbers between 0 and 1"),
    section.at_most(1_000),
]


class QuantileLoss(_Loss, name="quantile"):
    """Pinball loss: the network predicts a quantile of the target for each of the `levels`.

    The loss is the mean of max(a·(y − q), (a − 1)·(y − q)) over the levels *a*, where q is the
    predicted quantile. There is one output for each level. The quantiles of a row are its outputs
    in ascending order, so they never cross. The prediction is the quantile of the level nearest to
    0.5.
    """

    aliases = ("pinball",)
    fits = ("number",)
    shows_metric = True
    levels: Levels = (0.1, 0.5, 0.9)
    """The shares of rows whose target is expected below each quantile, ascending. With
    `[0.1, 0.5, 0.9]`, the network predicts the median, and an interval that contains 80 % of the
    targets.

    Examples: [[0.9], [0.05, 0.25, 0.5, 0.75, 0.95]]
    """

    def conflicts(self) -> Iterator[section.Conflict]:
        """Yield levels that are not ascending."""
        if any(first >= second for first, second in pairwise(self.levels)):
            yield "levels", "must be ascending and different, such as [0.1, 0.5, 0.9]"

    @property
    def units_per_number(self) -> int:
        """The number of levels."""
        return len(self.levels)

    def formula(self, true: Any, output: Any) -> Any:  # noqa: ANN401
        """Return the pinball loss of each output, see `_Loss.formula`."""
        return pinball_loss(self.levels, true, output)

    @property
    def comparison_metric(self) -> Metric:
        """The pinball loss of these levels."""
        return of_levels(self.levels)


class CosineSimilarity(_Loss, name="cosine_similarity"):
    """−cos of the angle between y and ŷ, for several target columns whose direction matters."""

    fits = ("numbers",)
    is_signed = True
    needs_original_scale = True


class KLDivergence(_Loss, name="kl_divergence"):
    """Σ y·log(y/ŷ), for several target columns that are shares of a whole."""

    aliases = ("kld",)
    fits = ("numbers",)
    is_signed = True
    needs_original_scale = True
    requires_nonnegative = True
    output = "positive"
    default_activation = Softmax()


class BinaryCrossentropy(_ProbabilityLoss, name="binary_crossentropy"):
    """−mean(y·log p + (1 − y)·log(1 − p)), for two classes or for labels.

    The target y is 0 or 1, and p is the predicted probability of 1.
    """

    aliases = ("bce",)
    metric = LOG_LOSS
    label_smoothing: section.Share = 0.0
    """How far targets move from 0 and 1 toward 1/2, from 0 to 1. With 0.2, they are 0.1 and 0.9."""


class BinaryFocalCrossentropy(_ProbabilityLoss, name="binary_focal_crossentropy"):
    """Binary cross-entropy with less weight on well-predicted rows (Lin et al. 2017)."""

    apply_class_balancing: section.Flag = False
    """Multiply the loss by `alpha` for targets of 1, and by 1 − `alpha` for targets of 0."""
    alpha: section.Share = 0.25
    """Factor for targets of 1 (the second class, or a label that a row has), from 0 to 1."""
    gamma: section.NonNegative = 2.0
    """Exponent that reduces the weight of well-predicted rows. With 0, the loss is
    cross-entropy."""
    label_smoothing: section.Share = 0.0
    """How far targets move from 0 and 1 toward 1/2, from 0 to 1."""

    def conflicts(self) -> Iterator[section.Conflict]:
        """Yield `alpha` without class balancing."""
        if not self.apply_class_balancing:
            yield from self.without_effect("alpha", because="without apply_class_balancing: true")


class Hinge(_MarginLoss, name="hinge"):
    """mean(max(1 − y·ŷ, 0)), where y is −1 or 1: separates two classes by a margin."""


class SquaredHinge(_MarginLoss, name="squared_hinge"):
    """mean(max(1 − y·ŷ, 0)²), where y is −1 or 1: separates two classes by a margin."""


class SparseCategoricalCrossentropy(_SharesLoss, name="sparse_categorical_crossentropy"):
    """−log p, where p is the probability of the true class."""

    metric = LOG_LOSS


class CategoricalCrossentropy(_SharesLoss, name="categorical_crossentropy"):
    """Cross-entropy on one-hot targets, which allows label smoothing."""

    metric = LOG_LOSS
    one_hot = True
    label_smoothing: section.Share = 0.0
    """How far one-hot targets move toward equal probabilities of all classes, from 0 to 1."""


class CategoricalFocalCrossentropy(_SharesLoss, name="categorical_focal_crossentropy"):
    """Cross-entropy with less weight on well-predicted rows (Lin et al. 2017)."""

    one_hot = True
    alpha: section.Share = 0.25
    """Factor of the loss, from 0 to 1."""
    gamma: section.NonNegative = 2.0
    """Exponent that reduces the weight of well-predicted rows. With 0, the loss is
    cross-entropy."""
    label_smoothing: section.Share = 0.0
    """How far one-hot targets move toward equal probabilities of all classes, from 0 to 1."""


class CategoricalGeneralizedCrossEntropy(_SharesLoss, name="categorical_generalized_cross_entropy"):
    """(1 − p^q)/q, where p is the probability of the true class (Zhang & Sabuncu 2018).

    For training data with some mislabeled rows.
    """

    q: section.OpenFraction = 0.5
    """Number between 0 and 1. Near 0, the loss is close to cross-entropy; near 1, to the mean
    absolute error, which depends less on wrong classes."""


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
LayerNames = Annotated[
    tuple[str, ...], section.Expected("a list of layer names"), section.TEXTS_IF_LONG
]


WeightKind = Literal["kernels", "biases", "encodings", "scaling_layer"]
"""The kernels of Dense layers; their biases and the weights of batch normalization; embeddings and
the weights of periodic encodings; the weights of the scaling layer."""


class LearningRateMultipliers(section.Section):
    """Learning rates of some kinds of weights, relative to the learning rate of the optimizer."""

    kernels: Annotated[
        section.Positive | Literal["inverse_sqrt_fan_in"],
        section.Expected("a positive number or inverse_sqrt_fan_in"),
    ] = 1.0
    """Multiplier for the kernels of Dense layers. `inverse_sqrt_fan_in`: 1/√n for a layer with n
    inputs. Then the change of a layer's outputs in a step does not depend on n, as in the neural
    tangent parametrization (Jacot et al. 2018, https://arxiv.org/abs/1806.07572)."""
    biases: section.Positive = 1.0
    """Multiplier for the biases of Dense layers and the weights of batch normalization."""
    encodings: section.Positive = 1.0
    """Multiplier for embeddings and the weights of periodic encodings."""


class _CommonParameters(section.Choice):
    """The parameters that all optimizers share, without the learning rate."""

    weight_decay: section.NonNegative | None = None
    """In each step, this fraction of each weight, times the learning rate, is subtracted from the
    weight. Omitted: no weight decay."""
    clipnorm: section.Positive | None = None
    """Maximum norm of the gradient of each array of weights. Omitted: no clipping."""
    clipvalue: section.Positive | None = None
    """Maximum absolute value of each element of a gradient. Omitted: no clipping."""
    global_clipnorm: section.Positive | None = None
    """Maximum norm of the gradients of all weights together. Omitted: no clipping."""
    use_ema: section.Flag = False
    """Replace the final weights by the exponential moving average of the weights."""
    ema_momentum: section.Share = 0.99
    """Decay of the moving average in each step, from 0 to 1."""
    ema_overwrite_frequency: section.PositiveInt | None = None
    """Number of steps after which the weights are replaced by their moving average. Omitted: only
    at the end."""
    loss_scale_factor: section.Positive | None = None
    """Factor that multiplies the loss before gradients are computed; the gradients are then divided
    by it. It avoids underflow. Omitted: none."""
    gradient_accumulation_steps: StepCount | None = None
    """Number of batches whose gradients are averaged for one step. Omitted: 1."""

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
    elsewhere: ClassVar[Mapping[str, str]] = {
        "momentum": "for momentum, use {name: sgd, momentum: 0.9}"
    }
    learning_rate: section.Positive = 0.001
    """Learning rate."""

    @classmethod
    def moved(cls, key: str, value: object) -> str:
        """Return what to write instead of a key, after this optimizer's most similar one."""
        near = ""
        if (field := cls.model_fields.get("beta_1")) is not None:
            near = f"; its most similar setting is beta_1, by default {field.default:g}"
        return f"{cls.model_fields['name'].default} has no {key}{near}; {super().moved(key, value)}"


class _AdamLike(_Optimizer):
    """An optimizer with running means of gradients and of their squares or largest values."""

    beta_1: section.Fraction = 0.9
    """Decay of the running mean of the gradients in each step, in [0, 1)."""
    beta_2: section.Fraction = 0.999
    """Decay of the running mean of the squared gradients in each step, in [0, 1)."""
    epsilon: section.Positive = 1e-7
    """Small number that keeps the divisor above 0."""


class Adadelta(_Optimizer, name="adadelta"):
    """Gradient descent with step sizes that follow from earlier steps (Zeiler 2012).

    Gradients are multiplied by the root of the running mean of squared steps, and divided by the
    root of the running mean of squared gradients.
    """

    learning_rate: section.Positive = 0.001
    """Learning rate. The paper uses 1."""
    rho: section.Share = 0.95
    """Decay of the running means in each step, from 0 to 1."""
    epsilon: section.Positive = 1e-7
    """Small number that keeps the divisor above 0."""


class Adafactor(_Optimizer, name="adafactor"):
    """Adam with less memory (Shazeer & Stern 2018).

    It stores the running means of squared gradients only by row and by column of each kernel.
    """

    learning_rate: section.Positive = 0.001
    """Learning rate, relative to the root mean square of the weights."""
    beta_2_decay: section.Number = -0.8
    """Exponent c: in step t, the decay of the running mean is 1 − t^c."""
    epsilon_1: section.Positive = 1e-30
    """Small number that is added to squared gradients."""
    epsilon_2: section.Positive = 0.001
    """Lower bound of the root mean square of the weights, by which the learning rate is
    multiplied."""
    clip_threshold: section.Positive = 1.0
    """Maximum root mean square of a step, before it is multiplied by the learning rate."""
    relative_step: section.Flag = True
    """Limit the learning rate to 1/√t in step t."""


class Adagrad(_Optimizer, name="adagrad"):
    """Gradients, divided by the root of the sum of all squared gradients (Duchi et al. 2011)."""

    initial_accumulator_value: section.NonNegative = 0.1
    """Initial value of the sum."""
    epsilon: section.Positive = 1e-7
    """Small number that keeps the divisor above 0."""


class Adam(_AdamLike, name="adam"):
    """Gradient descent with a separate step size for each weight (Kingma & Ba 2014).

    A step is the running mean of the gradients, divided by the root of the running mean of their
    squares.
    """

    amsgrad: section.Flag = False
    """Divide by the root of the largest running mean of the squares so far (Reddi et al. 2018)."""


class Adamax(_AdamLike, name="adamax"):
    """Adam with the largest absolute gradient instead of the mean square (Kingma & Ba 2014)."""

    beta_2: section.Fraction = 0.999
    """Decay of the largest absolute gradient in each step, in [0, 1)."""


class AdamW(_AdamLike, name="adamw"):
    """Adam, with weight decay that does not affect the gradients (Loshchilov & Hutter 2019)."""

    weight_decay: section.NonNegative = 0.004
    """In each step, this fraction of each weight, times the learning rate, is subtracted from the
    weight."""
    amsgrad: section.Flag = False
    """Divide by the root of the largest running mean of the squares so far (Reddi et al. 2018)."""


class Ftrl(_Optimizer, name="ftrl"):
    """Follow the regularized leader (McMahan et al. 2013).

    For linear models with many inputs that are mostly 0.
    """

    learning_rate_power: Annotated[
        float, Field(le=0, allow_inf_nan=False), section.Expected("a number of 0 or less")
    ] = -0.5
    """Exponent p of 0 or less: the learning rate is multiplied by the p-th power of the sum of
    squared gradients. With 0, it is constant."""
    initial_accumulator_value: section.NonNegative = 0.1
    """Initial value of the sum of squared gradients."""
    l1_regularization_strength: section.NonNegative = 0.0
    """Factor of the penalty on absolute weights."""
    l2_regularization_strength: section.NonNegative = 0.0
    """Factor of the penalty on squared weights."""
    l2_shrinkage_regularization_strength: section.NonNegative = 0.0
    """Factor of a penalty on the squares of weights whose gradient is not 0."""
    beta: section.NonNegative = 0.0
    """The parameter β of the paper."""


class Lamb(_AdamLike, name="lamb"):
    """Adam, with steps relative to the norm of each array of weights (You et al. 2019).

    For large batches.
    """


class Lion(_Optimizer, name="lion"):
    """Steps of equal size in the direction of the sign of the momentum (Chen et al. 2023).

    It requires a smaller learning rate than Adam.
    """

    beta_1: Annotated[float, Field(gt=0, le=1), section.Expected("a number above 0, up to 1")] = 0.9
    """Weight β of the momentum, above 0, up to 1: the direction of a step is the sign of β·momentum
    + (1 − β)·gradient."""
    beta_2: section.Fraction = 0.99
    """Decay of the momentum in each step, in [0, 1)."""


class Muon(_Optimizer, name="muon"):
    """Momentum that is orthogonalized for each kernel (Jordan 2024).

    All other weights are trained by AdamW.
    """

    weight_decay: section.NonNegative | None = 0.004
    """In each step, this fraction of each weight, times the learning rate, is subtracted from the
    weight."""
    adam_beta_1: section.Fraction = 0.9
    """For AdamW: decay of the running mean of the gradients in each step, in [0, 1)."""
    adam_beta_2: section.Fraction = 0.999
    """For AdamW: decay of the running mean of the squared gradients in each step, in [0, 1)."""
    adam_weight_decay: section.NonNegative = 0.004
    """For AdamW: weight decay."""
    epsilon: section.Positive = 1e-7
    """Small number that keeps the divisor above 0."""
    exclude_layers: LayerNames | None = None
    """AdamW trains the layers whose names contain one of these texts, such as `[output]`. Omitted:
    none."""
    exclude_embeddings: section.Flag = True
    """Train embeddings with AdamW."""
    muon_a: section.Number = 3.4445
    """First coefficient of the Newton–Schulz iteration, which orthogonalizes the momentum."""
    muon_b: section.Number = -4.775
    """Second coefficient of this iteration."""
    muon_c: section.Number = 2.0315
    """Third coefficient of this iteration."""
    adam_lr_ratio: section.Positive = 1.0
    """Learning rate of AdamW, divided by the learning rate of Muon."""
    momentum: section.Share = 0.95
    """Decay of the momentum in each step, from 0 to 1."""
    ns_steps: section.PositiveInt = 5
    """Number of Newton–Schulz iterations in each step."""
    nesterov: section.Flag = True
    """Use Nesterov's momentum."""
    rms_rate: section.NonNegative | None = 0.2
    """Root mean square of a step before it is multiplied by the learning rate. With the default,
    learning rates and weight decays that suit Adam also suit Muon. `null`: steps are not scaled."""


class Nadam(_AdamLike, name="nadam"):
    """Adam with Nesterov's momentum (Dozat 2015)."""


class RMSprop(_Optimizer, name="rmsprop"):
    """Gradients, divided by the root of the running mean of their squares."""

    rho: section.Share = 0.9
    """Decay of the running mean in each step, from 0 to 1."""
    momentum: section.Share = 0.0
    """Fraction of the last step that is added to the next step, from 0 to 1."""
    epsilon: section.Positive = 1e-7
    """Small number that keeps the divisor above 0."""
    centered: section.Flag = False
    """Divide by the running standard deviation of the gradients instead."""


class SGD(_Optimizer, name="sgd"):
    """Gradient descent, optionally with momentum."""

    learning_rate: section.Positive = 0.01
    """Learning rate."""
    momentum: section.Share = 0.0
    """Fraction of the last step that is added to the next step, from 0 to 1."""
    nesterov: section.Flag = False
    """Use Nesterov's momentum: the gradient is computed after the step of the momentum."""

    def conflicts(self) -> Iterator[section.Conflict]:
        """Yield `nesterov` without momentum."""
        yield from super().conflicts()
        if self.momentum == 0:
            yield from self.without_effect("nesterov", because="while momentum is 0")


class ScheduleFreeAdamW(_Optimizer, name="schedule_free_adamw"):
    """AdamW with averaged weights (Defazio et al. 2024).

    It needs no learning rate schedule.
    """

    learning_rate: section.Positive = 0.0025
    """Learning rate."""
    beta_1: Annotated[float, Field(gt=0, lt=1), section.Expected("a number between 0 and 1")] = 0.9
    """Gradients are computed at a mix of the averaged and the current weights. This number is the
    share of the averaged weights, between 0 and 1."""
    beta_2: section.Fraction = 0.999
    """Decay of the running mean of the squared gradients in each step, in [0, 1)."""
    epsilon: section.Positive = 1e-8
    """Small number that keeps the divisor above 0."""
    warmup_steps: section.NonNegativeInt = 0
    """Number of steps in which the learning rate rises from 0 to its value."""


Optimizer = Annotated[_Optimizer, section.OneOf("optimizer")]


class _Schedule(section.Choice):
    """A learning rate schedule."""

    def shortened(self, epochs: int, of: int) -> Self:
        """Return the schedule of a shorter training, with durations in proportion.

        Args:
            epochs: number of epochs of the shorter training.
            of: number of epochs of the training that the schedule is written for.
        """
        return self


class ConstantLearningRate(_Schedule, name="constant"):
    """The learning rate of the optimizer in all steps."""


class ExponentialDecay(_Schedule, name="exponential_decay"):
    """The learning rate is the optimizer's, times decay_rate^(epoch/decay_epochs).

    It changes in each step.
    """

    decay_epochs: section.Positive
    """Number of epochs after which the learning rate has been multiplied by `decay_rate`."""
    decay_rate: section.Positive
    """Factor, usually below 1."""
    staircase: section.Flag = False
    """Change the learning rate only once every `decay_epochs`, instead of in each step."""

    def shortened(self, epochs: int, of: int) -> Self:
        """Return the schedule with the same learning rate at the end."""
        return self.model_copy(update={"decay_epochs": self.decay_epochs * epochs / of})


_MOST_BOUNDARIES = 10_000


class PiecewiseConstant(_Schedule, name="piecewise_constant"):
    """A constant learning rate between two boundaries."""

    aliases = ("piecewise_constant_decay", "piecewiseconstantdecay")
    boundaries: Annotated[
        tuple[section.PositiveInt, ...],
        section.Expected("a list of epochs"),
        section.at_most(_MOST_BOUNDARIES),
    ]
    """Epochs after which the learning rate changes, in increasing order. Before the first one, it
    is the learning rate of the optimizer."""
    values: Annotated[
        tuple[section.Positive, ...],
        section.Expected("a list of rates above 0"),
        section.at_most(_MOST_BOUNDARIES),
    ]
    """Learning rate after each boundary."""

    def conflicts(self) -> Iterator[section.Conflict]:
        """Yield boundaries that don't increase, and lists of different lengths."""
        if list(self.boundaries) != sorted(set(self.boundaries)):
            yield "boundaries", "expected increasing epochs"
        if len(self.values) != len(self.boundaries):
            expected, got = len(self.boundaries), len(self.values)
            yield "values", f"expected as many rates as boundaries ({expected}), got {got}"

    def shortened(self, epochs: int, of: int) -> Self:
        """Return the schedule with earlier boundaries; of those in the same epoch, the last one."""
        earlier = [max(1, boundary * epochs // of) for boundary in self.boundaries]
        values = dict(zip(earlier, self.values, strict=True))
        return self.model_copy(update={"boundaries": (*values,), "values": (*values.values(),)})


class CosineDecay(_Schedule, name="cosine_decay"):
    """The learning rate falls along half a cosine (Loshchilov & Hutter 2017).

    It begins at the learning rate of the optimizer and ends at `alpha` times this rate.
    """

    warmup_epochs: section.NonNegative = 0.0
    """Number of epochs at the beginning in which the learning rate rises from 0 to the
    optimizer's."""
    decay_epochs: section.Positive | None = None
    """Number of epochs in which it falls, after the warmup. Omitted: all remaining epochs."""
    alpha: section.Share = 0.0
    """Final learning rate, as a fraction of the optimizer's, from 0 to 1."""

    def shortened(self, epochs: int, of: int) -> Self:
        """Return the schedule with a shorter decay after the same warmup."""
        if self.decay_epochs is None or self.warmup_epochs >= epochs:
            return self
        left = (epochs - self.warmup_epochs) / (of - self.warmup_epochs)
        return self.model_copy(update={"decay_epochs": self.decay_epochs * left})


class CosineDecayRestarts(_Schedule, name="cosine_decay_restarts"):
    """Cosine decay with warm restarts, also called SGDR (Loshchilov & Hutter 2017).

    The learning rate falls along half a cosine in each cycle and jumps back at the beginning of the
    next one.
    """

    first_decay_epochs: section.Positive | None = None
    """Number of epochs of the first cycle. Omitted: the last cycle ends with training."""
    cycles: Annotated[int, Field(ge=1, le=20), section.Expected("an integer from 1 to 20")] = 4
    """Number of cycles, if `first_decay_epochs` is omitted."""
    t_mul: Annotated[float, Field(ge=1, le=10), section.Expected("a number from 1 to 10")] = 2.0
    """Length of each cycle, divided by the length of the previous one. With 2.0, four cycles take
    1/15, 2/15, 4/15 and 8/15 of the epochs."""
    m_mul: section.Positive = 1.0
    """Factor by which the initial learning rate of each cycle differs from the previous cycle."""
    alpha: section.Share = 0.0
    """Final learning rate of each cycle, as a fraction of the optimizer's, from 0 to 1."""

    def conflicts(self) -> Iterator[section.Conflict]:
        """Yield a number of cycles if it follows from the first one."""
        if self.first_decay_epochs is not None:
            yield from self.without_effect("cycles", because="with first_decay_epochs")

    def first_decay(self, epochs: int) -> float:
        """Return the number of epochs of the first cycle, given the number of all epochs."""
        shares = sum(self.t_mul**cycle for cycle in range(self.cycles))
        return self.first_decay_epochs or epochs / shares

    def shortened(self, epochs: int, of: int) -> Self:
        """Return the schedule with shorter cycles."""
        if self.first_decay_epochs is None:
            return self
        return self.model_copy(update={"first_decay_epochs": self.first_decay_epochs * epochs / of})


class ReduceOnPlateau(_Schedule, name="reduce_on_plateau"):
    """The learning rate is multiplied by a factor when the monitored value stops improving."""

    aliases = ("reduce_lr_on_plateau", "reducelronplateau")
    monitor: section.Monitor = "val_loss"
    """Loss or metric to monitor: a column of history.csv, such as `val_loss`."""
    factor: section.OpenFraction = 0.1
    """Factor, between 0 and 1."""
    patience: section.NonNegativeInt = 10
    """Number of epochs without improvement after which the learning rate is reduced."""
    min_delta: section.NonNegative = 1e-4
    """Smallest change that counts as an improvement, in the unit of the monitored value."""
    cooldown: section.NonNegativeInt = 0
    """Number of epochs after a reduction in which the monitored value is ignored."""
    min_lr: section.NonNegative = 0.0
    """Minimum learning rate."""


Schedule = Annotated[
    ConstantLearningRate
    | ExponentialDecay
    | PiecewiseConstant
    | CosineDecay
    | CosineDecayRestarts
    | ReduceOnPlateau,
    section.OneOf("schedule"),
]
