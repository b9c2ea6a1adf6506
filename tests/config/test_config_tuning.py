"""The `tune` section: settings that can be varied, and the errors for others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest
from inline_snapshot import snapshot

from dlcli.config.config_file import dump_config, load_config
from dlcli.config.config_schema import Config
from dlcli.config.search_space import dimensions_of
from dlcli.config.tune_section import (
    Grid,
    MedianPruning,
    NoPruner,
    RandomSampler,
    Range,
    Tpe,
    Tune,
    TuneMetric,
)
from dlcli.metrics.definitions import METRICS
from dlcli.schema.yaml_document import Values, parse
from tests.config.schema import VALIDATOR

Load = Callable[..., Config]
Problems = Callable[..., list[str]]

WHOLE = """\
tune:
  metric: val_loss
  trials: 50
  time: 10m
  space:
    optimizer.learning_rate: {low: 1e-4, high: 1e-1, log: true}
    hidden_layers:
      number: {low: 1, high: 4}
      units: [16, 32, 64, 128]
      activation: [relu, gelu, tanh]
      dropout: {low: 0.0, high: 0.5}
    batch_size: [32, 64, 128]
    early_stopping: [null, {patience: 5}]
  folds: 5
  sampler: {name: tpe, startup_trials: 8}
  pruner: {name: median, startup_trials: 3, warmup: 0.5}
