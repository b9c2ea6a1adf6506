"""All folds trained in turn, each kept as soon as it is finished."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dlcli.config import Config
from dlcli.errors import ConfigError, DataError, DivergenceError
from dlcli.metrics import main_metric
from dlcli.pipeline.cross_validation.finished import Finished, read_finished
from dlcli.pipeline.cross_validation.judging import diverged, judged, refused
from dlcli.pipeline.cross_validation.keeping import FoldKeeper
from dlcli.pipeline.cross_validation.rounds import Round
from dlcli.pipeline.events import Events, Listener
from dlcli.pipeline.preparation import settle
from dlcli.pipeline.workbench import Part, Workbench
from dlcli.runs import RunWriter
from dlcli.splitting import Split

SECONDS = 0.2
"""Time from one word of progress to the next, at least."""


@dataclass(frozen=True)
class Folds:
    """What to train."""

    config: Config
    rounds: Sequence[Round]
    """In order: repeat, then fold."""
    bench: Workbench
    metrics: Sequence[str]
    """The config's."""
    listener: Listener
    """Is told how far each has come, of which no log tells."""


def train_folds(folds: Folds, writer: RunWriter, events: Events) -> list[Finished]:
    """Trains all folds that are not finished yet.

    Args:
        folds: what to train.
        writer: the run folder, which keeps what each came to.
        events: are told of each.

    Returns:
        What they came to, in order.

    Raises:
        Interrupted: if a signal has come.
        ConfigError, DataError, DivergenceError: if none could be trained.
        DlcliError: of the kind that fits.
    """
    pool, keeper = folds.bench.pool, FoldKeeper(writer, len(folds.rounds))
    found = {each.number: read_finished(writer, each, pool) for each in folds.rounds}
    keeper.finished = sum(each is not None for each in found.values())
    if keeper.finished:
        events.emit("kept", folds=keeper.finished, of=len(found))
    with keeper.heeding_signals():  # one between two folds is heeded by the next
        for each in folds.rounds:
            if found[each.number] is None:
                finished = _train(folds, each, keeper)
                finished.store(writer, each)
                keeper.finished += 1
                events.emit("fold", **_told(finished, folds))
                found[each.number] = finished
    results = [fold for each in folds.rounds if (fold := found[each.number]) is not None]
    _refuse_failures(results, writer)
    return results


def _train(folds: Folds, each: Round, keeper: FoldKeeper) -> Finished:
    """What a fold comes to: also nothing, so that what others have come to isn't lost."""
    start, config, bench = time.perf_counter(), each.config(folds.config), folds.bench
    part = each.part(folds.config, bench.pool)
    try:
        outcome = bench.train(config, part, _progress(folds, each), keeper)
        return judged(each, outcome, _since(start))
    except DivergenceError as error:
        traceback.clear_frames(error.__traceback__)  # they hold what the engine has on the device
        return _diverged(folds, each, part, error, start)
    except (ConfigError, DataError) as error:
        traceback.clear_frames(error.__traceback__)  # and these the encoded rows
        return refused(each, part, error.with_traceback(None), _since(start))


def _diverged(
    folds: Folds, each: Round, part: Part, error: DivergenceError, start: float
) -> Finished:
    pool, split = folds.bench.pool, Split(part.train, part.validation, part.held_out)
    nobody = Events(lambda *_: None)
    prepared = settle(folds.config, split, pool.dealt, pool.target, pool.labelled, nobody)
    return diverged(each, part, prepared, error, _since(start))


def _progress(folds: Folds, each: Round) -> Callable[[int, Mapping[str, float]], None]:
    """Tells at the beginning, and then from time to time, how far a fold has come."""
    counts = {"done": each.number - 1, "folds": len(folds.rounds), "of": folds.config.epochs}
    folds.listener("progress", {**counts, "epoch": 0})
    due = time.monotonic() + SECONDS

    def tell(epoch: int, values: Mapping[str, float]) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + SECONDS
            folds.listener("progress", {**counts, "epoch": epoch})

    return tell


def _told(finished: Finished, folds: Folds) -> dict[str, object]:
    result = finished.result
    kept = {"repeat", "fold", "epochs", "best_epoch", "seconds", "metrics", "problem"}
    return {
        **result.model_dump(mode="json", include=kept),
        "of": folds.rounds[-1].fold,
        "repeats": folds.rounds[-1].repeat,
        "metric": main_metric(folds.metrics, result.metrics),
    }


def _refuse_failures(results: Sequence[Finished], writer: RunWriter) -> None:
    """Refuses folds of which none could be trained.

    Raises:
        ConfigError, DataError: what the rows of the first one have that had some.
        DivergenceError: saying how the first one ended.
    """
    if any(each.result.problem is None for each in results):
        return
    writer.not_resumable = True  # it would end so again
    for each in results:
        if each.error is not None:
            raise each.error
    first = results[0].result
    message = f"all {len(results)} folds failed; the first: {first.problem}"
    raise DivergenceError(message, first.epochs + 1)


def _since(start: float) -> float:
    return round(time.perf_counter() - start, 3)
