"""Optimizers: how a step follows from the gradients, with all of Keras's parameters.

Left out: `loss_scale` (mixed_float16 brings it by itself) and `multi_optimizer` (one network, one
optimizer). Names and defaults are those of https://keras.io/api/optimizers/.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from dlcli.config.section import (
    Conflict,
    Expected,
    Flag,
    Fraction,
    NonNegative,
    NonNegativeInt,
    Number,
    OneOf,
    Positive,
    PositiveInt,
    Section,
    Share,
)

StepCount = Annotated[int, Field(ge=2, lt=2**31), Expected("an integer of 2 or more")]
LayerNames = Annotated[tuple[str, ...], Expected("a list of layer names")]


class _Optimizer(Section):
    """What every optimizer takes."""

    weight_decay: NonNegative | None = None
    """Share of each weight, times the learning rate, taken away at each step; none if left out."""
    clipnorm: Positive | None = None
    """Largest norm of one weight array's gradient; not clipped if left out."""
    clipvalue: Positive | None = None
    """Largest size of one gradient entry; not clipped if left out."""
    global_clipnorm: Positive | None = None
    """Largest norm of all gradients together; not clipped if left out."""
    use_ema: Flag = False
    """Whether training ends with an exponential moving average of the weights."""
    ema_momentum: Share = 0.99
    """Share of the old average kept at each step."""
    ema_overwrite_frequency: PositiveInt | None = None
    """Steps after which the average replaces the weights; only at the end if left out."""
    loss_scale_factor: Positive | None = None
    """Factor by which the loss is scaled up, and gradients down, against underflow."""
    gradient_accumulation_steps: StepCount | None = None
    """Batches whose mean gradient makes one step; every batch if left out."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yields clipping said twice and a moving average that nothing reads."""
        clips = [key for key in ("clipnorm", "clipvalue", "global_clipnorm") if self.differs(key)]
        for key in clips[1:]:
            yield key, f"can't go together with {clips[0]}; choose one of them"
        if not self.use_ema:
            keys = ("ema_momentum", "ema_overwrite_frequency")
            yield from self.without_effect(*keys, because="without use_ema: true")


class SGD(_Optimizer):
    """Gradient descent, with momentum if asked for."""

    name: Literal["sgd"] = "sgd"
    learning_rate: Positive = 0.01
    """Size of a step."""
    momentum: Share = 0.0
    """Share of the last step added to the next."""
    nesterov: Flag = False
    """Whether the gradient is taken after the momentum's step."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yields Nesterov's momentum where there is none."""
        yield from super().conflicts()
        if self.momentum == 0:
            yield from self.without_effect("nesterov", because="while momentum is 0")


class RMSprop(_Optimizer):
    """Steps divided by the root of a running mean of squared gradients."""

    name: Literal["rmsprop"] = "rmsprop"
    learning_rate: Positive = 0.001
    """Size of a step."""
    rho: Share = 0.9
    """Share of the running mean kept."""
    momentum: Share = 0.0
    """Share of the last step added to the next."""
    epsilon: Positive = 1e-7
    """Keeps the divisor from 0."""
    centered: Flag = False
    """Whether the gradients' variance takes the place of their mean square."""


class Adam(_Optimizer):
    """Running means of gradients and of their squares (Kingma & Ba 2014)."""

    name: Literal["adam"] = "adam"
    learning_rate: Positive = 0.001
    """Size of a step."""
    beta_1: Fraction = 0.9
    """Share of the gradients' running mean kept."""
    beta_2: Fraction = 0.999
    """Share of the squares' running mean kept."""
    epsilon: Positive = 1e-7
    """Keeps the divisor from 0."""
    amsgrad: Flag = False
    """Whether the largest running mean of squares so far is the divisor (Reddi et al. 2018)."""


class AdamW(_Optimizer):
    """Adam with weight decay apart from the gradients (Loshchilov & Hutter 2019)."""

    name: Literal["adamw"] = "adamw"
    learning_rate: Positive = 0.001
    """Size of a step."""
    weight_decay: NonNegative = 0.004
    """Share of each weight, times the learning rate, taken away at each step."""
    beta_1: Fraction = 0.9
    """Share of the gradients' running mean kept."""
    beta_2: Fraction = 0.999
    """Share of the squares' running mean kept."""
    epsilon: Positive = 1e-7
    """Keeps the divisor from 0."""
    amsgrad: Flag = False
    """Whether the largest running mean of squares so far is the divisor."""


class Adadelta(_Optimizer):
    """Steps scaled by the ratio of running means of steps and gradients (Zeiler 2012)."""

    name: Literal["adadelta"] = "adadelta"
    learning_rate: Positive = 0.001
    """Size of a step; the paper's own is 1."""
    rho: Share = 0.95
    """Share of the running means kept."""
    epsilon: Positive = 1e-7
    """Keeps the divisor from 0."""


class Adagrad(_Optimizer):
    """Steps divided by the root of the sum of all squared gradients so far (Duchi et al. 2011)."""

    name: Literal["adagrad"] = "adagrad"
    learning_rate: Positive = 0.001
    """Size of a step."""
    initial_accumulator_value: NonNegative = 0.1
    """Where the sum begins."""
    epsilon: Positive = 1e-7
    """Keeps the divisor from 0."""


class Adamax(_Optimizer):
    """Adam with the largest gradient in the place of the mean square."""

    name: Literal["adamax"] = "adamax"
    learning_rate: Positive = 0.001
    """Size of a step."""
    beta_1: Fraction = 0.9
    """Share of the gradients' running mean kept."""
    beta_2: Fraction = 0.999
    """Share of the running largest gradient kept."""
    epsilon: Positive = 1e-7
    """Keeps the divisor from 0."""


