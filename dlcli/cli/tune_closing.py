"""What a search came to: the best beside the config as given, and where they are."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from dlcli.cli.event_log import setting_values
from dlcli.cli.text import align, number
from dlcli.comparison import VERDICTS
from dlcli.config import printable
from dlcli.errors import plural

Fields = Mapping[str, Any]

_NAMES = ("default", "best", "smallest")


class TrialClosing:
    """Tells the result."""

    def __init__(self) -> None:
        self.result: dict[str, Any] = {}
        """Its fields."""

    def note(self, event: str, fields: Fields) -> None:
        """Takes in an event."""
        if event == "result":
            self.result = dict(fields)

    def lines(self) -> Iterator[str]:
        """Yields what is printed."""
        yield from self._table()
        yield ""
        yield from self._found()
        yield from self._judged()
        yield from (f"note: {printable(note)}" for note in self.result["notes"])
        yield ""
        yield from self._way_on()

    def _table(self) -> list[str]:
        """The config as given, the best and the smallest, a column each."""
        metric = self.result["metric"]
        shown = {name: self.result[name] for name in _NAMES if self.result[name] is not None}
        rows = [
            [metric, *(number(trial["value"]) for trial in shown.values())],
            ["± standard error", *(number(trial["standard_error"]) for trial in shown.values())],
            ["parameters", *(_count(trial["parameters"]) for trial in shown.values())],
        ]
        finalists = {each["name"]: each for each in self.result["finalists"]}
        if finalists:
            first = next(iter(finalists.values()))
            cells = [_finally(self._trained(name, finalists)) for name in shown]
            rows.append([f"{first['split']} {first['metric']}", *cells])
        return align([["", *shown], *rows])

    def _trained(self, name: str, finalists: Mapping[str, Fields]) -> Fields | None:
        """A finalist; the smallest is the best itself if it wasn't trained."""
        is_best = name == "smallest" and self.result["smallest"] == self.result["best"]
        return finalists.get("best" if is_best else name)

    def _found(self) -> Iterator[str]:
        best, smallest = self.result["best"], self.result["smallest"]
        yield (
            f"the best of {plural(self.result['trials'], 'trial')} is #{best['number']}: "
            f"{setting_values(best['values'])}"
        )
        if smallest == best:
            yield "no smaller network is within one standard error of it"
        else:
            yield (
                f"the smallest network within one standard error of it is #{smallest['number']}: "
                f"{setting_values(smallest['values'])}"
            )

    def _judged(self) -> Iterator[str]:
        """What rows say that took no part, or the best that there are."""
        for each in self.result["finalists"]:
            if each["verdict"] is not None:
                yield f"{each['name']} against default, {_verdict_words(each)}"
        nested = self.result["nested_value"]
        if nested is not None:
            value = f"{self.result['metric']} {_with_ends(nested)}"
            yield f"what the whole search gives, by rows that it did not see: {value}"

    def _way_on(self) -> Iterator[str]:
        run = self.result["run"]
        yield f"run: {printable(run)}"
        yield f"report: {shlex.join(['dlcli', 'report', run])}"
        trained = {each["name"]: each for each in self.result["finalists"]}
        if "best" in trained:
            is_lost = trained["best"]["verdict"] == "worse" and "default" in trained
            network = f"{run}/{'default' if is_lost else 'best'}"
            yield f"to predict: {shlex.join(['dlcli', 'predict', network])} DATA"
        else:
            yield f"to train the best: {shlex.join(['dlcli', 'train', f'{run}/best.yaml'])}"


def _finally(finalist: Fields | None) -> str:
    return "" if finalist is None else number(finalist["metrics"].get(finalist["metric"]))


def _count(parameters: int | None) -> str:
    return "-" if parameters is None else f"{parameters:,}"


def _with_ends(found: Fields) -> str:
    if found["lower"] is None or found["upper"] is None:
        return number(found["value"])
    return f"{number(found['value'])} [{number(found['lower'])}, {number(found['upper'])}]"


def _verdict_words(finalist: Fields) -> str:
    """Whether a finalist beats the default config significantly."""
    gain, verdict = finalist["gain"], finalist["verdict"]
    if gain is None or gain["value"] is None or verdict == "unknown":
        return "can't be told" + (f": {gain['reason']}" if gain and gain["reason"] else "")
    ends = "" if gain["lower"] is None else f" [{number(gain['lower'])}, {number(gain['upper'])}]"
    difference = f"{gain['value']:+.4g}"
    return f"{finalist['metric']} {difference}{ends}: {VERDICTS[verdict]}"
