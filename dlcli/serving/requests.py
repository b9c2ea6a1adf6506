"""Requests: what may be wrong with one, and the reading of its body within limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dlcli.errors import in_cell, plural

if TYPE_CHECKING:
    from starlette.requests import Request

MOST_PROBLEMS = 20
"""Problems of rows that an answer lists, at most."""


@dataclass(frozen=True)
class RowProblem:
    """A mistake in a row."""

    message: str
    """The value that came, and what was expected."""
    row: int | None = None
    """The row, from 1."""
    column: str | None = None

    def to_json(self) -> dict[str, object]:
        """Return the parts that are known."""
        parts = {"row": self.row, "column": self.column, "message": self.message}
        return {name: part for name, part in parts.items() if part is not None}

    def __str__(self) -> str:
        return in_cell(self.message, self.row, self.column)


class RequestError(Exception):
    """A request that can't be answered.

    Args:
        status: of HTTP: 400 for a body that can't be read, 422 for rows that can't be predicted.
        message: what is wrong, without anything of the machine.
        problems: of single rows.
        rows: number of rows that were refused.
    """

    def __init__(
        self, status: int, message: str, problems: Sequence[RowProblem] = (), rows: int = 0
    ) -> None:
        self.status, self.message, self.problems, self.rows = status, message, problems, rows
        super().__init__(message)

    @classmethod
    def of_rows(
        cls, problems: Sequence[RowProblem], rows: int, count: int | None = None
    ) -> RequestError:
        """Return the error for rows that can't be predicted.

        Args:
            problems: the first ones, of which those that are shown are enough.
            rows: number of rows that were refused.
            count: number of all problems, if there are more.
        """
        more = (count or len(problems)) - 1
        others = f" ({plural(more, 'more problem')})" if more else ""
        return cls(422, f"{problems[0]}{others}", problems[:MOST_PROBLEMS], rows)

    def to_json(self) -> dict[str, object]:
        """Return the answer's content."""
        answer: dict[str, object] = {"error": self.message}
        if self.problems:
            answer["problems"] = [problem.to_json() for problem in self.problems]
        return answer


@dataclass(frozen=True)
class Limits:
    """The most that a request may take."""

    mebibytes: int = 16
    """Most MiB of a body."""
    rows: int = 10_000
    """Most rows."""
    seconds: float = 30.0
    """Most seconds from its beginning to its answer."""

    def check_rows(self, count: int) -> None:
        """Refuse more rows than there may be, and none at all.

        Raises:
            RequestError: with status 413, or 422 for none.
        """
        if count > self.rows:
            raise RequestError(413, f"expected at most {self.rows:,} rows, got {count:,}")
        if count == 0:
            raise RequestError(422, "expected at least one row, got none")


async def read_body(request: Request, limits: Limits) -> bytes:
    """Read the body of a request.

    Raises:
        RequestError: for one that is too long, compressed, or not received completely.
    """
    most = limits.mebibytes << 20
    too_long = RequestError(413, f"expected a body of at most {limits.mebibytes} MiB")
    for name, value in request.scope["headers"]:
        if name == b"content-encoding" and value != b"identity":
            raise RequestError(415, "expected a body that is not compressed")
        if name == b"content-length" and value.isdigit() and int(value[:19]) > most:
            raise too_long
    body, more = bytearray(), True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise RequestError(400, "the body is incomplete")
        body += message.get("body", b"")
        if len(body) > most:
            raise too_long
        more = message.get("more_body", False)
    return bytes(body)


def parse_json(body: bytes) -> Any:  # noqa: ANN401
    """Parse a body as JSON.

    Raises:
        RequestError: with what is wrong, and where.
    """
    import orjson

    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        hint = "; send null for a missing value, not NaN" if b"NaN" in body else ""
        raise RequestError(400, f"expected JSON: {error}{hint}") from None
