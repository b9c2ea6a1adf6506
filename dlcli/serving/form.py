"""The form: the prediction of one row, and how it changes along each of its columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from dlcli.columns.value_issues import ColumnIssues
from dlcli.prediction.predictions import Predictions
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
    columns: Mapping[str, ColumnIssues]
    """The values that training didn't see, by column."""

    @classmethod
    def of(cls, model: ServedModel, row: Mapping[str, object]) -> FormAnswer:
        """Predict a row, with its interval if the run has held-out rows for one.

        Raises:
            RequestError: see `ServedModel.predict`.
        """
        answer = replace(model, predictor=model.form_predictor).predict([row])
        return cls(model, row, answer.predictions, answer.issues.columns)

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
