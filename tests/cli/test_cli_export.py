"""`dlcli export` and `dlcli validate` of an export."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from inline_snapshot import snapshot

from dlcli.exports import keras_format, onnx_format
from tests.catalogue import hand_made

OF_TENSORFLOW = ("litert", "saved_model", "keras")
TIMES = """\
data: {train: times.csv, target: y}
input: {features: {when: {type: datetime, timezone: Europe/Berlin}}, scaling: none}
hidden: []
epochs: 1
"""


@pytest.mark.usefixtures("pets")
def test_an_export_is_compared_with_dlcli_and_can_be_validated_again(dlcli):
    result = dlcli("export", "runs/pets", "--format", "onnx", "--output", "out")

    assert (result.exit_code, result.stderr) == (0, "")
    *checks, last = result.stdout.splitlines()
    assert last == "export: out"
    assert [line.partition(":")[0] for line in checks] == ["4 training rows", "64 synthetic rows"]
    assert all("same prediction, " in line for line in checks)
    names = {path.name for path in Path("out").iterdir()}
    assert names == {"model.onnx", "README.md", "check.json", "export.json"}

    shutil.rmtree("runs")
    again = dlcli("validate", "out")
    assert (again.exit_code, again.stdout) == (0, f"{checks[1]}\nout: the predictions agree\n")


@pytest.mark.usefixtures("double")
def test_the_result_of_an_export_can_be_read_by_programs(dlcli):
    result = dlcli("export", "runs/double", "--format", "onnx", "--output", "out", "--json")

    document = json.loads(result.stdout)
    assert document["export"] == "out"
    assert document["checked"]["training rows"]["rows"] == 3
    assert document["checked"]["training rows"]["absolute_difference"] == {"prediction": 0.0}
    assert {**document, "export": None} == {
        "export": None,
        **json.loads(Path("out/export.json").read_text()),
    }


@pytest.mark.usefixtures("double")
def test_without_the_data_only_made_up_rows_are_compared(dlcli):
    Path("points.csv").unlink()

    result = dlcli("export", "runs/double", "--format", "onnx", "--output", "out")

    assert result.exit_code == 0
    assert result.stderr == snapshot(
        "note: only synthetic rows were compared: points.csv: no such file\n"
    )
    assert result.stdout.startswith("64 synthetic rows: ")
    assert (
        "Only synthetic rows were checked: points.csv: no such file."
        in Path("out/README.md").read_text()
    )


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(
    "format",
    [
        *("onnx", "python"),
        # They load TensorFlow to write a folder in the same way.
        *(pytest.param(name, marks=pytest.mark.release) for name in OF_TENSORFLOW),
    ],
)
def test_an_export_that_can_not_be_stored_is_named_and_leaves_nothing(format, program):
    # -B: bytecode that is cut where the limit is would stay in the checkout.
    limited = ["sh", "-c", 'ulimit -f 1; exec "$@"', "sh", program[0], "-B", *program[1:]]
    command = [*limited, "export", "runs/double", "--format", format, "--output", "out"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=120)

    assert (done.returncode, done.stderr) == (1, "error: out: File too large\n")
    assert not [path for path in Path().iterdir() if "out" in path.name]


@pytest.mark.usefixtures("double")
def test_an_existing_folder_is_never_overwritten(dlcli):
    Path("out").mkdir()

    result = dlcli("export", "runs/double", "--format", "onnx", "--output", "out")

    assert result.exit_code == 2
    assert "out: already exists" in result.stderr


@pytest.mark.usefixtures("folder")
def test_a_time_zone_is_refused_by_the_name_of_its_column(dlcli):
    Path("times.csv").write_text("when,y\n2024-01-01,1\n2024-01-02,2\n2024-01-05,4\n")
    Path("times.yaml").write_text(TIMES)
    hand_made.make_run(TIMES, "times")

    result = dlcli("export", "runs/times", "--format", "onnx", "--output", "out")

    assert result.exit_code == 7
    assert "column 'when': an exported model can't convert times to the time zone" in result.stderr
    assert not Path("out").exists()


@pytest.mark.usefixtures("folder")
def test_times_with_an_offset_are_named_as_the_reason_why_a_model_predicts_otherwise(dlcli):
    times = [f"2024-0{month}-01T10:00:00+0{month}:00,{month}" for month in range(1, 7)]
    Path("times.csv").write_text("\n".join(["when,y", *times]))
    hand_made.make_run("data: {train: times.csv, target: y}\nhidden: []\nepochs: 1\n", "times")

    result = dlcli("export", "runs/times", "--format", "onnx", "--output", "out")

    assert result.exit_code == 7
    assert "column 'when' has times with a UTC offset" in result.stderr


@pytest.mark.usefixtures("folder")
def test_a_column_named_like_an_output_is_refused_in_onnx(dlcli):
    Path("taken.csv").write_text("prediction,y\n0,1\n1,3\n2,4\n")
    hand_made.make_run("data: {train: taken.csv, target: y}\nhidden: []\nepochs: 1\n", "taken")

    result = dlcli("export", "runs/taken", "--format", "onnx", "--output", "out")

    assert result.exit_code == 7
    assert "column 'prediction': the model has an output with this name" in result.stderr


@pytest.mark.usefixtures("pets")
@pytest.mark.parametrize("output", ["probabilities", "prediction"])
def test_a_model_that_predicts_otherwise_is_not_written(dlcli, monkeypatch, output):
    load = onnx_format.FORMAT.load

    def load_wrong_model(folder):
        run = load(folder)

        def run_wrongly(values):
            outputs = run(values)
            if output == "probabilities":
                return {**outputs, output: outputs[output] + np.float32(1e-4)}
            return {**outputs, output: outputs[output][::-1]}

        return run_wrongly

    monkeypatch.setattr(onnx_format.FORMAT, "load", load_wrong_model)
    before = {*Path().iterdir()}

    result = dlcli("export", "runs/pets", "--format", "onnx", "--output", "new/folder/out")

    assert result.exit_code == 7
    assert f"gives other predictions on training rows: {output}: differs" in result.stderr
    assert {*Path().iterdir()} == before


@pytest.mark.slow
@pytest.mark.usefixtures("pets")
def test_a_keras_model_that_predicts_otherwise_is_not_written(dlcli, monkeypatch):
    write = keras_format.FORMAT.write

    def write_wrong_model(exported, folder):
        run = write(exported, folder)
        return lambda values: {name: array + 1 for name, array in run(values).items()}

    monkeypatch.setattr(keras_format.FORMAT, "write", write_wrong_model)

    result = dlcli("export", "runs/pets", "--format", "keras", "--output", "out")

    assert result.exit_code == 7
    assert "gives other predictions on training rows: output: differs" in result.stderr
    assert not Path("out").exists()


@pytest.mark.usefixtures("double")
def test_an_export_that_was_changed_is_not_valid(dlcli):
    dlcli("export", "runs/double", "--format", "onnx", "--output", "out")
    check = Path("out/check.json")
    content = check.read_text()

    check.write_text(content.replace("1.0", "1.5"))
    changed = dlcli("validate", "out")
    check.unlink()
    missing = dlcli("validate", "out")

    assert (changed.exit_code, missing.exit_code) == (7, 7)
    assert f"{check}: has changed" in changed.stderr
    assert f"{check}: is missing" in missing.stderr


@pytest.mark.usefixtures("double")
def test_intervals_need_held_out_rows(dlcli):
    arguments = ("export", "runs/double", "--format", "onnx", "--output", "out")

    assert "--interval requires rows" in dlcli(*arguments, "--interval", "0.9").stderr
    assert "expected a share between 0 and 1" in dlcli(*arguments, "--interval", "90").stderr


@pytest.mark.usefixtures("pets")
def test_only_a_card_may_go_to_standard_output(dlcli):
    missing = dlcli("export", "runs/pets", "--format", "onnx")
    card = dlcli("export", "runs/pets", "--format", "card")
    level = dlcli("export", "runs/pets", "--format", "card", "--interval", "0.5")

    bits = dlcli("export", "runs/pets", "--format", "onnx", "--quantize", "dynamic")

    assert missing.exit_code == 2
    assert "--quantize has no effect with --format onnx" in bits.stderr
    assert "missing option '--output', the path to create" in missing.stderr
    assert card.exit_code == 5  # a run made by hand has no metrics
    assert "--interval has no effect with --format card" in level.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("pets")
def test_a_keras_model_is_never_loaded_again(dlcli):
    exported = dlcli("export", "runs/pets", "--format", "keras", "--output", "a/out")
    again = dlcli("validate", "a/out")
    Path("a/out/model.keras").write_bytes(b"anything")
    changed = dlcli("validate", "a/out")

    assert exported.stdout.splitlines()[-1] == "export: a/out"
    assert (again.exit_code, again.stdout) == (0, "a/out: the files are intact\n")
    assert again.stderr == (
        snapshot(
            "note: the files are intact; the model was not loaded, because loading may run code\n"
        )
    )
    assert (changed.exit_code, changed.stdout) == (7, "")


@pytest.mark.usefixtures("double")
def test_a_folder_that_can_not_be_made_leaves_no_folder_above_it(dlcli):
    output = f"new/{'x' * 250}"  # too long with the ending of an unfinished one

    result = dlcli("export", "runs/double", "--format", "python", "--output", output)

    assert (result.exit_code, f"{output}: can't be made" in result.stderr) == (2, True)
    assert not Path("new").exists()
