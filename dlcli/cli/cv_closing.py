"""What a cross-validation came to: its metrics with what chance leaves open, and where it is."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from dlcli.cli.text import align, number
from dlcli.config import printable
from dlcli.errors import plural
from dlcli.metrics import compare_to_baselines
from dlcli.pipeline import REFIT_FAILED

Fields = Mapping[str, Any]


class FoldClosing:
    """Tells the result."""

    def __init__(self) -> None:
        self.result: dict[str, Any] = {}
        """Its fields."""
        self._has_failed = False

    def note(self, event: str, fields: Fields) -> None:
        """Takes in an event."""
        if event == "result":
            self.result = dict(fields)
        elif event == "warning":
            self._has_failed |= fields["message"].startswith(REFIT_FAILED)

    def lines(self) -> Iterator[str]:
        """Yields what is printed."""
        yield from self._table()
        yield ""
        yield from self._explained()
        yield ""
        run = self.result["run"]
        yield f"run: {printable(run)}"
        yield f"report: {shlex.join(['dlcli', 'report', run])}"
        if self.result["refit"] is not None:
            yield f"trained on all rows: {printable(self.result['refit'])}"
        elif self._has_failed:
            yield f"{REFIT_FAILED}: see the warning"
        elif self.result["best_epochs"] is not None:
            command = shlex.join(["dlcli", "train", f"{run}/refit.yaml"])
            yield f"to train on all rows: {command}"

    def _table(self) -> list[str]:
        result = self.result
        rows = [
            [
                name,
                _with_ends(pooled),
                _with_ends(result["by_fold"].get(name)),
                number(result["deviations"].get(name)),
                number(result["constant"].get(name)),
            ]
            for name, pooled in result["metrics"].items()
        ]
        return align(
            [["", "all rows [95 %]", "mean of folds [95 %]", "± over folds", "constant"], *rows]
        )

    def _explained(self) -> Iterator[str]:
        result = self.result
        repeats = f", dealt out {result['repeats']} times" if result["repeats"] > 1 else ""
        later = ", or later ones" if result["split"] == "time" else ""
        yield (
            f"{plural(result['folds'], 'fold')}{repeats} ({result['split']}); no row is judged by "
            f"a network that has seen it{later}"
        )
        if result["set_aside"]:
            yield f"{plural(result['set_aside'], 'test row')} took no part"
        yield from self._unbeaten()
        yield from (f"note: {note}" for note in result["notes"])

    def _unbeaten(self) -> Iterator[str]:
        """Says if looking at the columns is of no use."""
        metric, constant = self.result["main_metric"], self.result["constant"]
        scores = {name: found["value"] for name, found in self.result["metrics"].items()}
        if (
            metric is not None
            and compare_to_baselines(metric, scores, {"constant": constant}).unbeaten
        ):
            yield (
                "the network is no better than a model that looks at no column: "
                f"{metric} {number(scores[metric])}, constant {number(constant.get(metric))}"
            )


def _with_ends(found: Fields | None) -> str:
    """A value with its interval: `0.95 [0.91, 0.98]`."""
    if found is None:
        return number(None)
    if found["lower"] is None or found["upper"] is None:
        return number(found["value"])
    return f"{number(found['value'])} [{number(found['lower'])}, {number(found['upper'])}]"
