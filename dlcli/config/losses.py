"""Losses: what training makes small, under Keras's names.

Left out: `ctc` and `circle` (for sequences and for learned distances), `dice` and `tversky` (scores
of a whole batch, which row weights and the last, smaller batch would change in meaning).
Everywhere the network's output carries its activation, so there is no `from_logits`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, get_args

from dlcli.config.activations import Activation, Exponential, Linear, OutputForm, Sigmoid, Softmax
from dlcli.config.section import (
    Conflict,
    Flag,
    NonNegative,
    OneOf,
    OpenFraction,
    Positive,
    Section,
    Share,
)

TargetForm = Literal["number", "numbers", "two classes", "classes", "labels"]
"""What a target can be: one number or several, one of two classes or of more, any of some
labels."""


class _Loss(Section):
    """What the rest of the program asks of each loss: facts, not parameters."""

    fits: ClassVar[tuple[TargetForm, ...]] = ("number", "numbers")
    """The targets that it can be computed of."""
    needs_original_scale: ClassVar[bool] = False
    """Whether it means nothing once the target's zero is moved."""
    requires_nonnegative: ClassVar[bool] = False
    """Whether a target below 0 has no loss."""
    output: ClassVar[OutputForm] = "number"
    """What it takes the output for."""
    default_activation: ClassVar[Activation] = Linear()
    """The output's activation, if none is asked for."""
    one_hot: ClassVar[bool] = False
    """Whether it compares with a row of 0 and 1 for each class, not with the class's place."""


class _ProbabilityLoss(_Loss):
    """Compares the probability that each unit gives with 0 or 1."""

    fits: ClassVar[tuple[TargetForm, ...]] = ("two classes", "labels")
    output: ClassVar[OutputForm] = "probability"
    default_activation: ClassVar[Activation] = Sigmoid()


class _MarginLoss(_Loss):
    """Compares the side of 0 on which a row lies with one of two classes."""

    fits: ClassVar[tuple[TargetForm, ...]] = ("two classes",)
    output: ClassVar[OutputForm] = "margin"


class _SharesLoss(_Loss):
    """Compares the share of each class with one of them."""

    fits: ClassVar[tuple[TargetForm, ...]] = ("two classes", "classes")
    output: ClassVar[OutputForm] = "shares"
    default_activation: ClassVar[Activation] = Softmax()


class MeanSquaredError(_Loss):
    """mean((y − ŷ)²)."""

    name: Literal["mean_squared_error"] = "mean_squared_error"


class MeanAbsoluteError(_Loss):
    """mean(|y − ŷ|): less moved by outliers."""

    name: Literal["mean_absolute_error"] = "mean_absolute_error"


class MeanAbsolutePercentageError(_Loss):
    """100 · mean(|y − ŷ|/|y|)."""

    name: Literal["mean_absolute_percentage_error"] = "mean_absolute_percentage_error"
    needs_original_scale: ClassVar[bool] = True


class MeanSquaredLogarithmicError(_Loss):
    """mean((log(1 + y) − log(1 + ŷ))²)."""

    name: Literal["mean_squared_logarithmic_error"] = "mean_squared_logarithmic_error"
    needs_original_scale: ClassVar[bool] = True
    requires_nonnegative: ClassVar[bool] = True


class Huber(_Loss):
    """Quadratic for small errors, linear for those beyond delta."""

    name: Literal["huber"] = "huber"
    delta: Positive = 1.0
    """Error at which the loss turns linear, in the unit that is trained on (see output.scaling)."""


class LogCosh(_Loss):
    """mean(log(cosh(ŷ − y))): a smooth mean absolute error."""

    name: Literal["log_cosh"] = "log_cosh"


class Poisson(_Loss):
    """mean(ŷ − y·log ŷ): for counts, with an output that is positive."""

    name: Literal["poisson"] = "poisson"
    needs_original_scale: ClassVar[bool] = True
    requires_nonnegative: ClassVar[bool] = True
    output: ClassVar[OutputForm] = "positive"
    default_activation: ClassVar[Activation] = Exponential()


class CosineSimilarity(_Loss):
    """−cos of the angle between y and ŷ: for several numbers whose direction matters."""

    name: Literal["cosine_similarity"] = "cosine_similarity"
    fits: ClassVar[tuple[TargetForm, ...]] = ("numbers",)
    needs_original_scale: ClassVar[bool] = True


