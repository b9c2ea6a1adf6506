"""The events that reach trackers, and the effects of a tracker that fails."""

from __future__ import annotations

import errno
from dataclasses import replace

import pytest

from dlcli.errors import DivergenceError, Interrupted, UsageError
from dlcli.metrics.intervals import Estimate
from dlcli.pipeline.events import (
    CrossValidationResultEvent,
    MemberEvent,
    ResumedEvent,
    SearchResultEvent,
    TrackingEvent,
    ignore,
)
from dlcli.runs.documents import CrossValidation, Finalist, Search
from dlcli.tracking.tracked_events import reason, tracked
from dlcli.tracking.tracker import Tracker
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

FILES = ["config.yaml", "environment.json", "manifest.json", "resolved.yaml"]
"""The files of a finished run of `make_folder`."""


class Recorder(Tracker):
    """A tracker that records its calls, and fails at one method."""

    def __init__(self, fails=""):
        self.name = "Recorder"
        self.fails = fails
        self.told = []
        self.closed = 0

    def _take(self, method, *values):
        if method == self.fails:
            raise RuntimeError(f"no {method}\nmore")
        self.told.append((method, *values))

    def begin(self, begun):
        self._take("begin", begun.folder)
        return TrackingEvent(tracker="Recorder", place="here")

    def resume(self, epochs):
        self._take("resume", epochs)

    def log_epoch(self, epoch, values):
        self._take("log_epoch", epoch, dict(values))

    def log_part(self, name, parameters, values):
        self._take("log_part", name, dict(parameters), dict(values))

    def log_metrics(self, epochs, metrics):
        self._take("log_metrics", epochs, dict(metrics))

    def end(self, outcome, files):
        self._take("end", outcome.value, sorted(path.name for path in files))

    def close(self):
        self.closed += 1


@pytest.fixture
def recorder(monkeypatch):
    tracker = Recorder()
    monkeypatch.setattr("dlcli.tracking.tracked_events.open_tracker", lambda name: tracker)
    return tracker


def test_a_tracker_receives_a_training_and_its_place_is_reported(recorder, tmp_path):
    writer = make_folder(tmp_path / "run")
    writer.finish()
    folder = writer.path
    told = replay("any", [run_event(folder), epoch(1, loss=0.5), trained(1), result(folder, 1)])
    assert recorder.told == [
        ("begin", folder),
        ("log_epoch", 1, {"loss": 0.5}),
        (
            "log_metrics",
            1,
            {"train": {"mse": 0.5}, "validation": {"mse": 0.75}, "test": {"mse": 1.5}},
        ),
        ("end", "finished", FILES),
    ]
    assert recorder.closed == 1
    assert told == [("tracking", {"tracker": "Recorder", "place": "here"})]


def test_the_last_epoch_is_tracked_wherever_training_ends(recorder, tmp_path):
    make_folder(tmp_path / "run")
    every = [epoch(number, of=9000, loss=1.0) for number in range(1000, 1007)]
    replay("any", [run_event(tmp_path / "run"), *every, trained(1006)])
    assert [told[1] for told in recorder.told if told[0] == "log_epoch"] == [1000, 1004, 1006]


def test_curves_of_an_ensemble_are_those_of_its_members(recorder, tmp_path):
    make_folder(tmp_path / "run")

    def of_member(member, number):
        event = epoch(number, of=9000, loss=0.5, val_loss=1.0)
        return replace(event, member=member, members=2)

    finished = MemberEvent(member=1, members=2, epochs=1001, best_epoch=None)
    again = ResumedEvent(member=2, members=2, epochs=3)
    begun = [again, of_member(1, 1001), of_member(2, 1001), finished]
    replay("any", [run_event(tmp_path / "run"), *begun], KeyboardInterrupt())
    assert recorder.told[1:] == [
        ("log_epoch", 1001, {"loss/member_1": 0.5, "val_loss/member_1": 1.0}),
        ("log_epoch", 1001, {"loss/member_2": 0.5, "val_loss/member_2": 1.0}),
        ("end", "killed", []),
    ]


