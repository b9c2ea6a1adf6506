"""Losses: what training makes small, under Keras's names.

Left out: `ctc` and `circle` (for sequences and for learned distances), `dice` and `tversky` (scores
of a whole batch, which row weights and the last, smaller batch would change in meaning).
Everywhere the network's output carries its activation, so there is no `from_logits`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

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


class MeanSquaredError(Section):
    """mean((y − ŷ)²)."""

    name: Literal["mean_squared_error"] = "mean_squared_error"


class MeanAbsoluteError(Section):
    """mean(|y − ŷ|): less moved by outliers."""

    name: Literal["mean_absolute_error"] = "mean_absolute_error"


class MeanAbsolutePercentageError(Section):
    """100 · mean(|y − ŷ|/|y|)."""

    name: Literal["mean_absolute_percentage_error"] = "mean_absolute_percentage_error"


class MeanSquaredLogarithmicError(Section):
    """mean((log(1 + y) − log(1 + ŷ))²)."""

    name: Literal["mean_squared_logarithmic_error"] = "mean_squared_logarithmic_error"


class Huber(Section):
    """Quadratic for small errors, linear for those beyond delta."""

    name: Literal["huber"] = "huber"
    delta: Positive = 1.0
    """Error at which the loss turns linear, in the unit that is trained on (see output.scaling)."""


class LogCosh(Section):
    """mean(log(cosh(ŷ − y))): a smooth mean absolute error."""

    name: Literal["log_cosh"] = "log_cosh"


class Poisson(Section):
    """mean(ŷ − y·log ŷ): for counts, with an output that is positive."""

    name: Literal["poisson"] = "poisson"


class CosineSimilarity(Section):
    """−cos of the angle between y and ŷ: for several numbers whose direction matters."""

    name: Literal["cosine_similarity"] = "cosine_similarity"


class KLDivergence(Section):
    """Σ y·log(y/ŷ): for several numbers that are shares of a whole."""

    name: Literal["kl_divergence"] = "kl_divergence"


class BinaryCrossentropy(Section):
    """−mean(y·log p + (1 − y)·log(1 − p)): for two classes."""

    name: Literal["binary_crossentropy"] = "binary_crossentropy"
    label_smoothing: Share = 0.0
    """How far the labels 0 and 1 are moved towards 1/2: 0.2 gives 0.1 and 0.9."""


class BinaryFocalCrossentropy(Section):
    """Binary cross-entropy that counts rows less the surer they are (Lin et al. 2017)."""

    name: Literal["binary_focal_crossentropy"] = "binary_focal_crossentropy"
    apply_class_balancing: Flag = False
    """Whether the two classes are weighted with alpha and 1 − alpha."""
    alpha: Share = 0.25
    """Weight of the second class."""
    gamma: NonNegative = 2.0
    """How strongly sure rows are discounted; 0 gives plain cross-entropy."""
    label_smoothing: Share = 0.0
    """How far the labels 0 and 1 are moved towards 1/2."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yields `alpha` where no balancing reads it."""
        if not self.apply_class_balancing:
            yield from self.without_effect("alpha", because="without apply_class_balancing: true")


class Hinge(Section):
    """mean(max(1 − y·ŷ, 0)) with y of −1 and 1: two classes, kept apart by a margin."""

    name: Literal["hinge"] = "hinge"


class SquaredHinge(Section):
    """mean(max(1 − y·ŷ, 0)²) with y of −1 and 1."""

    name: Literal["squared_hinge"] = "squared_hinge"


class SparseCategoricalCrossentropy(Section):
    """−log of the true class's probability: for several classes."""

    name: Literal["sparse_categorical_crossentropy"] = "sparse_categorical_crossentropy"


class CategoricalCrossentropy(Section):
    """The same on one-hot labels, which can be smoothed."""

    name: Literal["categorical_crossentropy"] = "categorical_crossentropy"
    label_smoothing: Share = 0.0
    """How far the labels are moved towards equal shares for all classes."""


class CategoricalFocalCrossentropy(Section):
    """Cross-entropy that counts rows less the surer they are (Lin et al. 2017)."""

    name: Literal["categorical_focal_crossentropy"] = "categorical_focal_crossentropy"
    alpha: Share = 0.25
    """Factor of the whole loss."""
    gamma: NonNegative = 2.0
    """How strongly sure rows are discounted."""
    label_smoothing: Share = 0.0
    """How far the labels are moved towards equal shares for all classes."""


class CategoricalGeneralizedCrossEntropy(Section):
    """(1 − p^q)/q: between cross-entropy and absolute error, for labels that are partly wrong."""

    name: Literal["categorical_generalized_cross_entropy"] = "categorical_generalized_cross_entropy"
    q: OpenFraction = 0.5
    """Towards 0 cross-entropy, towards 1 mean absolute error (Zhang & Sabuncu 2018)."""


class CategoricalHinge(Section):
    """max(1 + the best wrong class − the true one, 0)."""

    name: Literal["categorical_hinge"] = "categorical_hinge"


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
