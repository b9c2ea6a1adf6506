"""The data of a run for its reports, and parts that reports share: config and reproduction."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, ConfigDict

from dlcli import __version__
from dlcli.config.data_section import SPLITS
from dlcli.errors import RunError, joined, plural
from dlcli.metrics.definitions import ACCURACY, UNEQUAL_CLASSES, largest_class
from dlcli.metrics.intervals import Verdict
from dlcli.metrics.statistic import Floats, ThresholdCounts
from dlcli.pipeline import events
from dlcli.prediction.predictions import HeldOut
from dlcli.reports import formatting as fmt
from dlcli.reports import views
from dlcli.reports.charts import MOST_SERIES
from dlcli.runs.manifest import PAGE, RunFile
from dlcli.runs.run import Run
from dlcli.runs.run_folder import open_run
from dlcli.safe_files import Stored
from dlcli.tasks.task import StoredPredictions, Task

if TYPE_CHECKING:
    from dlcli.prediction.baseline_comparison import Conclusion, Skill
    from dlcli.prediction.predictor import Selection

AnyEvent = TypeVar("AnyEvent")
Last = Annotated[AnyEvent | None, BeforeValidator(lambda logged: logged[-1])]
"""The last event of its kind."""
_BASELINE_VERDICTS: Mapping[Verdict, str] = {
    "better": "Better than",
    "worse": "Worse than",
    "not_significant": "Not clearly better than",
    "same": "Exactly as good as",
    "unknown": "No confidence interval of the difference from",
}
_NOTHING_LEARNED: Mapping[Verdict, str] = {
    "worse": "The network has not learned anything useful for these rows yet.",
    "same": "The network has not learned anything useful for these rows yet.",
    "not_significant": "The held-out rows do not show that the network has learned anything.",
}
_TOO_FEW_ROWS: Mapping[Verdict, str] = {
    "not_significant": "The held-out rows are too few to show whether the network has learned "
    "anything.",
}
_NO_GAIN_OF_LAYERS: Mapping[Verdict, str] = {
    "worse": "The hidden layers do not help yet.",
    "same": "The hidden layers do not help yet.",
    "not_significant": "The hidden layers do not clearly help.",
}
_OPEN_GAIN_OF_LAYERS = "The held-out rows are too few to show whether the hidden layers help."
MOST_CONFIG_CHARACTERS = 60_000
"""Maximum number of characters shown of a config, which may have many columns."""
_FEWEST_OF_CLASSES = 5
"""Minimum number of rows for a statement about their most frequent class."""
_MOST_FILES = 100
_MOST_NOTES = 20
MOST_WARNINGS = 100
_FACTS = (
    *("dlcli", "python", "tensorflow", "keras", "numpy", "pyarrow"),
    *("platform", "machine", "processor", "device", "threads", "seed"),
)
"""Versions and properties of the machine."""
REPEATABLE = "The same config, data, versions and threads on the same machine give the same result."


class RunLog(Stored):
    """The log of a run, see `Run.parse_log`; the log of a diverged training lacks the end."""

    model_config = ConfigDict(frozen=True)

    data: Last[events.DataEvent] = None
    rows: Last[events.RowsEvent] = None
    target: Last[events.TargetEvent] = None
    features: Last[events.FeaturesEvent] = None
    network: Last[events.NetworkEvent] = None
    engine: Last[events.EngineEvent] = None
    device: Last[events.DeviceEvent] = None
    time_limit: Last[events.TimeLimitEvent] = None
    resumed: Last[events.ResumedEvent] = None
    trained: Last[events.TrainedEvent] = None
    baselines: Last[events.BaselinesEvent] = None
    warning: tuple[events.WarningEvent, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Distinct warnings in order; if there are many, the last one counts the rest."""
        messages = list(dict.fromkeys(each.message for each in self.warning))
        more = len(messages) - MOST_WARNINGS
        return (*messages[:MOST_WARNINGS], *([plural(more, "more warning")] if more > 0 else []))


class Scores(NamedTuple):
    """The rows of a class or label, and the score of each row for it."""

    is_positive: NDArray[np.bool_]
    """Shape `(rows,)`."""
    scores: Floats
    """Probabilities or margins, shape `(rows,)`."""


