"""Events of a training, a cross-validation or a search, passed on to trackers.

A tracker never ends a training: one that fails is dropped with a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlcli.errors import Interrupted, RunError
from dlcli.runs.manifest import DIVERGED
from dlcli.runs.run_reader import open_run
from dlcli.runs.run_writer import RunWriter
from dlcli.tracking.tracker import Outcome, Parameter, Tracker, as_json, reason

if TYPE_CHECKING:
    from dlcli.pipeline.events import Listener

_ALL_TRACKED = 500
"""Up to this epoch each one is tracked."""


@contextmanager
def tracked(names: Sequence[str], listener: Listener) -> Iterator[Listener]:
    """Return a listener that also informs trackers, and end these once training has ended.

    Args:
        names: names of the trackers: `tensorboard`, `mlflow`.
        listener: receives all events, and also the event `tracking` with the place of each tracker,
            and a warning for one that fails and is dropped.

    Raises:
        UsageError: if a tracker can't write where it should, as with a server that is down.
    """
    if not names:
        yield listener
        return
    dispatcher = _Dispatcher([_open(name) for name in names], listener)
    try:
        yield dispatcher.listen
    except BaseException as error:
        is_failure = isinstance(error, Exception) and not isinstance(error, Interrupted)
        dispatcher.end(Outcome.FAILED if is_failure else Outcome.KILLED)
        raise
    dispatcher.end(Outcome.FINISHED)


def _open(name: str) -> Tracker:
    if name == "tensorboard":
        from dlcli.tracking.tensorboard_tracker import TensorBoard

        return TensorBoard()
    from dlcli.tracking.mlflow_tracker import MLflow

    return MLflow()


class _Dispatcher:
    """Passes events on to trackers.

    Args:
        trackers: all trackers.
        listener: receives all events.
    """

    def __init__(self, trackers: Sequence[Tracker], listener: Listener) -> None:
        self._trackers = list(trackers)
        self._listener = listener
        self._folder: Path | None = None
        self._pending: dict[int | None, Mapping[str, Any]] = {}
        """The last epoch of each network, if it was not tracked yet, by member of an ensemble."""

    def listen(self, event: str, fields: dict[str, Any]) -> None:
        """Pass an event on to the listener, and to the trackers what concerns them."""
        self._listener(event, fields)
        if event == "run":
            self._folder = Path(fields["folder"])
            run = RunWriter(self._folder)
            self._each(lambda tracker: self._listener("tracking", tracker.begin(run)))
        elif event == "resumed":
            # The members of an ensemble have different epochs; repeated ones have the same values.
            if "member" not in fields:
                self._each(lambda tracker: tracker.resume(fields["epochs"]))
        elif event == "epoch":
            self._pending[fields.get("member")] = fields
            if is_tracked(fields["epoch"]):
                self._log_pending(fields.get("member"))
        elif event == "member":
            self._log_pending(fields["member"])
        elif event == "trained":
            self._log_pending(*self._pending)
        elif (part := _part(event, fields)) is not None:
            self._each(lambda tracker: tracker.log_part(*part))
        elif event == "result":
            epochs, metrics = _final_metrics(fields)
            self._each(lambda tracker: tracker.log_metrics(epochs, metrics))

    def end(self, outcome: Outcome) -> None:
        """End all trackers; a failure after the run is complete is not one of training."""
        self._log_pending(*self._pending)
        run = None
        if self._folder is not None:
            with suppress(RunError):
                run = open_run(self._folder)
        is_trained = run is not None and run.kind != DIVERGED
        ended = Outcome.FINISHED if is_trained else outcome
        self._each(lambda tracker: tracker.end(ended, run))
        for tracker in self._trackers:
            tracker.close()

    def _log_pending(self, *members: int | None) -> None:
        for member in members:
            if (fields := self._pending.pop(member, None)) is not None:
                self._each(methodcaller("log_epoch", fields["epoch"], _curves(fields)))

    def _each(self, call: Callable[[Tracker], None]) -> None:
        """Call each tracker; drop one that fails."""
        for tracker in [*self._trackers]:
            try:
                call(tracker)
            except Exception as error:
                self._trackers.remove(tracker)
                tracker.close()
                message = f"{tracker.name}: {reason(error)}; tracked no further, training continues"
                self._listener("warning", {"message": message})


def _part(
    event: str, fields: Mapping[str, Any]
) -> tuple[str, dict[str, Parameter], dict[str, float]] | None:
    """Return the name, settings and metrics of a fold or a trial; `None` for another event."""
    if event == "fold" and fields["problem"] is None:
        repeat = f"repeat-{fields['repeat']}-" if fields["repeats"] > 1 else ""
        return f"{repeat}fold-{fields['fold']}", {}, _numbers(fields["metrics"])
    if event == "trial" and fields["value"] is not None:
        settings = {
            path: value if isinstance(value, bool | int | float | str) else as_json(value)
            for path, value in fields["values"].items()
        }
        return f"trial-{fields['number']}", settings, {fields["metric"]: fields["value"]}
    return None


def _final_metrics(fields: Mapping[str, Any]) -> tuple[int, dict[str, dict[str, float]]]:
    """Return the epochs and the final metrics by set of a `result`.

    The metrics of a cross-validation are those of all rows, `cv`; of a search, they are those of
    each finalist, as `best_test`.
    """
    if "by_fold" in fields:
        pooled = {name: found["value"] for name, found in fields["metrics"].items()}
        return fields["best_epochs"] or 0, {"cv": _numbers(pooled)}
    if "finalists" in fields:
        finalists = fields["finalists"]
        sets = {f"{each['name']}_{each['split']}": each["metrics"] for each in finalists}
    else:
        sets = fields["metrics"]
    return fields.get("epochs", 0), {name: _numbers(values) for name, values in sets.items()}


def _curves(fields: Mapping[str, Any]) -> dict[str, float]:
    """Return the values of an `epoch` event; of an ensemble as `val_loss/member_3`."""
    others = ("epoch", "of", "member", "members")
    values = _numbers({name: value for name, value in fields.items() if name not in others})
    if "member" not in fields:
        return values
    return {f"{name}/member_{fields['member']}": value for name, value in values.items()}


def _numbers(values: Mapping[str, object]) -> dict[str, float]:
    """Drop what is undefined or not a number."""
    return {name: value for name, value in values.items() if isinstance(value, int | float)}


def is_tracked(epoch: int) -> bool:
    """Return whether an epoch of a long training is tracked.

    Up to 500 all are, then every 2nd up to 1,000, every 4th up to 2,000 and so on: wherever
    training ends after that, its last half has 250 points; ten thousand epochs have some 1,600, a
    hundred million less than 5,000. As it depends on nothing else, a resumed training tracks the
    same ones.

    Args:
        epoch: counted from 1.
    """
    return epoch % (1 << ((epoch - 1) // _ALL_TRACKED).bit_length()) == 0
