"""What differs in configs, and only that, by the paths that `--set` takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcli.comparison import Setting, differing_settings
from dlcli.config.config_file import load_config
from dlcli.reports.comparison_report import setting_text

PLAIN = """\
data: {train: rows.csv, target: y, test: 0.2}
hidden:
  - {units: 16, activation: relu}
epochs: 10
"""


@pytest.fixture
def differing(tmp_path):
    """What `--set` of some runs changes, as path and values, against the plain config."""

    def of(*settings_of_runs: tuple[str, ...]) -> list[tuple[str, tuple[object, ...]]]:
        path = tmp_path / "config.yaml"
        path.write_text(PLAIN, encoding="utf-8")
        files = [load_config(path, settings) for settings in [(), *settings_of_runs]]
        return [(setting.path, setting.values) for setting in differing_settings(files)]

    return of


def test_equal_configs_have_no_differences(differing):
    assert differing((), ()) == []


def test_the_name_of_a_run_is_not_compared(differing):
    assert differing(("name=other",)) == []


def test_a_key_deep_in_a_list_is_named_by_its_path(differing):
    assert differing(("hidden[0].units=64",)) == [("hidden[0].units", (16, 64))]


def test_settings_are_in_the_order_of_the_config_with_data_last(differing):
    settings = ("seed=7", "data.test=0.3", "epochs=20", "optimizer.learning_rate=0.1")
    assert differing((*settings, "hidden[0].dropout=0.5")) == [
        ("hidden[0].dropout", (0.0, 0.5)),
        ("optimizer.learning_rate", (0.001, 0.1)),
        ("epochs", (10, 20)),
        ("seed", (0, 7)),
        ("data.test", (0.2, 0.3)),
    ]


def test_how_the_engine_compiles_is_not_a_difference(differing):
    assert differing(("engine={name: compiled, jit_compile: true}",), ("engine=compiled",)) == [
        ("engine", ("auto", "compiled", "compiled"))
    ]


def test_a_choice_is_compared_as_a_whole_without_its_defaults(differing):
    assert differing(("optimizer={name: sgd, momentum: 0.9}",), ("optimizer=sgd",)) == [
        ("optimizer", ("adam", {"name": "sgd", "momentum": 0.9}, "sgd")),
    ]


def test_a_layer_that_only_one_run_has_is_compared_as_a_whole(differing):
    assert differing(("hidden[1]={units: 8, activation: tanh}",)) == [
        ("hidden[1]", (None, {"units": 8, "activation": "tanh"})),
    ]


def test_a_column_that_only_one_run_reads_is_named_in_quotes(differing):
    settings = ('input.features={"a.b": numeric, c: numeric}',), ("input.features={c: numeric}",)
    assert differing(*settings)[0][1] == (
        None,
        {"a.b": "numeric", "c": "numeric"},
        {"c": "numeric"},
    )


def test_columns_of_two_mappings_are_compared_one_by_one(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(PLAIN, encoding="utf-8")
    both = ('input.features={"a.b": numeric, c: numeric}',), ("input.features={c: categorical}",)
    found = differing_settings([load_config(path, settings) for settings in both])
    assert found == [
        Setting("input.features['a.b']", ("numeric", None)),
        Setting("input.features.c", ("numeric", "categorical")),
    ]


def test_the_same_file_is_the_same_from_wherever_it_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    texts = {"config.yaml": "rows.csv", "runs/deep/config.yaml": "../../rows.csv"}
    for name, rows in texts.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(PLAIN.replace("rows.csv", rows), encoding="utf-8")
    assert differing_settings([load_config(Path(name)) for name in texts]) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        ("adam", "adam"),
        (0.001, "0.001"),
        (True, "true"),
        ("true", "'true'"),
        ({"name": "sgd", "momentum": 0.9}, "{name: sgd, momentum: 0.9}"),
        (list(range(20)), "[0, 1, 2, 3, 4, 5, 6, 7, …]"),
        ("\x1b[31m", '"\\e[31m"'),
        ("x" * 100, "x" * 79 + "…"),
    ],
)
def test_a_value_is_short_yaml_on_one_line(value, text):
    assert setting_text(value) == text


def test_a_section_with_only_defaults_is_shown_with_its_keys(differing):
    settings = ("early_stopping={patience: 10}", "data.validation=0.2")
    found = dict(differing(settings))
    without, given = found["early_stopping"]
    assert without is None
    assert given["patience"] == 10
