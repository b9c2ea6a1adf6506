"""`dlcli validate`: all that can be found wrong without training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from dlcli.pipeline import preflight

CONFIG = """\
data: {train: points.csv, target: y}
input: {features: [x, w], scaling: none}
hidden:
  - {units: 3, activation: relu, dropout: 0.5}
epochs: 1
"""


@pytest.fixture
def config(folder):
    Path("points.csv").write_text("x,w,y\n0,a,1\n1,b,3\n2,c,4\n")
    Path("config.yaml").write_text(CONFIG.replace("[x, w]", "{x: numeric, w: categorical}"))


@pytest.mark.usefixtures("config")
def test_a_good_config_shows_its_network(dlcli):
    result = dlcli("validate", "config.yaml")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == snapshot(
        [  # x, and one input for each of a, b, c
            "layer             type          inputs  units  parameters",
            "hidden_1          Dense relu         4      3          15",
            "hidden_1_dropout  Dropout 0.5        3      3           0",
            "output            Dense linear       3      1           4",
            "total                                                  19",
            "config.yaml: the config is valid",
        ]
    )


@pytest.mark.usefixtures("config")
def test_inferred_settings_are_printed(dlcli):
    assert dlcli("validate", "config.yaml").stderr.splitlines() == snapshot(
        [
            "data      points.csv: 3 training rows",
            "target    y: numeric",
            "features  1 numeric (set in the config): x",
            "          1 categorical (set in the config): w",
            "network   4 → 3 relu, dropout 0.5 → 1 linear, 19 parameters",
            "          loss mean_squared_error (on the standardized target), metric MAE",
            "engine    compiled, as a TensorFlow graph",
        ]
    )


@pytest.mark.usefixtures("config")
@pytest.mark.parametrize("features", ["[x]", "{x: numeric}"])
def test_a_column_that_is_not_named_is_not_called_declared(dlcli, features):
    lines = dlcli("validate", "config.yaml", "--set", f"input.features={features}").stderr
    assert lines.splitlines()[3:5] == [
        "          1 ignored (not in input.features): w",
        '          to include them, add "*": auto to input.features (or "*", if it is a list)',
    ]


@pytest.mark.usefixtures("config")
@pytest.mark.parametrize("features", ['[x, "*"]', '{x: numeric, "*": auto}'])
def test_the_other_columns_are_included_if_the_config_asks_for_it(dlcli, features):
    result = dlcli("validate", "config.yaml", "--set", f"input.features={features}")
    assert result.exit_code == 0
    assert "not in input.features" not in result.stderr
    assert "w" in result.stderr.splitlines()[3]


@pytest.mark.usefixtures("config")
def test_a_wrong_delimiter_is_reported_once_for_all_features(dlcli):
    setting = 'data.format={name: csv, delimiter: ";"}'
    result = dlcli("validate", "config.yaml", "--set", setting)
    assert result.stderr == snapshot("""\
