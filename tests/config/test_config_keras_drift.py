"""The schema's names, parameters, defaults and ranges against Keras's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import keras
import pytest
from pydantic import ValidationError
from pydantic_core import PydanticUndefined

from dlcli.config.config_schema import BatchNormalization, EarlyStopping, Hidden
from dlcli.config.layer_choices import Activation, Initializer, KernelRegularizer
from dlcli.config.training_choices import Loss, Optimizer, ReduceOnPlateau
from dlcli.schema.section import Section, members_of

Parameters = dict[str, Any]

NOT_CONFIGURABLE = {
    "x": "an activation's input",
    "name": "the network's own business",
    "dtype": "follows from the precision",
    "seed": "follows from the config's seed",
    "reduction": "the sum over the batch's size, throughout",
    "from_logits": "outputs carry their activation",
    "axis": "units are the last axis",
    "input_axes": "Dense kernels have two axes",
    "output_axes": "Dense kernels have two axes",
    "ignore_class": "every row has a label",
}
BASE_CLASSES = {"Optimizer", "Loss", "Initializer", "Regularizer"}
LEFT_OUT = {
    "LossScaleOptimizer": "mixed_float16 brings it by itself",
    "MultiOptimizer": "one network, one optimizer",
    "OptimizerMap": "belongs to MultiOptimizer",
    "CTC": "for sequences",
    "Circle": "for learned distances",
    "Dice": "a score of a whole batch",
    "Tversky": "a score of a whole batch",
    "STFT": "a transform's matrix",
    "STFTInitializer": "second name of STFT",
    "glu": "halves the width",
    "swish": "second name of silu",
    "hard_swish": "second name of hard_silu",
    "sparsemax": "its shares don't sum to 1 in Keras 3.15",
    "get": "no activation",
    "serialize": "no activation",
    "deserialize": "no activation",
}
CHOICES: dict[ModuleType, Any] = {
    keras.optimizers: Optimizer,
    keras.losses: Loss,
    keras.initializers: Initializer,
    keras.regularizers: KernelRegularizer,
}
ACTIVATIONS: list[type[Section]] = list(members_of(Activation).values())
CLASSES: list[tuple[ModuleType, type[Section]]] = [
    (module, section)
    for module, choice in CHOICES.items()
    for section in members_of(choice).values()
    if getattr(section, "formula", None) is None  # Keras lacks these losses
]


def name_of(section: type[Section]) -> str:
    return str(section.model_fields["name"].default)


def schema_parameters(section: type[Section]) -> Parameters:
    return {
        key: inspect.Parameter.empty if field.default is PydanticUndefined else field.default
        for key, field in section.model_fields.items()
        if key != "name"
    }


def keras_parameters(made: Callable[..., object]) -> Parameters:
    parameters = inspect.signature(made).parameters.values()
    open_ended = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    return {
        parameter.name: parameter.default
        for parameter in parameters
        if parameter.kind not in open_ended and parameter.name not in NOT_CONFIGURABLE
    }


@pytest.mark.parametrize(("module", "section"), CLASSES)
def test_a_choice_has_the_name_parameters_and_defaults_of_keras(
    module: ModuleType, section: type[Section]
) -> None:
    made = getattr(module, section.__name__)
    assert name_of(section).replace("_", "") == section.__name__.lower()
    assert schema_parameters(section) == keras_parameters(made)


@pytest.mark.parametrize("section", ACTIVATIONS)
def test_an_activation_has_the_name_parameters_and_defaults_of_keras(
    section: type[Section],
) -> None:
    function = getattr(keras.activations, name_of(section))
    assert schema_parameters(section) == keras_parameters(function)


@pytest.mark.parametrize("module", CHOICES, ids=lambda module: module.__name__)
def test_every_class_of_keras_is_in_the_schema_or_omitted_for_a_reason(module: ModuleType) -> None:
    taken = [getattr(module, section.__name__) for place, section in CLASSES if place is module]
    classes = {name: made for name, made in vars(module).items() if inspect.isclass(made)}
    missing = {name for name, made in classes.items() if made not in taken}
    lower = {name for name in missing if name.islower()}  # Keras's aliases of the others
    assert {classes[name] for name in lower} <= {classes[name] for name in missing - lower}
    assert missing - lower - BASE_CLASSES <= LEFT_OUT.keys()


def test_every_activation_of_keras_is_in_the_schema_or_omitted_for_a_reason() -> None:
    functions = {
        name for name, function in vars(keras.activations).items() if inspect.isfunction(function)
    }
    assert functions - set(map(name_of, ACTIVATIONS)) == functions & LEFT_OUT.keys()


def test_every_omitted_class_exists_in_keras() -> None:
    offered = {name for module in (*CHOICES, keras.activations) for name in vars(module)}
    assert offered >= LEFT_OUT.keys()


def differing(section: type[Section], made: Callable[..., object]) -> Parameters:
    """The schema's defaults where they aren't Keras's; fails if a key isn't Keras's at all."""
    theirs = inspect.signature(made).parameters
    ours = schema_parameters(section)
    return {key: value for key, value in ours.items() if value != theirs[key].default}


