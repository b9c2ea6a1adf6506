"""The application: the checks and the routing of requests."""

from __future__ import annotations

import asyncio
import base64
import hmac
import re
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import orjson
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from dlcli.serving import pages, requests
from dlcli.serving.inference_protocol import health_routes, inference_routes
from dlcli.serving.requests import Handler, Models, as_object, json_response, parse_json
from dlcli.serving.row_formats import parse_rows
from dlcli.serving.served_model import RequestError
from dlcli.serving.tensorflow_protocol import tensorflow_routes

_SECONDS_FOR_A_REQUEST = 0.5
"""Time in seconds to wait for a request on a connection that is about to close."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,200}")
"""The IDs that clients may send; others are replaced."""
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="dlcli", charset="UTF-8"'}
"""The header that makes browsers prompt for the key, as the password of any user."""


LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
"""The names of this machine in requests that it sends to itself."""


def make_application(
    models: Models,
    key: str | None = None,
    hosts: Collection[str] | None = None,
    prefix: str = "",
    log: Callable[[bytes], object] | None = None,
) -> Starlette:
    """Return the ASGI application of a server.

    Args:
        models: the served models.
        key: the API key, which clients must send as bearer token, in the header `X-API-Key`, or as
            password; if omitted, all requests are allowed.
        hosts: the accepted names in the header `Host`, in lower case; if omitted, any name. A web
            page can otherwise read the responses of a local server if the name of the page's
            server is changed to the address of this machine (DNS rebinding).
        prefix: a prefix of paths, such as `/models`, that a proxy keeps. Paths without it also
            work, so health checks need no proxy.
        log: receives a line of JSON for each request, with its ID; if omitted, nothing is logged.
    """
    guarded = {
        **_own_routes(models, prefix, has_key=key is not None),
        **tensorflow_routes(models),
        **inference_routes(models),
    }
    keys = {**dict.fromkeys(guarded, key), **dict.fromkeys(open_to_all := health_routes(models))}
    handlers = {**guarded, **open_to_all}
    # A check of the health names the address of a container, and reads nothing.
    names = {**dict.fromkeys(guarded, hosts), **dict.fromkeys(open_to_all, None)}
    return _Application(
        {
            place: _guarded(place[1], each, models, keys[place], names[place])
            for place, each in handlers.items()
        },
        prefix,
        log,
    )


class _Application(Starlette):
    """Starlette with a shortcut for paths without parameters.

    Starlette's routing takes as long as the prediction of a small network for one row.

    Args:
        handlers: the handlers by method and path.
        prefix: see `make_application`.
        log: see `make_application`.
    """

    def __init__(
        self,
        handlers: Mapping[tuple[str, str], Handler],
        prefix: str,
        log: Callable[[bytes], object] | None,
    ) -> None:
        routes = [
            Route(path, handler, methods=[method]) for (method, path), handler in handlers.items()
        ]
        explained: Mapping[Any, Any] = {HTTPException: _explain_status}
        super().__init__(routes=routes, exception_handlers=explained)
        self._prefix, self._log = prefix, log
        self._of_fixed_paths = {key: each for key, each in handlers.items() if "{" not in key[1]}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request or another ASGI event."""
        if self._prefix and scope.get("path", "").startswith(f"{self._prefix}/"):
            scope = {**scope, "path": scope["path"].removeprefix(self._prefix)}
        if self._log is None:
            await self._handle(scope, receive, send)
        else:
            await _logged(self._handle, self._log, scope, receive, send)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = self._of_fixed_paths.get((scope.get("method", ""), scope.get("path", "")))
        if handler is None:
            await super().__call__(scope, receive, send)
            return
        response = await handler(Request(scope, receive))
        await response(scope, receive, send)


