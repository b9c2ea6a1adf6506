"""One candidate: trained on each part, judged, or given up."""

from __future__ import annotations

import gc
import math
import statistics
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dlcli.config import Config, Value, candidate
from dlcli.errors import ConfigError, DataError, DivergenceError, OutOfMemoryError
from dlcli.pipeline.search_document import State, TrialResult, standard_error_of_folds
from dlcli.pipeline.tuning.attributes import worker_name
from dlcli.pipeline.tuning.goal import Judgement, judge, mean_metrics
from dlcli.pipeline.tuning.pruning import Pruned, Watch
from dlcli.pipeline.tuning.work import Work

if TYPE_CHECKING:
    from dlcli.pipeline.fit import FitResult
    from dlcli.training import Checkpointer


@dataclass
class _Seen:
    """What was seen of a candidate so far, part by part."""

    judgements: list[Judgement] = field(default_factory=list)
    parameters: list[int] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    best_epochs: list[int] = field(default_factory=list)

    def take(self, judgement: Judgement, outcome: FitResult) -> None:
        """Takes in a part."""
        trained = outcome.training
        self.judgements.append(judgement)
        self.parameters.append(outcome.parameters)
        self.epochs.append(trained.epochs)
        self.best_epochs.append(trained.best_epoch or trained.epochs)

    @property
    def values(self) -> list[float | None]:
        """The value of each part."""
        return [each.value for each in self.judgements]

    @property
    def mean(self) -> float | None:
        """The mean over the parts; `None` if one is undefined."""
        known = [value for value in self.values if value is not None]
        is_whole = known and len(known) == len(self.values)
        return math.fsum(known) / len(known) if is_whole else None

    @property
    def standard_error(self) -> float | None:
        """Over parts, or over the rows of the only one."""
        if len(self.judgements) > 1:
            return standard_error_of_folds(self.values)
        return self.judgements[0].standard_error

    def fields(self, parts: int) -> dict[str, Any]:
        """What a result tells of those parts that were judged."""
        return {
            "folds": tuple(self.values) if parts > 1 else (),
            "metrics": mean_metrics(self.judgements),
            "parameters": max(self.parameters, default=None),
            "epochs": _median(self.epochs),
            "best_epoch": _median(self.best_epochs),
        }


def try_values(
    work: Work, values: Mapping[str, Value], watch: Watch, keeper: Checkpointer
) -> TrialResult:
    """Tries the config with other values.

    Args:
        work: what all trials have in common.
        values: by path of the dimension.
        watch: looks at it, and may give it up.
        keeper: ends it when a signal comes.

    Returns:
        What it came to, be it a failure; without a number.

    Raises:
        DataError: if the rows can't be trained on by the config as given.
        Interrupted: if a signal has come.
    """
    start = time.perf_counter()
    seen = _Seen()

    def result(state: State, value: float | None, **more: Any) -> TrialResult:  # noqa: ANN401
        told = {"standard_error": None, **seen.fields(len(work.parts)), **more}
        told["seconds"] = round(time.perf_counter() - start, 3)
        return TrialResult(
            number=None, state=state, values=values, value=value, worker=worker_name(), **told
        )

    try:
        _train(work, candidate(work.file, values).config, watch, keeper, seen)
    except Pruned:
        return result("pruned", watch.last, epochs=_median(seen.epochs) or watch.epochs)
    except (ConfigError, DataError, DivergenceError, OutOfMemoryError) as error:
        if isinstance(error, DataError) and not values:
            raise  # no candidate on these rows would fare better
        problem = str(error).partition("\n")[0]
        traceback.clear_frames(error.__traceback__)  # they hold what takes up the memory
        gc.collect()
        return result("failed", None, problem=problem)
    value = seen.mean
    if value is None:
        return result("failed", None, problem=f"{work.goal.metric} is undefined")
    return result("complete", value, standard_error=seen.standard_error)


def _train(work: Work, config: Config, watch: Watch, keeper: Checkpointer, seen: _Seen) -> None:
    for place, part in enumerate(work.parts):
        outcome = work.context.fit(config, part, watch.progress(place), keeper)
        seen.take(judge(outcome, work.goal), outcome)
        if place + 1 < len(work.parts):
            watch.after(place + 1, seen.mean)


def _median(counts: Sequence[int]) -> int | None:
    return math.floor(statistics.median(counts) + 0.5) if counts else None
