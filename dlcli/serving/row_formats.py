"""The formats of rows in requests and responses: JSON, JSON lines and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import orjson
import pyarrow as pa
from starlette.requests import Request
from starlette.responses import Response

from dlcli.prediction.prediction_tables import write_rows
from dlcli.serving.requests import CSV, JSON_LINES, json_response, parse_json
from dlcli.serving.served_model import Limits, PredictedRows, RequestError, RowProblem

_Format = Literal["json", "object", "jsonl", "csv"]
_FORMATS: dict[str, _Format] = {
    CSV: "csv",
    JSON_LINES: "jsonl",
    "application/ndjson": "jsonl",
    "application/jsonl": "jsonl",
    "application/jsonlines": "jsonl",
    "application/x-jsonlines": "jsonl",
}
"""The formats by content type; any other content type is JSON, as `curl --data` sends it."""
_DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class RowsOfRequest:
    """The rows of a request, and the format in which it expects the response."""

    rows: object
    """A list of objects; not yet checked."""
    form: _Format

    def respond(self, predicted: PredictedRows) -> Response:
        """Return the predictions in the format of the request."""
        if self.form == "json":
            return json_response(predicted.records_with_notes)
        if self.form == "object":
            return json_response(predicted.records_with_notes[0])
        if self.form == "jsonl":
            lines = b"".join(orjson.dumps(each) + b"\n" for each in predicted.records_with_notes)
            return Response(lines, media_type=JSON_LINES)
        stream = io.BytesIO()
        write_rows(pa.table(predicted.predictions.columns()), "csv", stream)
        return Response(stream.getvalue(), media_type=CSV)


def parse_rows(body: bytes, request: Request, limits: Limits) -> RowsOfRequest:
    """Parse the rows of a request in the format of its content type.

    A body of JSON may also contain a single object instead of a list.

    Args:
        body: the body.
        request: the request, for its content type.
        limits: the limits of a request.

    Raises:
        RequestError: if the body does not have this format, or has too many rows.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    form = _FORMATS.get(kind, "json")
    if form in _PARSERS:
        return RowsOfRequest([*_limited(_PARSERS[form](body), limits)], form)
    content = parse_json(body)
    if isinstance(content, dict):
        return RowsOfRequest([content], "object")
    return RowsOfRequest(content, form)


def _limited(rows: Iterator[object], limits: Limits) -> Iterator[object]:
    """Yield rows until there are too many, so a small body can't become a long list."""
    for number, row in enumerate(rows, start=1):
        if number > limits.rows:
            raise RequestError(413, f"expected at most {limits.rows:,} rows, got more")
        yield row


def _json_lines(body: bytes) -> Iterator[object]:
    """Yield the value of each line that is not empty."""
    for number, line in enumerate(body.split(b"\n"), start=1):
        if line.strip():
            yield parse_json(line, f"line {number}: ")


def _csv_rows(body: bytes) -> Iterator[dict[str, str | None]]:
    """Yield the fields of each line by the names of the header; an empty field is missing.

    The delimiter is the most frequent one of the header.

    Raises:
        RequestError: for a body that is not UTF-8, a line with another number of fields than the
            header, or a name that occurs twice.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(400, f"expected CSV in UTF-8; byte {error.start + 1} is not") from None
    head = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=head.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = next(lines, [])
        if len({*header}) < len(header):
            name = next(each for each in header if header.count(each) > 1)
            raise RequestError(400, f"the header contains '{name}' twice")
        number = 0
        for fields in lines:
            if not fields:  # an empty line
                continue
            number += 1
            if len(fields) != len(header):
                found = f"has {len(fields)} fields, but the header has {len(header)}"
                raise RequestError(400, str(RowProblem(found, number)))
            yield {n: field or None for n, field in zip(header, fields, strict=True)}
    except csv.Error as error:
        raise RequestError(400, f"expected CSV: line {lines.line_num}: {error}") from None


_PARSERS: Mapping[_Format, Callable[[bytes], Iterator[object]]] = {
    "jsonl": _json_lines,
    "csv": _csv_rows,
}