async def _logged(
    application: ASGIApp, log: Callable[[bytes], object], scope: Scope, receive: Receive, send: Send
) -> None:
    """Handle a request, and log it with its ID, which the response also contains."""
    given = Headers(scope=scope).get("x-request-id", "")
    name = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
    start, status = time.perf_counter(), 500

    async def send_with_id(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = [*message.get("headers", ()), (b"x-request-id", name.encode())]
            message = {**message, "headers": headers}
        await send(message)

    try:
        await application(scope, receive, send_with_id)
    finally:
        client = scope.get("client")
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "id": name,
            "client": client[0] if client else None,
            "method": scope.get("method"),
            "path": scope.get("path"),
            "status": status,
            "seconds": round(time.perf_counter() - start, 6),
        }
        log(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


def _own_routes(models: Models, prefix: str, *, has_key: bool) -> dict[tuple[str, str], Handler]:
    """Return the handlers of dlcli's own protocol, by method and path."""
    limits = models.limits

    async def predict(request: Request) -> Response:
        model = models.named(request)
        async with models.body(request) as body:
            given = parse_rows(body, request, limits)
            return given.respond(await models.predict(model, given.rows, len(body)))

    async def explain(request: Request) -> Response:
        model, query = models.named(request), request.query_params
        async with models.body(request) as body:
            given = parse_rows(body, request, limits)
            of, unit = query.get("of"), query.get("unit", "auto")
            return json_response(await models.explain(model, given.rows, of, unit))

    async def openapi(request: Request) -> Response:
        return json_response(pages.describe_server(models.by_name, limits, has_key=has_key))

    async def docs(request: Request) -> Response:
        address = f"{request.url.netloc}{prefix}"
        return pages.docs_page(models.by_name, limits, address, has_key=has_key)

    async def form(request: Request) -> Response:
        root = "../" if "name" in request.path_params else ""
        return pages.form_page(models.by_name, models.named(request), root)

    async def fill_in(request: Request) -> Response:
        model = models.named(request)
        async with models.body(request) as body:
            row = as_object(parse_json(body))
            return json_response(await asyncio.to_thread(pages.form_prediction, model, row))

    async def metrics(request: Request) -> Response:
        return Response(models.metrics.text(), media_type=requests.CONTENT_TYPE)

    return {
        ("POST", "/predict"): predict,
        ("POST", "/predict/{name}"): predict,
        ("POST", "/explain"): explain,
        ("POST", "/explain/{name}"): explain,
        ("GET", "/openapi.json"): openapi,
        ("GET", "/docs"): docs,
        ("GET", "/metrics"): metrics,
        ("GET", "/"): form,
        ("GET", "/form/{name}"): form,
        ("POST", "/form/{name}"): fill_in,
    }


def _guarded(
    path: str, handler: Handler, models: Models, key: str | None, hosts: Collection[str] | None
) -> Handler:
    """Return a handler that checks key and host, limits the time, converts errors and counts."""
    limits, metrics = models.limits, models.metrics

    async def handle(request: Request) -> Response:
        start, status = time.perf_counter(), 500
        try:
            response = await respond(request)
            status = response.status_code
            return response
        finally:
            metrics.add_request(path, status, time.perf_counter() - start)

    async def respond(request: Request) -> Response:
        try:
            if hosts is not None and (name := _host_of(request)) not in hosts:
                message = f"unknown host '{name[:200]}'; to accept it, start the server with"
                return json_response({"error": f"{message} --allow-host {name[:200]}"}, 400)
            if key is not None and not _has_key(request, key):
                response = json_response({"error": "expected the server's API key"}, 401)
                response.headers.update(_CHALLENGE)
                return response
            async with asyncio.timeout(limits.seconds):
                return await handler(request)
        except RequestError as error:
            return _explained(error)
        except TimeoutError:
            message = f"the request was not received and processed within {limits.seconds:g} s"
            return _explained(RequestError(408, message))
        except Exception as error:
            traceback.print_exception(error, file=sys.stderr)  # the response omits the cause
            return json_response({"error": "internal error; see the server's log"}, 500)

    return handle


def _host_of(request: Request) -> str:
    """Return the name or address in the header `Host`, in lower case; empty if there is none."""
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:  # such as an address without its closing bracket
        return ""


def _explained(error: RequestError) -> Response:
    response = json_response(error.to_json(), error.status)
    if error.status in (408, 413, 415, 503):  # the rest of the body is not read
        response.headers["Connection"] = "close"
    if error.status == 503:
        response.headers["Retry-After"] = "1"
    return response


def _has_key(request: Request, key: str) -> bool:
    """Return whether a request contains the key, in UTF-8."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            sent = base64.b64decode(given, validate=True).partition(b":")[2]
        except ValueError:  # it is not base64, or not ASCII
            return False
    else:
        if scheme.lower() != "bearer":
            given = request.headers.get("x-api-key", "")
        sent = given.encode("latin-1")  # the bytes of the header
    return hmac.compare_digest(sent.strip(), key.encode(errors="surrogateescape"))


async def _explain_status(request: Request, error: HTTPException) -> Response:
    """Return the error for an unknown path or a method that is not allowed."""
    messages = {404: f"no such path: {request.url.path}", 405: f"{request.method} is not allowed"}
    message = messages.get(error.status_code, error.detail)
    response = json_response({"error": message}, error.status_code)
    response.headers.update(error.headers or {})
    return response


MOST_HEADER_BYTES = 2**15
"""Maximum size of the first line and the headers of a request in bytes."""
HEADER_SECONDS = 10.0
"""Time in seconds in which the headers of a request must arrive."""
MOST_CONNECTIONS = 900
"""Maximum number of open connections of a process; many systems allow 1,024 open files."""
_BYTES_AT_ONCE = 2**12
_FRAMING = 8
"""Maximum size of the framing of a body in chunks, as a multiple of the body."""


class PatientConnection(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # of two classes
    """Uvicorn's connection with limits, which also processes requests while the server stops.

    Uvicorn limits neither the size of headers nor the time until they arrive, so a client could
    fill the memory or open connections without end, before it is asked for a key.

    When Uvicorn stops, it immediately closes idle connections, so clients that send a request at
    this moment get no response. This class waits some time for such a request; its response
    announces that the connection closes.
    """

    _awaits_headers = True
    _header_bytes = 0
    """Size of the incomplete headers."""
    _framing_bytes = 0
    """Bytes of the request after its headers, without the body; the body is `_body_bytes`."""
    _body_bytes = 0
    _timer: asyncio.TimerHandle | None = None
    """Ends the connection if the headers do not arrive in time."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Wait for a request, unless there are too many connections."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            self._refuse(503, "too many connections")
        else:
            self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived: headers in small parts, so that their size is limited."""
        while data and not self.transport.is_closing():
            if not self._awaits_headers:
                self._framing_bytes += len(data)
                super().data_received(data)
                if self._framing_bytes > MOST_HEADER_BYTES + _FRAMING * self._body_bytes:
                    self._refuse(431, "the request has too many bytes around its body")
                return
            part, data = data[:_BYTES_AT_ONCE], data[_BYTES_AT_ONCE:]
            self._start_timer()
            super().data_received(part)
            if self._awaits_headers:
                self._header_bytes += len(part)
                if self._header_bytes > MOST_HEADER_BYTES:
                    most = MOST_HEADER_BYTES >> 10
                    self._refuse(431, f"expected headers of at most {most} KiB")

    def on_body(self, body: bytes) -> None:
        """Count the bytes of a body."""
        self._framing_bytes -= len(body)
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait for the next request."""
        super().on_message_complete()
        self._awaits_headers, self._header_bytes = True, 0

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(HEADER_SECONDS, self._end_wait)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end_wait(self) -> None:
        self._timer = None
        if self.cycle is not None and not self.cycle.response_complete:
            self._start_timer()  # the next request has begun before this response
        elif not self.transport.is_closing():
            self._refuse(408, f"the headers did not arrive within {HEADER_SECONDS:g} s")

    def _refuse(self, status: int, message: str) -> None:
        """Send an error, and close the connection."""
        if self.transport.is_closing():
            return
        content = orjson.dumps({"error": message})
        lines = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            "content-type: application/json",
            f"content-length: {len(content)}",
            "connection: close",
        )
        self.transport.write("".join(f"{line}\r\n" for line in (*lines, "")).encode() + content)
        self.transport.close()

    _is_ending = False

    def shutdown(self) -> None:
        """Finish a request that has begun or arrives soon, and close the connection."""
        is_waiting = self.cycle is None or self.cycle.response_complete
        if is_waiting and not self._is_ending:
            self._is_ending = True
            self.loop.call_later(_SECONDS_FOR_A_REQUEST, self.shutdown)
        else:
            super().shutdown()

    def on_headers_complete(self) -> None:
        """Begin a request."""
        self._awaits_headers, self._framing_bytes, self._body_bytes = False, 0, 0
        self._stop_timer()
        super().on_headers_complete()
        if self._is_ending and self.cycle is not None:
            self.cycle.keep_alive = False