class KLDivergence(_Loss):
    """Σ y·log(y/ŷ): for several numbers that are shares of a whole."""

    name: Literal["kl_divergence"] = "kl_divergence"
    fits: ClassVar[tuple[TargetForm, ...]] = ("numbers",)
    needs_original_scale: ClassVar[bool] = True
    requires_nonnegative: ClassVar[bool] = True
    output: ClassVar[OutputForm] = "positive"
    default_activation: ClassVar[Activation] = Softmax()


class BinaryCrossentropy(_ProbabilityLoss):
    """−mean(y·log p + (1 − y)·log(1 − p)): for two classes, or labels each for itself."""

    name: Literal["binary_crossentropy"] = "binary_crossentropy"
    label_smoothing: Share = 0.0
    """How far the labels 0 and 1 are moved towards 1/2: 0.2 gives 0.1 and 0.9."""


class BinaryFocalCrossentropy(_ProbabilityLoss):
    """Binary cross-entropy that counts rows less the surer they are (Lin et al. 2017)."""

    name: Literal["binary_focal_crossentropy"] = "binary_focal_crossentropy"
    apply_class_balancing: Flag = False
    """Whether 1 and 0 are weighted with alpha and 1 − alpha."""
    alpha: Share = 0.25
    """Weight of the second class, or of a label that a row has."""
    gamma: NonNegative = 2.0
    """How strongly sure rows are discounted; 0 gives plain cross-entropy."""
    label_smoothing: Share = 0.0
    """How far the labels 0 and 1 are moved towards 1/2."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yields `alpha` where no balancing reads it."""
        if not self.apply_class_balancing:
            yield from self.without_effect("alpha", because="without apply_class_balancing: true")


class Hinge(_MarginLoss):
    """mean(max(1 − y·ŷ, 0)) with y of −1 and 1: two classes, kept apart by a margin."""

    name: Literal["hinge"] = "hinge"


class SquaredHinge(_MarginLoss):
    """mean(max(1 − y·ŷ, 0)²) with y of −1 and 1."""

    name: Literal["squared_hinge"] = "squared_hinge"


class SparseCategoricalCrossentropy(_SharesLoss):
    """−log of the true class's probability: for several classes."""

    name: Literal["sparse_categorical_crossentropy"] = "sparse_categorical_crossentropy"


class CategoricalCrossentropy(_SharesLoss):
    """The same on one-hot labels, which can be smoothed."""

    name: Literal["categorical_crossentropy"] = "categorical_crossentropy"
    one_hot: ClassVar[bool] = True
    label_smoothing: Share = 0.0
    """How far the labels are moved towards equal shares for all classes."""


class CategoricalFocalCrossentropy(_SharesLoss):
    """Cross-entropy that counts rows less the surer they are (Lin et al. 2017)."""

    name: Literal["categorical_focal_crossentropy"] = "categorical_focal_crossentropy"
    one_hot: ClassVar[bool] = True
    alpha: Share = 0.25
    """Factor of the whole loss."""
    gamma: NonNegative = 2.0
    """How strongly sure rows are discounted."""
    label_smoothing: Share = 0.0
    """How far the labels are moved towards equal shares for all classes."""


class CategoricalGeneralizedCrossEntropy(_SharesLoss):
    """(1 − p^q)/q: between cross-entropy and absolute error, for labels that are partly wrong."""

    name: Literal["categorical_generalized_cross_entropy"] = "categorical_generalized_cross_entropy"
    q: OpenFraction = 0.5
    """Towards 0 cross-entropy, towards 1 mean absolute error (Zhang & Sabuncu 2018)."""


class CategoricalHinge(_SharesLoss):
    """max(1 + the best wrong class − the true one, 0)."""

    name: Literal["categorical_hinge"] = "categorical_hinge"
    one_hot: ClassVar[bool] = True


Loss = Annotated[
    MeanSquaredError
    | MeanAbsoluteError
    | MeanAbsolutePercentageError
    | MeanSquaredLogarithmicError
    | Huber
    | LogCosh
    | Poisson
    | CosineSimilarity
    | KLDivergence
    | BinaryCrossentropy
    | BinaryFocalCrossentropy
    | Hinge
    | SquaredHinge
    | SparseCategoricalCrossentropy
    | CategoricalCrossentropy
    | CategoricalFocalCrossentropy
    | CategoricalGeneralizedCrossEntropy
    | CategoricalHinge,
    OneOf("loss"),
]

LOSSES: tuple[type[Loss], ...] = get_args(get_args(Loss)[0])
"""The sections that can be chosen from."""
