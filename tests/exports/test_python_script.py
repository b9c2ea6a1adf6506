"""The script of a run: it encodes as dlcli does, and runs where no dlcli is."""

from __future__ import annotations

import ast
import gzip
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from untrained_runs import make_run

from dlcli.columns.column_exports import literal
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_file import load_config
from dlcli.errors import ExportError
from dlcli.exports import python_script
from dlcli.exports.python_script import export_script
from dlcli.pipeline.events import Events
from dlcli.pipeline.preparation import member_folds, prepare
from dlcli.runs.run import Run
from tests.forks import Forks
from tests.pipeline.mixed_table import mixed_table

CONFIG = """\
data: {train: t.csv, target: y, validation: 0.2, test: 0.2}
input:
  features:
    size: {type: numeric, scaling: standard}
    price: {type: numeric, scaling: log1p, missing: mean}
    depth: {type: numeric, scaling: robust}
    age: {type: numeric, scaling: quantile}
    height: {type: numeric, scaling: minmax}
    weight: {type: numeric, encoding: {name: piecewise_linear, bins: 4}}
    rooms: {type: numeric, scaling: standard, one_hot_values: 2}
    beds: {type: numeric, encoding: {name: piecewise_linear, bins: 2}, one_hot_values: 9}
    colour: {type: categorical, max_categories: 3}
    guessed_words: categorical
    fresh: boolean
    notes: {type: text, encoding: {name: tf_idf, ngrams: 2}}
    title: {type: text, encoding: multi_hot}
    hired: {type: datetime, parts: [year, elapsed, month, day, weekday, day_of_year, hour]}
    photo: {type: image, shape: [2, 2, 1]}
hidden: [{units: 6, activation: tanh, batch_normalization: true, dropout: 0.1}]
learning_rate_schedule: {name: cosine_decay_restarts, cycles: 2}
metrics: [rmse]
epochs: 2
"""
ROOMS = [2.0, 3.5, None, 5.0, 3.5, 4.0, 2.0, 3.5, 2.0]
DATES = {
    "signed": ["1er mars 2024", "12 févr. 2024", "2 AOÛT 2023", "20 decembre 2023"],
    "sent": ["Mon, 01 Jul 2024 09:30:00 GMT", "Sunday, 1 Sept 2024 07:00:00 +0200", None],
    "opened": ["1970 Q1", "2021 Q4", None, "1969 Q3"],
    "paid": ["2024-W01", "2020-W53", "1970-W01", None],
    "seen": ["2024-07-01 09:30:00 UTC", "2024-07-02T11:00:00.5+02:00", "2023-01-01"],
}
SPECIAL = """\
data: {train: t.csv, target: fresh}
output: {probability_floor: 0.3}
input:
  scaling_layer: {learning_rate_multiplier: 2}
  features:
    phase: {type: numeric, encoding: {name: periodic, frequencies: 3}}
    rooms: {type: numeric, encoding: {name: periodic, frequencies: 2}, one_hot_values: 2}
    town: {type: categorical, encoding: {name: embedding, units: 3}}
    photo: {type: image, shape: [3, 2, 1], augmentation: {shift: 1, flip: true, noise: 0.1}}
    depth: {type: numeric, encoding: {name: periodic_linear, frequencies: 3, units: 2}}
hidden:
  - {units: 6, activation: {name: leaky_relu, negative_slope: 0.3}, kernel_regularizer: {name: l2}}
class_weight: balanced
optimizer: {name: adamw, weight_decay: 0.1}
exclude_from_weight_decay: [biases, scaling_layer]
learning_rate_multipliers: {kernels: inverse_sqrt_fan_in, encodings: 0.1}
learning_rate_schedule: {name: cosine_decay, warmup_epochs: 1}
ensemble: {members: 2}
metrics: [accuracy, auc]
epochs: 2
early_stopping: {patience: 2, tolerance: 0.05}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("script")
    Image.fromarray(np.full((4, 4), 30_000, np.uint16)).save(folder / "dark.png")
    Image.new("LA", (4, 4), (200, 100)).save(folder / "light.png")  # half transparent
    table = mixed_table()
    for name, write in (("weight", _in_accounts), ("height", "{}k".format)):
        texts = [None if each is None else write(each) for each in table[name].to_pylist()]
        table = table.set_column(table.column_names.index(name), name, [texts])
    for name, values in {**DATES, "rooms": ROOMS, "beds": [*ROOMS, 1.0]}.items():
        table = table.append_column(name, [(values * table.num_rows)[: table.num_rows]])
    pyarrow.csv.write_csv(table, folder / "t.csv")
    return folder


def _in_accounts(amount: float) -> str:
    return f"$({-amount * 1e4:,.2f})" if amount < 0 else f"${amount * 1e4:,.2f}"


def run_of(folder: Path, name: str, config: str) -> Run:
    (folder / f"{name}.yaml").write_text(config)
    return make_run(folder / f"{name}.yaml", folder / name)


def run_script(forks: Forks, script: Path) -> str:
    """Run a script in a process that can't import dlcli; its output."""
    ended = forks.run(str(script), module="tests.exports.alone")
    assert ended.code == 0, ended.errors
    assert "retracing" not in ended.errors
    return ended.output


