"""The story of a cross-validation: one config, judged by rows that took no part in its training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from dlcli.config import Config, ConfigFile, dump_config
from dlcli.pipeline.cross_validation.plan import Plan
from dlcli.pipeline.cross_validation.refit import refit, refit_config
from dlcli.pipeline.cross_validation.rounds import Round, check_rounds, deal_rounds
from dlcli.pipeline.cross_validation.together import Asked, all_predictions, put_together
from dlcli.pipeline.cross_validation.training import Folds, train_folds
from dlcli.pipeline.events import Events, Listener
from dlcli.pipeline.origin import (
    Images,
    check_data,
    check_images,
    check_unchanged,
    image_fingerprints,
    read_resolved,
    stamps_of,
    warn_of_changes,
    write_origin,
)
from dlcli.pipeline.pool import Pool, read_pool
from dlcli.pipeline.preflight import check_memory
from dlcli.pipeline.preparation import Prepared, settle
from dlcli.pipeline.resolution import moved_config
from dlcli.pipeline.selection import CrossValidation
from dlcli.pipeline.workbench import Workbench
from dlcli.runs import Run, RunWriter, new_run, unfinished_run
from dlcli.splitting import Split

_TOLD = (
    *("split", "folds", "repeats", "set_aside", "main_metric"),
    *("by_fold", "deviations", "constant", "best_epochs", "notes"),
)
"""What the result tells of the document, besides its pooled metrics."""
_LONGEST = 64
"""Most letters of a run folder's name."""


def cross_validate(
    file: ConfigFile,
    plan: Plan,
    output: Path | None = None,
    listener: Listener = lambda *_: None,
) -> Run:
    """Trains a config without each fold in turn, and judges it by the rows of that fold.

    Args:
        file: the config.
        plan: how many folds and repeats.
        output: the run folder, which must not exist; else `runs/<name>-cv`, `runs/<name>-cv-2`, ...
        listener: is told what happens.

    Returns:
        The run, of kind `cv`.

    Raises:
        DlcliError: of the kind that fits; nothing is left then, unless a fold is finished, or a
            signal has come: see `resume`.
    """
    events = Events(listener)
    with file.located():
        stamps = stamps_of(file)
        made = _make_ready(file, plan, events)
        with new_run(output, cv_name(file.name)) as writer:
            events.log_to(writer)
            writer.write_plan(plan.model_dump())
            resolved = _resolved(file, made, writer.path)
            write_origin(writer, file, resolved, made.bench.device, made.images)
            check_unchanged(stamps)
            return _carry_out(writer, resolved, made, events, listener)


def resume_cross_validation(run: Path, listener: Listener = lambda *_: None) -> Run:
    """Goes on with a cross-validation that was ended: with the folds that are not finished.

    Args:
        run: the run folder.
        listener: is told what happens.

    Returns:
        The same run, finished, as if nothing had happened.

    Raises:
        DlcliError: of the kind that fits; the run stays as it is then.
    """
    events = Events(listener)
    with unfinished_run(run, "cv") as writer:
        plan, file = Plan.of(writer), read_resolved(writer)
        with file.located():
            stamps = stamps_of(file)
            check_data(writer, file)
            made = _make_ready(file, plan, events)
            check_unchanged(stamps)
            check_images(writer, made.images)
            warn_of_changes(writer, file, made.bench.device, events)
            events.log_to(writer)
            return _carry_out(writer, file.config, made, events, listener)


def cv_name(name: str) -> str:
    """The name of a config's cross-validation."""
    return f"{name[: _LONGEST - len('-cv')]}-cv"


@dataclass(frozen=True)
class _Ready:
    """All that training needs."""

    name: str
    plan: Plan
    pool: Pool
    rounds: tuple[Round, ...]
    first: Prepared
    """What follows from the rows of the first fold."""
    images: Images
    bench: Workbench


def _make_ready(file: ConfigFile, plan: Plan, events: Events) -> _Ready:
    config = file.config
    pool = read_pool(file, events)
    rounds = deal_rounds(pool, plan, config.seed)
    check_rounds(rounds, config, pool)
    first = _settle(config, pool, rounds[0], events)
    check_memory(first, config, None, events)
    every = Split(pool.rows, pool.split.validation, None)
    images = image_fingerprints(replace(first, split=every))
    bench = Workbench(pool, config, events, plan.trainings, keeps=False)
    return _Ready(file.name, plan, pool, rounds, first, images, bench)


def _settle(config: Config, pool: Pool, first: Round, events: Events) -> Prepared:
    """What follows from the rows of the first fold, told as it is much the same for all."""

    def tell(event: str, fields: dict[str, object]) -> None:
        if event in ("target", "features", "network"):
            events.emit(event, **fields)

    part = first.part(config, pool)
    split = Split(part.train, part.validation, part.held_out)
    return settle(config, split, pool.dealt, pool.target, pool.labelled, Events(tell))


def _resolved(file: ConfigFile, made: _Ready, folder: Path) -> Config:
    """The config with all that was inferred but types and engine, which each fold settles anew."""
    config, head = moved_config(file, folder), made.first.head
    target = config.data.target.model_copy(update={"type": made.pool.target.type})
    return config.model_copy(
        update={
            "data": config.data.model_copy(update={"split": made.pool.dealt, "target": target}),
            "output": head.output,
            "loss": head.loss,
            "metrics": head.metrics,
            "threads": made.bench.device.threads,
        }
    )


def _carry_out(
    writer: RunWriter, resolved: Config, made: _Ready, events: Events, listener: Listener
) -> Run:
    """Trains, judges and stores."""
    events.emit("run", folder=str(writer.path))
    first = made.first
    folds = Folds(resolved, made.rounds, made.bench, first.head.metrics, listener)
    finished = train_folds(folds, writer, events)
    asked = Asked(
        *(made.name, made.plan, resolved.seed, made.pool),
        *(first.head, first.encoding.target, resolved.early_stopping),
    )
    place = str(writer.path)
    found = put_together(asked, finished, place)
    writer.write_predictions(all_predictions(finished, place))
    writer.write_cross_validation(found.model_dump_json())
    refitted = _refitted(writer, resolved, made.plan, found, events, listener)
    events.emit("result", **_told(writer, found, refitted))
    return writer.finish("cv")


def _refitted(
    writer: RunWriter,
    resolved: Config,
    plan: Plan,
    found: CrossValidation,
    events: Events,
    listener: Listener,
) -> Run | None:
    """Writes the config that trains on all rows, and trains it if that is planned."""
    if found.best_epochs is None:
        return None
    config = refit_config(resolved, found.best_epochs, events)
    writer.write_refit(dump_config(config))
    return refit(writer, events, listener) if plan.refit else None


def _told(writer: RunWriter, found: CrossValidation, refitted: Run | None) -> dict[str, object]:
    """The result, for JSON."""
    told = found.model_dump(mode="json", include={*_TOLD, "pooled"})
    return {
        "run": str(writer.path),
        "metrics": told.pop("pooled"),
        **told,
        "refit": None if refitted is None else str(refitted.path),
    }
