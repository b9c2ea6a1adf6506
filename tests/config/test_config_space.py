"""The dimensions of a search space, its candidates, and the check of its values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from dlcli.config.config_file import ConfigFile, dump_config, load_config, make_config
from dlcli.config.layer_choices import L2, Elu, Gelu, Linear, Relu, Tanh
from dlcli.config.search_space import (
    Dimension,
    candidate,
    check_tune,
    dimensions_of,
    with_search_space,
)
from dlcli.config.tune_section import Range, Tune, varied
from dlcli.errors import ConfigError

Load = Callable[..., ConfigFile]
Problems = Callable[..., list[str]]

CONFIG = """\
data: {train: a.csv, target: y, validation: 0.2}
hidden:
  - {units: 8, activation: relu, kernel_regularizer: l2}
  - {units: 4, activation: tanh, dropout: 0.5}
epochs: 10
tune:
  space:
"""
"""The first setting of the space is in line 8."""
WITHOUT_LAYERS = CONFIG[: CONFIG.index("\n  -")] + " []\n" + CONFIG[CONFIG.index("epochs") :]


@pytest.fixture
def load(config_file: Path) -> Load:
    """Load the config with lines of the space and `--set` arguments."""

    def loaded(*lines: str, config: str = CONFIG, overrides: tuple[str, ...] = ()) -> ConfigFile:
        config_file.write_text(config + "".join(f"    {line}\n" for line in lines))
        return load_config(config_file, overrides)

    return loaded


@pytest.fixture
def problems(load: Load) -> Problems:
    """Return the problems of lines of the space."""

    def found(*lines: str, config: str = CONFIG) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            check_tune(load(*lines, config=config))
        return [str(problem) for problem in caught.value.problems]

    return found


def dimensions(file: ConfigFile) -> tuple[Dimension, ...]:
    assert file.config.tune is not None
    return dimensions_of(file.config.tune.space)


def dimension(load: Load, line: str) -> Dimension:
    """The only dimension of a space of one line."""
    (found,) = dimensions(load(line))
    return found


# The default space

PLAIN = "data: {train: a.csv, target: y%s}\nhidden: %s\nepochs: 10\n%s"
VALIDATED = ", validation: 0.2"
LAYER = "[{units: 8, activation: relu}]"


@pytest.fixture
def default(config_file: Path) -> Callable[..., Tune]:
    """Return the search of a config for a number of rows."""

    def found(rows: int, data: str = VALIDATED, hidden: str = LAYER, rest: str = "") -> Tune:
        config_file.write_text(PLAIN % (data, hidden, rest))
        file = with_search_space(load_config(config_file), rows)
        check_tune(file)
        assert file.config.tune is not None
        return file.config.tune

    return found


@pytest.mark.parametrize(
    ("rows", "units", "folds"),
    [
        (499, (16, 32, 64), 5),
        (500, (32, 64, 128), 5),
        (999, (32, 64, 128), 5),
        (1_000, (32, 64, 128), None),
        (5_000, (64, 128, 256), None),
        (50_000, (128, 256, 512), None),
    ],
)
def test_more_rows_have_more_units_and_validation_rows_instead_of_folds(
    default: Callable[..., Tune], rows: int, units: tuple[int, ...], folds: int | None
) -> None:
    tune = default(rows)
    space = {".".join(keys): values for keys, values in varied(tune.space)}
    assert list(space) == [
        "hidden_layers.number",
        "hidden_layers.units",
        "hidden_layers.dropout",
        "optimizer.learning_rate",
    ]
    assert space["hidden_layers.units"] == units
    assert tune.folds == folds
    assert tune.most_trials == 50


@pytest.mark.parametrize(
    ("rows", "data", "folds"),
    [
        (5_000, "", 5),
        (3, "", 3),
        (5_000, ", validation: 0.2, train_on_validation: true", 5),
        (100, ", validation: b.csv", None),
    ],
)
def test_folds_take_the_place_of_validation_rows_that_are_missing_or_few(
    default: Callable[..., Tune], rows: int, data: str, folds: int | None
) -> None:
    assert default(rows, data).folds == folds


def test_an_ensemble_varies_the_units_that_it_has_and_is_compared_on_its_own_folds(
    default: Callable[..., Tune],
) -> None:
    layers = "[{units: 100, activation: relu}, {units: 50}]"
    tune = default(200, "", layers, "ensemble: {members: 4}\n")
    assert dict(varied(tune.space))[("hidden_layers", "units")] == (50, 100, 200)
    assert tune.folds is None
    assert default(200, ", validation: 0.2", layers, "ensemble: {members: 4, folds: none}\n").folds
    linear = default(200, "", "[]", "ensemble: {members: 4}\n")
    assert dict(varied(linear.space))[("hidden_layers", "units")] == (16, 32, 64)


def test_the_default_is_around_the_learning_rate_of_the_config(
    default: Callable[..., Tune],
) -> None:
    (*_, (_, rate)) = varied(
        default(100, rest="optimizer: {name: sgd, learning_rate: 0.05}\n").space
    )
    assert rate == Range(low=0.005, high=0.5, log=True)


def test_layers_that_are_added_to_a_linear_model_are_not_linear(
    default: Callable[..., Tune],
) -> None:
    assert dict(varied(default(100, hidden="[]").space))[("hidden_layers", "activation")] == (
        "relu",
        "gelu",
    )


def test_what_a_config_sets_for_its_search_is_kept(default: Callable[..., Tune]) -> None:
    tune = default(100, rest="tune: {trials: 7, folds: 3, metric: rmse}\n")
    assert (tune.trials, tune.folds, tune.metric) == (7, 3, "val_rmse")
    assert tune.space is not None
    own = default(100, rest="tune: {space: {epochs: [1, 2]}}\n")
    assert (own.space, own.folds) == ({"epochs": (1, 2)}, None)


# Dimensions


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("epochs: {low: 1, high: 4}",
         Dimension("epochs", "integer", 1, 4, 1)),
        ("epochs: {low: 1, high: 6, step: 2}",
         Dimension("epochs", "integer", 1, 5, 2)),
        ("epochs: {low: 1, high: 64, log: true}",
         Dimension("epochs", "integer", 1, 64, None, log=True)),
        ("optimizer.learning_rate: {low: 1e-4, high: 1, log: true}",
         Dimension("optimizer.learning_rate", "float", 0.0001, 1.0, None, log=True)),
        ("hidden_layers: {dropout: {low: 0, high: 0.5}}",
         Dimension("hidden_layers.dropout", "float", 0.0, 0.5, None)),
        ("hidden[1].dropout: {low: 0, high: 0.75, step: 0.2}",
         Dimension("hidden[1].dropout", "float", 0.0, 0.6, 0.2)),
    ],
)  # fmt: skip
def test_a_dimension_ends_at_the_last_step_of_its_range(
    load: Load, line: str, expected: Dimension
) -> None:
    found = dimension(load, line)
    assert replace(found, declaration=()) == expected
    assert type(found.low) is type(found.high) is type(expected.low)


def test_scalars_are_labeled_by_themselves_and_other_choices_by_their_text(load: Load) -> None:
    line = "early_stopping: [null, true, 2, 0.5, no, {patience: 5, min_delta: 1e-4}, [{a: []}]]"
    found = dimension(load, line)
    assert found.kind == "choice"
    assert found.labels == (
        *(None, True, 2, 0.5, "no"),
        "{patience: 5, min_delta: 0.0001}",
        "[{a: []}]",
    )


def test_settings_of_all_hidden_layers_have_a_path_below_hidden(load: Load) -> None:
    found = dimensions(
        load("hidden_layers: {number: [1, 2], kernel_regularizer.l2: {low: 0.1, high: 1}}",
             "seed: [1, 2]", overrides=("data.validation=null",))
    )  # fmt: skip
    assert [each.path for each in found] == [
        "hidden_layers.number",
        "hidden_layers.kernel_regularizer.l2",
        "seed",
    ]


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("epochs: {low: 1, high: 6, step: 2}", [1, 3, 5]),
        ("epochs: [5, 3]", [5, 3]),
        ("hidden_layers: {dropout: {low: 0.1, high: 0.45, step: 0.1}}", [0.1, 0.2, 0.3, 0.4]),
        ("early_stopping: [null, {patience: 5}]", [None, "{patience: 5}"]),
    ],
)
def test_finite_values_can_be_counted(load: Load, line: str, values: list[object]) -> None:
    found = dimension(load, line)
    assert found.size == len(values)
    assert [found.value(index) for index in range(found.size)] == values


def test_a_continuous_range_has_no_size(load: Load) -> None:
    assert dimension(load, "optimizer.learning_rate: {low: 1e-4, high: 1e-1}").size is None


# Candidates


def test_a_value_replaces_that_of_the_config(load: Load) -> None:
    file = load("epochs: {low: 5, high: 50}", "optimizer.learning_rate: {low: 1e-5, high: 1}")
    config = candidate(file, {"epochs": 7, "optimizer.learning_rate": 2e-05}).config
    assert (config.epochs, config.optimizer.learning_rate) == (7, 2e-05)
    assert config.optimizer.name == "adam"


def test_other_settings_are_unchanged_and_tune_is_removed(load: Load) -> None:
    file = load("epochs: [5, 50]")
    assert candidate(file, {}).config == file.config.model_copy(update={"tune": None})


def test_the_config_itself_is_unchanged(load: Load) -> None:
    file = load(
        "hidden_layers: {number: [1, 3], units: [16, 32]}", "optimizer.use_ema: [true, false]"
    )
    before = dump_config(file.config)
    values = {"hidden_layers.number": 3, "hidden_layers.units": 16, "optimizer.use_ema": True}
    candidate(file, values)
    assert candidate(file, {}).config.hidden == file.config.hidden
    assert dump_config(file.config) == before
    assert candidate(file, {}).config.optimizer.use_ema is False


def test_all_layers_are_like_the_first_one(load: Load) -> None:
    file = load("hidden_layers: {number: {low: 0, high: 3}}")
    layers = candidate(file, {"hidden_layers.number": 3}).config.hidden
    assert layers == (file.config.hidden[0],) * 3
    assert candidate(file, {"hidden_layers.number": 0}).config.hidden == ()


def test_a_setting_of_all_layers_is_equal_in_each_and_other_settings_are_not(load: Load) -> None:
    file = load("hidden_layers: {units: [16, 32], activation: [relu, {name: elu, alpha: 0.5}]}")
    first, second = candidate(
        file, {"hidden_layers.units": 32, "hidden_layers.activation": "{name: elu, alpha: 0.5}"}
    ).config.hidden
    assert (first.units, first.activation) == (32, Elu(alpha=0.5))
    assert (second.units, second.activation) == (32, Elu(alpha=0.5))
    assert (first.kernel_regularizer, second.kernel_regularizer) == (L2(), None)
    assert (first.dropout, second.dropout) == (0.0, 0.5)


def test_a_parameter_of_a_layers_setting_can_vary(load: Load) -> None:
    file = load("hidden_layers: {number: [1, 2], kernel_regularizer.l2: {low: 1e-5, high: 1e-1}}")
    values = {"hidden_layers.kernel_regularizer.l2": 0.001, "hidden_layers.number": 2}
    assert [each.kernel_regularizer for each in candidate(file, values).config.hidden] == [
        L2(l2=0.001),
        L2(l2=0.001),
    ]


def test_a_single_layer_can_vary(load: Load) -> None:
    file = load("hidden[1].units: [16, 32]")
    assert [each.units for each in candidate(file, {"hidden[1].units": 32}).config.hidden] == [
        *(8, 32)
    ]


def test_whole_stacks_of_layers_can_be_choices(load: Load) -> None:
    file = load("hidden: [[], [{units: 3}], [{units: 5, activation: gelu}, {units: 2}]]")
    labels = ("[]", "[{units: 3}]", "[{units: 5, activation: gelu}, {units: 2}]")
    assert dimensions(file)[0].labels == labels
    stacks = [candidate(file, {"hidden": label}).config.hidden for label in labels]
    assert [[(each.units, each.activation) for each in stack] for stack in stacks] == [
        [],
        [(3, Linear())],
        [(5, Gelu()), (2, Linear())],
    ]


def test_a_choice_may_be_null(load: Load) -> None:
    file = load("hidden_layers: {kernel_regularizer: [null, l2]}")
    found = candidate(file, {"hidden_layers.kernel_regularizer": None}).config.hidden
    assert [each.kernel_regularizer for each in found] == [None, None]


def test_a_string_that_looks_like_a_number_remains_a_string(load: Load) -> None:
    file = load('early_stopping: [{monitor: loss}, "1e3"]')
    with pytest.raises(ConfigError, match="got '1e3'"):
        candidate(file, {"early_stopping": "1e3"})


def test_layers_that_are_aliases_vary_separately(load: Load) -> None:
    config = CONFIG.replace("  - {units: 4, activation: tanh, dropout: 0.5}\n", "  - *a\n")
    file = load("hidden[1].units: [16, 32]", config=config.replace("- {units: 8", "- &a {units: 8"))
    found = candidate(file, {"hidden[1].units": 32}).config.hidden
    assert [(each.units, each.activation) for each in found] == [(8, Relu()), (32, Relu())]


def test_a_setting_added_by_set_can_be_varied(load: Load) -> None:
    file = load("epochs: [5, 50]", overrides=('tune.space["hidden[1].units"]=[16, 32]',))
    values = {"epochs": 50, "hidden[1].units": 16}
    config = candidate(file, values).config
    assert (config.epochs, config.hidden[1].units, config.hidden[1].activation) == (50, 16, Tanh())


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"epochs": 6}, snapshot("epochs: expected one of '5', '50', got 6 (with epochs: 6)")),
        ({"batch_size": 1.5}, snapshot("batch_size: expected an integer, got 1.5 (with batch_size: 1.5)")),
        ({"batch_size": True}, snapshot("batch_size: expected an integer, got true (with batch_size: true)")),
        ({"batch_size": -1},
         snapshot("c.yaml:9:17: batch_size: expected a positive integer, got -1 (with batch_size: -1)")),
        ({"epochs": "\x1b[2J"},
         snapshot(r"epochs: expected one of '5', '50', got '\x1b[2J' (with epochs: '\x1b[2J')")),
        ({"seed": 6}, snapshot("seed: is not in the search space; tune.space has 'epochs', 'batch_size' (with seed: 6)")),
    ],
)  # fmt: skip
def test_a_value_outside_the_space_is_an_error(
    load: Load, values: dict[str, int | float | str], problem: str
) -> None:
    file = load("epochs: [5, 50]", "batch_size: {low: 1, high: 4}")
    with pytest.raises(ConfigError) as caught:
        candidate(file, values)
    assert str(caught.value) == problem


def test_an_error_of_a_candidate_names_all_its_values(load: Load) -> None:
    file = load("epochs: [5, 50]", "early_stopping.start_from_epoch: [1, 9]")
    with pytest.raises(ConfigError) as caught:
        candidate(file, {"epochs": 5, "early_stopping.start_from_epoch": 9})
    assert str(caught.value) == (
        snapshot(
            "c.yaml:9:42: early_stopping.start_from_epoch: 9 is never reached in 5 epochs"
            " (with epochs: 5, early_stopping.start_from_epoch: 9)"
        )
    )


# Check of the whole space


@pytest.mark.parametrize(
    "config",
    [
        CONFIG
        + """\
    optimizer.learning_rate: {low: 1e-4, high: 1e-1, log: true}
    hidden_layers: {number: {low: 0, high: 4}, units: [1, 16], dropout: {low: 0, high: 0.5}}
    batch_size: [32, 64]
    early_stopping: [null, {patience: 3}]
    input.scaling: [standard, {name: robust, limit: 2}]
