"""The Open Inference Protocol, version 2, of KServe and Triton, with binary tensors.

https://github.com/kserve/open-inference-protocol and
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md

Each column is a tensor of shape (rows,) or (rows, 1). NaN and empty texts are missing values, as in
a table.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from starlette.requests import Request
from starlette.responses import Response

from dlcli import __version__
from dlcli.serving import requests
from dlcli.serving.requests import Handler, Models, as_object, fixed, json_response
from dlcli.serving.served_model import NOTES, PredictedRows, RequestError, RowProblem, ServedModel

_HEADER_LENGTH = "Inference-Header-Content-Length"
_DTYPES = {
    "BOOL": "?",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
"""The NumPy dtype of each type with values of fixed size; texts are `BYTES`."""
_INPUT_TYPES = {"number": "FP64", "boolean": "BOOL"}
_OUTPUT_TYPES = {"string": "BYTES", "array": "BYTES", "boolean": "BOOL", "integer": "INT64"}
_LENGTH = struct.Struct("<I")


def inference_routes(models: Models) -> dict[tuple[str, str], Handler]:
    """Return the handlers by method and path."""

    async def infer(request: Request) -> Response:
        model = models.named(request)
        async with models.body(request) as body:
            content, binary = _split(body, request.headers.get(_HEADER_LENGTH))
            rows = _rows(content, binary, models)
            predicted = await models.predict(model, rows, len(body))
            return _response(model, content, predicted)

    async def metadata(request: Request) -> Response:
        return json_response(_metadata(models.named(request)))

    server = {"name": "dlcli", "version": __version__, "extensions": ["binary_tensor_data"]}
    found: dict[tuple[str, str], Handler] = {("GET", "/v2"): fixed(server)}
    for path in ("/v2/models/{name}", "/v2/models/{name}/versions/1"):
        found[("POST", f"{path}/infer")] = infer
        found[("GET", path)] = metadata
    return found


def health_routes(models: Models) -> dict[tuple[str, str], Handler]:
    """Return the handlers of health checks, which require no key, by method and path."""

    async def model_ready(request: Request) -> Response:
        return json_response({"name": models.named(request).name, "ready": True})

    return {
        ("GET", "/healthz"): fixed({"status": "ok"}),
        ("GET", "/v2/health/live"): fixed({"live": True}),
        ("GET", "/v2/health/ready"): fixed({"ready": True}),
        ("GET", "/v2/models/{name}/ready"): model_ready,
        ("GET", "/v2/models/{name}/versions/1/ready"): model_ready,
    }


def _split(body: bytes, header: str | None) -> tuple[dict[str, Any], bytes]:
    """Split a body into JSON and the binary tensors after it.

    Raises:
        RequestError: for an invalid length, or JSON that is not an object.
    """
    if header is None:
        return as_object(requests.parse_json(body)), b""
    length = int(header) if header.isascii() and header.isdigit() and len(header) < 20 else -1
    if not 0 <= length <= len(body):
        raise RequestError(400, f"{_HEADER_LENGTH}: expected at most {len(body)}, got '{header}'")
    return as_object(requests.parse_json(body[:length])), body[length:]


def _rows(content: Mapping[str, Any], binary: bytes, models: Models) -> list[object]:
    """Convert tensors to rows as in a request to `/predict`.

    Raises:
        RequestError: for tensors of different lengths, or that are not columns.
    """
    inputs = content.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        raise RequestError(400, "expected a list of tensors in 'inputs', one for each column")
    columns: dict[str, Sequence[object]] = {}
    start = 0
    for each in inputs:
        tensor = _Tensor.of(each)
        if tensor.name in columns:
            raise tensor.error("occurs twice")
        models.limits.check_rows(tensor.rows)
        if tensor.size is None:
            values = tensor.of_json()
        else:
            values = tensor.of_binary(binary[start : start + tensor.size])
            start += tensor.size
        if len(values) != tensor.rows:
            raise tensor.error(f"expected {tensor.rows} values, got {len(values)}")
        first = next(iter(columns.values()), values)
        if len(values) != len(first):
            raise tensor.error(f"has {len(values)} rows, but the first tensor has {len(first)}")
        columns[tensor.name] = values
    if start != len(binary):
        raise RequestError(400, f"expected {start} bytes of tensors, got {len(binary)}")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@dataclass(frozen=True)
class _Tensor:
    """A tensor of a request."""

    name: str
    type: str
    rows: int
    size: int | None
    """Number of bytes after the JSON; `None` if the values are in the JSON."""
    data: object

    @classmethod
    def of(cls, tensor: object) -> _Tensor:
        """Check the description of a tensor.

        Raises:
            RequestError: for an invalid description.
        """
        if not isinstance(tensor, dict) or not isinstance(tensor.get("name"), str):
            raise RequestError(400, "expected 'name', 'datatype' and 'shape' of each input")
        name, kind, shape = tensor["name"], str(tensor.get("datatype")), tensor.get("shape")
        made = cls(name, kind, 0, None, tensor.get("data"))
        if kind != "BYTES" and kind not in _DTYPES:
            raise made.error(f"expected a datatype such as FP64 or BYTES, got {kind[:20]}")
        sizes = shape if isinstance(shape, list) else []
        is_column = len(sizes) == 1 or sizes[1:] == [1]
        if not is_column or type(sizes[0]) is not int or sizes[0] < 0:
            raise made.error("expected the shape [rows] or [rows, 1]")
        parameters = tensor.get("parameters")
        size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
        if size is not None and (type(size) is not int or size < 0):
            raise made.error("expected a number of bytes as binary_data_size")
        return cls(name, kind, sizes[0], size, tensor.get("data"))

    def of_json(self) -> list[object]:
        """Return the values in the JSON."""
        values = self.data
        if not isinstance(values, list):
            raise self.error("expected a list of values in 'data'")
        return [v[0] if isinstance(v, list) and len(v) == 1 else v for v in values]

    def of_binary(self, data: bytes) -> list[object]:
        """Return the values after the JSON."""
        if self.type == "BYTES":
            return [*self._texts(data)]
        dtype = np.dtype(_DTYPES[self.type])
        if len(data) != self.rows * dtype.itemsize:
            expected = self.rows * dtype.itemsize
            raise self.error(f"expected {expected} bytes, got {len(data)}")
        values: list[object] = np.frombuffer(data, dtype).tolist()
        return values

    def _texts(self, data: bytes) -> Iterator[str]:
        """Yield texts; a length of four bytes precedes each text."""
        start, row = 0, 0
        while start < len(data):
            row += 1
            if row > self.rows:  # stop early, because there may be millions
                raise self.error(f"expected {self.rows} values, got more")
            stop = start + _LENGTH.size
            if stop > len(data):
                raise self.error("a text is truncated", row)
            end = stop + _LENGTH.unpack_from(data, start)[0]
            if end > len(data):
                raise self.error("a text is truncated", row)
            try:
                yield data[stop:end].decode()
            except UnicodeDecodeError:
                raise self.error("expected UTF-8", row) from None
            start = end

    def error(self, message: str, row: int | None = None) -> RequestError:
        """Return an error about this tensor."""
        return RequestError(400, str(RowProblem(message, row, self.name)))


def _response(model: ServedModel, content: Mapping[str, Any], predicted: PredictedRows) -> Response:
    """Return the columns of a response as tensors, in JSON or after it, as requested."""
    types, columns = _output_types(model), predicted.columns
    parts, outputs = list[bytes](), list[dict[str, object]]()
    for name, is_binary in _wanted(content, types).items():
        kind, values = types[name], columns[name]
        output: dict[str, object] = {"name": name, "datatype": kind, "shape": [predicted.rows]}
        if any(isinstance(value, list) for value in values):
            values = [json.dumps(value, ensure_ascii=False) for value in values]
        if is_binary:
            parts.append(_binary(values, kind))
            output["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            output["data"] = values
        outputs.append(output)
    document: dict[str, object] = {"model_name": model.name, "model_version": "1"}
    if isinstance(content.get("id"), str):
        document["id"] = content["id"]
    if predicted.notes:  # values of parameters must not be lists
        document["parameters"] = {NOTES: orjson.dumps(predicted.listed_notes).decode()}
    head = orjson.dumps({**document, "outputs": outputs})
    if not parts:
        return Response(head, media_type="application/json")
    headers = {_HEADER_LENGTH: str(len(head))}
    return Response(b"".join([head, *parts]), 200, headers, "application/octet-stream")


def _wanted(content: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, bool]:
    """Return the requested outputs, and which of them should be binary.

    Raises:
        RequestError: for an unknown output.
    """

    def flag(holder: Mapping[str, Any], name: str) -> bool | None:
        parameters = holder.get("parameters")
        return parameters.get(name) if isinstance(parameters, dict) else None

    default = flag(content, "binary_data_output") is True
    requested = content.get("outputs") or [{"name": name} for name in known]
    if not isinstance(requested, list) or not all(isinstance(each, dict) for each in requested):
        raise RequestError(400, "expected a list of objects in 'outputs'")
    wanted = {}
    for each in requested:
        name = each.get("name")
        if not isinstance(name, str) or name not in known:
            raise RequestError(400, f"no output '{name}'; expected one of {', '.join(known)}")
        binary = flag(each, "binary_data")
        wanted[name] = default if binary is None else binary is True
    return wanted


def _binary(values: Sequence[Any], kind: str) -> bytes:
    if kind == "BYTES":
        encoded = (str(value).encode() for value in values)
        return b"".join(_LENGTH.pack(len(text)) + text for text in encoded)
    numbers = [np.nan if value is None else value for value in values]
    return np.array(numbers, dtype=_DTYPES[kind]).tobytes()


def _output_types(model: ServedModel) -> dict[str, str]:
    types = model.output_types
    return {name: _OUTPUT_TYPES.get(kind, "FP64") for name, kind in types.items()}


def _metadata(model: ServedModel) -> dict[str, object]:
    inputs = {each.name: _INPUT_TYPES.get(each.types[0], "BYTES") for each in model.inputs}

    def tensors(types: Mapping[str, str]) -> list[dict[str, object]]:
        return [{"name": n, "datatype": kind, "shape": [-1]} for n, kind in types.items()]

    return {
        "name": model.name,
        "versions": ["1"],
        "platform": "dlcli",
        "inputs": tensors(inputs),
        "outputs": tensors(_output_types(model)),
    }
