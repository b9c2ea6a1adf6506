"""The REST API of TensorFlow Serving, https://www.tensorflow.org/tfx/serving/api_rest.

Requests contain rows as `instances` or columns as `inputs`. If the model reads only one column, its
name may be omitted.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from dlcli.serving.requests import Handler, Models, as_object, json_response, parse_json
from dlcli.serving.served_model import (
    NOTES,
    Limits,
    PredictedRows,
    RequestError,
    RowProblem,
    ServedModel,
)

_SIGNATURE = "serving_default"
_TYPES = {"number": "DT_DOUBLE", "boolean": "DT_BOOL"}
_OUTPUT_TYPES = {"string": "DT_STRING", "boolean": "DT_BOOL", "integer": "DT_INT64"}
_AVAILABLE = {
    "model_version_status": [
        {
            "version": "1",
            "state": "AVAILABLE",
            "status": {"error_code": "OK", "error_message": ""},
        }
    ]
}


def tensorflow_routes(models: Models) -> dict[tuple[str, str], Handler]:
    """Return the handlers by method and path."""

    async def predict(request: Request) -> Response:
        model = models.named(request)
        async with models.body(request) as body:
            return await respond(model, as_object(parse_json(body)), len(body))

    async def respond(model: ServedModel, body: Mapping[str, Any], size: int) -> Response:
        signature = body.get("signature_name", _SIGNATURE)
        if signature != _SIGNATURE:
            raise RequestError(400, f"unknown signature '{signature}'; expected '{_SIGNATURE}'")
        if ("instances" in body) == ("inputs" in body):
            raise RequestError(400, "expected either 'instances' or 'inputs'")
        if "instances" in body:
            rows: object = _rows_of_instances(body["instances"], model.columns, models.limits)
            predicted = await models.predict(model, rows, size)
            return with_notes({"predictions": _unnamed_rows(predicted.records)}, predicted)
        rows = _rows_of_columns(body["inputs"], model.columns, models.limits)
        predicted = await models.predict(model, rows, size)
        columns = predicted.columns
        outputs = next(iter(columns.values())) if len(columns) == 1 else columns
        return with_notes({"outputs": outputs}, predicted)

    def with_notes(content: dict[str, object], predicted: PredictedRows) -> Response:
        return json_response(content | ({NOTES: predicted.listed_notes} if predicted.notes else {}))

    async def status(request: Request) -> Response:
        models.named(request)
        return json_response(_AVAILABLE)

    async def metadata(request: Request) -> Response:
        return json_response(_metadata(models.named(request)))

    found: dict[tuple[str, str], Handler] = {}
    for path in ("/v1/models/{name}", "/v1/models/{name}/versions/1"):
        found[("POST", f"{path}:predict")] = predict
        found[("GET", f"{path}/metadata")] = metadata
        found[("GET", path)] = status
    return found


def _rows_of_instances(instances: object, columns: Sequence[str], limits: Limits) -> object:
    """Convert rows as in a request to `/predict`; a value that is not a list is unchanged.

    Raises:
        RequestError: for too many rows, or bytes that are not text.
    """
    if not isinstance(instances, list):
        return instances
    limits.check_rows(len(instances))
    rows: list[object] = []
    for number, instance in enumerate(instances, start=1):
        row = instance
        if len(columns) == 1 and not (isinstance(row, dict) and columns[0] in row):
            row = {columns[0]: row}
        if isinstance(row, dict):
            row = {name: _plain(value, number, name) for name, value in row.items()}
        rows.append(row)
    return rows


def _rows_of_columns(inputs: object, columns: Sequence[str], limits: Limits) -> list[object]:
    """Convert columns to rows.

    Args:
        inputs: lists of values by column; for a single column, also just the list.
        columns: the columns that the model reads.
        limits: the limits of a request.

    Raises:
        RequestError: for inputs that are not such lists, lists of different lengths, or too many
            rows.
    """
    if len(columns) == 1 and isinstance(inputs, list):
        inputs = {columns[0]: inputs}
    if not isinstance(inputs, dict) or not all(isinstance(v, list) for v in inputs.values()):
        raise RequestError(400, "expected a list of values for each column in 'inputs'")
    lengths = {name: len(values) for name, values in inputs.items()}
    for name, length in lengths.items():
        if length != (first := next(iter(lengths.values()))):
            problem = RowProblem(f"has {length} values, the first column {first}", None, name)
            raise RequestError.of_rows([problem], 0)
    limits.check_rows(next(iter(lengths.values()), 0))
    names = tuple(inputs)
    return [
        {name: _plain(value, row, name) for name, value in zip(names, values, strict=True)}
        for row, values in enumerate(zip(*inputs.values(), strict=True), start=1)
    ]


def _plain(value: object, row: int, column: str) -> object:
    """Return a value without a list around a single element, and with base64 text decoded.

    Raises:
        RequestError: for bytes that are not text.
    """
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict) and value.keys() == {"b64"}:
        try:
            return base64.b64decode(str(value["b64"]), validate=True).decode()
        except ValueError:  # not base64 or not UTF-8
            problem = RowProblem("expected UTF-8 in base64", row, column)
            raise RequestError.of_rows([problem], 1) from None
    return value


def _unnamed_rows(records: Sequence[Mapping[str, object]]) -> list[object]:
    """Return the rows of a response; for a single column, only its values."""
    return [next(iter(row.values())) if len(row) == 1 else row for row in records]


def _metadata(model: ServedModel) -> dict[str, object]:
    def tensor(name: str, kind: str) -> dict[str, object]:
        shape = {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}
        return {"dtype": kind, "tensor_shape": shape, "name": name}

    signature = {
        "inputs": {
            each.name: tensor(each.name, _TYPES.get(each.types[0], "DT_STRING"))
            for each in model.inputs
        },
        "outputs": {
            name: tensor(name, _OUTPUT_TYPES.get(kind, "DT_DOUBLE"))
            for name, kind in model.output_types.items()
        },
        "method_name": "tensorflow/serving/predict",
    }
    return {
        "model_spec": {"name": model.name, "signature_name": "", "version": "1"},
        "metadata": {"signature_def": {"signature_def": {_SIGNATURE: signature}}},
    }
