"""MLflow's tracking, read back by MLflow's own client."""

from __future__ import annotations

import os
import socket
from importlib.util import find_spec
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from dlcli.errors import DivergenceError, Interrupted, UsageError
from dlcli.runs.manifest import RunFile
from dlcli.runs.run_writer import RunWriter
from dlcli.tracking import mlflow_tracker
from dlcli.tracking.mlflow_tracker import MLflow, Store, connect, short_timeouts
from tests.tracking.replay import (
    epoch,
    fold,
    make_folder,
    replay,
    result,
    resumed,
    run_event,
    trained,
    trial,
)

RUN = Path("runs/line")
ID = "0123456789abcdef" * 2


@pytest.fixture
def line(store):
    return make_folder(RUN)


def story(*events, ends=None):
    return replay("mlflow", [run_event(RUN), *events], ends)


def runs(experiment="0"):
    return connect().client.search_runs([experiment])


def only_run():
    (run,) = runs()
    return run


def curve(run, name):
    return [
        (point.step, point.value)
        for point in connect().client.get_metric_history(run.info.run_id, name)
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("line")
def test_parameters_are_the_configs():
    story()
    parameters = only_run().data.params
    assert parameters["hidden.0.units"] == "3"
    assert parameters["hidden.0.activation.name"] == "relu"
    assert parameters["hidden.0.use_bias"] == "true"
    assert parameters["optimizer.learning_rate"] == "0.01"
    assert parameters["epochs"] == "2"


@pytest.mark.slow
def test_a_long_value_is_cut_and_any_number_of_parameters_are_sent(line):
    layers = "".join(f"  - {{units: {units}}}\n" for units in range(1, 41))
    columns = ", ".join(f"column_{at}: ignored" for at in range(1000))
    text = f"data: {{train: a.csv, target: y}}\ninput: {{features: {{{columns}}}}}\n"
    line.write_resolved(f"{text}hidden:\n{layers}epochs: 1\n")
    story()
    parameters = only_run().data.params
    assert len(parameters) > 200  # and a batch takes a hundred
    assert parameters["hidden.39.units"] == "40"
    assert len(parameters["input.features"]) == 6000  # MLflow's limit
    assert parameters["input.features"].endswith("...")


@pytest.mark.slow
@pytest.mark.usefixtures("line")
def test_tags_have_versions_and_data():
    story()
    run = only_run()
    assert run.info.run_name == "line"
    tags = {name: run.data.tags[name] for name in run.data.tags if not name.endswith("runName")}
    assert tags == {
        "mlflow.source.name": "dlcli train",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": "c0ffee",
        "dlcli.git_dirty": "true",
        "dlcli.version": "0.1.0",
        "dlcli.data_sha256": "d1" * 32,
        "dlcli.run": "runs/line",
    }


@pytest.mark.usefixtures("line")
def test_metrics_are_those_of_each_epoch_and_the_final_ones_of_each_split():
    epochs = [epoch(1, loss=0.5, val_loss=0.75), epoch(2, loss=0.25, val_loss=1.5)]
    story(*epochs, trained(2), result(RUN, 2))
    run = only_run()
    assert curve(run, "loss") == [(1, 0.5), (2, 0.25)]
    assert curve(run, "val_loss") == [(1, 0.75), (2, 1.5)]
    assert curve(run, "train_mse") == [(2, 0.5)]
    assert curve(run, "validation_mse") == [(2, 0.75)]
    assert curve(run, "test_mse") == [(2, 1.5)]
    assert set(run.data.metrics) == {
        *("loss", "val_loss", "train_mse", "validation_mse", "test_mse"),
    }


@pytest.mark.usefixtures("line")
def test_a_trial_is_a_run_below_that_of_the_search():
    many = {f"key_{number}": number for number in range(100)}  # as many as a batch takes
    story(trial(3, 0.5, **{"hidden[0].units": 16, "initial_weights": "w" * 7000, **many}))
    part, whole = sorted(runs(), key=lambda run: run.info.run_name != "trial-3")
    assert part.data.tags["mlflow.parentRunId"] == whole.info.run_id
    assert part.data.params["hidden.0.units"] == "16"
    assert len(part.data.params["initial_weights"]) == 6000
    assert len(part.data.params) == 102
    assert part.data.metrics == {"val_mae": 0.5}
    assert part.info.status == "FINISHED"


@pytest.mark.usefixtures("line")
@pytest.mark.parametrize(
    ("column", "key"),
    [
        ("'Length (mm)'", "Length _mm_"),
        ("'a[0]//b: \u00b5%'", "a.0__b_ \u00b5_"),
        ("'" + "w" * 300 + "'", "w" * 232 + "..."),
    ],
)
def test_settings_of_columns_with_any_name_are_parameters(column, key):
    story(trial(0, 0.5, **{f"input.features[{column}].scaling": "none"}))
    part, _ = sorted(runs(), key=lambda run: run.info.run_name != "trial-0")
    assert part.info.status == "FINISHED"
    [name] = part.data.params
    assert name.removesuffix(".scaling") == f"input.features.{key}"


@pytest.mark.usefixtures("line")
def test_the_source_is_the_command_of_the_run(line):
    line.write_plan({"folds": 2})
    story(fold(1, mae=0.5))
    tags = {run.info.run_name: run.data.tags for run in runs()}
    assert tags["line"]["mlflow.source.name"] == "dlcli cv"


@pytest.mark.slow
@pytest.mark.usefixtures("line")
def test_more_metrics_than_a_batch_takes_are_sent():
    wide = {f"metric_{at}": float(at) for at in range(1001)}
    assert story(epoch(1, **wide))[1:] == []
    assert only_run().data.metrics == wide


def test_the_files_of_a_whole_run_are_artifacts(line):
    line.write_json(RunFile.METRICS, {"train": {"mse": 0.5}})
    line.finish()
    (RUN / "report.html").write_text("a page")
    (RUN / "notes.txt").write_text("the user's own")
    story()
    run = only_run()
    assert [file.path for file in connect().client.list_artifacts(run.info.run_id)] == [
        *("config.yaml", "environment.json", "manifest.json", "metrics.json"),
        *("report.html", "resolved.yaml"),
    ]
    kept = connect().client.download_artifacts(run.info.run_id, "metrics.json")
    assert Path(kept).read_bytes() == (RUN / "metrics.json").read_bytes()


@pytest.mark.usefixtures("line")
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, "FINISHED"),
        (DivergenceError("nan", 3), "FAILED"),
        (Interrupted("SIGINT", 2), "KILLED"),
    ],
)
def test_how_training_ended_is_the_status(error, status):
    story(epoch(1, loss=0.5), ends=error)
    run = only_run()
    assert run.info.status == status
    assert run.info.end_time is not None
    assert curve(run, "loss") == [(1, 0.5)]
    assert connect().client.list_artifacts(run.info.run_id) == []


