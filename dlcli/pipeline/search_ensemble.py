"""The ensemble of the best candidates of a search, see `dlcli tune --ensemble`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path as FilePath

from dlcli import errors
from dlcli.config.config_file import ConfigFile, dump_config, to_plain
from dlcli.config.config_schema import FIXED_FOR_MEMBERS, MOST_MEMBERS, Config, Ensemble
from dlcli.config.search_space import Dimension, Value, candidate, dimensions_of
from dlcli.config.tune_section import HIDDEN_LAYERS, space_conflicts
from dlcli.metrics.definitions import METRICS
from dlcli.pipeline.preparation import complete_folds
from dlcli.pipeline.run_recording import moved_config
from dlcli.pipeline.search_plan import DEFAULT_FOLDS, SearchContext, SearchPlan
from dlcli.runs import documents
from dlcli.runs.run import Run
from dlcli.schema.yaml_document import Path, format_path, parse_path

FEWEST = 2
"""Minimum number of candidates in an ensemble."""


def check_space(file: ConfigFile) -> None:
    """Check that the candidates of a config can be groups of one ensemble.

    Raises:
        errors.ConfigError: with each setting that must be the same in all networks.
    """
    config, named = file.config, errors.option("ensemble")
    problems: list[errors.Problem] = []

    def refuse(path: Path, message: str) -> None:
        problems.append(file.document.problem(path, message, of_key=True))

    space = config.tune.space if config.tune else None
    for path, message in space_conflicts("space", space, FIXED_FOR_MEMBERS) if space else ():
        keys = (path,) if isinstance(path, str) else path
        refuse(("tune", *keys), f"{message}; remove it, or omit {named}")
    own = config.ensemble
    if own is not None and own.vary is not None:
        refuse(("ensemble", "vary"), f"can't be combined with {named}; remove it, or omit {named}")
    if own is not None and own.fold_count is None:
        message = f"{named} requires out-of-fold predictions; set folds to a number"
        refuse(("ensemble", "folds"), message)
    if problems:
        raise errors.ConfigError(problems)


def check_folds(context: SearchContext) -> None:
    """Check that the rows of a search suffice for the folds of its ensemble.

    Raises:
        errors.DataError: if there are too few rows, groups or times, or all weights of a fold are
            0.
    """
    config, dataset = context.file.config, context.fits.dataset
    choice, classes, count = dataset.split_choice, dataset.task.class_column, fold_count(config)
    try:
        complete_folds(config, dataset.candidates, choice, classes, count)
    except errors.DataError as error:
        named, fewer = errors.option("ensemble"), errors.override("tune.folds", 2)
        error.add_note(f"  {named} needs {count} folds; for fewer: {fewer}, or omit {named}")
        raise


def check_size(size: int, config: Config, plan: SearchPlan) -> None:
    """Check the number of candidates in the ensemble of a search.

    Args:
        size: the number of candidates.
        config: the config with its search space.
        plan: the plan of the search.

    Raises:
        errors.UsageError: if it is too large.
    """
    folds, given = fold_count(config), errors.option("ensemble", size)
    most = MOST_MEMBERS // folds
    because = (
        f"an ensemble has at most {MOST_MEMBERS} networks: for each candidate, one for each of "
        f"{folds} folds"
    )
    if plan.trials is not None and plan.trials < most:
        most, because = plan.trials, f"the search has {errors.plural(plan.trials, 'candidate')}"
    if size > most:
        expected = f"expected at most {most}" if most >= FEWEST else "is not possible"
        raise errors.UsageError(f"{given}: {expected}, because {because}")


def fold_count(config: Config) -> int:
    """Return the number of folds of the ensemble: the config's own, or those of the search."""
    folds = config.tune.folds if config.tune else None
    return config.ensemble_folds or folds or DEFAULT_FOLDS


def best_trials(search: documents.Search, size: int) -> list[documents.TrialResult]:
    """Return the best complete trials with different values, best first."""
    found: list[documents.TrialResult] = []
    for trial in documents.leaderboard(search):
        if all(trial.values != other.values for other in found):
            found.append(trial)
    return found[:size]


def ensemble_config(
    file: ConfigFile, trials: Sequence[documents.TrialResult], metric: str, folder: FilePath
) -> str:
    """Return the config of an ensemble of candidates, as YAML.

    The first group has the settings of the best candidate. Each group has one network for each
    fold, and is weighted by its out-of-fold predictions.

    Args:
        file: the config with its search space.
        trials: the candidates, best first.
        metric: the metric that the search optimizes.
        folder: the folder of the config.
    """
    tune = file.config.tune
    assert tune is not None
    dimensions = dimensions_of(tune.space)
    best, *others = (candidate(file, trial.values) for trial in trials)
    config, folds = moved_config(best, folder), fold_count(file.config)
    settings = [
        _group_settings(dimensions, trial.values, None if best.config.hidden else other)
        for trial, other in zip(trials[1:], others, strict=True)
    ]
    own = Ensemble(members=len(trials) * folds, folds=folds, vary=tuple(settings), select="greedy")
    # Each network is validated on its fold, so it can also be trained on the validation rows.
    data = config.data
    update: dict[str, object] = {"train_on_validation": data.shares[0] > 0}
    if not data.shares[0]:
        update["validation"] = None
    metrics, name = config.metrics, metric.removeprefix("val_")
    if name in METRICS and METRICS[name].is_trained:  # becomes the main metric of the run
        metrics = (name, *(each for each in metrics or () if each != name))
    changes = {"data": data.model_copy(update=update), "ensemble": own, "metrics": metrics}
    return dump_config(config.model_copy(update=changes).on_all_rows())


def _group_settings(
    dimensions: Sequence[Dimension], values: Mapping[str, Value], whole: ConfigFile | None
) -> dict[str, object]:
    """Return the settings of a group, as in `ensemble.vary`.

    Args:
        dimensions: the search space.
        values: the values of the candidate.
        whole: the candidate, if its layers can't be made from those of the first group, which has
            none.
    """
    settings: dict[str, object] = {}
    for dimension in dimensions:
        first, *rest = parse_path(dimension.path)
        value: object = values[dimension.path]
        if dimension.kind == "choice":
            value = to_plain(dimension.choices[dimension.labels.index(values[dimension.path])])
        if first != HIDDEN_LAYERS:
            settings[dimension.path] = value
        elif whole is not None:
            settings["hidden"] = to_plain(whole.config.hidden)
        else:
            layers = settings.setdefault(HIDDEN_LAYERS, {})
            assert isinstance(layers, dict)
            layers[format_path(tuple(rest))] = value
    return settings


def missing_note(trained: int, size: int) -> str:
    """Return the note on an ensemble of fewer candidates than requested.

    Args:
        trained: the number of different candidates that were trained completely.
        size: the requested number.
    """
    known = errors.plural(trained, "candidate")
    end = "" if trained >= FEWEST else "; without another one, there is no ensemble"
    return f"only {known} of the {size} for the ensemble finished training{end}"


def summarize_ensemble(
    run: Run, trials: Sequence[documents.TrialResult]
) -> documents.SearchEnsemble:
    """Return the result of an ensemble of candidates.

    Args:
        run: the trained ensemble.
        trials: the candidates, in the order of its groups.

    Raises:
        errors.RunError: if its files are damaged.
    """
    ensemble = run.ensemble
    if ensemble is None or ensemble.selection is None:
        raise errors.RunError(f"{run.path}: has no groups of candidates; search again")
    numbers = tuple(trial.number for trial in trials if trial.number is not None)
    return documents.SearchEnsemble(run=run.path.name, trials=numbers, selection=ensemble.selection)
