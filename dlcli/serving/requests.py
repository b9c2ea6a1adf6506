"""The common parts of all protocols: models, bodies of requests, and metrics.

The metrics are in the text format of Prometheus: requests, rows, and differences from the training
rows.
"""

from __future__ import annotations

import asyncio
import os
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import orjson
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.requests import Request
from starlette.responses import Response

from dlcli.columns.value_problems import ColumnProblems
from dlcli.errors import did_you_mean
from dlcli.serving.served_model import Limits, PredictedRows, RequestError, ServedModel
from dlcli.tables.few_rows import MOST_CHARACTERS

Handler = Callable[[Request], Awaitable[Response]]
JSON_LINES, CSV = "application/x-ndjson", "text/csv"
OTHER_TYPES = (JSON_LINES, CSV)
"""The content types of rows in addition to JSON."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable with the folder in which workers share metrics; Prometheus reads it at
import."""
_WINDOWS = {
    b"gzip": 16 + zlib.MAX_WBITS,
    b"x-gzip": 16 + zlib.MAX_WBITS,
    b"deflate": zlib.MAX_WBITS,
}
"""The argument of zlib for each compression of a body."""
_BODIES_IN_MEMORY = 4
"""Size of all bodies that a process holds, as a multiple of the largest allowed body."""
_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Upper bounds of the buckets of request durations in seconds."""


_BY_COLUMN: tuple[tuple[str, str, Callable[[ColumnProblems], int]], ...] = (
    (
        "values_outside_training_range",
        "Values outside the training range.",
        lambda found: found.outside,
    ),
    (
        "unseen_values",
        "Values that are unknown categories.",
        lambda found: found.unseen.total(),
    ),
    (
        "texts_without_tokens",
        "Texts without a known word.",
        lambda found: found.without_tokens,
    ),
    ("missing_values", "Missing values.", lambda found: found.missing),
)
"""Counters of values that differ from the training rows: name, meaning, and counting function."""


class ServerMetrics:
    """The metrics of a server, or of one of its workers."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._of_requests: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(f"dlcli_{name}", meaning, labels, registry=self._registry)

        self._requests = counter("requests", "Requests.", "path", "status")
        self._seconds = Histogram(
            "dlcli_request_seconds",
            "Seconds from the headers of a request to its response.",
            ["path"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._rows = counter("rows", "Predicted rows.", "model")
        self._predictions = counter(
            "predictions", "Predictions by class or range.", "model", "prediction"
        )
        self._refused = counter("refused_rows", "Rows with an invalid value.", "model")
        self._by_column = [
            (counter(name, meaning, "model", "column"), count)
            for name, meaning, count in _BY_COLUMN
        ]

    def add_request(self, path: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            path: the path of the route, with `{name}` instead of the name of a model.
            status: the HTTP status of the response.
            seconds: the time from the headers of the request to its response.
        """
        key = path, status
        if key not in self._of_requests:  # finding counters by labels takes longer than counting
            labeled = self._requests.labels(path, str(status)), self._seconds.labels(path)
            self._of_requests[key] = labeled
        requests, took = self._of_requests[key]
        requests.inc()
        took.observe(seconds)

    def add_rows(self, model: ServedModel, predicted: PredictedRows) -> None:
        """Count the rows of a response, their predictions, and differences from training rows."""
        self._rows.labels(model.name).inc(predicted.rows)
        for name, count in model.ranges.count(predicted.predictions).items():
            self._predictions.labels(model.name, name).inc(count)
        for name, found in predicted.problems.columns.items():
            for counter, count_of in self._by_column:
                if count := count_of(found):
                    counter.labels(model.name, name).inc(count)

    def add_refused(self, model: str, rows: int) -> None:
        """Count refused rows."""
        self._refused.labels(model).inc(rows)

    def text(self) -> bytes:
        """Return all metrics in the text format, summed over workers."""
        registry = self._registry
        if FOLDER_VARIABLE in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


@dataclass
class Models:
    """The served models by name; reloading replaces all of them together."""

    by_name: Mapping[str, ServedModel]
    limits: Limits = field(default_factory=Limits)
    metrics: ServerMetrics = field(default_factory=ServerMetrics)
    _large: asyncio.Semaphore = field(
        default_factory=partial(asyncio.Semaphore, 1), init=False, repr=False
    )
    """One large request at a time is parsed and predicted, because this takes memory."""
    _held: int = field(default=0, init=False, repr=False)
    """Size of all bodies that are in memory, in bytes."""
    _explaining: asyncio.Semaphore = field(
        default_factory=partial(asyncio.Semaphore, 1), init=False, repr=False
    )
    """One request for explanations at a time, so the processor remains free for predictions."""

    def named(self, request: Request) -> ServedModel:
        """Return the model in the path of a request, or the first model.

        Raises:
            RequestError: for an unknown model, with status 404.
        """
        name = request.path_params.get("name")
        if name is None:
            return next(iter(self.by_name.values()))
        if name not in self.by_name:
            near = did_you_mean(name, tuple(self.by_name))
            raise RequestError(404, f"unknown model '{name}'{near}")
        return self.by_name[name]

    @asynccontextmanager
    async def body(self, request: Request) -> AsyncIterator[bytes]:
        """Read the body of a request, and wait until it can be processed.

        The block should contain the whole processing, because the number of large requests in it
        and the size of all bodies are limited.

        Raises:
            RequestError: for a body that is too large, incomplete or damaged; with status 503 if
                the server holds too many bodies.
        """
        body = bytearray()
        try:
            async for part in _parts(request, self.limits):
                self._held += len(part)
                body += part
                if self._held > self.limits.mebibytes * _BODIES_IN_MEMORY << 20:
                    raise RequestError(503, "the server processes too many large requests")
            if len(body) <= MOST_CHARACTERS:
                yield bytes(body)
            else:
                async with self._large:
                    yield bytes(body)
        finally:
            self._held -= len(body)

    async def predict(self, model: ServedModel, rows: object, size: int) -> PredictedRows:
        """Predict the rows of a request, in a thread if this takes long.

        Args:
            model: the model.
            rows: a list of objects.
            size: the size of the request in bytes.

        Raises:
            RequestError: for rows that can't be predicted, or too many rows.
        """
        rows = _as_rows(rows, self.limits)
        try:
            if model.is_quick(len(rows), size):
                predicted = model.predict(rows)
            else:
                predicted = await asyncio.to_thread(model.predict, rows)
        except RequestError as error:
            self.metrics.add_refused(model.name, error.rows)
            raise
        self.metrics.add_rows(model, predicted)
        return predicted

    async def explain(
        self, model: ServedModel, rows: object, of: str | None = None, unit: str = "auto"
    ) -> dict[str, object]:
        """Explain the predictions for the rows of a request, in a thread.

        Args:
            model: the model.
            rows: a list of objects.
            of: see `ServedModel.explain`.
            unit: see `ServedModel.explain`.

        Raises:
            RequestError: see `ServedModel.explain`; or for too many rows.
        """
        most = model.most_explained(self.limits)
        checked = _as_rows(rows, replace(self.limits, rows=most) if most else self.limits)
        await self._explaining.acquire()
        thread = asyncio.ensure_future(asyncio.to_thread(model.explain, checked, of, unit))
        thread.add_done_callback(self._end_explaining)
        try:
            return await asyncio.shield(thread)  # the thread goes on if the request times out
        except RequestError as error:
            self.metrics.add_refused(model.name, error.rows)
            raise

    def _end_explaining(self, thread: asyncio.Future[dict[str, object]]) -> None:
        self._explaining.release()
        if not thread.cancelled():
            thread.exception()  # an error after a timeout is not reported as lost


def _as_rows(content: object, limits: Limits) -> list[object]:
    """Return parsed JSON if it is a list with an allowed number of rows.

    Raises:
        RequestError: if it is not.
    """
    if not isinstance(content, list):
        raise RequestError(400, "expected a list of rows, each an object of columns")
    limits.check_rows(len(content))
    return content


def as_object(content: object) -> dict[str, object]:
    """Return parsed JSON if it is an object.

    Raises:
        RequestError: if it is not an object, with status 400.
    """
    if not isinstance(content, dict):
        raise RequestError(400, "expected a JSON object")
    return content


def fixed(content: object) -> Handler:
    """Return a handler with a constant response."""

    async def handle(request: Request) -> Response:
        return json_response(content)

    return handle


def json_response(content: object, status: int = 200) -> Response:
    """Return a JSON response."""
    return Response(orjson.dumps(content), status, media_type="application/json")


async def _parts(request: Request, limits: Limits) -> AsyncIterator[bytes]:
    """Yield the body of a request in parts, without its compression.

    Raises:
        RequestError: for a body that is too large or incomplete, or an unknown compression.
    """
    most = limits.mebibytes << 20
    too_long = RequestError(413, f"expected a body of at most {limits.mebibytes} MiB")
    expand: _Expansion | None = None
    for name, value in request.scope["headers"]:
        if name == b"content-encoding" and value.lower() not in (b"identity", b""):
            if expand is not None or value.lower() not in _WINDOWS:
                raise RequestError(415, "expected a body without compression, or gzip or deflate")
            expand = _Expansion(_WINDOWS[value.lower()])
        if name == b"content-length" and value.isdigit() and int(value[:19]) > most:
            raise too_long
    size, more = 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise RequestError(400, "the body is incomplete")
        part, more = message.get("body", b""), message.get("more_body", False)
        if expand is not None:
            part = expand(part, most - size, is_last=not more)
        size += len(part)
        if size > most:
            raise too_long
        yield part


class _Expansion:
    """Decompresses a body.

    Args:
        window: see `_WINDOWS`.
    """

    def __init__(self, window: int) -> None:
        self._stream = zlib.decompressobj(window)

    def __call__(self, part: bytes, most: int, *, is_last: bool) -> bytes:
        """Return the decompressed part, or `most` + 1 bytes of it if it is longer.

        Raises:
            RequestError: if the body is damaged, truncated, or followed by other bytes.
        """
        try:
            expanded = self._stream.decompress(part, most + 1)
        except zlib.error:
            raise RequestError(400, "the compressed body is damaged") from None
        is_short = len(expanded) <= most
        if self._stream.unused_data or (is_last and is_short and not self._stream.eof):
            raise RequestError(400, "the compressed body is damaged")
        return expanded


def parse_json(body: bytes, place: str = "") -> Any:  # noqa: ANN401
    """Parse a body as JSON.

    Args:
        body: the body, or a part of it.
        place: the place of the part, for the message.

    Raises:
        RequestError: if the body is not JSON, with the problem and its position.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        reason = "it is not UTF-8" if _is_not_utf8(body) else str(error)
        hint = "; send null for a missing value, not NaN" if b"NaN" in body else ""
        raise RequestError(400, f"{place}expected JSON: {reason}{hint}") from None


def _is_not_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return True
    return False