def test_batch_normalization_has_the_defaults_of_keras() -> None:
    assert differing(BatchNormalization, keras.layers.BatchNormalization) == {}


def test_a_layer_has_the_parameters_and_defaults_of_dense() -> None:
    theirs = inspect.signature(keras.layers.Dense).parameters
    ours = schema_parameters(Hidden)
    assert set(ours) - set(theirs) == {"batch_normalization", "dropout"}
    assert ours["units"] is theirs["units"].default
    assert ours["use_bias"] is theirs["use_bias"].default
    assert ours["activation"].name == keras.activations.get(theirs["activation"].default).__name__
    for key in ("kernel_initializer", "bias_initializer"):
        assert ours[key].name == theirs[key].default
    for key in ("kernel_regularizer", "bias_regularizer"):
        assert ours[key] is theirs[key].default is None


def test_early_stopping_differs_from_keras_in_patience_and_best_weights() -> None:
    theirs = inspect.signature(keras.callbacks.EarlyStopping).parameters
    ours = schema_parameters(EarlyStopping)
    changed = {"patience": 10, "restore_best_weights": True, "tolerance": 0.0}
    assert {key for key in ours if key not in theirs} == {"tolerance"}
    for key, value in ours.items():
        assert value == changed.get(key, theirs[key].default if key in theirs else None)


def test_reduce_on_plateau_has_the_defaults_of_keras() -> None:
    assert differing(ReduceOnPlateau, keras.callbacks.ReduceLROnPlateau) == {}