@pytest.mark.usefixtures("line")
def test_a_resumed_training_is_the_same_run_without_duplicates():
    story(epoch(1, loss=0.5), epoch(2, loss=0.25), ends=Interrupted("SIGINT", 2))
    story(resumed(1), epoch(2, loss=0.25), epoch(3, loss=0.125), trained(3), result(RUN, 3))
    run = only_run()
    assert curve(run, "loss") == [(1, 0.5), (2, 0.25), (3, 0.125)]
    assert curve(run, "test_mse") == [(3, 1.5)]
    assert run.info.status == "FINISHED"


@pytest.mark.usefixtures("line")
def test_members_of_a_resumed_ensemble_have_no_duplicates():
    def losses(member, **by_epoch):
        of = {"member": member, "members": 2}
        return [epoch(int(at[1:]), loss=loss, **of) for at, loss in by_epoch.items()]

    story(*losses(1, e1=0.5, e2=0.25), *losses(2, e1=4.0), ends=Interrupted("SIGINT", 2))
    story(*losses(1, e2=0.25, e3=0.125), *losses(2, e1=4.0, e2=2.0), trained(3), result(RUN, 3))
    run = only_run()
    assert curve(run, "loss/member_1") == [(1, 0.5), (2, 0.25), (3, 0.125)]
    assert curve(run, "loss/member_2") == [(1, 4.0), (2, 2.0)]


@pytest.mark.usefixtures("line")
def test_a_run_that_was_deleted_meanwhile_is_created_again():
    story(epoch(1, loss=0.5), ends=Interrupted("SIGINT", 2))
    old = only_run().info.run_id
    connect().client.delete_run(old)
    story(resumed(1), epoch(2, loss=0.25))
    assert only_run().info.run_id != old
    assert curve(only_run(), "loss") == [(2, 0.25)]


@pytest.mark.usefixtures("line")
def test_a_run_of_another_store_is_created_again(store, tmp_path, monkeypatch):
    story(epoch(1, loss=0.5), ends=Interrupted("SIGINT", 2))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "other").as_uri())
    story(resumed(1), epoch(2, loss=0.25))
    assert curve(only_run(), "loss") == [(2, 0.25)]


@pytest.mark.usefixtures("line")
def test_a_strangers_folder_cant_change_the_run_of_another():
    client = connect().client
    theirs = client.create_run("0").info.run_id
    (RUN / "trackers.json").write_text(f'{{"mlflow": "{theirs}"}}')
    story(epoch(1, loss=0.5))
    assert client.get_run(theirs).data.metrics == {}
    assert len(runs()) == 2


@pytest.mark.usefixtures("line")
@pytest.mark.parametrize("text", ["[]", '{"mlflow": "../../x"}', '{"mlflow": 1}', "x" * 20_000])
def test_an_id_of_no_run_is_reported(text):
    (RUN / "trackers.json").write_text(text)
    ((event, fields),) = story(epoch(1, loss=0.5))
    assert event == "warning"
    assert fields["message"].startswith("MLflow: runs/line/trackers.json: ")
    assert runs() == []