class PredictedNumbers(NamedTuple):
    """A predicted numeric column, without rows with a non-finite value."""

    column: str
    target: Floats
    """Shape `(rows,)`, as all below."""
    prediction: Floats
    weights: Floats


@dataclass(frozen=True, kw_only=True)
class PredictedRows(HeldOut):
    """The rows of one set, without those of weight 0 or without a finite score of the network."""

    decoded: Floats
    weights: Floats
    """Shape `(rows,)`; 1 each unless the config names a column of weights."""
    split: str
    """`test`, `validation` or `train`."""
    is_sample: bool
    """True if they are a random sample of the set."""
    is_weighted: bool
    """True if the config names a column of weights."""
    without_weight: int
    """The number of rows of weight 0, which are omitted."""

    @classmethod
    def read(
        cls, stored: StoredPredictions, task: Task, split: str, *, is_sample: bool = False
    ) -> PredictedRows:
        """Read the rows that count.

        Raises:
            RunError: if a column is missing or damaged.
        """
        held = HeldOut.of(stored, task)
        without_weight, is_weighted = stored.rows - held.rows, held.weights is not None
        if task.names:
            held = held.take(np.flatnonzero(np.isfinite(held.decoded).all(axis=1)))
        weights = np.ones(held.rows) if held.weights is None else held.weights
        return cls(
            **{**vars(held), "weights": weights},
            split=split,
            is_sample=is_sample,
            is_weighted=is_weighted,
            without_weight=without_weight,
        )

    @cached_property
    def predicted_values(self) -> NDArray[np.int64]:
        """The indices of the predicted classes, shape `(rows,)`."""
        if self.thresholds is not None:
            return np.reshape(self.decoded > self.thresholds, -1).astype(np.int64)
        return np.reshape(self.task.predict_by_cost(self.decoded, self.costs), -1)

    @cached_property
    def numbers(self) -> list[PredictedNumbers]:
        """The predicted numeric columns."""
        result, predicted = [], self.task.predict(self.decoded)
        for at, column in enumerate(self.task.columns):
            target, prediction = self.values[:, at], predicted[:, at]
            finite = np.isfinite(target) & np.isfinite(prediction)
            kept = target[finite], prediction[finite], self.weights[finite]
            result.append(PredictedNumbers(column, *kept))
        return result

    @cached_property
    def scores(self) -> Mapping[str, Scores]:
        """The scores of the second of two classes, or of each class or label.

        With many labels, only the first few are included; with many classes, none.
        """
        task, scores = self.task, self.decoded
        if task.labels:
            shown = enumerate(task.labels[:MOST_SERIES])
            return {name: Scores(self.values[:, at] > 0, scores[:, at]) for at, name in shown}
        if len(task.classes) == 2:
            return {task.classes[1]: Scores(self.values == 1, scores[:, -1])}
        classes = enumerate(task.classes if len(task.classes) <= MOST_SERIES else ())
        return {name: Scores(self.values == at, scores[:, at]) for at, name in classes}

    @cached_property
    def threshold_counts(self) -> dict[str, ThresholdCounts]:
        """The counts by threshold, for each class or label with positive and negative rows."""
        counted = {
            name: ThresholdCounts.of(each.is_positive, each.scores, self.weights)
            for name, each in self.scores.items()
        }
        return {name: each for name, each in counted.items() if each.is_defined}