def test_the_last_epoch_is_tracked_if_training_is_interrupted(recorder, tmp_path):
    make_folder(tmp_path / "run")
    events = [run_event(tmp_path / "run"), resumed(1000), epoch(1001, of=9000, loss=1.0)]
    replay("any", events, KeyboardInterrupt())
    assert recorder.told[1:] == [
        ("resume", 1000),
        ("log_epoch", 1001, {"loss": 1.0}),
        ("end", "killed", []),
    ]


def test_each_fold_is_tracked_and_the_metrics_of_all_rows_are_the_final_ones(recorder, tmp_path):
    make_folder(tmp_path / "run")
    result = CrossValidation.model_construct(best_epochs=7)
    metrics = {"mae": Estimate(value=0.5, lower=0.25), "r2": Estimate(value=None)}
    ended = CrossValidationResultEvent(run="run", metrics=metrics, result=result, refit=None)
    folds = [fold(1, mae=0.5, r2=None), fold(2, problem="diverged")]
    replay("any", [run_event(tmp_path / "run"), *folds, ended])
    assert recorder.told[1:3] == [
        ("log_part", "fold-1", {}, {"mae": 0.5}),
        ("log_metrics", 7, {"cv": {"mae": 0.5}}),
    ]


def test_a_fold_of_several_repeats_is_named_with_its_repeat(recorder, tmp_path):
    make_folder(tmp_path / "run")
    replay("any", [run_event(tmp_path / "run"), fold(2, repeat=3, repeats=3, mae=1.0)])
    assert recorder.told[1] == ("log_part", "repeat-3-fold-2", {}, {"mae": 1.0})


def test_each_trial_is_tracked_with_its_settings_and_the_finalists_at_the_end(recorder, tmp_path):
    make_folder(tmp_path / "run")
    finalist = Finalist(
        **{"name": "best", "run": "best", "split": "test", "parameters": 2, "epochs": 1},
        metrics={"mae": 1.5, "r2": None},
    )
    result = Search.model_construct(finalists=(finalist,))
    ended = SearchResultEvent(run="run", result=result, best=None, smallest=None, trials=2)
    trials = [trial(0, 0.5, units=3, layers="[1, 2]"), trial(1, None, units=4)]
    replay("any", [run_event(tmp_path / "run"), *trials, ended])
    assert recorder.told[1:3] == [
        ("log_part", "trial-0", {"units": 3, "layers": "[1, 2]"}, {"val_mae": 0.5}),
        ("log_metrics", 0, {"best_test": {"mae": 1.5}}),
    ]


def test_undefined_values_are_omitted(recorder, tmp_path):
    make_folder(tmp_path / "run")
    replay("any", [run_event(tmp_path / "run"), epoch(1, loss=0.5, r2=None)])
    assert recorder.told[1] == ("log_epoch", 1, {"loss": 0.5})


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (DivergenceError("nan", 3), "failed"),
        (ValueError("a bug"), "failed"),
        (Interrupted("SIGINT", 2), "killed"),
        (KeyboardInterrupt(), "killed"),
        (SystemExit(143), "killed"),
    ],
)
def test_the_outcome_of_training_is_tracked(error, outcome, recorder, tmp_path):
    make_folder(tmp_path / "run")
    replay("any", [run_event(tmp_path / "run")], error)
    assert recorder.told[-1] == ("end", outcome, [])


def test_a_failure_after_the_run_is_complete_is_not_one_of_training(recorder, tmp_path):
    make_folder(tmp_path / "run").finish()
    replay("any", [run_event(tmp_path / "run")], ValueError("no page could be made"))
    assert recorder.told[-1] == ("end", "finished", FILES)


def test_a_divergence_that_left_weights_behind_is_a_failure(recorder, tmp_path):
    make_folder(tmp_path / "run").finish("diverged")
    replay("any", [run_event(tmp_path / "run")], DivergenceError("nan", 3))
    assert recorder.told[-1] == ("end", "failed", FILES)