class Nadam(_Optimizer):
    """Adam with Nesterov's momentum (Dozat 2015)."""

    name: Literal["nadam"] = "nadam"
    learning_rate: Positive = 0.001
    """Size of a step."""
    beta_1: Fraction = 0.9
    """Share of the gradients' running mean kept."""
    beta_2: Fraction = 0.999
    """Share of the squares' running mean kept."""
    epsilon: Positive = 1e-7
    """Keeps the divisor from 0."""


class Adafactor(_Optimizer):
    """Adam's memory, factored into rows and columns (Shazeer & Stern 2018)."""

    name: Literal["adafactor"] = "adafactor"
    learning_rate: Positive = 0.001
    """Size of a step, relative to the weights' own."""
    beta_2_decay: Number = -0.8
    """Power of the step by which the running mean lengthens."""
    epsilon_1: Positive = 1e-30
    """Keeps the squared gradients from 0."""
    epsilon_2: Positive = 0.001
    """Smallest size of the weights that a step is taken relative to."""
    clip_threshold: Positive = 1.0
    """Largest root mean square of a step."""
    relative_step: Flag = True
    """Whether the learning rate is also held below 1/√step."""


class Ftrl(_Optimizer):
    """Follow the regularised leader: for wide, sparse, linear models (McMahan et al. 2013)."""

    name: Literal["ftrl"] = "ftrl"
    learning_rate: Positive = 0.001
    """Size of a step."""
    learning_rate_power: Annotated[
        float, Field(le=0, allow_inf_nan=False), Expected("a number of 0 or less")
    ] = -0.5
    """How the rate falls with the gradients seen; 0 keeps it."""
    initial_accumulator_value: NonNegative = 0.1
    """Where the sum of squared gradients begins."""
    l1_regularization_strength: NonNegative = 0.0
    """Factor of the weights' absolute values."""
    l2_regularization_strength: NonNegative = 0.0
    """Factor of the weights' squares."""
    l2_shrinkage_regularization_strength: NonNegative = 0.0
    """Factor of a penalty on size that only active gradients feel."""
    beta: NonNegative = 0.0
    """The paper's beta."""


class Lamb(_Optimizer):
    """Adam with steps relative to each array's size: for large batches (You et al. 2019)."""

    name: Literal["lamb"] = "lamb"
    learning_rate: Positive = 0.001
    """Size of a step."""
    beta_1: Fraction = 0.9
    """Share of the gradients' running mean kept."""
    beta_2: Fraction = 0.999
    """Share of the squares' running mean kept."""
    epsilon: Positive = 1e-7
    """Keeps the divisor from 0."""


class Lion(_Optimizer):
    """Steps by the sign of the momentum (Chen et al. 2023); wants a smaller rate than Adam."""

    name: Literal["lion"] = "lion"
    learning_rate: Positive = 0.001
    """Size of a step."""
    beta_1: Annotated[float, Field(gt=0, le=1), Expected("a number above 0, up to 1")] = 0.9
    """Share of the momentum in the step."""
    beta_2: Fraction = 0.99
    """Share of the momentum kept."""


class Muon(_Optimizer):
    """Momentum, orthogonalised for each kernel; AdamW for the rest (Jordan 2024)."""

    name: Literal["muon"] = "muon"
    learning_rate: Positive = 0.001
    """Size of a step."""
    weight_decay: NonNegative | None = 0.004
    """Share of each weight, times the learning rate, taken away at each step."""
    adam_beta_1: Fraction = 0.9
    """AdamW's share of the gradients' running mean kept."""
    adam_beta_2: Fraction = 0.999
    """AdamW's share of the squares' running mean kept."""
    adam_weight_decay: NonNegative = 0.004
    """AdamW's weight decay."""
    epsilon: Positive = 1e-7
    """Keeps the divisor from 0."""
    exclude_layers: LayerNames | None = None
    """Layers left to AdamW, by a part of their name; `[output]` is the usual choice."""
    exclude_embeddings: Flag = True
    """Whether embeddings are left to AdamW."""
    muon_a: Number = 3.4445
    """First coefficient of the Newton–Schulz iteration."""
    muon_b: Number = -4.775
    """Second coefficient."""
    muon_c: Number = 2.0315
    """Third coefficient."""
    adam_lr_ratio: Positive = 1.0
    """AdamW's learning rate, as a multiple of Muon's."""
    momentum: Share = 0.95
    """Share of the momentum kept."""
    ns_steps: PositiveInt = 5
    """Newton–Schulz iterations a step."""
    nesterov: Flag = True
    """Whether the momentum is Nesterov's."""
    rms_rate: NonNegative | None = 0.2
    """Root mean square of a step, so that rates and decay carry over from Adam; off if null."""


class ScheduleFreeAdamW(_Optimizer):
    """AdamW that averages its own path and needs no schedule (Defazio et al. 2024)."""

    name: Literal["schedule_free_adamw"] = "schedule_free_adamw"
    learning_rate: Positive = 0.0025
    """Size of a step."""
    beta_1: Annotated[float, Field(gt=0, lt=1), Expected("a number between 0 and 1")] = 0.9
    """Share of the average in the weights that gradients are taken at."""
    beta_2: Fraction = 0.999
    """Share of the squares' running mean kept."""
    epsilon: Positive = 1e-8
    """Keeps the divisor from 0."""
    warmup_steps: NonNegativeInt = 0
    """Steps over which the rate rises from 0."""


Optimizer = Annotated[
    Adadelta
    | Adafactor
    | Adagrad
    | Adam
    | Adamax
    | AdamW
    | Ftrl
    | Lamb
    | Lion
    | Muon
    | Nadam
    | RMSprop
    | SGD
    | ScheduleFreeAdamW,
    OneOf("optimizer"),
]
