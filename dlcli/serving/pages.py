"""The pages: documentation, and a form with the prediction of one row and its curves.

A curve shows how the prediction changes along one of the row's columns.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from starlette.responses import HTMLResponse, Response

from dlcli.columns.value_problems import ColumnProblems
from dlcli.prediction.predictions import Predictions
from dlcli.reports.charts import style_variables
from dlcli.reports.report_files import policy, render_template, template_text
from dlcli.serving.openapi import STATUSES
from dlcli.serving.requests import Limits
from dlcli.serving.served_model import ServedModel

MOST_CURVES = 24
"""Columns that get a curve."""
_OUTSIDE = "outside the training rows' range"
_UNSEEN = "none of the training rows' categories"
_WORDLESS = "no word of it is known"
_MISSING = "missing"


@dataclass(frozen=True)
class FormAnswer:
    """The result that the form shows of a row."""

    model: ServedModel
    row: Mapping[str, object]
    predictions: Predictions
    columns: Mapping[str, ColumnProblems]
    """The values that training didn't see, by column."""

    @classmethod
    def of(cls, model: ServedModel, row: Mapping[str, object]) -> FormAnswer:
        """Predict a row, with its interval if the run has held-out rows for one.

        Raises:
            RequestError: see `ServedModel.predict`.
        """
        answer = replace(model, predictor=model.form_predictor).predict([row])
        return cls(model, row, answer.predictions, answer.problems.columns)

    def to_json(self) -> dict[str, object]:
        """Return what the page's script shows."""
        return {**self._shown(), "notes": dict(self._notes()), "curves": [*self._curves()]}

    def _shown(self) -> dict[str, object]:
        """Return the prediction: numbers with intervals, or names with probabilities."""
        task, answer = self.predictions.task, self.predictions.lists()
        first = {name: values[0] for name, values in answer.items()}
        if task.outcome == "numbers":
            numbers = []
            for column in task.columns:
                suffix = f"_{column}" if task.width > 1 else ""
                parts = {part: first.get(f"{part}{suffix}") for part in ("lower", "upper")}
                numbers.append({"name": column, "value": first[f"prediction{suffix}"], **parts})
            return {"numbers": numbers, "level": self.model.form_predictor.level}
        names = [
            {"name": name, "share": first.get(f"probability_{name}"), "is_chosen": is_chosen}
            for name, is_chosen in zip(task.names, self._chosen(), strict=True)
        ]
        names.sort(key=lambda each: -(each["share"] or 0))  # type: ignore[operator]
        possible = first.get("prediction_set")
        level = self.model.form_predictor.level
        return {"names": names, "margin": first.get("margin"), "set": possible, "level": level}

    def _chosen(self) -> list[bool]:
        """Return which classes or labels are predicted."""
        task, values = self.predictions.task, self.predictions.values
        if task.outcome == "labels":
            return [bool(value) for value in values[0]]
        return [bool(at == values[0]) for at in range(task.width)]

    def _notes(self) -> Iterator[tuple[str, str]]:
        for name, found in self.columns.items():
            kinds = (found.outside, found.unseen, found.without_tokens, found.missing)
            words = (_OUTSIDE, _UNSEEN, _WORDLESS, _MISSING)
            if notes := [word for word, count in zip(words, kinds, strict=True) if count]:
                yield name, notes[0]

    def _curves(self) -> Iterator[dict[str, object]]:
        """Yield how the prediction changes along each column, the others being as they are."""
        task = self.predictions.task
        if task.outcome == "numbers":
            index, label = 0, f"prediction of {task.columns[0]}"
        elif task.has_probabilities:
            index = int(np.argmax(self._chosen()))  # the first label, or 0 if there is none
            label = f"probability of {task.names[index]}"
        else:
            index, label = 0, f"margin, above 0 for {task.names[1]}"
        row = {name: self.row[name] for name in self.model.columns}
        for column in self.model.inputs[:MOST_CURVES]:
            if not column.along:
                continue
            values = column.along
            rows = [{**row, column.name: value} for value in values]
            heights = self.model.predict(rows).predictions.scores[:, index].tolist()
            points = [
                [value, height]
                for value, height in zip(values, heights, strict=True)
                if np.isfinite(height)
            ]
            axis = "choices" if column.choices else "numbers" if column.is_amount else "order"
            yield {"column": column.name, "label": label, "axis": axis, "points": points}


_PACKAGE = "dlcli.serving"
_MOST_OPTIONS = 30
"""Categories that a field lists; for more, it is a text with suggestions."""


def docs_page(
    models: Mapping[str, ServedModel], limits: Limits, address: str, *, has_key: bool
) -> Response:
    """Return the page that documents the server.

    Args:
        models: what is served, by name.
        limits: what a request may take.
        address: host and port, as the reader's browser named them.
        has_key: whether clients must send a key.
    """
    commands = {name: _curl(model, address, has_key=has_key) for name, model in models.items()}
    return _page(
        "docs.html.j2",
        models=models.values(),
        commands=commands,
        statuses=STATUSES,
        limits=limits,
        has_key=has_key,
    )


def form_page(models: Mapping[str, ServedModel], model: ServedModel) -> Response:
    """Return the form of a model."""
    columns = [
        {"name": each.name, "type": each.types[0], "typical": each.typical} for each in model.inputs
    ]
    return _page(
        "form.html.j2",
        template_text("form.js", _PACKAGE),
        models=models,
        model=model,
        most_options=_MOST_OPTIONS,
        settings={"path": f"/form/{model.name}", "columns": columns},
    )


def _curl(model: ServedModel, address: str, *, has_key: bool) -> str:
    """Return a command that predicts a typical row, for a shell."""
    row = json.dumps([model.typical_row], ensure_ascii=False, indent=1)
    key = ["-H", "X-API-Key: KEY"] if has_key else []
    return shlex.join(["curl", f"{address}/predict/{model.name}", *key, "-d", row])


def _page(template: str, script: str = "", **values: object) -> Response:
    style = style_variables() + template_text("pages.css", _PACKAGE)
    text = render_template(template, _PACKAGE, style=style, script=script, **values)
    allowed = policy(scripts=[script], styles=[style])
    headers = {
        "Content-Security-Policy": f"{allowed}; connect-src 'self'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return HTMLResponse(text, headers=headers)