def test_the_heading_has_only_metrics_that_the_script_prints() -> None:
    metrics = {"test": {"accuracy": 0.5, "log_loss": 0.25, "f1": 0.75, "confusion": [[1]]}}
    facts = SimpleNamespace(run=SimpleNamespace(metrics=metrics, path=Path("runs/a")))
    found = python_script._heading(cast(Any, facts))
    assert found == {"run": "a", "evaluated": "test", "metrics": "accuracy 0.5"}


@pytest.mark.slow
def test_scripts_encode_like_dlcli_then_train_and_save(folder: Path, forks: Forks) -> None:
    run, special = run_of(folder, "mixed", CONFIG), run_of(folder, "special", SPECIAL)
    script, other = folder / "mixed-script/train.py", folder / "special-script/train.py"
    export_script(run, script.parent)
    export_script(special, other.parent)
    with script.open("a") as stream:
        stream.write("parts = [part.reshape(len(test), -1) for part in encode(test).values()]\n")
        stream.write('np.save(FOLDER / "encoded.npy", np.concatenate(parts, axis=1))\n')
    with other.open("a") as stream:
        stream.write("plain = np.mean(ensemble.predict(encode(train), verbose=0), axis=0)\n")
        stream.write("assert np.allclose(predict(train), 0.7 * plain + 0.15)\n")

    assert "test: rmse " in run_script(forks, script)
    assert "train: accuracy " in run_script(forks, other)
    names = {path.name for path in other.parent.iterdir()}
    assert names == {
        *("train.py", "requirements.txt", "split.csv", "encoding.json"),
        *("model_1.keras", "model_2.keras"),
    }
    predictor = run.predictor
    table = predictor.read(folder / "t.csv")
    split = np.loadtxt(script.parent / "split.csv", delimiter=",", skiprows=1, dtype=str)
    rows = [int(row) - 1 for row, name in split if name.strip('"') == "test"]
    inputs = predictor.encoding.transform(table.take(np.array(rows)), ValueProblems())
    expected, encoded = inputs.part(0, len(rows)), np.load(script.parent / "encoded.npy")
    # The script groups columns that are encoded alike, so that their order differs.
    names = [name for block in predictor.encoding.layout.blocks for name in block.inputs]
    close = np.isclose(encoded[:, np.newaxis], expected[:, :, np.newaxis], atol=1e-5)
    found = zip(names, close.all(axis=0).any(axis=1), strict=True)
    assert [name for name, is_found in found if not is_found] == []


@pytest.mark.slow
def test_labels_in_one_column_are_separated(tmp_path: Path, forks: Forks) -> None:
    lines = [f"{row},{('red', 'red;big', 'big', '')[row % 4]}" for row in range(24)]
    (tmp_path / "t.csv").write_text("\n".join(["x,tags", *lines]))
    target = "{column: tags, type: multi_label, delimiter: ;}"
    config = f"data: {{train: t.csv, target: {target}}}\nhidden: []\nepochs: 1\n"
    run = run_of(tmp_path, "tags", config)
    export_script(run, tmp_path / "script")
    assert "train: accuracy " in run_script(forks, tmp_path / "script/train.py")


