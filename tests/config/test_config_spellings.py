"""Spellings of Keras and scikit-learn are accepted, and what they write elsewhere is answered."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dlcli.config.config_file import dump_config
from dlcli.config.config_schema import Config

Load = Callable[..., Config]
Problems = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("setting", "canonical"),
    [
        ("optimizer=Adam", "adam"),
        ("optimizer=AdamW", "adamw"),
        ("optimizer=RMSprop", "rmsprop"),
        ("optimizer=SGD", "sgd"),
        ("optimizer={name: Adam, learning_rate: 0.1}", "adam"),
        ("loss=mse", "mean_squared_error"),
        ("loss=MAE", "mean_absolute_error"),
        ("loss=MeanSquaredError", "mean_squared_error"),
        ("loss=BinaryCrossentropy", "binary_crossentropy"),
        ("loss={name: Huber, delta: 2}", "huber"),
        ("output.activation=ReLU", "relu"),
        ("output.activation=LeakyReLU", "leaky_relu"),
        ("output.activation=swish", "silu"),
        ("output.activation=hard_swish", "hard_silu"),
        ("output.activation=logistic", "sigmoid"),
        ("output.kernel_initializer=HeNormal", "he_normal"),
        ("output.kernel_regularizer=L2", "l2"),
        ("output.kernel_regularizer=L1L2", "l1_l2"),
        ("learning_rate_schedule=CosineDecay", "cosine_decay"),
        ("learning_rate_schedule={name: ReduceLROnPlateau, monitor: loss}", "reduce_on_plateau"),
    ],
)
def test_a_choice_may_be_spelled_as_in_keras(load_with: Load, setting: str, canonical: str) -> None:
    value: object = load_with("", setting)
    for key in setting.partition("=")[0].split("."):
        value = getattr(value, key)
    assert getattr(value, "name") == canonical  # noqa: B009


def test_the_resolved_config_has_the_canonical_names(load_with: Load) -> None:
    config = load_with("", "loss=mse", "metrics=[mean_absolute_error]", "optimizer=Adam")
    text = dump_config(config)
    assert "loss: {name: mean_squared_error}\n" in text
    assert "metrics: [mae]\n" in text
    assert "optimizer: {name: adam, " in text


@pytest.mark.parametrize(
    ("spelling", "metric"),
    [
        ("mean_squared_error", "mse"),
        ("MeanAbsoluteError", "mae"),
        ("RootMeanSquaredError", "rmse"),
        ("R2Score", "r2"),
        ("AUC", "auc"),
        ("roc_auc", "auc"),
        ("acc", "accuracy"),
        ("SparseCategoricalAccuracy", "accuracy"),
        ("F1Score", "f1"),
        ("f1_macro", "macro_f1"),
    ],
)
def test_a_metric_may_be_spelled_as_in_keras_or_scikit_learn(
    load_with: Load, spelling: str, metric: str
) -> None:
    assert load_with("", f"metrics=[{spelling}]").metrics == (metric,)
    monitored = load_with(
        "",
        "data.validation=0.2",
        f"metrics=[{metric}]",
        f"early_stopping={{monitor: val_{spelling}}}",
    )
    assert monitored.early_stopping is not None
    assert monitored.early_stopping.monitor == f"val_{metric}"
    tune = load_with("", f"tune={{metric: {spelling}}}").tune
    assert tune is not None
    assert tune.metric == f"val_{metric}"


@pytest.mark.parametrize("text", ["1e3", "1E3", "1e+3"])
def test_a_whole_number_may_have_an_exponent(load_with: Load, text: str) -> None:
    config = load_with("", f"epochs={text}", f"optimizer.learning_rate={text}")
    assert (config.epochs, config.optimizer.learning_rate) == (1000, 1000.0)
    assert type(config.optimizer.learning_rate) is float


LAYERS = "write hidden: [{units: 64, activation: relu}]"


@pytest.mark.parametrize(
    ("line", "way_out"),
    [
        ("learning_rate: 0.1", "write optimizer: {name: adam, learning_rate: 0.1}"),
        ("lr: 1e-2", "write optimizer: {name: adam, learning_rate: 0.01}"),
        ("momentum: 0.9", "write optimizer: {name: sgd, momentum: 0.9}"),
        ("validation_split: 0.2", "write data: {validation: 0.2, ...}"),
        ("validation: v.csv", "write data: {validation: v.csv, ...}"),
        (
            "callbacks: [early_stopping]",
            "write early_stopping: {patience: 10}, or learning_rate_schedule: reduce_on_plateau",
        ),
        ("patience: 5", "write early_stopping: {patience: 5}"),
        ("layers: [64]", LAYERS),
        ("hidden_layer_sizes: [64]", LAYERS),
        ("activation: tanh", "write hidden: [{units: 64, activation: tanh}]"),
        ("dropout: 0.2", "write hidden: [{units: 64, activation: relu, dropout: 0.2}]"),
        ("batch_normalization: true", "write hidden: [{units: 64, activation: relu, batch_norma"),
        ("features: [a, b]", "write input: {features: [a, b]}"),
    ],
)
def test_a_key_of_another_program_is_answered_with_the_line_to_write(
    problems_with: Problems, line: str, way_out: str
) -> None:
    key = line.partition(":")[0]
    (problem,) = problems_with(f"{line}\n")
    assert problem.startswith(f"c.yaml:4:1: {key}: unknown key; {way_out}")


def test_rows_are_shuffled_without_a_key(problems_with: Problems) -> None:
    (problem,) = problems_with("shuffle: true\n")
    assert "omit it; rows are shuffled in every epoch" in problem


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "hidden=[64, 32]",
            "hidden[0]: expected keys and values, got 64; write {units: 64, activation: relu}",
        ),
        ("hidden=64", "expected a list of layers, got 64; write [{units: 64, activation"),
        ("hidden=relu", "got 'relu'; write [{units: 64, activation: relu}]"),
        (
            "hidden={units: 8}",
            'expected a list of layers, got {"units": 8}; write [{units: 8}]',
        ),
        (
            "hidden=[relu]",
            "hidden[0]: expected keys and values, got 'relu'; write {units: 64, activation: relu}",
        ),
        (
            "early_stopping=true",
            "expected keys and values, got true; write {patience: 10}",
        ),
        (
            "early_stopping=5",
            "expected keys and values, got 5; write {patience: 5}",
        ),
        ("early_stopping=false", "omit it to train all epochs"),
        ("hidden=[{Dense: 8}]", "hidden[0].Dense: unknown key; write {units: 8, activation: relu}"),
        ("hidden=[{type: Dense, units: 8}]", "hidden[0].type: unknown key; omit it, every layer"),
        ("hidden=[{units: 8}, {Dropout: 0.2}]", "write dropout: 0.2 in the layer before"),
        ("hidden=[{Dense: {units: 8}}]", "hidden[0].Dense: unknown key; write {units: 8}"),
        ("hidden=[{units: 8}, {Dropout: {rate: 0.2}}]", "write dropout: 0.2 in the layer before"),
        ("metrics=mae", "expected a list, got 'mae'; write [mae]"),
        (
            "optimizer={adam: {learning_rate: 0.1}}",
            "but 'name' is missing; write {name: adam, learning_rate: ...}",
        ),
        ("data.test=20%", "above 0 and below 1, or a file, got '20%'; write 0.2"),
        ("data.test=20", "above 0 and below 1, or a file, got 20; for 20 % write 0.2"),
        ("data.batch_size=3", "unknown key; write batch_size: 3 at the top of the config"),
        ("data=houses.csv", "got 'houses.csv'; write {train: houses.csv, target: COLUMN}"),
        ("data.sep=;", 'unknown key; write format: {name: csv, delimiter: ";"}'),
        (
            "data.encoding=latin-1",
            "write format: {name: csv, encoding: latin-1} for the encoding of the",
        ),
        ("data.missing=NA", """got 'NA'; write ["NA"]"""),
        ("data.missing=-999", """got -999; write ["-999"]"""),
        ("gates={test.r2: 0.9}", "got 0.9; write {at_least: 0.9} or {at_most: 0.9}"),
        ("checkpoint=60", "expected keys and values, got 60; write {seconds: 60}"),
        ("data.features=[a]", "unknown key; write features: [a] below input"),
        ("data.validation_split=0.2", "unknown key; did you mean 'validation'?"),
        ("precision=float16", "got 'float16'; did you mean 'mixed_float16'?"),
        ("early_stopping={mode: min}", "unknown key; omit it; the direction follows"),
        ("ensemble=8", "expected keys and values, got 8; write {members: 8}"),
    ],
)
def test_a_short_form_is_answered_with_what_to_write(
    problems_with: Problems, setting: str, message: str
) -> None:
    assert any(message in problem for problem in problems_with("", setting))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("optimizer: {name:adam}", "write 'name: adam', with a space after the colon"),
        (
            "optimizer: {name: adam, learning_rate:0.1}",
            "write 'learning_rate: 0.1', with a space after the colon",
        ),
        ("early_stopping: {patience:3}", "write 'patience: 3', with a space after the colon"),
        ("batch_size:3", "(write a space after the colon: 'batch_size: 3')"),
    ],
)
def test_a_missing_space_after_a_colon_is_named(
    problems_with: Problems, line: str, message: str
) -> None:
    (problem,) = problems_with(f"{line}\n")
    assert message in problem