"""


def tune_of(load_with: Load, lines: str, *overrides: str) -> Tune:
    tune = load_with(lines, *overrides).tune
    assert tune is not None
    return tune


def space(*lines: str, above: str = "") -> str:
    """Return a section with some settings; the first is in line 7 of the config."""
    return f"tune:\n{above or '  metric: val_loss'}\n  space:\n" + "".join(
        f"    {line}\n" for line in lines
    )


def test_the_whole_section_is_read(load_with: Load) -> None:
    assert tune_of(load_with, WHOLE) == Tune(
        metric="val_loss",
        trials=50,
        time=600.0,
        space={
            "optimizer.learning_rate": Range(low=1e-4, high=1e-1, log=True),
            "hidden_layers": {
                "number": Range(low=1, high=4),
                "units": (16, 32, 64, 128),
                "activation": ("relu", "gelu", "tanh"),
                "dropout": Range(low=0.0, high=0.5),
            },
            "batch_size": (32, 64, 128),
            "early_stopping": (None, {"patience": 5}),
        },
        folds=5,
        sampler=Tpe(startup_trials=8),
        pruner=MedianPruning(startup_trials=3, warmup=0.5),
    )


def test_the_default_is_50_trials_of_tpe_compared_by_validation_loss(
    load_with: Load,
) -> None:
    tune = tune_of(load_with, space("epochs: [1, 2]"))
    assert (tune.metric, tune.most_trials, tune.time) == ("val_loss", 50, None)
    assert (tune.folds, tune.sampler, tune.pruner) == (None, Tpe(), MedianPruning())


@pytest.mark.parametrize(
    ("above", "most"),
    [
        ("  trials: 3", 3),
        ("  time: 90", None),
        ("  {time: 90, trials: 3}", 3),
        ("  sampler: grid", None),
        ("  {sampler: grid, trials: 3}", 3),
        ("  sampler: random", 50),
    ],
)
def test_trials_are_limited_by_number_time_or_grid(
    load_with: Load, above: str, most: int | None
) -> None:
    lines = "\n".join(f"  {part}" for part in above.strip(" {}").split(", "))
    assert tune_of(load_with, space("epochs: [1, 2]", above=lines)).most_trials == most


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("90", 90.0),
        ("0.5", 0.5),
        ("90s", 90.0),
        ("10m", 600.0),
        ("1h", 3600.0),
        ("1h30m", 5400.0),
        ("2h1s", 7201.0),
        ("1h1m1s", 3661.0),
    ],
)
def test_a_time_is_read_in_seconds(load_with: Load, written: str, seconds: float) -> None:
    above = f"  time: {written}"
    assert tune_of(load_with, space("epochs: [1, 2]", above=above)).time == seconds


@pytest.mark.parametrize("written", ["0", "-1", "0s", "10 m", "m", "10min", "1m1h", "1h30", ".inf"])
def test_an_invalid_time_is_reported(problems_with: Problems, written: str) -> None:
    (problem,) = problems_with(space("epochs: [1, 2]", above=f"  time: {written}"))
    assert problem.startswith(
        "c.yaml:5:9: tune.time: expected seconds, or a time such as 90s, 10m or 1h30m, got "
    )


def test_the_prefix_of_a_metric_may_be_omitted(load_with: Load) -> None:
    above = "  metric: accuracy"
    assert tune_of(load_with, space("epochs: [1, 2]", above=above)).metric == "val_accuracy"


def test_every_metric_with_a_known_direction_is_allowed() -> None:
    assert set(get_args(TuneMetric)) == {"val_loss", *(f"val_{name}" for name in METRICS)}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("acuracy", "got 'acuracy'; did you mean 'val_accuracy'?"),
        ("val_los", "got 'val_los'; did you mean 'val_loss'?"),
        ("5", "got 5"),
    ],
)
def test_an_unknown_metric_is_reported(problems_with: Problems, name: str, message: str) -> None:
    (problem,) = problems_with(space("epochs: [1, 2]", above=f"  metric: {name}"))
    assert problem.startswith("c.yaml:5:11: tune.metric: expected 'val_loss', 'val_mse', ")
    assert problem.endswith(f" or 'val_top_3_accuracy', {message}")


@pytest.mark.parametrize(
    ("lines", "section"),
    [
        ("sampler: random", RandomSampler()),
        ("sampler: grid", Grid()),
        ("pruner: none", NoPruner()),
    ],
)
def test_samplers_and_pruners_are_chosen_by_name(
    load_with: Load, lines: str, section: object
) -> None:
    tune = tune_of(load_with, space("epochs: [1, 2]", above=f"  {lines}"))
    assert section in (tune.sampler, tune.pruner)


def test_a_parameter_of_the_default_sampler_can_be_set(load_with: Load) -> None:
    tune = tune_of(load_with, space("epochs: [1, 2]"), "tune.sampler.startup_trials=3")
    assert tune.sampler == Tpe(startup_trials=3)


@pytest.mark.parametrize(
    ("varied", "whole", "count"),
    [
        (Range(low=1, high=4), True, 4),
        (Range(low=8, high=64, step=8), True, 8),
        (Range(low=1, high=6, step=2), True, 3),
        (Range(low=1, high=1000, log=True), True, 1000),
        (Range(low=0.0, high=0.5), False, None),
        (Range(low=0, high=0.5), False, None),
        (Range(low=0, high=1, step=0.25), False, 5),
        (Range(low=0.1, high=0.7, step=0.1), False, 7),
    ],
)
def test_a_range_has_integers_if_ends_and_step_are_integers(
    varied: Range, whole: bool, count: int | None
) -> None:
    assert (varied.is_integer, varied.count) == (whole, count)


FORMS = "expected a list of choices or a range such as {low: 1, high: 3}"


@pytest.mark.parametrize(
    ("setting", "problems"),
    [
        ("epochs: 5", [f"7:13: tune.space.epochs: {FORMS}, got 5"]),
        ("epochs:", [f"7:12: tune.space.epochs: {FORMS}, got nothing; fill it in"]),
        ("epochs: [5]", ["7:13: tune.space.epochs: expected from 2 to 1000 choices, got 1;"
                         " set it in the config itself"]),
        ("epochs: []", ["7:13: tune.space.epochs: expected from 2 to 1000 choices, got 0"]),
        ("epochs: [5, 6, 5]", ["7:13: tune.space.epochs: has the choice 5 twice"]),
        ("epochs: [{a: [1]}, {a: [1]}]",
         ['7:13: tune.space.epochs: has the choice {"a": [1]} twice']),
        ("epochs: {low: 1}", ["7:13: tune.space.epochs.high: is required"]),
        ("epochs: {min: 1, high: 3}",
         ["7:14: tune.space.epochs.min: unknown key; did you mean 'low'?"]),
        ("epochs: {low: 1, high: 3, stp: 2}",
         ["7:31: tune.space.epochs.stp: unknown key; did you mean 'step'?"]),
        ("epochs: {low: a, high: true}",
         ["7:19: tune.space.epochs.low: expected a number, got 'a'",
          "7:28: tune.space.epochs.high: expected a number, got true"]),
        ("epochs: {low: 3, high: 3}",
         ["7:28: tune.space.epochs.high: expected a number greater than low (3), got 3"]),
        ("epochs: {low: 1, high: 3, step: 0}",
         ["7:37: tune.space.epochs.step: expected a number above 0, got 0"]),
        ("epochs: {low: 1, high: 3, step: 3}",
         ["7:37: tune.space.epochs.step: expected a step of at most high - low, got 3"]),
        ("epochs: {low: 0, high: 3, log: true}",
         ["7:19: tune.space.epochs.low: expected a number above 0 with log: true, got 0"]),
        ("epochs: {low: 1, high: 3, step: 1, log: true}",
         ["7:37: tune.space.epochs.step: can't be combined with log: true; omit one of them"]),
        ("epochs: {low: .nan, high: 3}",
         ["7:19: tune.space.epochs.low: expected a number, got nan"]),
    ],
)  # fmt: skip
def test_an_invalid_variation_is_reported(
    problems_with: Problems, setting: str, problems: list[str]
) -> None:
    assert problems_with(space(setting)) == [f"c.yaml:{problem}" for problem in problems]


OTHER_LOSS = "it changes the loss that candidates are compared by; set another tune.metric"


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("data.validation", "can't be varied: candidates are compared on the same rows"),
        ("data", "can't be varied: candidates are compared on the same rows"),
        ("name", "can't be varied: it has no effect on the network"),
        ("tune.trials", "can't be varied: it defines the search"),
        ("metrics", "can't be varied: they have no effect on the network; to compare by a metric,"
                    " set tune.metric"),
        ("initial_weights", "can't be varied: they fit only one network architecture"),
        ("output.units", "can't be varied: they follow from the target"),
        ("output", "can't be varied, because it contains 'output.units': they follow from the target"),
        ("engine.jit_compile", "can't be varied: it affects speed, not results"),
        ("threads", "can't be varied: they affect speed, not results"),
        ("loss", f"can't be varied: {OTHER_LOSS}"),
        ("loss.delta", f"can't be varied: {OTHER_LOSS}"),
        ("output.scaling", f"can't be varied: {OTHER_LOSS}"),
        ("output.activation", f"can't be varied: {OTHER_LOSS}"),
        ("a..b", "can't read 'a..b' as a path at '..b'"),
        ("hidden.units", "expected hidden_layers: {units: ...} for all layers, or"
                         " hidden[0].units for one layer"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_varied_is_reported_with_the_reason(
    problems_with: Problems, key: str, message: str
) -> None:
    shown = key if key.isidentifier() else f"['{key}']"
    place = f"tune.space{'.' if key.isidentifier() else ''}{shown}"
    assert problems_with(space(f"{key}: [1, 2]")) == [
        f"c.yaml:7:{len(key) + 7}: {place}: {message}"
    ]


@pytest.mark.parametrize("key", ["loss", "output.scaling", "output.activation"])
def test_the_loss_can_be_varied_if_another_metric_is_compared(load_with: Load, key: str) -> None:
    tune = tune_of(load_with, space(f"{key}: [a, b]", above="  metric: rmse"))
    assert list(tune.space) == [key]


def test_the_seed_can_be_varied_unless_it_splits_rows(
    load_with: Load, problems_with: Problems
) -> None:
    lines = space("seed: [1, 2]")
    assert list(tune_of(load_with, lines).space) == ["seed"]
    assert problems_with(lines, "data.validation=0.2") == [
        "c.yaml:7:11: tune.space.seed: can't be varied: it also determines the rows of"
        " data.validation and data.test"
    ]


@pytest.mark.parametrize(
    ("keys", "place", "message"),
    [
        (["optimizer", "optimizer.learning_rate"], "['optimizer.learning_rate']",
         "'optimizer.learning_rate' is part of 'optimizer', which is also varied;"
         " vary 'optimizer.name' instead"),
        (["optimizer.learning_rate", "optimizer"], ".optimizer",
         "'optimizer.learning_rate' is part of 'optimizer', which is also varied;"
         " vary 'optimizer.name' instead"),
        (["hidden", "hidden[0].units"], "['hidden[0].units']",
         "'hidden[0].units' is part of 'hidden', which is also varied"),
        (["epochs", "['epochs']"], '["[\'epochs\']"]',
         "is varied twice: here and as 'epochs'"),
    ],
)  # fmt: skip
def test_a_setting_and_a_part_of_it_cannot_both_be_varied(
    problems_with: Problems, keys: list[str], place: str, message: str
) -> None:
    assert problems_with(space(*(f'"{key}": [[1], [2]]' for key in keys))) == [
        f"c.yaml:8:{len(keys[1]) + 9}: tune.space{place}: {message}"
    ]


def test_a_name_and_its_parameters_can_both_be_varied(load_with: Load) -> None:
    lines = space("optimizer.name: [sgd, adam]", "optimizer.learning_rate: [1e-3, 1e-2]")
    assert len(tune_of(load_with, lines).space) == 2


def test_parts_of_hidden_layers_cannot_be_varied_with_the_whole(problems_with: Problems) -> None:
    lines = space("hidden_layers: {activation: [relu, elu], activation.alpha: [1, 2]}")
    assert problems_with(lines) == [
        "c.yaml:7:64: tune.space.hidden_layers['activation.alpha']: 'activation.alpha' is part of"
        " 'activation', which is also varied"
    ]


@pytest.mark.parametrize(
    ("layers", "strange"),
    [
        ("{low: -1, high: 2}", "-1"),
        ("{low: 1, high: 101}", "101"),
        ("{low: 0.5, high: 2}", "0.5"),
        ("{low: 1, high: 2, step: 0.5}", "0.5"),
        ("[1, two]", "'two'"),
        ("[true, 2]", "true"),
        ("[1, 101]", "101"),
    ],
)
def test_numbers_of_layers_are_integers_up_to_100(
    problems_with: Problems, layers: str, strange: str
) -> None:
    assert problems_with(space(f"hidden_layers: {{number: {layers}}}")) == [
        "c.yaml:7:29: tune.space.hidden_layers.number: expected integers from 0 to 100, choices or"
        f" low and high, got {strange}"
    ]


def test_a_setting_of_all_layers_may_be_one_key(load_with: Load, problems_with: Problems) -> None:
    tune = tune_of(load_with, space("hidden_layers.number: [1, 2]", "hidden_layers.units: [3, 4]"))
    assert [each.path for each in dimensions_of(tune.space)] == [
        "hidden_layers.number",
        "hidden_layers.units",
    ]
    both = space("hidden_layers.units: [3, 4]", "hidden_layers: {units: [5, 6], dropout: [0, 0.5]}")
    assert problems_with(both) == snapshot(
        [
            "c.yaml:8:28: tune.space.hidden_layers.units: is varied twice: here and as 'hidden_layers.units'"
        ]
    )
    assert problems_with(space("hidden_layers.number: [1, 101]")) == snapshot(
        [
            "c.yaml:7:27: tune.space['hidden_layers.number']: expected integers from 0 to 100, choices or low and high, got 101"
        ]
    )


@pytest.mark.parametrize(
    ("one", "all_layers"),
    [
        ("hidden[0].units", "units: [3, 4]"),
        ("hidden[1]", "units: [3, 4]"),
        ("hidden[0].activation.negative_slope", "activation: [relu, elu]"),
    ],
)
def test_a_setting_of_one_layer_cannot_be_varied_in_all_layers_too(
    problems_with: Problems, one: str, all_layers: str
) -> None:
    name = all_layers.partition(":")[0]
    lines = space(f"hidden_layers: {{{all_layers}}}", f'"{one}": [1, 2]')
    assert problems_with(lines) == [
        f"c.yaml:8:{len(one) + 9}: tune.space['{one}']: can't be combined with "
        f"'hidden_layers.{name}', which varies all layers; choose one of them"
    ]


def test_other_settings_of_one_layer_can_be_varied_with_those_of_all_layers(
    load_with: Load,
) -> None:
    lines = space("hidden_layers: {units: [3, 4], number: [1, 2]}", '"hidden[0].dropout": [0, 0.5]')
    assert len(dimensions_of(tune_of(load_with, lines).space)) == 3


@pytest.mark.parametrize("units", ["[16, 32]", "{low: 16, high: 32}"])
def test_units_instead_of_layers_are_reported_with_their_place(
    problems_with: Problems, units: str
) -> None:
    assert problems_with(space(f"hidden: {units}")) == [
        "c.yaml:7:13: tune.space.hidden: expected a list of layer lists to choose from; to vary the"
        " units of all layers, write hidden_layers: {units: [16, 32]}"
    ]


def test_only_hidden_layers_has_settings_below_it(problems_with: Problems) -> None:
    lines = space(
        "optimizer: {learning_rate: {low: 1e-3, high: 1e-1}}", "hiden_layers: {units: [1, 2]}"
    )
    assert problems_with(lines) == snapshot(
        [
            "c.yaml:7:16: tune.space.optimizer: expected full paths of settings, such as optimizer.learning_rate: {low: ..., high: ...}",
            "c.yaml:8:19: tune.space.hiden_layers: unknown key; did you mean 'hidden_layers'?",
        ]
    )


def test_a_setting_of_hidden_layers_needs_no_quotes(problems_with: Problems) -> None:
    assert problems_with(space("epochs: [1, 2]"), "tune.space.hidden_layers.units=[3]") == [
        "--set 'tune.space.hidden_layers.units=[3]':"
        " expected from 2 to 1000 choices, got 1; set it in the config itself"
    ]


def test_a_grid_needs_finitely_many_values(problems_with: Problems) -> None:
    lines = space(
        "optimizer.learning_rate: {low: 1e-3, high: 1e-1}",
        "hidden_layers: {dropout: {low: 0.0, high: 0.5}, units: {low: 1, high: 2}}",
        above="  sampler: grid",
    )
    message = "has infinitely many values for a grid; add a step, or list choices"
    assert problems_with(lines) == [
        f"c.yaml:7:30: tune.space['optimizer.learning_rate']: {message}",
        f"c.yaml:8:30: tune.space.hidden_layers.dropout: {message}",
    ]


def test_a_grid_needs_a_space(problems_with: Problems) -> None:
    assert problems_with("tune:\n  sampler: grid\n") == [
        "c.yaml:5:12: tune.sampler: grid requires space, because the default space has a "
        "continuous range"
    ]


@pytest.mark.parametrize(
    ("key", "meant"),
    [("n_trials", "trials"), ("timeout", "time"), ("objective", "metric"), ("cv", "folds")],
)
def test_key_names_of_other_programs_are_recognized(
    problems_with: Problems, key: str, meant: str
) -> None:
    assert problems_with(space("epochs: [1, 2]", above=f"  {key}: 5")) == [
        f"c.yaml:5:3: tune.{key}: unknown key; did you mean '{meant}'?"
    ]


def test_an_empty_space_is_reported(problems_with: Problems) -> None:
    (empty,) = problems_with("tune: {space: {}}\n")
    assert empty == "c.yaml:4:15: tune.space: is empty; list the settings to vary, or omit it"


def test_a_written_section_is_read_as_equal(load_with: Load, config_file: Any) -> None:
    config = load_with(WHOLE)
    config_file.write_text(dump_config(config), encoding="utf-8")
    assert load_config(config_file).config == config


def is_valid(lines: str) -> bool:
    document = parse(f"data: {{train: a, target: y}}\nhidden: []\nepochs: 1\n{lines}", "c.yaml")
    return bool(VALIDATOR.is_valid(with_lists(Values(document).of(document.root))))


def with_lists(value: object) -> object:
    if isinstance(value, dict):
        return {key: with_lists(item) for key, item in value.items()}
    return [with_lists(item) for item in value] if isinstance(value, tuple) else value


def test_the_json_schema_accepts_the_whole_section() -> None:
    assert is_valid(WHOLE)
    assert is_valid(space("epochs: [1, 2]", above="  time: 90"))
    assert is_valid(space("epochs: [1, 2]", above="  metric: accuracy"))


@pytest.mark.parametrize(
    "lines",
    [
        space("epochs: 5"),
        space("epochs: [5]"),
        space("epochs: {low: 5}"),
        space("epochs: {low: 5, hi: 6}"),
        space("epochs: [1, 2]", above="  metric: acuracy"),
        space("epochs: [1, 2]", above="  time: 10min"),
        space("epochs: [1, 2]", above="  folds: 1"),
        space("epochs: [1, 2]", above="  sampler: gird"),
        "tune: {space: {}}\n",
    ],
)
def test_the_json_schema_rejects_what_the_program_rejects(
    lines: str, problems_with: Problems
) -> None:
    assert not is_valid(lines)
    assert problems_with(lines)