@pytest.mark.slow
@pytest.mark.parametrize("weight", ["", ", sample_weight: w"])
def test_metrics_of_several_numbers_are_means_over_columns(
    weight: str, tmp_path: Path, forks: Forks
) -> None:
    lines = [f"{row},{row % 5},{1e9 * (row % 3)},{row % 4}" for row in range(24)]
    (tmp_path / "t.csv").write_text("\n".join(["x,u,v,w", *lines]))
    config = f"data: {{train: t.csv, target: [u, v]{weight}}}\nhidden: []\nepochs: 1\n"
    run = run_of(tmp_path, "two", config)
    script = tmp_path / "script/train.py"
    export_script(run, script.parent)
    with script.open("a") as stream:
        stream.write("from sklearn import metrics\n")
        stream.write("true, found = train[TARGET].apply(as_number).to_numpy(), predict(train)\n")
        stream.write(f"weights = {'row_weights(train)' if weight else None}\n")
        stream.write(
            "rmse = np.mean(metrics.root_mean_squared_error(true, found, sample_weight=weights))\n"
        )
        stream.write("r2 = metrics.r2_score(true, found, sample_weight=weights)\n")
        stream.write('print(f"expected: rmse {rmse:.4g}, r2 {r2:.4g}")\n')
    *_, printed, expected = run_script(forks, script).splitlines()
    rmse, _, r2 = printed.removeprefix("train: ").split(", ")
    assert expected == f"expected: {rmse}, {r2}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("members", "epochs"),
    # TensorFlow warns of a program that is traced six times, as one for each member would be.
    [(2, 1), pytest.param(6, 12, marks=pytest.mark.release)],
)
def test_rows_of_one_group_are_in_one_fold_and_metrics_are_weighted(
    tmp_path: Path, forks: Forks, members: int, epochs: int
) -> None:
    lines = [f"{row},{'ab'[row % 2]},g{row % 6},{row % 3}" for row in range(48)]
    (tmp_path / "t.csv").write_text("\n".join(["x,y,g,w", *lines]))
    split = "{name: group, column: g}"
    config = (
        f"data: {{train: t.csv, target: y, sample_weight: w, split: {split}}}\nhidden: []\n"
        f"epochs: {epochs}\nensemble: {{members: {members}, folds: 2}}\n"
    )
    script = tmp_path / "script/train.py"
    export_script(run_of(tmp_path, "grouped", config), script.parent)
    with script.open("a") as stream:
        stream.write("print(sorted({*train['g'].iloc[folds[0]]} & {*train['g'].iloc[folds[1]]}))\n")
        stream.write("print(sum(map(len, folds)))\n")
        stream.write("right = (predict(train)[:, 0] > 0.5) == (train['y'] == 'b')\n")
        stream.write("weights = as_number(train['w'])\n")
        stream.write('print(f"train: accuracy {(right * weights).sum() / weights.sum():.4g}")\n')
    *_, printed, shared, count, expected = run_script(forks, script).splitlines()
    assert (shared, count, printed) == ("[]", "48", expected)