@dataclass(frozen=True)
class TrainingRecord:
    """A training run, with values that several sections use; files are read on demand."""

    run: Run

    @cached_property
    def log(self) -> RunLog:
        """The log."""
        return self.run.parse_log(RunLog)

    @property
    def is_out_of_fold(self) -> bool:
        """True if the validation rows are out-of-fold rows, as in an ensemble with folds."""
        return self.run.config.ensemble_folds is not None

    @cached_property
    def predicted(self) -> list[PredictedRows]:
        """The rows of each set with predictions, the most independent of training first."""
        run = self.run
        tables = {False: run.predictions, True: run.sample}
        parts = [
            PredictedRows.read(table.of_split(split), run.task, split, is_sample=is_sample)
            for split in SPLITS
            for is_sample, table in tables.items()
            if table is not None
        ]
        return [part for part in parts if part.rows]

    @property
    def splits(self) -> list[str]:
        """The sets of rows with metrics, the most independent of training first."""
        return [name for name in SPLITS if name in self.run.metrics]

    def rows(self, split: str) -> int | None:
        """Return the number of rows of a set, if the log contains it."""
        if split == "validation" and self.is_out_of_fold:
            config, stored = self.run.config, self.run.predictions
            if config.validated_folds != config.ensemble_folds:  # some folds have no network
                return None if stored is None else stored.of_split(split).rows
            split = "train"
        return self.log.data.rows.get(split) if self.log.data else None

    def counted_rows(self, split: str) -> int | None:
        """Return the number of rows of a set, except held-out rows of weight 0."""
        rows = self.rows(split)
        if rows is None or self.run.config.data.sample_weight is None:
            return rows
        held_out = [each for each in self.predicted if not each.is_sample]
        return rows - sum(each.without_weight for each in held_out if each.split == split)

    def name_rows(self, split: str) -> str:
        """Name the rows of a set: `150 test rows`, or `test rows` if their number is unknown."""
        rows, adjective = self.counted_rows(split), self.run.config.adjective(split)
        return f"the {adjective} rows" if rows is None else plural(rows, f"{adjective} row")

    @property
    def headlines(self) -> tuple[str, ...]:
        """The metrics of the first sentence, on the most independent set of rows."""
        return self.run.task.headlines(self._named, self._scores)

    @property
    def summary(self) -> tuple[str, ...]:
        """The metrics at the top of the page."""
        return self.run.task.figures(self._named, self._scores)

    @property
    def _named(self) -> Sequence[str]:
        return self.log.network.metrics if self.log.network else ()

    @property
    def _scores(self) -> Mapping[str, object]:
        return self.run.metrics[self.splits[0]] if self.splits else {}

    def always(self, split: str) -> str:
        """Describe the accuracy of always predicting the largest class, if classes are unequal."""
        return always(self.run.task.classes, self.run.metrics[split], self.counted_rows(split))

    @property
    def best_epoch(self) -> int | None:
        """The epoch whose weights were kept, if training chose one."""
        return self.log.trained.best_epoch if self.log.trained else None


# Parts of pages


def run_view(run: Run, view: views.View) -> views.View:
    """Add the parts of all run views: name, folder, page, command and time."""
    page = run.path / PAGE
    finished = f"{run.created:%Y-%m-%d %H:%M}"
    report = str(page) if page.exists() else shlex.join(["dlcli", "report", str(run.path)])
    return replace(
        view,
        notes=(*sample_notes(run), *view.notes),
        title=fmt.shorten(run.path.resolve().name),
        links=(("run", str(run.path)), ("report", report), *view.links),
        footer=f"Created by dlcli {__version__} from a run that finished on {finished} UTC.",
    )


_FINAL_CONFIGS = (RunFile.REFIT, RunFile.BEST, RunFile.SMALLEST, RunFile.BEST_ENSEMBLE)
"""The configs for the final training that a cross-validation or a search writes."""


def sample_notes(run: Run) -> Iterator[str]:
    """Yield the note that a run used only a sample of the training table, if it did.

    The configs that a search or a cross-validation writes use all rows.
    """
    if (count := run.config.data.sample) is None:
        return
    log = run.parse_log(RunLog)
    event = log.data or log.rows
    if event is not None and event.sampled_from is not None:
        note = (
            f"Only a random sample of the training table was used: {count:,} of "
            f"{event.sampled_from:,} rows (data.sample)."
        )
        if written := [str(name) for name in _FINAL_CONFIGS if run.has(name)]:
            ending = "has no data.sample, so it trains on all rows."
            if len(written) > 1:
                ending = "have no data.sample, so they train on all rows."
            note += f" {joined(written)} {ending}"
        yield note


def is_trained(run: Run, name: str) -> bool:
    """Return whether a folder of this name within a run is a finished training."""
    try:
        return open_run(run.path / name).kind == "train"
    except RunError:
        return False


