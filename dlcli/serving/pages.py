"""The pages of a server: documentation, OpenAPI 3.1 description, and form.

The form shows the prediction of a row and its curves. A curve shows how the prediction depends on
one column.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from starlette.responses import HTMLResponse, Response

from dlcli import __version__
from dlcli.columns.value_problems import ColumnProblems, value_notes
from dlcli.prediction.predictions import Predictions
from dlcli.reports.charts import style_variables
from dlcli.reports.report_files import policy, render_template, template_text
from dlcli.serving.requests import OTHER_TYPES
from dlcli.serving.served_model import NOTES, Limits, ServedModel, output_schemas

MOST_CURVES = 24
"""Maximum number of columns with a curve."""
_MISSING = "missing"
_PROBLEM = {
    "type": "object",
    "properties": {
        "row": {"type": "integer", "minimum": 1, "description": "The row, from 1."},
        "column": {"type": "string"},
        "message": {"type": "string", "description": "What was found, and what was expected."},
    },
    "required": ["message"],
}
_ERROR = {
    "type": "object",
    "properties": {
        "error": {"type": "string"},
        "problems": {"type": "array", "items": {"$ref": "#/components/schemas/Problem"}},
    },
    "required": ["error"],
}
_NOTES = {
    "type": "array",
    "description": "Values of the row that training did not see; absent if there are none.",
    "items": {
        "type": "object",
        "properties": {"column": {"type": "string"}, "message": {"type": "string"}},
        "required": ["column", "message"],
    },
}
_NUMBER = {"type": ["number", "null"]}
_EXPLANATION = {
    "type": "object",
    "properties": {
        "explained": {
            "type": "string",
            "description": "The target column, or the class or label whose probability is "
            "explained.",
        },
        "prediction": _NUMBER,
        "mean_prediction": {**_NUMBER, "description": "The mean for training rows."},
        "columns": {
            "type": "array",
            "description": "All columns, the one with the largest effect first. The Shapley values "
            "add up to the prediction minus the mean prediction.",
            "items": {
                "type": "object",
                "properties": {
                    "column": {"type": "string"},
                    "shapley": _NUMBER,
                    "standard_error": {**_NUMBER, "description": "0 for an exact value."},
                },
                "required": ["column", "shapley", "standard_error"],
            },
        },
    },
    "required": ["explained", "prediction", "mean_prediction", "columns"],
}
_EXPLANATIONS = {
    "type": "object",
    "properties": {
        "unit": {"enum": ["target", "probability", "log-odds", "margin"]},
        "background_rows": {
            "type": "integer",
            "description": "Number of training rows with which rows are compared.",
        },
        "permutation_pairs": {
            "type": ["integer", "null"],
            "description": "Number of pairs of permutations; null for exact values.",
        },
        "rows": {"type": "array", "items": _EXPLANATION},
    },
    "required": ["unit", "background_rows", "permutation_pairs", "rows"],
}
STATUSES = {
    "400": "The body is not valid JSON or not a list of rows, or a parameter has a wrong value.",
    "401": "The API key is missing or wrong.",
    "404": "Unknown model.",
    "408": "The request was not received and processed in time.",
    "413": "The body is too large or has too many rows.",
    "415": "The body has an unknown compression.",
    "422": "A row lacks a column, or has an unknown column or an invalid value.",
    "503": "The server processes too many requests; try again.",
}
"""The meaning of each HTTP status of a response without predictions."""


def form_prediction(model: ServedModel, row: Mapping[str, object]) -> dict[str, object]:
    """Predict a row for the script of the form, with an interval if the run has held-out rows.

    Raises:
        RequestError: see `ServedModel.predict`.
    """
    model = replace(model, predictor=model.form_predictor)
    predicted = model.predict([row])
    shown = _shown(predicted.predictions, model.predictor.level)
    curves = [*_curves(model, row, predicted.predictions)]
    return {**shown, "notes": dict(_notes(predicted.problems.columns)), "curves": curves}


def _shown(predictions: Predictions, level: float) -> dict[str, object]:
    """Return the prediction: numbers with prediction intervals, or names with probabilities."""
    task = predictions.task
    first = {name: values[0] for name, values in predictions.lists().items()}
    if task.outcome == "numbers":
        numbers = []
        for column in task.columns:
            suffix = f"_{column}" if task.width > 1 else ""
            parts = {part: first.get(f"{part}{suffix}") for part in ("lower", "upper")}
            numbers.append({"name": column, "value": first[f"prediction{suffix}"], **parts})
        return {"numbers": numbers, "level": level}
    names = [
        {"name": name, "share": first.get(f"probability_{name}"), "is_chosen": is_chosen}
        for name, is_chosen in zip(task.names, _chosen(predictions), strict=True)
    ]
    names.sort(key=lambda each: -(each["share"] or 0))  # type: ignore[operator]
    possible = first.get("prediction_set")
    return {"names": names, "margin": first.get("margin"), "set": possible, "level": level}


def _chosen(predictions: Predictions) -> list[bool]:
    """Return the predicted classes or labels of a row."""
    task, [value] = predictions.task, predictions.values
    if task.outcome == "labels":
        return [*map(bool, value)]
    return [bool(at == value) for at in range(task.width)]


def _notes(columns: Mapping[str, ColumnProblems]) -> Iterator[tuple[str, str]]:
    """Yield notes on values that differ from the training rows, by column."""
    for name, found in columns.items():
        notes = [note.message for note in value_notes(name, found)]
        notes += [_MISSING] if found.missing else []
        if notes:
            yield name, notes[0]


def _curves(
    model: ServedModel, row: Mapping[str, object], predictions: Predictions
) -> Iterator[dict[str, object]]:
    """Yield the predictions along each column, with all other columns unchanged."""
    task = predictions.task
    if task.outcome == "numbers":
        index, label = 0, f"prediction of {task.columns[0]}"
    elif task.has_probabilities:
        index = int(np.argmax(_chosen(predictions)))  # the first predicted label, or 0
        label = f"probability of {task.names[index]}"
    else:
        index, label = 0, f"margin, above 0 for {task.names[1]}"
    row = {name: row[name] for name in model.columns}
    for column in model.inputs[:MOST_CURVES]:
        if not column.along:
            continue
        rows = [{**row, column.name: value} for value in column.along]
        heights = model.predict(rows).predictions.scores[:, index].tolist()
        pairs = zip(column.along, heights, strict=True)
        points = [[value, height] for value, height in pairs if math.isfinite(height)]
        axis = "choices" if column.choices else "numbers" if column.is_amount else "order"
        yield {"column": column.name, "label": label, "axis": axis, "points": points}


_PACKAGE = "dlcli.serving"
_MOST_OPTIONS = 30
"""Maximum number of categories in a list; with more, the field is a text with suggestions."""


def docs_page(
    models: Mapping[str, ServedModel], limits: Limits, address: str, *, has_key: bool
) -> Response:
    """Return the page that documents the server.

    Args:
        models: the served models by name.
        limits: the limits of a request.
        address: the host and port in the request of the browser.
        has_key: whether clients must send a key.
    """
    commands = {name: _curl(model, address, has_key=has_key) for name, model in models.items()}
    return _page(
        "docs.html.j2",
        models=models.values(),
        explained={name: model.most_explained(limits) for name, model in models.items()},
        commands=commands,
        statuses=STATUSES,
        limits=limits,
        has_key=has_key,
    )


def form_page(models: Mapping[str, ServedModel], model: ServedModel, root: str) -> Response:
    """Return the form of a model.

    Args:
        models: all models, to which the page has links.
        model: the model.
        root: the relative path from the page to `/`, so the links also work behind a proxy that
            adds a prefix.
    """
    columns = [
        {"name": each.name, "type": each.types[0], "typical": each.typical} for each in model.inputs
    ]
    return _page(
        "form.html.j2",
        template_text("form.js", _PACKAGE),
        models=models,
        model=model,
        root=root,
        most_options=_MOST_OPTIONS,
        settings={
            "path": f"{root}form/{model.name}",
            "explanations": f"{root}explain/{model.name}" if model.explainer else None,
            "columns": columns,
        },
    )


def _curl(model: ServedModel, address: str, *, has_key: bool) -> str:
    """Return a shell command that predicts a typical row."""
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


# OpenAPI, derived from the encodings of the models


def describe_server(
    models: Mapping[str, ServedModel], limits: Limits, *, has_key: bool
) -> dict[str, object]:
    """Return the OpenAPI description.

    Args:
        models: the served models; the first handles requests without a name.
        limits: the limits of a request.
        has_key: whether clients must send an API key.
    """
    schemas: dict[str, object] = {
        "Problem": _PROBLEM,
        "Error": _ERROR,
        "Explanations": _EXPLANATIONS,
    }
    paths: dict[str, object] = {}
    for number, model in enumerate(models.values()):
        schemas |= _schemas(model)
        operation = {"post": _predict(model, limits)}
        if not number:
            paths["/predict"] = operation
        paths[f"/predict/{model.name}"] = operation
        if most := model.most_explained(limits):
            operation = {"post": _explain(model, most)}
            if not number:
                paths["/explain"] = operation
            paths[f"/explain/{model.name}"] = operation
    responses = {"200": {"description": "The server is running."}}
    health: dict[str, object] = {
        "summary": "Check that the server is running.",
        "responses": responses,
    }
    paths["/healthz"] = {"get": health}
    components: dict[str, object] = {"schemas": schemas}
    document: dict[str, object] = {
        "openapi": "3.1.0",
        "info": {"title": f"dlcli: {', '.join(models)}", "version": __version__},
        "servers": [{"url": "."}],
        "paths": paths,
        "components": components,
    }
    if has_key:
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        document["security"] = [{"bearer": []}, {"header": []}]
        health["security"] = []  # requires no key
    return document


def _schemas(model: ServedModel) -> dict[str, object]:
    row = {
        "type": "object",
        "properties": {column.name: column.schema for column in model.inputs},
        "required": [*model.columns],
    }
    outputs = output_schemas(model.output_types, model.predictor.task.classes)
    described = {**outputs, NOTES: _NOTES}
    prediction = {"type": "object", "properties": described, "required": [*outputs]}
    return {f"{model.name}.Row": row, f"{model.name}.Prediction": prediction}


def _predict(model: ServedModel, limits: Limits) -> dict[str, object]:
    return _operation(
        f"Predict rows with {model.name}.",
        _list_of(f"{model.name}.Row", minItems=1, maxItems=limits.rows),
        "A prediction for each row.",
        _list_of(f"{model.name}.Prediction"),
    )


def _explain(model: ServedModel, most: int) -> dict[str, object]:
    assert model.explainer is not None  # with a maximum number of rows
    operation = _operation(
        f"Explain the predictions of {model.name}: how much each column contributes.",
        _list_of(f"{model.name}.Row", minItems=1, maxItems=most),
        "Shapley values for each row.",
        _reference("Explanations"),
    )
    choices = {
        "of": ("The class, label or target column to explain.", model.explainer.outputs),
        "unit": ("The unit of the values; log-odds are ln(p / (1 − p)).", model.units),
    }
    parameters = [
        {"name": name, "in": "query", "description": text, "schema": {"enum": [*names]}}
        for name, (text, names) in choices.items()
    ]
    return {"parameters": parameters, **operation}


def _operation(
    summary: str, body: dict[str, object], meaning: str, response: dict[str, object]
) -> dict[str, object]:
    """Return the description of a request with rows, given the schemas of both bodies."""

    def content(schema: dict[str, object]) -> dict[str, object]:
        return {"application/json": {"schema": schema}}

    texts = {kind: {"schema": {"type": "string"}} for kind in OTHER_TYPES}
    error = content(_reference("Error"))
    responses = {
        status: {"description": text, "content": error} for status, text in STATUSES.items()
    }
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": content(body) | texts},
        "responses": {"200": {"description": meaning, "content": content(response)}, **responses},
    }


def _list_of(schema: str, **others: object) -> dict[str, object]:
    return {"type": "array", "items": _reference(schema), **others}


def _reference(schema: str) -> dict[str, object]:
    return {"$ref": f"#/components/schemas/{schema}"}
