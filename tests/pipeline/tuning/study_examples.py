"""Plans and results that tests of studies share."""

from __future__ import annotations

from dlcli.config import tune_section
from dlcli.config.search_space import Dimension
from dlcli.config.tune_section import NoPruner, Range, Tune
from dlcli.pipeline.search_plan import SearchPlan
from dlcli.runs.documents import TrialResult

RATE = Dimension("optimizer.learning_rate", "float", 1e-4, 1e-1, log=True)
UNITS = Dimension("hidden_layers.units", "choice", choices=(16, 32, 64))
LAYERS = Dimension("hidden_layers.number", "integer", 1, 4, 1)
DROPOUT = Dimension("hidden_layers.dropout", "float", 0.1, 0.5, 0.2)


def plan(
    dimensions=(RATE, UNITS), startup=3, sampler="random", trials=5, seed=7, epochs=20, **fields
):
    """Return the plan of a search between some dimensions."""
    samplers = {
        "random": tune_section.RandomSampler(),
        "grid": tune_section.Grid(),
        "tpe": tune_section.Tpe(startup_trials=startup),
    }
    space = {each.path: each.choices or varied(each) for each in dimensions}
    limit = {"trials": trials} if trials is not None else {"time": 3600.0}
    usual = {"metric": "val_loss", "pruner": NoPruner(), "folds": None, **fields}
    tune = Tune.model_construct(space=space, sampler=samplers[sampler], **limit, **usual)
    return SearchPlan("planned", tune, seed, epochs)


def varied(dimension):
    ends = {"low": dimension.low, "high": dimension.high, "log": dimension.log}
    step = None if dimension.log else dimension.step
    return Range.model_construct(**ends, step=step)


def result_of(values, value=None, state="complete", problem=None):
    """Return the result of a trial; its value is its learning rate if omitted."""
    value = values.get(RATE.path, 0.5) if value is None and state == "complete" else value
    return TrialResult(
        number=None,
        state=state,
        values=values,
        value=value,
        standard_error=0.1,
        seconds=1.0,
        problem=problem,
    )


def finish(study, running, *arguments, spent=0.0, **fields):
    """Store the result of a running trial, see `result_of`."""
    study.tell(running, result_of(running.values, *arguments, **fields), spent)
