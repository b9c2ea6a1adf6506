"""Commands with URLs: runs of such tables, predictions written there, and runs at URLs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import dlcli
from dlcli.cli.program import main
from dlcli.config.config_file import load_config, make_config
from dlcli.errors import DataError, RunError, UsageError
from dlcli.pipeline import run_recording
from dlcli.pipeline.retraining import _compare_data
from dlcli.runs.run_folder import open_run
from dlcli.schema.urls import Url
from dlcli.tables.remote_files import upload
from tests.catalogue import hand_made
from tests.remote.conftest import parquet

ROWS = b"id,x,y\na,0,1\nb,1,3\nc,2,4\n"
DOUBLE = """\
data: {train: URL, target: y}
input: {features: {x: numeric, id: ignored}, scaling: none}
hidden: []
output: {scaling: none}
epochs: 1
"""
"""y = 2x + 1."""
WEIGHTS = {"output/kernel": [[2]], "output/bias": [1]}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(bucket):
    """runs/double, of a table in a bucket."""
    config = DOUBLE.replace("URL", bucket.put("points.csv", ROWS))
    return hand_made.make_run(config, "double", WEIGHTS)


def call(*arguments, code=0):
    done = CliRunner().invoke(main, [str(each) for each in arguments])
    assert done.exit_code == code, done.output
    return done


def put_run(bucket, run, name="double"):
    for path in run.iterdir():
        bucket.put(f"runs/{name}/{path.name}", path.read_bytes())
    return f"{bucket.url}/runs/{name}"


class TestTraining:
    @pytest.mark.slow
    @pytest.mark.usefixtures("compiled_once")
    def test_a_table_in_a_bucket_trains_as_a_local_one(self, bucket):
        rows = "".join(f"{at},{2 * at + 1}\n" for at in range(40))
        Path("points.csv").write_text(f"x,y\n{rows}")
        url = bucket.put("points.csv", Path("points.csv").read_bytes())
        config = DOUBLE.replace(", id: ignored", "").replace("target: y", "target: y, test: 0.25")
        for name, source in {"local": "points.csv", "remote": url}.items():
            Path(f"{name}.yaml").write_text(config.replace("URL", source))
            call("train", f"{name}.yaml", "--quiet")
        local, remote = (open_run(Path(f"runs/{name}")) for name in ("local", "remote"))
        assert remote.metrics == local.metrics
        assert remote.config.data.train == url
        [entry] = remote.environment["data"]
        assert entry == {
            "key": "data.train",
            "file": url,
            "sha256": None,
            "version": entry["version"],
            "bytes": Path("points.csv").stat().st_size,
        }
        assert entry["version"].startswith('"')  # an ETag

    def test_no_credential_is_in_a_run_folder(self, run):
        text = b"".join(path.read_bytes() for path in run.iterdir())
        assert b"s3://" in text
        assert b"secret-of-the-test" not in text

    def test_a_url_with_a_secret_is_refused_before_there_is_a_run(self):
        secret = "https://h/a.csv?sv=2024&sig=s3cr3t"
        Path("a.yaml").write_text(DOUBLE.replace("URL", f"'{secret}'"))
        for line in (
            ["train", "a.yaml"],
            ["train", "a.yaml", "--set", "data.train=https://u:s3cr3t@h/a.csv"],
            ["validate", "a.yaml", "--set", f"data.validation={secret}"],
            ["inspect", secret],
            ["predict", "runs/double", secret],
            ["predict", "runs/double", "a.csv", "--output", secret],
            ["init", "s3://key:s3cr3t/with/slashes@b/a.csv", "--target", "y"],
        ):
            done = call(*line, code=2)
            assert "has a secret" in done.output or "has a user or password" in done.output
            assert "s3cr3t" not in done.output
        assert not Path("runs").exists()

    def test_a_changed_object_is_refused_when_resuming(self, bucket, run):
        opened = open_run(run)
        file = opened.config_file
        run_recording.check_data(opened, file)
        bucket.put("points.csv", ROWS + b"d,3,5\n")
        with pytest.raises(
            RunError, match="points.csv: has changed since the run started; restore"
        ):
            run_recording.check_data(opened, file)

    def test_a_changed_object_is_refused_while_training(self, bucket, run):
        file = open_run(run).config_file
        stamps = run_recording.stamps_of(file)
        run_recording.check_unchanged(stamps)
        bucket.put("points.csv", ROWS + b"d,3,5\n")
        with pytest.raises(DataError, match="points.csv: changed while it was read"):
            run_recording.check_unchanged(stamps)

    def test_an_object_that_can_not_be_recognized_is_not_resumed_from(self, web):
        web.files["/points.csv"], web.etag = ROWS, False
        config = DOUBLE.replace("URL", f"{web.url}/points.csv")
        opened = open_run(hand_made.make_run(config, "double", WEIGHTS))
        with pytest.raises(RunError, match="points.csv: can be read only once"):
            run_recording.check_data(opened, opened.config_file)

    def test_a_reproduction_compares_versions(self, bucket, run):
        before = open_run(run).environment
        [entry] = before["data"]
        same = _compare_data(before, before)
        assert same.equal
        assert same.finding == "'points.csv' with the same SHA-256 or version"
        assert not _compare_data(before, {"data": [{**entry, "version": '"other"'}]}).equal

    def test_a_folder_and_a_glob_in_a_config(self, bucket):
        for year in (2023, 2024):
            bucket.put(f"d/year={year}/a.parquet", parquet({"x": [0.5, 1.5], "y": [1.0, year]}))
        config = DOUBLE.replace("id: ignored", "year: numeric")
        for name in ("d", "d/*/a.parquet"):
            Path("d.yaml").write_text(config.replace("URL", f"'{bucket.url}/{name}'"))
            done = call("validate", "d.yaml", code=0 if name == "d" else 2)
        assert "input.features.year: no such column in the table" in done.output

    def test_paths_in_a_config_that_is_moved(self, bucket):
        Path("a.csv").write_bytes(ROWS)
        url = bucket.put("a.csv", ROWS)
        Path("a.yaml").write_text(DOUBLE.replace("URL", f"[a.csv, '{url}']"))
        moved = run_recording.moved_config(load_config(Path("a.yaml")), Path("runs/a"))
        assert moved.data.train == ("../../a.csv", url)

    def test_a_run_is_not_written_to_a_url(self):
        Path("a.csv").write_bytes(ROWS)
        Path("a.yaml").write_text(DOUBLE.replace("URL", "a.csv"))
        message = "s3://b/run: only predictions are written to URLs; name a local path"
        assert message in call("train", "a.yaml", "--output", "s3://b/run", code=2).stderr
        with pytest.raises(UsageError, match=message):
            dlcli.train("a.yaml", output="s3://b/run")
        assert not Path("s3:").exists()

    @pytest.mark.parametrize(
        "options",
        [
            ["export", "RUN", "--format", "python", "--output"],
            ["report", "RUN", "--output"],
            ["report", "RUN", "--curves"],
            ["schema", "--output"],
        ],
    )
    def test_only_predictions_are_written_to_a_url(self, run, options):
        arguments = [run if each == "RUN" else each for each in options]
        done = call(*arguments, "s3://b/new", code=2)
        assert "s3://b/new: only predictions are written to URLs; name a local path" in done.stderr
        assert not Path("s3:").exists()

    def test_python_does_not_write_to_a_url_either(self, run):
        for write in (dlcli.open_run(run).report, lambda url: dlcli.export(run, "python", url)):
            with pytest.raises(UsageError, match="^s3://b/new: only predictions are written"):
                write("s3://b/new")


class TestTables:
    def test_inspect_and_init(self, bucket):
        rows = b"x,y\n" + b"".join(b"%d,%d\n" % (at, at % 7) for at in range(40))
        url = bucket.put("rows.csv", rows)
        assert "numeric" in call("inspect", url).output
        config = call("init", url, "--target", "y").stdout
        assert make_config(config).config.data.train == url

    def test_evaluate_warns_of_the_table_that_was_trained_on(self, bucket, run):
        done = call("evaluate", run, f"{bucket.url}/points.csv", "--json")
        assert "was trained on rows of this table" in done.stderr
        assert json.loads(done.stdout)["rows"] == 3
        done = call("evaluate", run, bucket.put("other.csv", ROWS + b"d,3,5\n"))
        assert "was trained on" not in done.stderr

    def test_a_missing_table_ends_with_the_code_of_a_missing_file(self, bucket, run):
        done = call("predict", run, f"{bucket.url}/absent.csv", code=2)
        assert done.stderr == f"error: {bucket.url}/absent.csv: no such file\n"

    def test_predictions_need_only_the_columns_that_the_network_reads(self, bucket, run):
        wide = {f"w{at}": np.random.default_rng(at).random(50_000) for at in range(10)}
        content = parquet({"x": np.arange(50_000.0), **wide})
        url, before = bucket.put("wide.parquet", content), bucket.server.sent
        done = call("predict", run, url, "--output", "out.parquet")
        assert bucket.server.sent - before < len(content) / 2
        assert "ignored 10 columns that the training data did not have" in done.stderr
        assert pq.read_table("out.parquet")["prediction"][-1].as_py() == 2 * 49_999 + 1


class TestOutput:
    def test_predictions_are_written_to_a_bucket(self, bucket, run):
        url = f"{bucket.url}/new/out.csv"
        call("predict", run, f"{bucket.url}/points.csv", "--output", url)
        assert bucket.get("new/out.csv").split() == [b"prediction", b"1", b"3", b"5"]
        done = call("predict", run, f"{bucket.url}/points.csv", "--output", url, code=2)
        assert f"{url}: already exists" in done.stderr

    def test_predictions_are_written_by_fsspec(self, memory, run):
        import fsspec

        points = memory("points.csv", ROWS)
        call("predict", run, points, "--output", "memory://new/out.parquet")
        files = fsspec.filesystem("memory")
        assert files.find("/new") == ["/new/out.parquet"]
        with files.open("/new/out.parquet") as stream:
            assert pq.read_table(stream)["prediction"].to_pylist() == [1, 3, 5]

    def test_nothing_is_left_of_rows_that_can_not_be_predicted(self, bucket, run):
        url = bucket.put("bad.csv", b"x\n1\noops\n")
        call("predict", run, url, "--output", f"{bucket.url}/out.csv", code=3)
        assert bucket.names() == ["bad.csv", "points.csv"]

    def test_nothing_is_left_of_a_failed_upload(self, bucket):
        Path("many.csv").write_bytes(bytes(12 * 2**20))  # two parts
        parts = []

        def fail(method, path):
            if method == "PUT" and path.endswith("out.csv"):
                parts.append(path)
                return "400 Bad Request" if len(parts) > 1 else None
            return None

        bucket.server.fail = fail
        with pytest.raises(UsageError, match="/out.csv: the server returned status 400"):
            upload(Path("many.csv"), Url(f"{bucket.url}/out.csv"))
        assert len(parts) > 1
        assert bucket.names() == []

    @pytest.mark.parametrize(
        ("url", "message"),
        [
            ("s3://absent-bucket/out.csv", "no such bucket"),
            ("https://h/out.csv", "can't write to a web server"),
        ],
    )
    def test_what_can_not_be_written_is_refused_at_once(self, bucket, url, message):
        done = call("predict", "runs/absent", "absent.csv", "--output", url, code=2)
        assert f"{url}: {message}" in done.stderr


class TestRuns:
    def test_a_run_in_a_bucket_predicts(self, bucket, run):
        url = put_run(bucket, run)
        bucket.put("runs/double/model.keras", b"not needed")
        requests = []
        bucket.server.after = lambda method, path: requests.append(path)
        done = call("predict", url, f"{bucket.url}/points.csv")
        assert done.stdout.split() == ["prediction", "1", "3", "5"]
        assert not [path for path in requests if path.endswith("model.keras")]
        done = call("evaluate", f"{url}/", f"{bucket.url}/points.csv", "--json")
        assert json.loads(done.stdout)["run"] == f"{url}/"
        assert f"{url}/ was trained on rows of this table" in done.stderr

    def test_its_baselines_are_read_where_gates_need_them(self, bucket):
        points = bucket.put("points.csv", ROWS)
        gates = "gates: {test.mae: {better_than: constant}}\n"
        config = DOUBLE.replace("target: y", "target: y, test: URL").replace("URL", points)
        url = put_run(bucket, hand_made.make_run(config + gates, "gated", WEIGHTS, 2.5), "gated")
        requests = []
        bucket.server.after = lambda method, path: requests.append(path)
        call("predict", url, points)
        assert not [path for path in requests if path.endswith("/baselines.npz")]
        done = call("evaluate", url, points, code=6)  # three rows show nothing
        assert "not known to be better than the constant baseline" in done.stderr

    def test_a_run_in_a_bucket_is_loaded(self, bucket, run):
        url = put_run(bucket, run)
        model = dlcli.load(url)
        assert str(model.path) == url
        assert model.predict({"x": [2]}).values.tolist() == [5]
        assert model.predict(f"{bucket.url}/points.csv").values.tolist() == [1, 3, 5]

    def test_a_damaged_run_is_refused_by_its_url(self, bucket, run):
        url = put_run(bucket, run)
        bucket.put("runs/double/weights.npz", b"no weights")
        with pytest.raises(RunError, match=f"^{url}/weights.npz: has 10 bytes, expected [0-9]+; r"):
            dlcli.load(url)

    def test_no_run(self, bucket):
        done = call("predict", f"{bucket.url}/runs/absent", "points.csv", code=5)
        assert f"{bucket.url}/runs/absent/manifest.json: no such file; expected " in done.stderr