""",
        CONFIG.replace("tune:\n  space:\n", ""),
        WITHOUT_LAYERS + "    hidden_layers: {number: [0, 1], units: [8, 16]}\n",
    ],
    ids=["space", "no space", "first layer"],
)
def test_a_valid_space_has_no_problems(load: Load, config: str) -> None:
    check_tune(load(config=config))


def test_without_a_file_a_problem_is_not_taken_for_one_of_another_setting() -> None:
    space = {"learning_rate": {"low": 0.001, "high": 0.1}, "momentum": [0.1, 0.5]}
    settings = {f"optimizer.{key}": values for key, values in space.items()}
    config = {"data": {"train": "a.csv", "target": "y"}, "hidden": [], "epochs": 10}
    tune = {"space": {**settings, "batch_size": [8, 0], "optimizer.name": ["adam", "sgd"]}}
    with pytest.raises(ConfigError) as caught:
        check_tune(make_config({**config, "tune": tune}))
    assert sorted(str(caught.value).splitlines()) == [
        "batch_size: expected a positive integer, got 0",
        "optimizer.momentum: unknown key; adam has no momentum; its most similar setting is beta_1, by "
        "default 0.9; for momentum, use {name: sgd, momentum: 0.9} (with optimizer.name: 'adam')",
    ]


def test_all_problems_are_reported_with_the_position_of_the_value(problems: Problems) -> None:
    assert problems(
        "batch_size: [0, 1, -1]",
        "optimizer: [adam, sdg]",
        "hidden_layers: {units: [8, 0], dropout: {low: 0, high: 1}, activation: [{name: elu,"
        " alpha: -1}, relu]}",
        "early_stopping: [null, {patience: 3, monitr: loss}]",
        "precision: [float32, float64]",
        "epochs: {low: 10, high: 1e2}",
    ) == snapshot(
        [
            "c.yaml:8:18: batch_size: expected a positive integer, got 0",
            "c.yaml:8:24: batch_size: expected a positive integer, got -1",
            "c.yaml:9:23: optimizer: unknown optimizer 'sdg'; did you mean 'sgd'?",
            "c.yaml:10:32: hidden[0].units: expected a positive integer up to 1,000,000, got 0",
            "c.yaml:10:60: hidden[0].dropout: expected a number of 0 or more and below 1, got 1",
            "c.yaml:10:96: hidden[0].activation.alpha: expected a number above 0, got -1",
            "c.yaml:11:42: early_stopping.monitr: unknown key; did you mean 'monitor'?",
            "c.yaml:12:26: precision: expected 'float32', 'mixed_float16' or"
            " 'mixed_bfloat16', got 'float64'; did you mean 'float32'?",
            "c.yaml:13:19: epochs: expected a positive integer, got 10.0; for integers, write both ends without a decimal point or exponent",
            "c.yaml:13:29: epochs: expected a positive integer, got 100.0; for integers, write both ends without a decimal point or exponent",
        ]
    )


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("optimizer.lerning_rate: [1, 2]",
         "8:5: optimizer.lerning_rate: unknown key; did you mean 'learning_rate'?"),
        ("optimzer.learning_rate: [1, 2]", "8:5: optimzer: unknown key; did you mean 'optimizer'?"),
        ("batchsize: [1, 2]", "8:5: batchsize: unknown key; did you mean 'batch_size'?"),
        ("hidden_layers: {numbers: [1, 2]}",
         "8:21: tune.space.hidden_layers.numbers: unknown key; did you mean 'number'?"),
        ("hidden_layers: {kernel_regularizer: [l1, l2], batch_normalization.momentu: [0.5, 0.9]}",
         "8:51: hidden[0].batch_normalization.momentu: unknown key; did you mean 'momentum'?"),
        ("learning_rate_schedule.decay_rate: [0.5, 0.9]",
         "8:5: learning_rate_schedule.decay_rate: unknown key; allowed: name"),
        ("foo: [1, 2]",
         "8:5: foo: unknown setting; expected 'hidden_layers' or the path of a setting, such as "
         "optimizer.learning_rate or batch_size"),
        ("dropot: [0.1, 0.2]",
         "8:5: dropot: unknown setting; expected 'hidden_layers' or the path of a setting, such as "
         "optimizer.learning_rate or batch_size; did you mean 'hidden_layers.dropout'?"),
    ],
)  # fmt: skip
def test_an_unknown_setting_is_reported_once_with_the_most_similar(
    problems: Problems, line: str, problem: str
) -> None:
    assert problems(line) == [f"c.yaml:{problem}"]


def test_a_problem_of_all_values_is_reported_once_at_the_key(problems: Problems) -> None:
    assert problems(
        "class_weight.yes: [-1, -1.5]", "hidden[0].units: [1, 2]", "input.x: [1, 2]"
    ) == snapshot(
        [
            "c.yaml:8:24: class_weight: expected balanced, or a weight above 0 for each class,"
            ' got {"yes": -1}',
            "c.yaml:8:28: class_weight: expected balanced, or a weight above 0 for each class,"
            ' got {"yes": -1.5}',
            "c.yaml:10:5: input.x: unknown key; allowed: scaling, encoding, scaling_layer, features",
        ]
    )


def test_a_parameter_of_a_choice_that_is_not_set_is_a_problem(problems: Problems) -> None:
    config = CONFIG.replace(", kernel_regularizer: l2", "")
    assert problems(
        "hidden_layers: {number: [1, 2], kernel_regularizer.l2: [1, 2]}", config=config
    ) == [
        "c.yaml:8:37: hidden[0].kernel_regularizer:"
        " expected a regularizer such as {name: ...}, but 'name' is missing;"
        " write {name: l2, l2: ...}"
    ]


@pytest.mark.parametrize("line", ["epochs: {low: 5, high: 50}", "epochs: [50, 5]"])
def test_a_value_that_conflicts_with_the_config_is_named(problems: Problems, line: str) -> None:
    config = f"early_stopping: {{start_from_epoch: 7}}\n{CONFIG}"
    assert problems(line, config=config) == [
        "c.yaml:1:36: early_stopping.start_from_epoch: 7 is never reached in 5 epochs"
        " (with epochs: 5)"
    ]


def test_a_value_that_conflicts_with_the_first_of_another_is_named(problems: Problems) -> None:
    assert problems("optimizer.name: [sgd, adam]", "optimizer.momentum: {low: 0, high: 0.9}") == [
        "c.yaml:9:31: optimizer.momentum: unknown key; adam has no momentum; its most similar "
        "setting is beta_1, by default 0.9; for momentum, use {name: sgd, momentum: 0.9} "
        "(with optimizer.name: 'adam')"
    ]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["hidden[2].units: [1, 2]"],
            "c.yaml:8:5: tune.space['hidden[2].units']: the config has 2 layers; add the new layer"
            " to the config, or vary hidden_layers.number",
        ),
        (
            ["hidden[1].units: [1, 2]", "hidden_layers: {number: [1, 2, 3]}"],
            "c.yaml:8:5: tune.space['hidden[1].units']: does not exist with"
            " hidden_layers.number: 1; increase this number",
        ),
    ],
)
def test_only_layers_that_all_candidates_have_can_be_varied(
    problems: Problems, lines: list[str], message: str
) -> None:
    assert problems(*lines) == [message]


def test_a_layer_that_all_candidates_have_can_be_varied(load: Load) -> None:
    check_tune(load("hidden[2].dropout: [0.1, 0.2]", "hidden_layers: {number: [3, 4]}"))


def test_layers_without_a_first_one_need_their_units(problems: Problems) -> None:
    line = "hidden_layers: {number: [0, 1, 2], activation: [relu, elu]}"
    assert problems(line, config=WITHOUT_LAYERS) == [
        "c.yaml:2:9: hidden[0].units: is required (with hidden_layers.number: 2)"
    ]


def test_hidden_layers_can_vary_only_if_there_are_some(problems: Problems) -> None:
    assert problems("hidden_layers: {units: [8, 16]}", config=WITHOUT_LAYERS) == [
        "c.yaml:6:21: tune.space.hidden_layers.units: varies the hidden layers, but the config has none;"
        " also vary 'number'"
    ]


def test_the_first_100_problems_are_reported(problems: Problems) -> None:
    wrong = ", ".join(str(-number) for number in range(150))
    found = problems(f"batch_size: [{wrong}]")
    assert len(found) == 101
    assert found[-1] == "c.yaml:1:1: and 50 more problems"


def test_a_problem_of_all_values_elsewhere_in_the_config_has_a_note(problems: Problems) -> None:
    config = f"input: {{features: {{a: {{type: numeric, scaling: log1p}}}}}}\n{CONFIG}"
    bins = "piecewise_linear"
    assert problems(
        f"input.encoding: [{bins}, {{name: {bins}, bins: 4}}]", config=config
    ) == snapshot(
        [
            "c.yaml:1:48: input.features.a.scaling: has no effect with"
            " input.encoding: piecewise_linear; give the feature its own encoding"
            " (with the first value of each setting in tune.space)"
        ]
    )
