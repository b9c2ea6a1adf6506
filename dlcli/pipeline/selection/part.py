"""What the documents of this room are made of."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dlcli.errors import RunError
from dlcli.runs import Run, malformed

Number = float | None
"""A number; `None` where it is undefined, as JSON has no NaN."""
Count = Annotated[int, Field(ge=0, le=2**53)]
"""A number of things, which a float holds exactly."""


class Part(BaseModel):
    """A part of a document: no field too many, none of another type, no NaN."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class Interval(Part):
    """A metric with its 95 % interval."""

    value: Number
    """`None` where it is undefined."""
    lower: Number = None
    upper: Number = None
    """The ends; `None` where there is no interval."""
    reason: str | None = None
    """Why there is none."""


Document = TypeVar("Document", bound=Part)


def read_document(kind: type[Document], run: Run, name: str, text: str) -> Document:
    """A document of a run, which a stranger may have written.

    Args:
        kind: what it is.
        run: whose it is.
        name: its file, for messages.
        text: JSON.

    Raises:
        RunError: if it is anything else.
    """
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        message = f"{run.path / name}: {malformed(error)}; make it again"
        raise RunError(message) from None