EDGES = [
    (keras.optimizers, "Adam", {"clipnorm": 1e-6}),
    (keras.optimizers, "Adam", {"use_ema": True, "ema_momentum": 0.0}),
    (keras.optimizers, "Adam", {"use_ema": True, "ema_momentum": 1.0}),
    (keras.optimizers, "Adam", {"use_ema": True, "ema_overwrite_frequency": 1}),
    (keras.optimizers, "Adam", {"gradient_accumulation_steps": 2}),
    (keras.optimizers, "Adam", {"beta_1": 0.0, "beta_2": 0.0}),
    (keras.optimizers, "AdamW", {"weight_decay": 0.0}),
    (keras.optimizers, "SGD", {"momentum": 0.0}),
    (keras.optimizers, "SGD", {"momentum": 1.0, "nesterov": True}),
    (keras.optimizers, "Lion", {"beta_1": 1e-6}),
    (keras.optimizers, "Lion", {"beta_1": 1.0}),
    (keras.optimizers, "Ftrl", {"learning_rate_power": 0.0, "initial_accumulator_value": 0.0}),
    (keras.optimizers, "Muon", {"weight_decay": None, "rms_rate": None, "exclude_layers": ()}),
    (keras.losses, "CategoricalGeneralizedCrossEntropy", {"q": 1e-6}),
    (keras.losses, "CategoricalGeneralizedCrossEntropy", {"q": 0.999}),
    (keras.losses, "BinaryCrossentropy", {"label_smoothing": 1.0}),
    (keras.initializers, "VarianceScaling", {"scale": 1e-6, "mode": "fan_avg"}),
    (keras.initializers, "VarianceScaling", {"distribution": "untruncated_normal"}),
    (keras.initializers, "RandomNormal", {"stddev": 0.0}),
    (keras.regularizers, "L1L2", {"l1": 0.0, "l2": 0.0}),
    (keras.regularizers, "OrthogonalRegularizer", {"mode": "columns", "factor": 0.0}),
]
REFUSED = [
    (keras.optimizers, "Adam", {"use_ema": True, "ema_momentum": 1.1}),
    (keras.optimizers, "Adam", {"use_ema": True, "ema_momentum": -0.1}),
    (keras.optimizers, "Adam", {"use_ema": True, "ema_overwrite_frequency": 1.5}),
    (keras.optimizers, "Adam", {"gradient_accumulation_steps": 1}),
    (keras.optimizers, "Adam", {"clipnorm": 1.0, "clipvalue": 1.0}),
    (keras.optimizers, "Adam", {"clipnorm": 1.0, "global_clipnorm": 1.0}),
    (keras.optimizers, "AdamW", {"weight_decay": None}),
    (keras.optimizers, "SGD", {"momentum": 1.1}),
    (keras.optimizers, "SGD", {"momentum": -0.1}),
    (keras.optimizers, "Lion", {"beta_1": 0.0}),
    (keras.optimizers, "Lion", {"beta_1": 1.01}),
    (keras.optimizers, "Ftrl", {"learning_rate_power": 0.1}),
    (keras.optimizers, "Ftrl", {"initial_accumulator_value": -0.1}),
    (keras.optimizers, "Ftrl", {"l1_regularization_strength": -0.1}),
    (keras.optimizers, "Ftrl", {"l2_regularization_strength": -0.1}),
    (keras.optimizers, "Ftrl", {"l2_shrinkage_regularization_strength": -0.1}),
    (keras.losses, "CategoricalGeneralizedCrossEntropy", {"q": 0.0}),
    (keras.losses, "CategoricalGeneralizedCrossEntropy", {"q": 1.0}),
    (keras.initializers, "VarianceScaling", {"scale": 0.0}),
    (keras.initializers, "VarianceScaling", {"mode": "fan"}),
    (keras.initializers, "VarianceScaling", {"distribution": "gumbel"}),
    (keras.regularizers, "L1", {"l1": -0.1}),
    (keras.regularizers, "L2", {"l2": -0.1}),
    (keras.regularizers, "L1L2", {"l2": -0.1}),
    (keras.regularizers, "OrthogonalRegularizer", {"factor": -0.1}),
    (keras.regularizers, "OrthogonalRegularizer", {"mode": "diagonals"}),
]


def section_of(module: ModuleType, name: str) -> type[Section]:
    return next(
        section for place, section in CLASSES if place is module and section.__name__ == name
    )


@pytest.mark.parametrize(("module", "name", "parameters"), EDGES)
def test_keras_accepts_what_the_schema_accepts(
    module: ModuleType, name: str, parameters: Parameters
) -> None:
    section = section_of(module, name).model_validate(parameters)
    getattr(module, name)(**section.model_dump(exclude={"name"}))


@pytest.mark.parametrize(("module", "name", "parameters"), REFUSED)
def test_the_schema_rejects_what_keras_rejects(
    module: ModuleType, name: str, parameters: Parameters
) -> None:
    with pytest.raises(ValueError, match=r"."):
        getattr(module, name)(**parameters)
    with pytest.raises(ValidationError):
        section_of(module, name).model_validate(parameters)


@pytest.mark.parametrize(("module", "section"), CLASSES)
def test_keras_accepts_the_defaults_of_the_schema(
    module: ModuleType, section: type[Section]
) -> None:
    getattr(module, section.__name__)(**section().model_dump(exclude={"name"}))


@pytest.mark.parametrize("rate", [0.0, 0.999])
def test_keras_accepts_the_dropout_of_the_schema(rate: float) -> None:
    assert Hidden(units=1, dropout=rate).dropout == keras.layers.Dropout(rate).rate


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_the_schema_rejects_a_dropout_that_keras_rejects(rate: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        keras.layers.Dropout(rate)
    with pytest.raises(ValidationError):
        Hidden(units=1, dropout=rate)