@pytest.mark.usefixtures("line")
@pytest.mark.parametrize(("flask", "program"), [(None, "pipx run mlflow"), ("there", "mlflow")])
def test_its_place_and_the_command_to_view_it_are_reported(flask, program, store, monkeypatch):
    monkeypatch.setattr("dlcli.tracking.mlflow_tracker.find_spec", lambda _: flask)
    told = story()
    run_id = only_run().info.run_id
    assert told == [
        (
            "tracking",
            {
                "tracker": "MLflow",
                "run_id": run_id,
                "place": f"{store}, run {run_id}",
                "look": f"{program} ui --backend-store-uri {store}",
            },
        )
    ]


def test_passwords_among_the_parameters_of_its_address_are_masked():
    tracker = object.__new__(MLflow)
    tracker._run_id = "r"
    tracker._store = Store(None, "postgresql://me:one@host/runs?user=me&password=two", "1")
    place = str(tracker._place())
    assert "host/runs" in place and "one@" not in place and "two" not in place


@pytest.mark.usefixtures("line")
def test_the_experiment_is_the_environments(monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "houses")
    story()
    story()
    number = connect().experiment_id
    assert len(runs(number)) == 1  # as the folder is the same
    assert runs("0") == []
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", number)
    assert connect().experiment_id == number


@pytest.mark.usefixtures("store")
def test_a_deleted_experiment_is_an_error_before_training(monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "old")
    connect().client.delete_experiment(connect().experiment_id)
    with pytest.raises(UsageError) as caught:
        connect()
    assert str(caught.value) == (
        snapshot(
            "MLflow: the experiment 'old' is deleted; restore it, or set MLFLOW_EXPERIMENT_NAME to "
            "another"
        )
    )


@pytest.mark.usefixtures("store")
def test_a_server_that_is_down_is_an_error_before_training(monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{closed.getsockname()[1]}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:@secret@{place}")
    with pytest.raises(UsageError) as caught:
        connect()
    message = str(caught.value)
    assert message.startswith(f"MLflow: can't track to http://...@{place}: API request to http://")
    assert message.endswith(
        "; check that it exists, set MLFLOW_TRACKING_URI to another URI, or train without --mlflow"
    )
    assert "Connection refused" in message
    assert "secret" not in message


@pytest.mark.usefixtures("store")
def test_a_silent_server_is_waited_for_as_long_as_the_user_sets(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        with pytest.raises(UsageError, match=r"timeout=1\b"):
            connect()


@pytest.mark.usefixtures("store")
def test_patience_is_dlclis_own_only_where_the_user_has_set_none(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "40")
    with short_timeouts():
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "40"
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "1"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "40"
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ


@pytest.mark.usefixtures("store")
def test_a_database_needs_the_rest_of_the_extra(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql+psycopg2://me:secret@host/runs")

    def without(name):
        return None if name == "sqlalchemy" else find_spec(name)

    monkeypatch.setattr("dlcli.errors.find_spec", without)
    with pytest.raises(UsageError) as caught:
        connect()
    assert str(caught.value) == (
        snapshot(
            "--mlflow needs the package sqlalchemy, which is not installed; install it in the "
            "folder of dlcli's source: pip install '.[mlflow]'"
        )
    )


@pytest.mark.usefixtures("line")
def test_a_server_that_fails_midway_is_reported_once(monkeypatch):
    real = mlflow_tracker._find

    def failing(uri):
        store = real(uri)

        def down(*_, metrics=(), **others):
            if metrics:
                raise ConnectionError("the server is gone")

        store.client.log_batch = down
        return store

    monkeypatch.setattr(mlflow_tracker, "_find", failing)
    told = story(epoch(1, loss=0.5), epoch(2, loss=0.25), trained(2), result(RUN, 2))
    message = "MLflow: the server is gone; logging stopped, training continues"
    assert [event for event in told if event[0] == "warning"] == [("warning", {"message": message})]


@pytest.mark.usefixtures("line")
def test_files_that_cant_be_sent_change_nothing_of_how_it_ended(monkeypatch, line):
    line.finish()
    real = mlflow_tracker._find

    def failing(uri):
        store = real(uri)

        def full(*_):
            raise OSError("no room")

        store.client.log_artifact = full
        return store

    monkeypatch.setattr(mlflow_tracker, "_find", failing)
    told = story(epoch(1, loss=0.5))
    message = "MLflow: no room; logging stopped, training continues"
    assert told[1:] == [("warning", {"message": message})]
    monkeypatch.setattr(mlflow_tracker, "_find", real)
    assert only_run().info.status == "FINISHED"


@pytest.mark.slow
@pytest.mark.usefixtures("line")
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's use of SQLAlchemy
def test_without_any_setting_it_is_a_database_in_the_current_folder(monkeypatch):
    pytest.importorskip("sqlalchemy", reason="of the extra mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE")
    RunWriter(RUN).finish()
    told = story(epoch(1, loss=0.5), trained(1), result(RUN, 1))
    look = f"mlflow ui --backend-store-uri sqlite:///{Path('mlflow.db').absolute()}"
    assert told[0][1]["look"].removeprefix("pipx run ") == look
    assert told[1:] == []
    run = only_run()
    assert curve(run, "loss") == [(1, 0.5)]
    assert run.info.status == "FINISHED"
    assert Path("mlruns/0", run.info.run_id, "artifacts/manifest.json").is_file()
