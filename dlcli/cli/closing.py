"""What a training came to: its scores beside those of the simplest models, and where it is."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dlcli.cli.text import metric_table, number
from dlcli.metrics import compare_to_baselines, main_metric

Fields = Mapping[str, Any]

_ROWS = {"test": "test", "validation": "validation", "train": "training"}
"""Sets of rows, the most independent first."""
_MODELS = ("linear", "constant")
"""Baselines, the one that is harder to beat first."""


class Closing:
    """Notes what the end has to tell of, as it happens."""

    def __init__(self) -> None:
        self.result: dict[str, Any] = {}
        """The fields of the result."""
        self._metrics: Sequence[str] = ()
        self._no_linear: str | None = None
        self._page: str | None = None

    def note(self, event: str, fields: Fields) -> None:
        """Takes in an event."""
        if event == "result":
            self.result = dict(fields)
        elif event == "network":
            self._metrics = fields["metrics"]
        elif event == "baselines":
            self._no_linear = fields["no_linear"]
        elif event == "report":
            self._page = fields["page"]

    def lines(self) -> Iterator[str]:
        """Yields what is printed."""
        metrics, run = self.result["metrics"], self.result["run"]
        baselines = self.result.get("baselines", {})
        split = next((name for name in _ROWS if name in metrics), "train")
        models = [name for name in _MODELS if split in baselines.get(name, {})]
        yield from metric_table({**metrics, **{name: baselines[name][split] for name in models}})
        yield ""
        if models:
            yield from self._baseline_lines(models, split)
            yield ""
        yield f"run: {run}"
        yield f"report: {self._page or shlex.join(['dlcli', 'report', run])}"

    def _baseline_lines(self, models: Sequence[str], split: str) -> Iterator[str]:
        are = "are baselines" if len(models) > 1 else "is a baseline"
        absence = f"; no linear one: {self._no_linear}" if self._no_linear else ""
        yield f"{' and '.join(models)} {are}, scored on the {_ROWS[split]} rows{absence}"
        scores = self.result["metrics"][split]
        simple = {name: self.result["baselines"][name][split] for name in models}
        metric = main_metric(self._metrics, scores)
        if metric is not None:
            yield from _judged(metric, scores, simple)


def _judged(metric: str, scores: Fields, simple: Mapping[str, Fields]) -> Iterator[str]:
    """Says of which baselines the network is no better; nothing, if it beats them."""
    found = compare_to_baselines(metric, scores, simple)
    if names := found.unbeaten:
        listed = ", ".join(f"{name} {number(simple[name][metric])}" for name in names)
        yield (
            f"the network is no better than {' and '.join(names)} there: "
            f"{metric} {number(scores[metric])}, {listed}"
        )
    reason = ", as a class is rare" if found.is_imbalanced else ""
    for other in dict.fromkeys(found.beaten_otherwise.values()):
        names = tuple(
            name for name in found.beaten_otherwise if found.beaten_otherwise[name] == other
        )
        listed = ", ".join(f"{name} {number(simple[name][other])}" for name in names)
        yield f"accuracy hides what was learned{reason}: {other} {number(scores[other])}, {listed}"
