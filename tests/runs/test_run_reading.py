"""Reading a finished run, and the errors for anything else."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import zipfile
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

import dlcli
from dlcli.errors import RunError
from dlcli.runs.manifest import RunFile
from dlcli.runs.run_folder import latest_run, new_run, open_run

SHAPES = {"output/kernel": (2, 1), "output/bias": (1,)}

EVERY_FILE = [
    "config.yaml",
    "resolved.yaml",
    "encoding.json",
    "weights.npz",
    "model.keras",
    "metrics.json",
    "history.csv",
    "baselines.json",
    "baselines.npz",
    "verdicts.json",
    "predictions.parquet",
    "sample.parquet",
    "explanation.json",
    "events.jsonl",
    "environment.json",
]

READERS = {
    "config.yaml": lambda run: run.read_text(RunFile.CONFIG),
    "resolved.yaml": lambda run: run.resolved_path(),
    "encoding.json": lambda run: run.read_text(RunFile.ENCODING),
    "weights.npz": lambda run: run.read_arrays(RunFile.WEIGHTS, SHAPES),
    "metrics.json": lambda run: run.metrics,
    "history.csv": lambda run: run.history,
    "baselines.json": lambda run: run.baselines,
    "baselines.npz": lambda run: run.read_arrays(RunFile.BASELINE_WEIGHTS, {"constant": (1,)}),
    "verdicts.json": lambda run: run.read_text(RunFile.VERDICTS),
    "predictions.parquet": lambda run: run.predictions.table,
    "sample.parquet": lambda run: run.sample.table,
    "explanation.json": lambda run: run.read_text(RunFile.EXPLANATION),
    "events.jsonl": lambda run: list(run.events()),
    "environment.json": lambda run: run.environment,
}


@pytest.fixture
def folder(tmp_path):
    """A finished run with every file of the format."""
    with new_run(tmp_path / "run", "run") as writer:
        writer.write_text(RunFile.CONFIG, "epochs: 1\n")
        writer.write_resolved("epochs: 1\nseed: 0\n")
        writer.write_text(RunFile.ENCODING, '{"classes": ["ä"]}\n')
        weights = {"output/kernel": [[1], [2]], "output/bias": [0.5]}
        arrays = {name: np.array(each, np.float32) for name, each in weights.items()}
        writer.write_arrays(RunFile.WEIGHTS, arrays)
        writer.write_arrays(RunFile.BASELINE_WEIGHTS, {"constant": np.array([0.25], np.float32)})
        with writer.stored(RunFile.MODEL) as path:
            path.write_bytes(b"a model")
        writer.write_json(
            RunFile.METRICS, {"test": {"accuracy": 0.5, "auc": None, "confusion": [[1, 0], [1, 0]]}}
        )
        writer.write_history({"loss": [0.5, 0.25]})
        writer.write_json(RunFile.BASELINES, {"constant": {"test": {"accuracy": 0.25}}})
        writer.write_json(RunFile.VERDICTS, {"leaks": {}})
        writer.write_table(RunFile.PREDICTIONS, pa.table({"row": [1]}))
        writer.write_table(RunFile.SAMPLE, pa.table({"row": [2]}))
        writer.write_text(RunFile.EXPLANATION, '{"rows": {}}')
        writer.log("start", seed=0)
        writer.write_json(RunFile.ENVIRONMENT, {"seed": 0})
        writer.finish()
    return writer.path


def seal(folder, **changes):
    """Changes fields of the manifest and signs them again, as a forger would."""
    path = folder / "manifest.json"
    fields = {**json.loads(path.read_bytes()), **changes}
    del fields["digest"]
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    fields["digest"] = hashlib.sha256(canonical.encode()).hexdigest()
    path.write_text(json.dumps(fields, indent=2) + "\n")


def forge(folder, name, content):
    """Exchanges a file, and makes the manifest agree."""
    (folder / name).write_bytes(content)
    files = json.loads((folder / "manifest.json").read_bytes())["files"]
    files[name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    seal(folder, files=files)


def finish(base, name, created):
    with new_run(None, name, base) as writer:
        writer.finish()
    seal(writer.path, created=created)


def test_everything_that_was_written_is_read_back(folder):
    run = open_run(folder)
    assert run.path == folder
    assert run.kind == "train"
    assert run.resolved_path() == folder / "resolved.yaml"
    assert run.read_text(RunFile.ENCODING) == '{"classes": ["ä"]}\n'
    assert run.read_arrays(RunFile.WEIGHTS, SHAPES)["output/kernel"].tolist() == [[1.0], [2.0]]
    assert run.metrics == {"test": {"accuracy": 0.5, "auc": None, "confusion": [[1, 0], [1, 0]]}}
    assert run.history == {"loss": [0.5, 0.25]}
    assert run.environment == {"seed": 0}
    assert run.read_text(RunFile.CONFIG) == "epochs: 1\n"
    assert run.baselines == {"constant": {"test": {"accuracy": 0.25}}}
    assert run.predictions.table.to_pydict() == {"row": [1]}
    assert run.sample.table.to_pydict() == {"row": [2]}
    assert run.read_text(RunFile.EXPLANATION) == '{"rows": {}}'
    [event] = run.events()
    assert {**event, "time": ""} == {"time": "", "event": "start", "seed": 0}
    run.verify()


def test_a_run_has_the_time_when_it_was_finished(folder):
    seal(folder, created="2025-03-01T12:00:00Z")
    assert open_run(folder).created == datetime(2025, 3, 1, 12, tzinfo=UTC)


def test_a_run_may_be_moved(folder):
    moved = folder.rename(folder.with_name("moved"))
    open_run(moved).verify()


def test_a_link_to_a_run_folder_may_be_opened(folder):
    (folder.parent / "best").symlink_to(folder)
    open_run(folder.parent / "best").verify()


def test_these_tests_cover_every_file_of_the_format(folder):
    assert sorted(json.loads((folder / "manifest.json").read_bytes())["files"]) == sorted(
        EVERY_FILE
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY_FILE)
def test_any_flipped_bit_is_found(folder, name):
    content = (folder / name).read_bytes()
    run = open_run(folder)
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1
        (folder / name).write_bytes(flipped)
        with pytest.raises(RunError, match=f"{name}: has changed since it was written"):
            run.verify()


@pytest.mark.slow
def test_any_flipped_bit_of_the_manifest_is_found(folder):
    path = folder / "manifest.json"
    content = path.read_bytes()
    for place in range(len(content) - 1):  # the last is the newline after the object
        flipped = bytearray(content)
        flipped[place] ^= 1
        path.write_bytes(flipped)
        with pytest.raises(RunError):
            open_run(folder)


@pytest.mark.parametrize("name", READERS)
def test_every_reader_checks_its_file_first(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(RunError, match=f"{name}: has changed"):
        READERS[name](open_run(folder))


def test_a_reader_ignores_damage_of_other_files(folder):
    (folder / "model.keras").unlink()
    assert open_run(folder).history == {"loss": [0.5, 0.25]}


@pytest.mark.parametrize("name", EVERY_FILE)
def test_a_truncated_file_is_found(folder, name):
    size = (folder / name).stat().st_size
    os.truncate(folder / name, size - 1)
    with pytest.raises(RunError, match=f"{name}: has {size - 1} bytes, expected {size}"):
        open_run(folder).verify()


def test_a_file_that_has_grown_is_not_read(folder):
    os.truncate(folder / "history.csv", 2**40)  # sparse: a tebibyte that takes no room
    with pytest.raises(RunError, match=f"has {2**40} bytes, expected 24"):
        open_run(folder).history


@pytest.mark.parametrize("name", EVERY_FILE)
def test_a_missing_file_is_an_error_with_advice(folder, name):
    (folder / name).unlink()
    message = f"{name}: is missing; restore the run from a copy or train it again"
    with pytest.raises(RunError, match=message):
        open_run(folder).verify()


@pytest.mark.parametrize("name", [*EVERY_FILE, "manifest.json"])
def test_a_link_in_the_folder_is_never_followed(folder, name):
    (folder / name).rename(folder.parent / "elsewhere")
    (folder / name).symlink_to(folder.parent / "elsewhere")
    with pytest.raises(RunError, match=f"{name}: is not a regular file"):
        open_run(folder).verify()


def test_a_pipe_in_the_folder_is_not_waited_for(folder):
    (folder / "history.csv").unlink()
    os.mkfifo(folder / "history.csv")
    with pytest.raises(RunError, match="is not a regular file"):
        open_run(folder).history


def test_an_unreadable_file_is_a_run_error(folder, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    run = open_run(folder)
    monkeypatch.setattr(os, "lstat", refuse)
    with pytest.raises(RunError, match=r"history\.csv: can't be read: Permission denied"):
        run.history


def test_files_outside_the_manifest_are_never_opened(folder):
    (folder / "report.html").symlink_to("/nonexistent")
    (folder / "checkpoint").mkdir()
    open_run(folder).verify()


def test_a_file_of_the_format_that_the_run_does_not_have_is_not_opened(tmp_path):
    with new_run(tmp_path / "run", "run") as writer:
        writer.finish()
    (tmp_path / "run" / "history.csv").write_text("epoch,loss\n1,0.5\n")
    run = open_run(tmp_path / "run")
    assert run.history == {}
    with pytest.raises(RunError, match=r"history\.csv: is not part of this run"):
        run.read_text(RunFile.HISTORY)


def test_the_error_for_a_missing_folder_suggests_the_most_similar(folder):
    message = f"runn: no such run folder; did you mean '{folder}'?"
    with pytest.raises(RunError, match=re.escape(message)):
        open_run(folder.with_name("runn"))


def test_there_is_no_suggestion_without_a_similar_name(tmp_path):
    with pytest.raises(RunError, match="no such run folder$"):
        open_run(tmp_path / "runs" / "iris")


def test_a_file_is_not_a_run(tmp_path):
    (tmp_path / "data.csv").write_text("x\n")
    with pytest.raises(RunError, match=r"data\.csv: expected a run folder, got a file"):
        open_run(tmp_path / "data.csv")


def test_a_folder_of_other_things_is_not_a_run(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="is not a run folder"):
        open_run(tmp_path)


def test_a_run_without_a_manifest_is_unfinished(folder):
    (folder / "manifest.json").unlink()
    with pytest.raises(RunError) as caught:
        open_run(folder)
    go_on = f"resume with: dlcli.resume({str(folder)!r})"
    assert str(caught.value) == f"{folder}: is an unfinished run; {go_on}"
    (folder / "environment.json").unlink()
    with pytest.raises(RunError, match="which ended before training started; train it again"):
        open_run(folder)


def test_a_newer_format_names_the_version_that_wrote_it(folder):
    seal(folder, format=2, dlcli="9.1.0", novelty=True)
    message = (
        rf"manifest\.json: has format 2, written by dlcli '9\.1\.0', but "
        rf"dlcli {dlcli.__version__} reads format 1; install the newer version"
    )
    with pytest.raises(RunError, match=message):
        open_run(folder)


def test_a_version_is_printed_without_control_characters(folder):
    seal(folder, format=2, dlcli="\x1b[2J")
    with pytest.raises(RunError) as caught:
        open_run(folder)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"format": 0}, "format"),
        ({"format": "1"}, "format"),
        ({"kind": None}, "kind"),
        ({"created": "yesterday"}, "created"),
        ({"created": "2025-03-01T12:00:00"}, "created"),
        ({"novelty": 1}, "novelty"),
        ({"files": []}, "files"),
        ({"files": {"../evil": {"sha256": "0" * 64, "bytes": 0}}}, r"files\.\.\./evil"),
        ({"files": {"report.html": {"sha256": "0" * 64, "bytes": 0}}}, r"files\.report\.html"),
        ({"files": {"config.yaml": {"sha256": "0" * 63, "bytes": 0}}}, r"files.*sha256"),
        ({"files": {"config.yaml": {"sha256": "0" * 64, "bytes": -1}}}, r"files.*bytes"),
        ({"files": {"config.yaml": {"sha256": "0" * 64, "bytes": 0.0}}}, r"files.*bytes"),
        ({"files": {"config.yaml": {"sha256": "0" * 64}}}, r"files.*bytes"),
        ({"files": {"\x1b[2J": {"sha256": "0" * 64, "bytes": 0}}}, r"files\.\\x1b"),
    ],
)
def test_a_malformed_manifest_is_rejected_with_the_path(folder, changes, place):
    seal(folder, **changes)
    with pytest.raises(RunError, match=rf"manifest\.json: is malformed at ['\"]{place}"):
        open_run(folder)


def test_a_manifest_that_was_changed_does_not_agree_with_its_digest(folder):
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"train"', '"cv"'))
    with pytest.raises(RunError, match=r"manifest\.json: does not match its own digest"):
        open_run(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe\xfd", "is not JSON"),
        (b'{"format": NaN}', "is not JSON: NaN"),
        (b'{"format": 1, "kind": 1e999}', "is not JSON: 1e999"),
        (b'{"bytes": ' + b"9" * 5000 + b"}", "is not JSON"),
        (b"[" * 100_000, "is not JSON: nested too deeply"),
        (b"[]", "is not a JSON object"),
        (b'"text"', "is not a JSON object"),
        (b"{}", "is malformed"),
    ],
)
def test_a_manifest_that_is_not_a_json_object_is_rejected(folder, content, message):
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(RunError, match=rf"manifest\.json: {message}"):
        open_run(folder)


def test_a_manifest_over_1_mib_is_rejected(folder):
    path = folder / "manifest.json"
    path.write_bytes(path.read_bytes().ljust(2**20))
    with pytest.raises(RunError, match=r"manifest\.json: does not have the whitespace that dlcli"):
        open_run(folder)
    path.write_bytes(path.read_bytes().ljust(2**20 + 1))
    with pytest.raises(RunError, match=r"manifest\.json: has more than 1,048,576 bytes"):
        open_run(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("metrics.json", b"[]", "is not a JSON object"),
        ("metrics.json", b'{"test": 1}', "does not contain metrics by split"),
        ("metrics.json", b'{"test": {"loss": NaN}}', "is not JSON: NaN"),
        ("environment.json", b"{", "is not JSON"),
        ("environment.json", b"null", "is not a JSON object"),
        ("encoding.json", b"\xff", "is not UTF-8"),
        ("baselines.json", b'{"linear": 1}', "does not contain metrics by split"),
        ("baselines.json", b'{"linear": {"test": 1}}', "does not contain metrics by"),
        ("predictions.parquet", b"PAR1PAR1", "is not a Parquet file: "),
        ("explanation.json", b"\xff", "is not UTF-8: "),
        ("events.jsonl", b'{"event": "start"}\n[]\n', "is not a JSON object"),
        ("history.csv", b"epoch,loss\n1,low\n", "is not a table of numbers"),
        ("weights.npz", b"PK", "is not an archive of arrays"),
    ],
)
def test_a_file_that_is_forged_with_the_manifest_is_not_trusted(folder, name, content, message):
    forge(folder, name, content)
    with pytest.raises(RunError, match=f"{name}: {message}"):
        READERS[name](open_run(folder))


@pytest.mark.parametrize(
    ("name", "most"),
    [("encoding.json", 2**28), ("history.csv", 2**30), ("weights.npz", 12 + 2 * 24 + 3 * 1024)],
)
def test_a_file_that_is_too_large_is_not_read(folder, name, most):
    path = folder / name
    os.truncate(path, 2**40)  # sparse: a tebibyte that takes no room
    files = json.loads((folder / "manifest.json").read_bytes())["files"]
    seal(folder, files=files | {name: files[name] | {"bytes": 2**40}})
    with pytest.raises(RunError, match=rf"{name}: has {2**40:,} bytes, but the limit is {most:,}"):
        READERS[name](open_run(folder))


def test_weights_of_another_network_are_rejected(folder):
    with pytest.raises(
        RunError, match=r"weights\.npz: array 'output/kernel' has the shape \(2, 1\)"
    ):
        open_run(folder).read_arrays(RunFile.WEIGHTS, {**SHAPES, "output/kernel": (3, 1)})


def test_compressed_weights_are_rejected_before_they_are_expanded(folder):
    bomb = folder.parent / "bomb"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("output/kernel.npy", bytes(2**19))
        archive.writestr("output/bias.npy", bytes(2**19))
    forge(folder, "weights.npz", bomb.read_bytes())
    with pytest.raises(RunError, match=r"weights\.npz: array 'output/kernel' is compressed"):
        open_run(folder).read_arrays(RunFile.WEIGHTS, SHAPES)


def test_a_log_is_refused_at_its_first_line_without_an_event(folder):
    forge(folder, "events.jsonl", b'{"event": "epoch"}\n{}\n')
    events = open_run(folder).events()
    assert next(events) == {"event": "epoch"}
    with pytest.raises(RunError, match=r"events\.jsonl: has a line without 'event'"):
        next(events)


def test_a_table_with_more_rows_than_bytes_is_rejected(folder):
    bomb = io.BytesIO()
    pyarrow.parquet.write_table(pa.table({"row": np.zeros(2**18, np.int64)}), bomb)
    forge(folder, "predictions.parquet", bomb.getvalue())
    with pytest.raises(
        RunError, match=r"predictions\.parquet: has 262,144 rows, but only .* bytes"
    ):
        open_run(folder).predictions.table


def test_the_latest_run_is_the_one_that_was_finished_last(tmp_path):
    finish(tmp_path, "b", "2025-03-01T12:00:00.5Z")
    finish(tmp_path, "a", "2025-03-01T12:00:00.75Z")
    finish(tmp_path, "c", "2025-03-01T11:59:59Z")
    assert latest_run(["train"], tmp_path).path == tmp_path / "a"


def test_of_runs_finished_at_the_same_time_the_last_by_name_is_the_latest(tmp_path):
    for name in ("b", "c", "a"):
        finish(tmp_path, name, "2025-03-01T12:00:00Z")
    assert latest_run(["train"], tmp_path).path == tmp_path / "c"


def test_other_folders_are_skipped(tmp_path):
    finish(tmp_path, "iris", "2025-03-01T12:00:00Z")
    finish(tmp_path, "damaged", "2025-03-02T12:00:00Z")
    (tmp_path / "damaged" / "manifest.json").write_text("{")
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "config.yaml").write_text("epochs: 1\n")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "iris")
    assert latest_run(["train"], tmp_path).path == tmp_path / "iris"


def test_runs_are_looked_for_in_the_current_folder(tmp_path, monkeypatch):
    finish(tmp_path / "runs", "iris", "2025-03-01T12:00:00Z")
    monkeypatch.chdir(tmp_path)
    assert str(latest_run(["train"]).path) == os.path.join("runs", "iris")


@pytest.mark.parametrize("base", ["nowhere", "file", "empty"])
def test_there_may_be_no_run(tmp_path, base):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    assert latest_run(["train"], tmp_path / base) is None