error: config.yaml:1:35: data.target.column: no column 'y' in points.csv; the table's only column is x,w,y
error: config.yaml:2:19: input.features: the table has only one column, 'x,w,y'; set data.format: {name: csv, delimiter: ","}
2 problems
""")


@pytest.mark.usefixtures("config")
def test_set_changes_the_config(dlcli):
    settings = ("--set", "hidden[0].units=5", "--set", "hidden[0].dropout=0.25")
    result = dlcli("validate", "config.yaml", *settings)
    assert "hidden_1          Dense relu         4      5          25" in result.stdout
    assert "Dropout 0.25" in result.stdout


@pytest.mark.usefixtures("config")
def test_all_problems_are_reported_at_once(dlcli):
    Path("bad.yaml").write_text("data: {train: points.csv}\nhidden: []\nepoch: 1\nepochs: ten\n")
    result = dlcli("validate", "bad.yaml")
    assert (result.exit_code, result.stdout) == (2, "")
    lines = result.stderr.splitlines()
    assert [line.split(": ")[1] for line in lines[:-1]] == [
        "bad.yaml:1:7",
        "bad.yaml:3:1",
        "bad.yaml:4:9",
    ]
    assert lines[-1] == "3 problems"


@pytest.mark.usefixtures("config")
def test_columns_that_are_not_there_are_reported_together(dlcli):
    Path("bad.yaml").write_text(
        "data: {train: points.csv, target: z}\ninput: {features: [x, v]}\nhidden: []\nepochs: 1\n"
    )
    result = dlcli("validate", "bad.yaml")
    assert result.exit_code == 2
    assert "bad.yaml:1:35: data.target.column: no column 'z'" in result.stderr
    assert "input.features.v: no such column" in result.stderr
    assert result.stderr.endswith("2 problems\n")


@pytest.mark.usefixtures("config")
def test_a_column_that_a_file_with_two_parts_lacks_is_one_problem(dlcli):
    result = dlcli(
        "validate", "config.yaml", "--set", "data.target=z", "--set", "data.test=points.csv"
    )
    assert result.stderr.count("no column 'z'") == 1


@pytest.mark.usefixtures("config")
def test_a_value_in_the_held_out_rows_is_found(dlcli):
    Path("test.csv").write_text("x,w,y\n1,a,2\none,b,3\n")
    result = dlcli("validate", "config.yaml", "--set", "data.test=test.csv")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "test.csv: row 2, column 'x'" in result.stderr


@pytest.mark.usefixtures("config")
def test_initial_weights_must_be_there(dlcli):
    result = dlcli("validate", "config.yaml", "--set", "initial_weights=runs/none")
    assert (result.exit_code, result.stdout) == (5, "")
    assert "runs/none: no such run folder" in result.stderr


@pytest.mark.usefixtures("config")
def test_of_large_data_only_the_header_is_read(dlcli, monkeypatch):
    monkeypatch.setattr(preflight, "LARGE_BYTES", 10)
    Path("points.csv").write_text("x,w,y\n0,a,1\noops\n")
    result = dlcli("validate", "config.yaml")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == snapshot(
        [
            "layer             type         inputs  units  parameters",
            "hidden_1          Dense relu        ?      3           ?",
            "hidden_1_dropout  Dropout 0.5       3      3           0",
            "output            Dense ?           3      ?           ?",
            "total                                                  ?",
            "config.yaml: the config is valid; the rows of its data were not checked",
        ]
    )
    assert "--data" in result.stderr


@pytest.mark.usefixtures("config")
def test_data_reads_the_rows_of_large_files(dlcli, monkeypatch):
    monkeypatch.setattr(preflight, "LARGE_BYTES", 10)
    assert "?" not in dlcli("validate", "config.yaml", "--data").stdout


@pytest.mark.usefixtures("config")
def test_an_output_that_the_config_sets_is_known_without_rows(dlcli, monkeypatch):
    monkeypatch.setattr(preflight, "LARGE_BYTES", 10)
    settings = ("--set", "data.target.type=numeric", "--set", "output.activation=tanh")
    result = dlcli("validate", "config.yaml", *settings)
    assert "output            Dense tanh        3      1           4" in result.stdout


@pytest.mark.usefixtures("config")
def test_a_header_without_a_column_is_a_problem_of_large_data_too(dlcli, monkeypatch):
    monkeypatch.setattr(preflight, "LARGE_BYTES", 10)
    result = dlcli("validate", "config.yaml", "--set", "data.target=z")
    assert result.exit_code == 2
    assert "no column 'z'" in result.stderr


@pytest.mark.usefixtures("double")
def test_an_intact_run_is_reported(dlcli):
    result = dlcli("validate", "runs/double")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "runs/double: all 5 files are intact\n"


@pytest.mark.usefixtures("double")
def test_a_changed_run_ends_with_5(dlcli):
    with Path("runs/double/resolved.yaml").open("a") as stream:
        stream.write("# mine\n")
    result = dlcli("validate", "runs/double")
    assert (result.exit_code, result.stdout) == (5, "")
    assert "resolved.yaml" in result.stderr


@pytest.mark.usefixtures("double")
def test_a_run_takes_no_settings(dlcli):
    assert dlcli("validate", "runs/double", "--data").exit_code == 2


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("path", ["runs/doubel", "runs/doubel.yaml", "doubel"])
def test_a_run_that_is_not_there_ends_with_5(path, dlcli):
    result = dlcli("validate", path)
    assert (result.exit_code, result.stdout) == (5, "")
    assert result.stderr.startswith(f"error: {path}: no such run folder")


@pytest.mark.usefixtures("folder")
def test_an_exported_script_is_to_be_run(dlcli):
    Path("script").mkdir()
    Path("script/train.py").touch()
    result = dlcli("validate", "script")
    assert (result.exit_code, result.stderr) == (
        2,
        "error: script: is an exported script, which can't be validated; run its train.py "
        "instead\n",
    )


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("path", ["doubel.yaml", "doubel.yml"])
def test_a_config_that_is_not_there_ends_with_2(path, dlcli):
    result = dlcli("validate", path)
    assert result.exit_code == 2
    assert result.stderr == (f"error: {path}: no such file; did you mean 'double.yaml'?\n")


@pytest.mark.usefixtures("double")
def test_a_config_needs_no_ending(dlcli):
    Path("double.yaml").rename("double")
    assert dlcli("validate", "double").exit_code == 0


@pytest.mark.usefixtures("config")
def test_what_a_config_searches_for_is_shown_below_its_network(dlcli):
    space = (
        "tune={folds: 3, space: {optimizer.learning_rate: {low: 1e-4, high: 1e-1, log: true}, "
        "hidden_layers: {number: {low: 1, high: 4}, units: [8, 16], dropout: {low: 0, high: 0.5}}, "
        "batch_size: {low: 8, high: 64, step: 8}, early_stopping: [null, {monitor: loss}]}}"
    )
    result = dlcli("validate", "config.yaml", "--set", space)
    assert result.stdout.splitlines()[5:] == snapshot(
        [
            "",
            "tune                     50 trials, combinations chosen by TPE, val_loss of 3 folds",
            "optimizer.learning_rate  0.0001 to 0.1, log",
            "hidden_layers.number     1 to 4",
            "hidden_layers.units      8, 16",
            "hidden_layers.dropout    0 to 0.5",
            "batch_size               8 to 64 by 8",
            "early_stopping           null, {monitor: loss}",
            "config.yaml: the config is valid",
        ]
    )


@pytest.mark.usefixtures("config")
def test_a_search_without_a_space_is_shown_with_the_default(dlcli):
    result = dlcli("validate", "config.yaml", "--set", "tune.trials=7")
    assert result.stdout.splitlines()[6:9] == [
        "tune                     7 trials, combinations chosen by TPE, val_loss of 3 folds",
        "hidden_layers.number     1, 2, 3",
        "hidden_layers.units      16, 32, 64",
    ]


@pytest.mark.usefixtures("config")
def test_a_grid_is_shown_with_the_number_of_its_combinations(dlcli):
    grid = "tune={sampler: grid, time: 1m, space: {epochs: [1, 2], batch_size: {low: 3, high: 5}}}"
    result = dlcli("validate", "config.yaml", "--set", grid)
    assert result.stdout.splitlines()[6] == (
        "tune        60 seconds, each combination once (6 in all), val_loss of the validation rows"
    )


@pytest.mark.usefixtures("config")
def test_a_search_needs_a_row_for_each_fold(dlcli):
    rows = len(Path("points.csv").read_text().splitlines()) - 1
    accepted = dlcli("validate", "config.yaml", "--set", f"tune.folds={rows}")
    refused = dlcli("validate", "config.yaml", "--set", f"tune.folds={rows + 1}")
    assert (accepted.exit_code, refused.exit_code) == (0, 2)
    assert refused.stderr.splitlines()[-1] == (
        f"error: --set 'tune.folds={rows + 1}': expected at most {rows}, the number of "
        f"rows, got {rows + 1}"
    )


@pytest.mark.usefixtures("config")
def test_a_search_with_an_ensemble_of_folds_is_of_its_out_of_fold_rows(dlcli):
    settings = ("data.validation=null", "ensemble.members=3", "tune.space={epochs: [1, 2]}")
    result = dlcli("validate", "config.yaml", *(f"--set={each}" for each in settings))
    assert "val_loss of the out-of-fold rows" in result.stdout


@pytest.mark.usefixtures("config")
def test_a_search_space_that_does_not_fit_is_reported_without_reading_the_data(dlcli):
    Path("points.csv").unlink()
    space = "tune={space: {epochs: [0, 1], optimizer.lerning_rate: [1, 2]}}"
    result = dlcli("validate", "config.yaml", "--set", space)
    assert result.exit_code == 2
    assert result.stderr == (
        f"error: --set '{space}': epochs: expected a positive integer, got 0\n"
        f"error: --set '{space}': optimizer.lerning_rate: unknown key;"
        " did you mean 'learning_rate'?\n"
        "2 problems\n"
    )


@pytest.mark.usefixtures("config")
def test_json_is_one_object_with_what_was_inferred(dlcli):
    result = dlcli("validate", "config.yaml", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    assert (found["config"], found["problems"], found["rows_read"]) == ("config.yaml", [], True)
    assert found["features"]["columns"]["x"] == {"type": "numeric", "reason": "declared"}
    assert [layer["units"] for layer in found["network"]["layers"]] == [3, 3, 1]


@pytest.mark.usefixtures("config")
def test_json_without_the_rows_has_the_layers_that_are_known(dlcli, monkeypatch):
    monkeypatch.setattr(preflight, "LARGE_BYTES", 1)
    found = json.loads(dlcli("validate", "config.yaml", "--json").stdout)
    assert found["rows_read"] is False
    assert [layer["units"] for layer in found["network"]["layers"]] == [3, 3, None]


@pytest.mark.usefixtures("config")
def test_json_has_the_problems_of_a_config_and_the_exit_code_is_that_of_a_config(dlcli):
    result = dlcli("validate", "config.yaml", "--json", "--set", "epochs=0")
    assert result.exit_code == 2
    assert json.loads(result.stdout) == {
        "config": "config.yaml",
        "problems": [
            {
                "path": "epochs",
                "message": "expected a positive integer, got 0",
                "position": "--set 'epochs=0'",
            }
        ],
    }
    assert result.stderr.startswith("error: --set 'epochs=0': ")


@pytest.mark.usefixtures("double")
def test_json_of_a_run_has_the_number_of_intact_files(dlcli):
    found = json.loads(dlcli("validate", "runs/double", "--json").stdout)
    assert found["run"] == "runs/double"
    assert found["files"] > 0


@pytest.mark.usefixtures("config")
def test_quiet_prints_the_network_and_warnings_only(dlcli):
    result = dlcli("validate", "config.yaml", "-q")
    assert result.stdout == dlcli("validate", "config.yaml").stdout
    assert result.stderr == ""


LINEAR = "a layer without an activation and the next layer act as one linear layer; try --set"


@pytest.mark.usefixtures("config")
def test_linear_layers_in_a_row_are_a_warning(dlcli):
    layers = "hidden=[{units: 8}, {units: 4, activation: relu}, {units: 2, dropout: 0.1}]"
    result = dlcli("validate", "config.yaml", "-q", "--set", layers)
    assert result.exit_code == 0
    assert result.stderr == (
        f"warning: hidden[0], hidden[2]: {LINEAR} 'hidden[0].activation=relu'\n"
    )


@pytest.mark.usefixtures("config")
@pytest.mark.parametrize("layers", ["[]", "[{units: 1}]", "[{units: 8, activation: relu}]"])
def test_a_line_and_other_activations_are_no_warning(dlcli, layers):
    assert dlcli("validate", "config.yaml", "-q", "--set", f"hidden={layers}").stderr == ""
