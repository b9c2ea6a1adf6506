"""What pages of cross-validations and searches have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dlcli.config import Config, load_config
from dlcli.errors import ConfigError, RunError
from dlcli.reports.asked import whole_lines
from dlcli.reports.blocks import Block, Code, Fold, Section, Text, Warnings
from dlcli.reports.log import Log
from dlcli.reports.reproduce import made_with
from dlcli.reports.wording import short
from dlcli.runs import Run, open_run

_MOST_NOTES = 20


@dataclass(frozen=True)
class Experiment:
    """What is kept of it beside what it came to."""

    run: Run
    config: Config
    """The resolved one."""
    config_text: str
    """The one that was given."""
    resolved_text: str
    environment: dict[str, object]
    warnings: tuple[str, ...]
    """What was said of the data."""

    @classmethod
    def of(cls, run: Run) -> Experiment:
        """Reads a cross-validation or a search.

        Raises:
            RunError: if a file of it is damaged.
        """
        resolved = run.resolved_path()
        try:
            file = load_config(resolved)
        except ConfigError as error:
            problem = replace(error.problems[0], position="")
            raise RunError(f"{run.path}: its resolved.yaml can't be read: {problem}") from None
        log = Log.of(run)
        more = (f"{log.more_warnings:,} more warnings.",) if log.more_warnings else ()
        return cls(
            run=run,
            config=file.config,
            config_text=run.config_text(),
            resolved_text=file.text,
            environment=run.read_environment() if run.has("environment.json") else {},
            warnings=(*log.warnings, *more),
        )

    def trained(self, name: str) -> bool:
        """Whether there is a finished training in a folder of this name within it."""
        try:
            return open_run(self.run.path / name).kind == "train"
        except RunError:
            return False


def sentence(text: str) -> str:
    """A note as a sentence, cut off if it is long; a name at its beginning stays as it is."""
    shown = short(text.strip(), 600)
    end = "" if shown.endswith((".", "!", "?", "…")) else "."
    is_word = shown.partition(" ")[0].isalpha()
    return f"{shown[:1].upper() if is_word else shown[:1]}{shown[1:]}{end}"


def to_bear_in_mind(experiment: Experiment, notes: Sequence[str]) -> list[Warnings]:
    """The notes of what it came to, and the warnings of its data, as far as there are any."""
    shown = [sentence(note) for note in (*notes, *experiment.warnings) if note.strip()]
    rest = len(shown) - _MOST_NOTES
    more = [f"And {rest:,} more."] if rest > 0 else []
    return [Warnings((*shown[:_MOST_NOTES], *more))] if shown else []


def asked(experiment: Experiment, *blocks: Block) -> Section:
    """The section of the config.

    Args:
        experiment: whose.
        blocks: what stands before it.
    """
    given = Code(whole_lines(experiment.config_text), "The config, as it was given:")
    resolved = Code(whole_lines(experiment.resolved_text))
    return Section(
        "asked", "What was asked", (*blocks, given, Fold("With everything filled in", (resolved,)))
    )


SAME = "The same config, data, versions and threads on the same machine give the same."


def reproduce(experiment: Experiment, text: str = SAME) -> Section:
    """The section of what it was made with.

    Args:
        experiment: whose.
        text: whether doing it again gives the same.
    """
    blocks = made_with(experiment.environment)
    return Section("reproduce", "How it was made", (Text(text), *blocks))