@pytest.mark.parametrize(
    ("method", "before"),
    [
        ("begin", []),
        ("resume", ["begin"]),
        ("log_epoch", ["begin", "resume"]),
        ("log_metrics", ["begin", "resume", "log_epoch", "log_epoch"]),
        ("end", ["begin", "resume", "log_epoch", "log_epoch", "log_metrics"]),
    ],
)
def test_a_tracker_that_fails_is_dropped_with_one_warning(method, before, recorder, tmp_path):
    make_folder(tmp_path / "run")
    recorder.fails = method
    folder = tmp_path / "run"
    story = [run_event(folder), resumed(1), epoch(2, loss=1.0), epoch(3, loss=1.0), trained(3)]
    told = replay("any", [*story, result(folder, 3)])
    message = f"Recorder: no {method}; logging stopped, training continues"
    assert [event for event in told if event[0] == "warning"] == [("warning", {"message": message})]
    assert [told[0] for told in recorder.told] == before
    assert recorder.closed == 1


def test_a_tracker_that_cant_be_closed_does_not_affect_training(recorder, tmp_path, monkeypatch):
    make_folder(tmp_path / "run")
    monkeypatch.setattr(recorder, "close", recorder.log_epoch)  # lacks arguments
    assert replay("any", [run_event(tmp_path / "run")])[1:] == []
    assert recorder.told[-1] == ("end", "finished", [])


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "begin() returned no dlcli.events.TrackingEvent"),
        (
            TrackingEvent(tracker="Recorder", place="here", run_id="a/b"),
            "the ID of the run has invalid characters: 'a/b'",
        ),
    ],
)
def test_a_tracker_that_begins_with_a_wrong_value_is_dropped(
    returned, message, recorder, tmp_path, monkeypatch
):
    make_folder(tmp_path / "run")
    monkeypatch.setattr(recorder, "begin", lambda run: returned)
    told = replay("any", [run_event(tmp_path / "run"), epoch(1, loss=0.5)])
    warning = f"Recorder: {message}; logging stopped, training continues"
    assert told == [("warning", {"message": warning})]
    assert recorder.told == []


def test_the_id_of_an_interrupted_run_is_given_to_its_own_tracker(recorder, tmp_path, monkeypatch):
    make_folder(tmp_path / "run")
    earlier = []

    def begin(run):
        earlier.append(run.earlier_id)
        return TrackingEvent(tracker="Recorder", place="here", run_id=f"r-{len(earlier)}")

    monkeypatch.setattr(recorder, "begin", begin)
    for name in ("one", "two", "one"):
        replay(name, [run_event(tmp_path / "run")], KeyboardInterrupt())
    assert earlier == [None, None, "r-1"]


def test_a_failing_tracker_does_not_affect_others(monkeypatch, tmp_path):
    trackers = {"bad": Recorder("log_epoch"), "good": Recorder()}
    monkeypatch.setattr("dlcli.tracking.tracked_events.open_tracker", trackers.__getitem__)
    make_folder(tmp_path / "run")
    with tracked(["bad", "good"], ignore) as listener:
        listener(run_event(tmp_path / "run"))
        listener(epoch(1, loss=0.5))
        listener(epoch(2, loss=0.25))
    assert [told[0] for told in trackers["bad"].told] == ["begin"]
    assert [told[0] for told in trackers["good"].told] == ["begin", "log_epoch", "log_epoch", "end"]


def test_ctrl_c_within_a_tracker_ends_training(recorder, tmp_path, monkeypatch):
    make_folder(tmp_path / "run")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(recorder, "log_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt), tracked(["any"], ignore) as listener:
        listener(run_event(tmp_path / "run"))
        listener(epoch(1, loss=0.5))


def test_without_trackers_the_listener_is_the_same():
    with tracked([], ignore) as same:
        assert same is ignore


def test_a_tracker_that_cant_be_opened_is_an_error_before_training(monkeypatch):
    def refuse(name):
        raise UsageError("down")

    monkeypatch.setattr("dlcli.tracking.tracked_events.open_tracker", refuse)
    with pytest.raises(UsageError, match="^down$"), tracked(["any"], ignore):
        pytest.fail("training began")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a/b"), "a/b: No space left on device"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (ValueError("\n first \nsecond"), "first"),
        (TimeoutError(), "TimeoutError"),
        (ValueError("http://me:secret@host:1/ is down"), "http://...@host:1/ is down"),
        (ValueError("no http://me:se/cr@et@host:1/"), "no http://...@host:1/"),
        (ValueError("x" * 601), "x" * 597 + "..."),
    ],
)
def test_a_failure_is_one_line_without_secrets(error, words):
    assert reason(error) == words