@pytest.mark.slow
@pytest.mark.parametrize(("classes", "name"), [("ab", "accuracy"), ("12", "rmse")])
def test_rows_without_a_target_are_left_out_of_a_file_of_test_rows(
    classes: str, name: str, tmp_path: Path, forks: Forks
) -> None:
    lines = ["x,y,z", *(f"{row},{classes[row % 2]},{row % 3}" for row in range(24))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    (tmp_path / "test.csv").write_text("\n".join([*lines, "1,,2", "2,,1"]))
    target = "y" if classes == "ab" else "[y, z]"
    config = f"data: {{train: t.csv, test: test.csv, target: {target}}}\nhidden: []\nepochs: 1\n"
    folder = export_script(run_of(tmp_path, "run", config), tmp_path / "script")
    train, test = run_script(forks, folder / "train.py").splitlines()[-2:]
    assert test == f"test: {train.removeprefix('train: ')}"
    assert f"{name} " in test


@pytest.mark.slow
def test_a_constant_target_is_not_divided_by_0(tmp_path: Path, forks: Forks) -> None:
    lines = [f"{row},1,{row % 3}" for row in range(12)]
    (tmp_path / "t.csv").write_text("\n".join(["x,y,z", *lines]))
    config = "data: {train: t.csv, target: [y, z]}\nhidden: []\nepochs: 1\n"
    folder = export_script(run_of(tmp_path, "run", config), tmp_path / "script")
    output = run_script(forks, folder / "train.py")
    assert "train: rmse " in output
    assert "rmse nan" not in output


@pytest.mark.slow
def test_a_script_is_readable_python_of_the_runs_network(
    shipped_runs: dict[str, Run], tmp_path: Path
) -> None:
    for name, run in shipped_runs.items():
        script = (export_script(run, tmp_path / name) / "train.py").read_text(encoding="utf-8")
        assert max(map(len, script.splitlines())) <= 120, name
        assert not re.search(r"\n{4}|[ \t]\n|[^\n]\n{1,2}def ", script), name
        assert "import dlcli" not in script
        layers = [f'name="{layer}"' for layer in run.predictor.weights]
        names = {layer.partition("/")[0].partition("_norm")[0] + '"' for layer in layers}
        assert all(f"{each}" in script for each in names), name


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_a_script_reads_its_table_in_the_encoding_of_the_run(tmp_path: Path, encoding: str) -> None:
    rows = "".join(f"{at};{'größer' if at % 3 else 'älter'};{2 * at}\n" for at in range(40))
    (tmp_path / "t.csv").write_bytes(f"höhe;wort;y\n{rows}".encode(encoding))
    run = run_of(tmp_path, "run", "data: {train: t.csv, target: y}\nhidden: []\nepochs: 1\n")
    script = (export_script(run, tmp_path / "script") / "train.py").read_text(encoding="utf-8")

    assert f'encoding="{encoding}",\n' in script
    assert 'sep=";",\n' in script


TABLE = pa.table({"x": range(9), "y": range(9)})
LINES = "x,y\n" + "".join(f"{at},{at}\n" for at in range(9))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("t.PARQUET", "pd.read_parquet(FOLDER / file,"),
        ("parquet.csv", "pd.read_parquet(FOLDER / file,"),
        ("gzip.csv", 'compression="gzip",'),
        ("objects.json", 'with open(FOLDER / file, "rt", '),
        ("objects.gz", 'with gzip.open(FOLDER / file, "rt", '),
        ("index.csv", "pd.read_csv("),
    ],
)
def test_a_script_reads_its_table_in_the_format_of_its_content(
    name: str, expected: str, tmp_path: Path
) -> None:
    pq.write_table(TABLE, tmp_path / "t.PARQUET")
    pq.write_table(TABLE, tmp_path / "parquet.csv")
    (tmp_path / "gzip.csv").write_bytes(gzip.compress(LINES.encode()))
    (tmp_path / "objects.json").write_text('{"x": 1, "y": 1}\n{"x": 2, "y": 2}\n')
    (tmp_path / "objects.gz").write_bytes(gzip.compress(b'{"x": 1, "y": 1}\n{"x": 2, "y": 2}\n'))
    (tmp_path / "index.csv").write_text(",x,y\na,1,1\nb,2,2\n")  # as pandas writes it
    config = f"data: {{train: {name}, target: y}}\nhidden: []\nepochs: 1\n"
    run = run_of(tmp_path, "run", config)
    script = (export_script(run, tmp_path / "script") / "train.py").read_text(encoding="utf-8")

    assert expected in script


