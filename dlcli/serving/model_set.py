"""The models of a server by name, and the answers to rows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import orjson
from starlette.requests import Request
from starlette.responses import Response

from dlcli.errors import did_you_mean
from dlcli.serving.metrics import ServerMetrics
from dlcli.serving.requests import Limits, RequestError
from dlcli.serving.served_model import Answer, ServedModel

Handler = Callable[[Request], Awaitable[Response]]


@dataclass
class Models:
    """The models that are served, by name; reloading replaces them at once."""

    by_name: Mapping[str, ServedModel]
    limits: Limits = field(default_factory=Limits)
    metrics: ServerMetrics = field(default_factory=ServerMetrics)

    def named(self, request: Request) -> ServedModel:
        """Return the model that a request's path names, or the first.

        Raises:
            RequestError: with status 404.
        """
        name = request.path_params.get("name")
        if name is None:
            return next(iter(self.by_name.values()))
        if name not in self.by_name:
            near = did_you_mean(name, tuple(self.by_name))
            raise RequestError(404, f"there is no model '{name}'{near}")
        return self.by_name[name]

    async def predict(self, model: ServedModel, rows: object, size: int) -> Answer:
        """Predict the rows of a request; in a thread, unless it is quick, so others are answered.

        Args:
            model: what predicts.
            rows: a list of objects.
            size: the bytes of the request.

        Raises:
            RequestError: for rows that can't be predicted, or are too many.
        """
        if not isinstance(rows, list):
            raise RequestError(400, "expected a list of rows, each an object of columns")
        self.limits.check_rows(len(rows))
        try:
            if model.is_quick(len(rows), size):
                answer = model.predict(rows)
            else:
                answer = await asyncio.to_thread(model.predict, rows)
        except RequestError as error:
            self.metrics.add_refused(model.name, error.rows)
            raise
        self.metrics.add_rows(model.name, answer.rows, answer.problems.columns)
        return answer


def checked_object(content: object) -> dict[str, object]:
    """Return JSON that is an object.

    Raises:
        RequestError: for anything else.
    """
    if not isinstance(content, dict):
        raise RequestError(400, "expected a JSON object")
    return content


def json_response(content: object, status: int = 200) -> Response:
    """Return an answer in JSON."""
    return Response(orjson.dumps(content), status, media_type="application/json")