def baseline_sentences(
    conclusions: Mapping[str, Conclusion],
    name_rows: Callable[[str], str] | None = None,
    *,
    are_few: bool = False,
    skill: Skill | None = None,
) -> Iterator[str]:
    """Yield sentences that compare a network with the baselines.

    Args:
        conclusions: the conclusions by baseline.
        name_rows: returns the name of a set of rows, `150 test rows`, if there may be two sets.
        are_few: whether the rows are often too few for a conclusion.
        skill: the metrics that may show that the network has learned something.
    """
    from dlcli.prediction.baseline_comparison import skill_words

    for name in sorted(conclusions, key=lambda name: name == "constant"):  # the stronger one first
        found = conclusions[name]
        verdicts = {found.verdict, *(each.verdict for each in found.differences.values())}
        shown = [found.decisive] if verdicts == {"better"} else [*found.differences]
        parts: list[str] = []
        for split in shown:
            each, is_named = found.differences[split], len(shown) > 1 or split != "test"
            is_named &= len(found.differences) > 1
            where = f"on {name_rows(split)}" if name_rows and is_named else ""
            values = each.metric, each.network, each.baseline
            parts.append(fmt.versus(*values, each, where=where, names_interval=not parts))
        verdict = _BASELINE_VERDICTS[found.verdict]
        if found.verdict == "not_significant" and (found.difference.gain or 0) < 0:
            verdict = "Not better than"
        title = fmt.metric_title(found.difference.metric)
        yield f"{verdict} the {name} baseline: {title} {', '.join(parts)}."
    learned = {**_NOTHING_LEARNED, **(_TOO_FEW_ROWS if are_few else {})}
    constant, linear = conclusions.get("constant"), conclusions.get("linear")
    if constant is not None and constant.verdict in learned:
        shows = "" if skill is None else skill_words(skill, constant)
        yield f"{fmt.capitalize(shows)}." if shows else learned[constant.verdict]
    elif linear is not None and linear.is_inconclusive:
        yield _OPEN_GAIN_OF_LAYERS
    elif linear is not None and linear.verdict in _NO_GAIN_OF_LAYERS:
        yield _NO_GAIN_OF_LAYERS[linear.verdict]


def always(classes: Sequence[str], metrics: Mapping[str, object], rows: int | None) -> str:
    """Describe the accuracy of always predicting the largest class, if classes are unequal.

    Args:
        classes: their names.
        metrics: those of rows, with their confusion matrix.
        rows: the number of these rows, if known.

    Returns:
        `always “no”, the most frequent class of these rows: 83.7 %`; empty if no class is much
        larger than the others, or the rows are too few to compare classes.
    """
    if rows is not None and rows < _FEWEST_OF_CLASSES:
        return ""
    largest = largest_class(metrics, len(classes))
    if largest is None or largest[1] < UNEQUAL_CLASSES:
        return ""
    share = fmt.metric(ACCURACY.name, largest[1], rows)
    name = fmt.shorten(classes[largest[0]])
    return f"always “{name}”, the most frequent class of these rows: {share}"


def set_aside(rows: int) -> str:
    """Return a note on unused test rows; empty if there are none."""
    return f"{plural(rows, 'test row')} {'was' if rows == 1 else 'were'} set aside" if rows else ""


def as_sentences(notes: Sequence[str]) -> tuple[str, ...]:
    """Return the first notes or warnings of a result as sentences."""
    shown = [fmt.sentence(note) for note in notes if note.strip()]
    rest = len(shown) - _MOST_NOTES
    return (*shown[:_MOST_NOTES], *([f"And {rest:,} more."] if rest > 0 else []))


def commands_block(commands: Sequence[Sequence[str]]) -> views.CodeBlock:
    """Show commands to copy, one per line, given their words without `dlcli`."""
    return views.CodeBlock("\n".join(shlex.join(["dlcli", *words]) for words in commands))


def name_target(columns: Sequence[str], classes: Sequence[str], labels: Sequence[str]) -> str:
    """Name a target in a few words: `species (3 classes)`."""
    if labels:
        return f"{len(labels):,} labels"
    counted = f" ({len(classes):,} classes)" if classes else ""
    return f"{fmt.join_names(columns, 3)}{counted}"


def config_section(run: Run, *parts: views.ViewBlock | str | None) -> views.PageSection:
    """Show the config and the changes by `--set`.

    Args:
        run: the run.
        parts: the blocks before the config.
    """
    changes = "\n".join(fmt.shorten(change, 2_000) for change in _overrides(run))
    given = views.CodeBlock(_whole_lines(run.read_text(RunFile.CONFIG)), "As given:")
    changed = views.CodeBlock(_whole_lines(changes), "Changed with --set:") if changes else None
    resolved = views.CodeBlock(_whole_lines(run.resolved_path().read_text("utf-8")))
    filled_in = views.fold("With all defaults filled in", resolved)
    return views.section("config", "Config", *parts, given, changed, filled_in)