@pytest.mark.parametrize(
    ("name", "test", "message"),
    [
        ("commas.csv", "points.csv", "column 'x' has different number notations in "),
        ("t.arrow", "0.2", "t.arrow: a script can't read it; store it as uncompressed Parquet"),
        ("t.csv", "semicolons.csv", "semicolons.csv: has a different format from "),
    ],
)
def test_a_table_that_a_script_can_not_read_is_refused(
    name: str, test: str, message: str, tmp_path: Path
) -> None:
    with pa.ipc.new_file(tmp_path / "t.arrow", TABLE.schema) as writer:
        writer.write_table(TABLE)
    (tmp_path / "t.csv").write_text(LINES)
    (tmp_path / "commas.csv").write_text(LINES + '"1,234,567",0\n')
    (tmp_path / "points.csv").write_text(LINES + "1.234.567,0\n")
    (tmp_path / "semicolons.csv").write_text(LINES.replace(",", ";"))
    config = f"data: {{train: {name}, test: {test}, target: y}}\nhidden: []\nepochs: 1\n"
    run = run_of(tmp_path, "run", config)
    with pytest.raises(ExportError, match=re.escape(message)):
        export_script(run, tmp_path / "script")


def test_a_script_has_the_words_for_missing_values_that_only_held_out_rows_have(
    tmp_path: Path,
) -> None:
    rows = "".join(f"{at},{'ab'[at % 2]},{at}\n" for at in range(40))
    (tmp_path / "t.csv").write_text(f"x,town,y\n?,a,1\n{rows}")
    (tmp_path / "test.csv").write_text(f"x,town,y\n1,?,1\n{rows}")
    config = "data: {train: t.csv, test: test.csv, target: y}\nhidden: []\nepochs: 1\n"
    run = run_of(tmp_path, "run", config)
    script = (export_script(run, tmp_path / "script") / "train.py").read_text(encoding="utf-8")

    assert 'MISSING = {"town": ["?"]}\n' in script


