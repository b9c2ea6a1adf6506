"""The description of the server in OpenAPI 3.1, as the encodings of its models have it."""

from __future__ import annotations

from collections.abc import Mapping

from dlcli import __version__
from dlcli.serving.columns import answer_schemas
from dlcli.serving.requests import Limits
from dlcli.serving.served_model import ServedModel

_PROBLEM = {
    "type": "object",
    "properties": {
        "row": {"type": "integer", "minimum": 1, "description": "The row, from 1."},
        "column": {"type": "string"},
        "message": {"type": "string", "description": "What came, and what was expected."},
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
STATUSES = {
    "400": "The body is no JSON, or no list of rows.",
    "401": "The API key is missing or wrong.",
    "404": "There is no such model.",
    "408": "The request was not received and answered in time.",
    "413": "The body is too long, or has too many rows.",
    "415": "The body is compressed.",
    "422": "A row lacks a column, has an unknown one, or a value that can't be used.",
}
"""The meaning of the status of an answer without predictions."""


def describe_server(
    models: Mapping[str, ServedModel], limits: Limits, *, has_key: bool
) -> dict[str, object]:
    """Return the description.

    Args:
        models: those that are served; the first one answers requests that name none.
        limits: what a request may take.
        has_key: whether clients must send an API key.
    """
    schemas: dict[str, object] = {"Problem": _PROBLEM, "Error": _ERROR}
    paths: dict[str, object] = {}
    for number, model in enumerate(models.values()):
        schemas |= _schemas(model)
        operation = {"post": _predict(model, limits)}
        if not number:
            paths["/predict"] = operation
        paths[f"/predict/{model.name}"] = operation
    answers = {"200": {"description": "It does."}}
    health: dict[str, object] = {"summary": "Whether the server answers.", "responses": answers}
    paths["/healthz"] = {"get": health}
    components: dict[str, object] = {"schemas": schemas}
    document: dict[str, object] = {
        "openapi": "3.1.0",
        "info": {"title": f"dlcli: {', '.join(models)}", "version": __version__},
        "paths": paths,
        "components": components,
    }
    if has_key:
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        document["security"] = [{"bearer": []}, {"header": []}]
        health["security"] = []  # it is open
    return document


def _schemas(model: ServedModel) -> dict[str, object]:
    row = {
        "type": "object",
        "properties": {column.name: column.schema for column in model.inputs},
        "required": [*model.columns],
    }
    answer = answer_schemas(model.output_types, model.predictor.task.classes)
    prediction = {"type": "object", "properties": answer, "required": [*answer]}
    return {f"{model.name}.Row": row, f"{model.name}.Prediction": prediction}


def _predict(model: ServedModel, limits: Limits) -> dict[str, object]:
    def content(schema: str, **others: object) -> dict[str, object]:
        rows = {"type": "array", "items": {"$ref": f"#/components/schemas/{model.name}.{schema}"}}
        return {"application/json": {"schema": {**rows, **others}}}

    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    answers = {status: {"description": text, "content": error} for status, text in STATUSES.items()}
    body = content("Row", minItems=1, maxItems=limits.rows)
    return {
        "summary": f"Predict rows by {model.name}.",
        "requestBody": {"required": True, "content": body},
        "responses": {
            "200": {"description": "A prediction for each row.", "content": content("Prediction")},
            **answers,
        },
    }