def _command(run: Run) -> list[str]:
    """Return the words of the command that created a run, if known."""
    words = run.environment.get("command")
    return [*map(str, words)] if isinstance(words, list) else []


def _overrides(run: Run) -> Iterator[str]:
    """Yield the settings that the command changed by `--set`: `epochs=20`."""
    for word, following in pairwise([*_command(run), ""]):
        if word == "--set":
            yield following
        elif word.startswith("--set="):
            yield word.removeprefix("--set=")


def _whole_lines(text: str) -> str:
    """Shorten a text to whole lines."""
    if len(text) <= MOST_CONFIG_CHARACTERS:
        return text
    kept = text[:MOST_CONFIG_CHARACTERS].rpartition("\n")[0]
    return f"{kept}\n# ... and {text.count(chr(10)) - kept.count(chr(10)):,} more lines"


def reproduction_section(run: Run, *parts: views.ViewBlock | str) -> views.PageSection:
    """Show the command, data and versions of a run.

    Args:
        run: the run.
        parts: the blocks with instructions to reproduce it.
    """
    environment, command, files = run.environment, None, None
    if words := _command(run):
        line = fmt.shorten(shlex.join(["dlcli", *words[1:]]), 2_000)
        command = views.CodeBlock(line, "Created by this command:")
    if run.data_files:
        has_version = any("version" in each for each in run.data_files)
        files = views.TableBlock.of(
            run.data_files,
            {
                "file": lambda each: fmt.shorten(each.get("file"), 120),
                "SHA-256 or version" if has_version else "SHA-256": lambda each: fmt.shorten(
                    each.get("sha256") or each.get("version") or fmt.UNDEFINED, 64
                ),
                "bytes": lambda each: fmt.number(each.get("bytes")),
            },
            "Data files",
            text_columns=range(2),
            most=_MOST_FILES,
            noun="file",
        )
    facts = [(name, environment.get(name)) for name in _FACTS]
    rows = [(name, fmt.shorten(value, 120)) for name, value in facts if value is not None]
    git = environment.get("git")
    if isinstance(git, Mapping) and git.get("commit"):
        changed = ", with uncommitted changes" if git.get("dirty") else ""
        rows.append(("git commit", fmt.shorten(git["commit"], 64) + changed))
    table = views.TableBlock(("name", "value"), tuple(rows), "Versions and machine", range(2))
    versions = views.fold("Versions", table)
    return views.section("reproduce", "Reproduction", *parts, command, files, versions)


def selection_sentence(selection: Selection, single: str) -> str:
    """Compare an ensemble with its first group, on the out-of-fold rows.

    Args:
        selection: the selection of its groups.
        single: the noun for the first group.
    """
    name, alone = selection.metric or "", selection.groups[0].value
    if selection.groups[0].share == 1:
        return f"No other group lowers the out-of-fold loss, so the ensemble consists of {single}."
    compared = fmt.versus(name, selection.value.value, alone.value, selection.difference)
    return f"Out-of-fold {fmt.metric_title(name)} of the ensemble vs {single}: {compared}."


def selection_table(selection: Selection, names: Sequence[str], noun: str) -> views.TableBlock:
    """List the groups of an ensemble by weight, with their metric on the out-of-fold rows.

    Args:
        selection: the selection of the groups.
        names: the name of each group.
        noun: the header of the names.
    """
    metric = selection.metric or ""
    groups = zip(names, selection.groups, strict=True)
    rows = [("ensemble", "", fmt.estimate(selection.value, metric))]
    rows += [
        (name, f"{100 * each.share:.0f} %", fmt.estimate(each.value, metric))
        for name, each in sorted(groups, key=lambda pair: -pair[1].share)
    ]
    return views.TableBlock(
        (noun, "weight", f"out-of-fold {fmt.metric_title(metric)} [95 %]".replace("  ", " ")),
        tuple(rows),
        note="Each group has one network for each fold. Its metric is that of the group alone. "
        "Groups without weight are not part of the ensemble. The weights and the epochs were "
        "chosen on these rows, so the metrics are too optimistic.",
    )
