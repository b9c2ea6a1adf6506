"""An experiment's events, told to trackers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dlcli.errors import Interrupted, RunError
from dlcli.pipeline import Listener
from dlcli.runs import DIVERGED, open_run
from dlcli.tracking.curve import is_on_curve
from dlcli.tracking.failures import reason
from dlcli.tracking.tracker import Begun, Outcome, Tracker


@contextmanager
def tracked(names: Sequence[str], listener: Listener) -> Iterator[Listener]:
    """Gives a listener that also tells trackers, and ends these once training has ended.

    Args:
        names: of the trackers: `tensorboard`, `mlflow`.
        listener: is told everything, and also the event `tracking` for where each tracker writes,
            and a warning for one that fails and is told nothing more.

    Raises:
        UsageError: if there is nothing where a tracker would write, as a server that is down.
    """
    if not names:
        yield listener
        return
    told = _Told([_opened(name) for name in names], listener)
    try:
        yield told.listen
    except BaseException as error:
        told.end(_outcome(error))
        raise
    told.end(Outcome.FINISHED)


def _opened(name: str) -> Tracker:
    if name == "tensorboard":
        from dlcli.tracking.tensorboard import TensorBoard

        return TensorBoard()
    from dlcli.tracking.mlflow import MLflow

    return MLflow()


def _outcome(error: BaseException) -> Outcome:
    is_failure = isinstance(error, Exception) and not isinstance(error, Interrupted)
    return Outcome.FAILED if is_failure else Outcome.KILLED


class _Told:
    """Trackers and what they still are to be told.

    Args:
        trackers: all of them.
        listener: who else is told.
    """

    def __init__(self, trackers: Sequence[Tracker], listener: Listener) -> None:
        self._trackers = list(trackers)
        self._listener = listener
        self._folder: Path | None = None
        self._held: Mapping[str, Any] | None = None
        """The last epoch, if it was none of those on the curve."""

    def listen(self, event: str, fields: dict[str, object]) -> None:
        """Tells the listener, and the trackers what concerns them."""
        self._listener(event, fields)
        if event in self._ON:
            self._ON[event](self, fields)

    def end(self, outcome: Outcome) -> None:
        """Ends all trackers; what went wrong once a run was whole is none of its training."""
        self._release()
        run = None
        if self._folder is not None:
            with suppress(RunError):
                run = open_run(self._folder)
        is_trained = run is not None and run.kind != DIVERGED
        ended = Outcome.FINISHED if is_trained else outcome
        self._each(lambda tracker: tracker.end(ended, run))
        for tracker in self._trackers:
            tracker.close()

    def _run(self, fields: Mapping[str, Any]) -> None:
        self._folder = Path(fields["folder"])
        begun = Begun(self._folder)
        self._each(lambda tracker: self._listener("tracking", tracker.begin(begun)))

    def _resumed(self, fields: Mapping[str, Any]) -> None:
        self._each(lambda tracker: tracker.resume(fields["epochs"]))

    def _epoch(self, fields: Mapping[str, Any]) -> None:
        self._held = fields
        if is_on_curve(fields["epoch"]):
            self._release()

    def _release(self, *_: object) -> None:
        """Tells the last epoch, if that wasn't done."""
        if self._held is not None:
            fields, self._held = self._held, None
            values = _numbers({key: fields[key] for key in fields if key not in ("epoch", "of")})
            self._each(lambda tracker: tracker.measure(fields["epoch"], values))

    def _result(self, fields: Mapping[str, Any]) -> None:
        metrics = {split: _numbers(scores) for split, scores in fields["metrics"].items()}
        self._each(lambda tracker: tracker.judge(fields["epochs"], metrics))

    def _each(self, tell: Callable[[Tracker], None]) -> None:
        """Tells each tracker; one that fails is left out from then on."""
        for tracker in [*self._trackers]:
            try:
                tell(tracker)
            except Exception as error:
                self._trackers.remove(tracker)
                tracker.close()
                message = f"{tracker.name}: {reason(error)}; tracked no further, training goes on"
                self._listener("warning", {"message": message})

    _ON: Mapping[str, Callable[[_Told, Mapping[str, Any]], None]] = {
        "run": _run,
        "resumed": _resumed,
        "epoch": _epoch,
        "trained": _release,
        "result": _result,
    }


def _numbers(values: Mapping[str, object]) -> dict[str, float]:
    """What is a number, and neither undefined nor a table."""
    return {name: value for name, value in values.items() if isinstance(value, int | float)}
