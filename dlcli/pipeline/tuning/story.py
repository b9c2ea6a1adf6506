"""The story of a search: candidates judged alike, the best of them trained in full."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dlcli.config import ConfigFile, check_tune
from dlcli.pipeline.events import Events, Listener
from dlcli.pipeline.origin import check_data, check_unchanged, read_resolved, stamps_of
from dlcli.pipeline.pool import read_pool
from dlcli.pipeline.preflight import check_memory
from dlcli.pipeline.preparation import Prepared, settle
from dlcli.pipeline.resolution import moved_config
from dlcli.pipeline.tuning.course import SearchEvents, carry_out
from dlcli.pipeline.tuning.nested import check_outer_folds
from dlcli.pipeline.tuning.origin import Known, origin_of, write_origin
from dlcli.pipeline.tuning.settings import Settings
from dlcli.pipeline.tuning.work import Work, searched, warn_of_many
from dlcli.runs import Run, new_run, unfinished_run
from dlcli.splitting import Split

_LONGEST = 64
"""Most letters of a run folder's name."""


def tune(
    file: ConfigFile,
    settings: Settings = Settings(),  # noqa: B008  (it is frozen)
    output: Path | None = None,
    listener: Listener = lambda *_: None,
) -> Run:
    """Searches for a better config, and trains it beside the one as given.

    Args:
        file: the config, with what it searches for.
        settings: how the search is carried out.
        output: the run folder, which must not exist; else `runs/<name>-tune` and so on.
        listener: is told what happens.

    Returns:
        The run, of kind `tune`.

    Raises:
        DlcliError: of the kind that fits; nothing is left then, unless a trial has ended, or a
            signal has come: see `resume`.
    """
    events = SearchEvents(listener)
    with file.located():
        check_tune(file)
        stamps = stamps_of(file)
        work = _make_ready(file, events, nested=settings.nested)
        known = Known.begun(file, settings)
        with new_run(output, tune_name(file.name)) as writer:
            events.log_to(writer)
            known.store(writer, origin_of(file))
            write_origin(writer, file, moved_config(file, writer.path, keep_tune=True))
            check_unchanged(stamps)
            return carry_out(writer, work, known, settings, events)


def resume_tuning(
    run: Path,
    settings: Settings = Settings(),  # noqa: B008
    listener: Listener = lambda *_: None,
) -> Run:
    """Goes on with a search that was ended: with the trials that have not ended.

    Args:
        run: the run folder.
        settings: how it is carried out from here on; a storage with a password is named again.
        listener: is told what happens.

    Returns:
        The same run, finished.

    Raises:
        DlcliError: of the kind that fits; the run stays as it is then.
    """
    events = SearchEvents(listener)
    with unfinished_run(run, "tune") as writer:
        known, file = Known.of(writer), read_resolved(writer)
        known.check_named(settings.storage, writer)
        with file.located():
            stamps = stamps_of(file)
            check_data(writer, file)
            work = _make_ready(file, events, nested=known.nested)
            check_unchanged(stamps)
            events.log_to(writer)
            settings = replace(settings, nested=known.nested)
            return carry_out(writer, work, known, settings, events)


def tune_name(name: str) -> str:
    """The name of a config's search."""
    return f"{name[: _LONGEST - len('-tune')]}-tune"


def _make_ready(file: ConfigFile, events: Events, *, nested: bool) -> Work:
    """Reads the rows, and checks all that can be checked without TensorFlow."""
    searched(file)  # what is missing there need not wait for the rows
    work = Work.of(file, read_pool(file, events), events)
    warn_of_many(work.tune, events)
    if nested:
        check_outer_folds(work)
    check_memory(_settled(file, work, events), file.config, None, events)
    return work


def _settled(file: ConfigFile, work: Work, events: Events) -> Prepared:
    """What follows from the first part's rows, told as it is much the same for all."""

    def tell(event: str, fields: dict[str, object]) -> None:
        if event in ("target", "features", "network"):
            events.emit(event, **fields)

    part, pool = work.parts[0], work.bench.pool
    split = Split(part.train, part.validation, None)
    return settle(file.config, split, pool.dealt, pool.target, pool.labelled, Events(tell))