def test_a_script_has_the_separators_that_only_held_out_rows_have(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(LINES)
    (tmp_path / "test.csv").write_text(LINES + '"1,234,567","9,876,543"\n')
    config = "data: {train: t.csv, test: test.csv, target: y}\nhidden: []\nepochs: 1\n"
    run = run_of(tmp_path, "run", config)
    script = (export_script(run, tmp_path / "script") / "train.py").read_text(encoding="utf-8")

    assert 'NOTATIONS = {"x": [("[,]", "")], "y": [("[,]", "")]}\n' in script


@pytest.mark.parametrize(
    "split", ["stratified", "{name: time, column: x}", "{name: group, column: g}"]
)
def test_the_folds_of_an_ensemble_are_those_of_the_run(split: str, tmp_path: Path) -> None:
    rows = "".join(f"{at},{at % 7},{'aab'[at % 3]}\n" for at in range(45))
    (tmp_path / "t.csv").write_text(f"x,g,y\n9,9,\n{rows}")  # one without a target
    config = (
        f"data: {{train: t.csv, test: 0.2, target: y, split: {split}, train_on_validation: true,"
        " validation: 0.1}\nhidden: []\nepochs: 1\nensemble: {members: 4, folds: 3}\n"
    )
    run = run_of(tmp_path, "run", config)
    prepared, _ = prepare(load_config(tmp_path / "run.yaml"), Events())
    folds = member_folds(run.config, prepared)
    expected = {
        prepared.split.train.row_numbers[at]: fold
        for fold, rows in enumerate(folds, 1)
        for at in rows.held_out
    }
    script = export_script(run, tmp_path / "script")
    stored = pyarrow.csv.read_csv(script / "split.csv").to_pylist()

    assert {each["row"]: each["fold"] for each in stored if each["set"] == "train"} == expected
    assert {each["fold"] for each in stored if each["set"] == "test"} == {None}


@pytest.mark.parametrize(
    ("metrics", "monitor", "expected"),
    [
        ("[top_3_accuracy]", "val_top_3_accuracy", 'monitor="val_top_3_accuracy"'),
        ("[f1]", "val_f1", 'monitor="val_loss"'),  # Keras's is of rows of a single 1
    ],
)
def test_a_script_monitors_what_it_measures(
    metrics: str, monitor: str, expected: str, tmp_path: Path
) -> None:
    rows = "".join(f"{at},{'abcd'[at % 4]}\n" for at in range(40))
    (tmp_path / "t.csv").write_text(f"x,y\n{rows}")
    config = (
        f"data: {{train: t.csv, target: y, validation: 0.2}}\nhidden: []\nepochs: 1\n"
        f"metrics: {metrics}\nearly_stopping: {{monitor: {monitor}}}\n"
    )
    run = run_of(tmp_path, "run", config)
    script = (export_script(run, tmp_path / "script") / "train.py").read_text(encoding="utf-8")

    assert expected in script
    assert f'mode="{"min" if "loss" in expected else "max"}"' in script


def test_a_script_for_separate_files_of_the_sets_has_all_settings(tmp_path: Path) -> None:
    for name in ("t.csv", "v.csv"):
        (tmp_path / name).write_text("x,a,b\n" + "".join(f"{at},{at},{-at}\n" for at in range(40)))
    config = (
        "data: {train: t.csv, target: [a, b], validation: v.csv}\nhidden: []\nepochs: 1\n"
        "learning_rate_schedule: {name: reduce_on_plateau, min_delta: 0}\nmetrics: [rmse, mae]\n"
    )
    run = run_of(tmp_path, "run", config)
    script = (export_script(run, tmp_path / "script") / "train.py").read_text(encoding="utf-8")

    assert "min_delta=0.0" in script
    assert "split.csv" not in script
    assert (
        '"mae"' in script and "RootMeanSquaredError" not in script
    )  # Keras has one of all columns


@pytest.mark.parametrize("files", ["part*.csv", "part-?.csv", "[part-1.csv, part-2.csv]"])
def test_a_table_in_several_files_is_refused(files: str, tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"part-{number}.csv").write_text("x,y\n1,2\n2,4\n3,5\n")
    config = f"data: {{train: {files}, target: y}}\nhidden: []\nepochs: 1\n"
    run = run_of(tmp_path, "several", config)

    with pytest.raises(ExportError, match="its table is in several files"):
        export_script(run, tmp_path / "script")

    assert not (tmp_path / "script").exists()
    assert json.loads((run.path / "manifest.json").read_text())["kind"] == "train"


def test_the_name_of_a_run_is_within_the_docstring(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,y\n1,2\n2,4\n3,5\n")
    config = "data: {train: t.csv, target: y}\nhidden: []\nepochs: 1\n"
    run = run_of(tmp_path, 'a"""\\b', config)

    script = (export_script(run, tmp_path / "script") / "train.py").read_text(encoding="utf-8")

    assert ast.get_docstring(ast.parse(script)).startswith(
        "Train the network of the dlcli run `a____b` with Keras."
    )


def test_inputs_of_columns_with_separate_layers_have_different_names(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "城市,街道,Output,y\na,b,c,1\nb,a,d,2\na,a,d,4\n", encoding="utf-8"
    )
    features = dict.fromkeys(
        ("城市", "街道", "Output"), {"type": "categorical", "encoding": "embedding"}
    )
    data, layers = {"train": "t.csv", "target": "y"}, [{"units": 2}]
    config = {"data": data, "input": {"features": features}, "hidden": layers, "epochs": 1}
    run = run_of(tmp_path, "run", json.dumps(config))

    script = (export_script(run, tmp_path / "script") / "train.py").read_text(encoding="utf-8")

    for name in ("column", "column_2", "output_2"):
        assert f'"input": "{name}"' in script
        assert f'keras.Input((), name="{name}", dtype="int32")' in script


@given(st.text())
def test_a_text_is_written_as_python_reads_it(text: str) -> None:
    written = literal(text)
    assert ast.literal_eval(written) == text
    assert written.startswith('"')
    assert written.isprintable()


def test_a_name_with_both_quotes_is_written() -> None:
    assert literal('d\'été "VIP"') == '"d\'été \\"VIP\\""'
