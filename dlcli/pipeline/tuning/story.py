"""The story of a search: candidates judged alike, the best of them trained in full."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dlcli.config import ConfigFile, check_tune
from dlcli.pipeline.cross_validation import prepare_example
from dlcli.pipeline.data_loading import read_candidates
from dlcli.pipeline.events import Listener
from dlcli.pipeline.memory_check import check_memory
from dlcli.pipeline.run_recording import Recording, moved_config, recorded_run, resumed_run
from dlcli.pipeline.tuning.course import carry_out
from dlcli.pipeline.tuning.nested import check_outer_folds
from dlcli.pipeline.tuning.origin import Known, origin_of
from dlcli.pipeline.tuning.settings import Settings
from dlcli.pipeline.tuning.work import Work, searched, warn_of_many
from dlcli.runs import Run

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
    with recorded_run(file, output, tune_name(file.name), listener) as recording:
        check_tune(file)
        return _tune(recording, Known.begun(file, settings), settings)


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
    with resumed_run(run, "tune", listener) as recording:
        assert recording.writer is not None
        known = Known.of(recording.writer)
        known.check_named(settings.storage, recording.writer)
        return _tune(recording, known, replace(settings, nested=known.nested))


def tune_name(name: str) -> str:
    """The name of a config's search."""
    return f"{name[: _LONGEST - len('-tune')]}-tune"


def _tune(recording: Recording, known: Known, settings: Settings) -> Run:
    file, events = recording.file, recording.events
    searched(file)  # what is missing there need not wait for the rows
    work = Work.of(file, read_candidates(file, events), events)
    warn_of_many(work.tune, events)
    if settings.nested:
        check_outer_folds(work)
    dataset = work.context.dataset
    example = prepare_example(file.config, dataset, work.parts[0], events)
    check_memory(example, file.config, on_disk=False)
    with recording.begin(
        lambda folder: moved_config(file, folder, keep_tune=True),
        device=None,
        first=lambda writer: known.store(writer, origin_of(file)),
    ) as writer:
        return carry_out(writer, work, known, settings, events)
