"""Forwarding of the events of a training, a cross-validation or a search to trackers.

A failure of a tracker never stops a training: the tracker is dropped with a warning.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import to_jsonable_python

from dlcli.errors import Interrupted, RunError, truncate
from dlcli.pipeline import events
from dlcli.runs.environment import content_id
from dlcli.runs.manifest import DIVERGED, kind_of_unfinished
from dlcli.runs.run_folder import open_run, read_tracker_id, tracked_files, write_tracker_id
from dlcli.runs.run_writer import RunWriter
from dlcli.schema.section import Section
from dlcli.schema.urls import hide_secrets
from dlcli.tracking.installed_trackers import open_tracker
from dlcli.tracking.tracker import Outcome, Parameter, TrackedRun, Tracker

if TYPE_CHECKING:
    from dlcli.config.search_space import Value

_ALL_TRACKED = 500
"""Epoch up to which every epoch is tracked."""
_MOST_LETTERS = 600


@contextmanager
def tracked(
    trackers: Iterable[str | Tracker], listener: events.Listener
) -> Iterator[events.Listener]:
    """Return a listener that also forwards events to trackers, and end the trackers afterwards.

    Args:
        trackers: trackers, or their names, such as `tensorboard`.
        listener: receives all events, the event `tracking` with the location of each tracker, and a
            warning if a tracker fails and is dropped.

    Raises:
        UsageError: if a tracker can't be found or started, for example because its server is down.
    """
    named = {each if isinstance(each, str) else each.name: each for each in trackers}
    if not named:
        yield listener
        return
    dispatcher = _Dispatcher(
        {key: open_tracker(each) if isinstance(each, str) else each for key, each in named.items()},
        listener,
    )
    try:
        yield dispatcher.listen
    except BaseException as error:
        is_failure = isinstance(error, Exception) and not isinstance(error, Interrupted)
        dispatcher.end(Outcome.FAILED if is_failure else Outcome.KILLED)
        raise
    dispatcher.end(Outcome.FINISHED)


class _Dispatcher:
    """Forwards events to trackers.

    Args:
        trackers: all trackers by name.
        listener: receives all events.
    """

    def __init__(self, trackers: Mapping[str, Tracker], listener: events.Listener) -> None:
        self._trackers = dict(trackers)
        self._listener = listener
        self._folder: Path | None = None
        self._pending: dict[int | None, events.EpochEvent] = {}
        """The last epoch of each network, if it was not tracked yet, by member of an ensemble."""

    def listen(self, event: events.Event) -> None:
        """Forward an event to the listener and, if relevant, to the trackers."""
        self._listener(event)
        match event:
            case events.RunEvent():
                self._folder = Path(event.folder)
                run = RunWriter(self._folder)
                for name in [*self._trackers]:
                    self._call(name, partial(self._begin, name, run))
            case events.ResumedEvent(member=None):
                # Members of an ensemble have different epochs, and repeated epochs have the same
                # values.
                self._each(lambda tracker: tracker.resume(event.epochs))
            case events.EpochEvent():
                self._pending[event.member] = event
                if is_tracked(event.epoch):
                    self._log_pending(event.member)
            case events.MemberEvent():
                self._log_pending(event.member)
            case events.TrainedEvent():
                self._log_pending(*self._pending)
            case _:
                self._log_results(event)

    def _begin(self, name: str, run: RunWriter, tracker: Tracker) -> None:
        """Begin tracking, and store the ID of the tracked run for a resumed training."""
        earlier = read_tracker_id(run.path, name)
        begun = tracker.begin(tracked_run(run, earlier))
        if not isinstance(begun, events.TrackingEvent):
            raise TypeError("begin() returned no dlcli.events.TrackingEvent")
        if begun.run_id is not None and begun.run_id != earlier:
            write_tracker_id(run.path, name, begun.run_id)
        self._listener(begun)

    def _log_results(self, event: events.Event) -> None:
        """Forward the metrics of a fold, a trial, or the whole to the trackers."""
        match event:
            case events.FoldEvent() if event.result.problem is None:
                fold = event.result
                repeat = f"repeat-{fold.repeat}-" if event.repeats > 1 else ""
                self._log_part(f"{repeat}fold-{fold.fold}", {}, fold.metrics)
            case events.TrialEvent() if event.result.value is not None:
                settings = {path: _setting(value) for path, value in event.result.values.items()}
                value = {event.metric: event.result.value}
                self._log_part(f"trial-{event.number}", settings, value)
            case events.TrainingResultEvent():
                self._log_metrics(event.epochs, event.metrics)
            case events.CrossValidationResultEvent():
                pooled = {name: found.value for name, found in event.metrics.items()}
                self._log_metrics(event.result.best_epochs or 0, {"cv": pooled})
            case events.SearchResultEvent():
                sets = {
                    f"{each.name}_{each.split}": each.metrics for each in event.result.finalists
                }
                self._log_metrics(0, sets)

    def end(self, outcome: Outcome) -> None:
        """End all trackers; a failure after the run is complete is not a failed training."""
        self._log_pending(*self._pending)
        run = None
        if self._folder is not None:
            with suppress(RunError):
                run = open_run(self._folder)
        is_trained = run is not None and run.kind != DIVERGED
        ended = Outcome.FINISHED if is_trained else outcome
        files = tracked_files(run) if run else []
        self._each(methodcaller("end", ended, files))
        for name in [*self._trackers]:
            self._drop(name)

    def _log_pending(self, *members: int | None) -> None:
        for member in members:
            if (event := self._pending.pop(member, None)) is not None:
                self._each(methodcaller("log_epoch", event.epoch, _curves(event)))

    def _log_part(
        self, name: str, settings: Mapping[str, Parameter], metrics: Mapping[str, object]
    ) -> None:
        self._each(methodcaller("log_part", name, settings, _numbers(metrics)))

    def _log_metrics(self, epochs: int, sets: Mapping[str, Mapping[str, object]]) -> None:
        metrics = {name: _numbers(values) for name, values in sets.items()}
        self._each(methodcaller("log_metrics", epochs, metrics))

    def _each(self, call: Callable[[Tracker], None]) -> None:
        """Call each tracker; drop it if it fails."""
        for name in [*self._trackers]:
            self._call(name, call)

    def _call(self, name: str, call: Callable[[Tracker], None]) -> None:
        tracker = self._trackers[name]
        try:
            call(tracker)
        except Exception as error:
            message = f"{tracker.name}: {reason(error)}; logging stopped, training continues"
            self._drop(name)
            self._listener(events.WarningEvent(message=message))

    def _drop(self, name: str) -> None:
        """Close a tracker, whose methods have already reported errors."""
        with suppress(Exception):
            self._trackers.pop(name).close()


def _setting(value: Value) -> Parameter:
    """Return the value of a setting; lists and mappings as JSON."""
    return value if isinstance(value, bool | int | float | str) else as_json(value)


def _curves(event: events.EpochEvent) -> dict[str, float]:
    """Return the values of an epoch; for an ensemble named `val_loss/member_3`."""
    values = _numbers(event.values)
    if event.member is None:
        return values
    return {f"{name}/member_{event.member}": value for name, value in values.items()}


def _numbers(values: Mapping[str, object]) -> dict[str, float]:
    """Return the finite numbers."""
    return {name: value for name, value in values.items() if isinstance(value, int | float)}


def is_tracked(epoch: int) -> bool:
    """Return whether an epoch of a long training is tracked.

    Up to 500, every epoch is tracked, then every 2nd up to 1,000, every 4th up to 2,000 and so on.
    After that, the last half of a training always has at least 250 points; ten thousand epochs have
    about 1,600 points, a hundred million fewer than 5,000. A resumed training tracks the same
    epochs, as the result depends only on the epoch.

    Args:
        epoch: the epoch, counted from 1.
    """
    return epoch % (1 << ((epoch - 1) // _ALL_TRACKED).bit_length()) == 0


def tracked_run(run: RunWriter, earlier_id: str | None = None) -> TrackedRun:
    """Return the description of a run for trackers.

    Args:
        run: the run.
        earlier_id: the tracker's ID of the run, if the run was tracked before.
    """
    environment: Mapping[str, Any] = run.environment
    tags = {
        "version": str(environment["dlcli"]),
        "data_sha256": " ".join(str(content_id(file)) for file in environment["data"]),
    }
    if git := environment["git"]:
        tags |= {"git_commit": str(git["commit"]), "git_dirty": str(git["dirty"]).lower()}
    kind = kind_of_unfinished(run.path)
    return TrackedRun(run.path, kind, parameters_of(run), tags, earlier_id)


def parameters_of(run: RunWriter) -> dict[str, Parameter]:
    """Return the values of the resolved config by path as in `--set`: `hidden[0].units`.

    Each key of the schema is a parameter. Mappings with names from users, such as columns and
    classes, are one JSON value. Otherwise a wide table would have thousands of parameters with
    arbitrary names.
    """
    return dict(_flatten("", run.config_file.config))


def _flatten(path: str, value: object) -> Iterator[tuple[str, Parameter]]:
    if isinstance(value, Section):
        for key in type(value).model_fields:
            yield from _flatten(f"{path}.{key}" if path else key, getattr(value, key))
    elif isinstance(value, tuple) and any(isinstance(item, Section) for item in value):
        for index, item in enumerate(value):
            yield from _flatten(f"{path}[{index}]", item)
    elif isinstance(value, bool | int | float | str):
        yield path, value
    elif value is not None:
        yield path, as_json(value)


def as_json(value: object) -> str:
    """Return values that are not scalars as JSON."""
    return json.dumps(to_jsonable_python(value, exclude_none=True), ensure_ascii=False)


def reason(error: Exception) -> str:
    """Return the first line of an exception's message without secrets, or its type."""
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return hide_secrets(f"{where}{error.strerror}")
    lines = [line.strip() for line in str(error).splitlines()]
    first = next((line for line in lines if line), type(error).__name__)
    return truncate(hide_secrets(first), _MOST_LETTERS)
