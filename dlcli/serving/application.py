"""The application: what every request passes, and where it goes."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dlcli.errors import did_you_mean
from dlcli.serving.openapi import describe_server
from dlcli.serving.requests import Limits, RequestError, parse_json, read_body, timed_out
from dlcli.serving.served_model import Answer, ServedModel

Handler = Callable[[Request], Awaitable[Response]]
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="dlcli", charset="UTF-8"'}
"""Lets a browser ask for the key, as the password of any user."""


@dataclass
class Models:
    """The models that are served, by name; reloading replaces them at once."""

    by_name: Mapping[str, ServedModel]
    limits: Limits = field(default_factory=Limits)

    @property
    def first(self) -> ServedModel:
        """The model of requests that name none."""
        return next(iter(self.by_name.values()))

    def named(self, request: Request) -> ServedModel:
        """Return the model that a request's path names, or the first.

        Raises:
            RequestError: with status 404.
        """
        name = request.path_params.get("name")
        if name is None:
            return self.first
        if name not in self.by_name:
            near = did_you_mean(name, tuple(self.by_name))
            raise RequestError(404, f"there is no model '{name}'{near}")
        return self.by_name[name]

    async def predict(self, model: ServedModel, rows: object) -> Answer:
        """Predict the rows of a request, many of them in a thread, so that others are answered.

        Raises:
            RequestError: for rows that can't be predicted, or are too many.
        """
        if not isinstance(rows, list):
            raise RequestError(400, "expected a list of rows, each an object of columns")
        self.limits.check_rows(len(rows))
        if model.is_quick(len(rows)):
            return model.predict(rows)
        return await asyncio.to_thread(model.predict, rows)


def json_response(content: object, status: int = 200) -> Response:
    """Return an answer in JSON."""
    return Response(orjson.dumps(content), status, media_type="application/json")


def make_application(models: Models, key: str | None = None) -> Starlette:
    """Make the application.

    Args:
        models: what is served.
        key: what clients must send as bearer token, in the header `X-API-Key`, or as password;
            without one, anyone may ask.
    """

    async def predict(request: Request) -> Response:
        model = models.named(request)
        body = parse_json(await read_body(request, models.limits))
        return json_response((await models.predict(model, body)).records)

    async def openapi(request: Request) -> Response:
        has_key = key is not None
        return json_response(describe_server(models.by_name, models.limits, has_key=has_key))

    async def docs(request: Request) -> Response:
        from dlcli.serving.pages import docs_page  # with Jinja, which few servers need

        return docs_page(models.by_name, models.limits, has_key=key is not None)

    def open_to(handler: Handler) -> Handler:
        return _guarded(handler, models.limits, key)

    routes = [
        Route("/predict", open_to(predict), methods=["POST"]),
        Route("/predict/{name}", open_to(predict), methods=["POST"]),
        Route("/openapi.json", open_to(openapi)),
        Route("/docs", open_to(docs)),
        Route("/healthz", _health),
    ]
    handlers: Mapping[Any, Any] = {HTTPException: _explain_status, Exception: _explain_failure}
    return Starlette(routes=routes, exception_handlers=handlers)


async def _health(request: Request) -> Response:
    return json_response({"status": "ok"})


def _guarded(handler: Handler, limits: Limits, key: str | None) -> Handler:
    """Check the key of each request, limit its time, and explain what is wrong with it."""

    async def handle(request: Request) -> Response:
        try:
            if key is not None and not _has_key(request, key):
                response = json_response({"error": "expected the server's API key"}, 401)
                response.headers.update(_CHALLENGE)
                return response
            async with asyncio.timeout(limits.seconds):
                return await handler(request)
        except RequestError as error:
            return _explained(error)
        except TimeoutError:
            return _explained(timed_out(limits))

    return handle


def _explained(error: RequestError) -> Response:
    response = json_response(error.to_json(), error.status)
    if error.status in (408, 413, 415):  # the rest of the body is not read
        response.headers["Connection"] = "close"
    return response


def _has_key(request: Request, key: str) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return False
    elif scheme.lower() != "bearer":
        given = request.headers.get("x-api-key", "")
    return hmac.compare_digest(given.strip().encode(), key.encode())


async def _explain_status(request: Request, error: HTTPException) -> Response:
    """Explain a path that is not there, or a method that it doesn't have."""
    messages = {404: f"there is no {request.url.path}", 405: f"{request.method} is not for this"}
    message = messages.get(error.status_code, error.detail)
    response = json_response({"error": message}, error.status_code)
    response.headers.update(error.headers or {})
    return response


async def _explain_failure(request: Request, error: Exception) -> Response:
    """Answer a request in which dlcli failed; what failed is for the server's log alone."""
    traceback.print_exception(error, file=sys.stderr)
    return json_response({"error": "the server failed; its log has the reason"}, 500)
