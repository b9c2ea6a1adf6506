"""What a cross-validation is to do, besides its config."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dlcli.errors import RunError
from dlcli.runs import RunWriter, malformed

MOST = 100_000
"""Most folds, and most repeats."""


class Plan(BaseModel):
    """How often to train on what."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    folds: Annotated[int, Field(ge=2, le=MOST)] = 5
    """Into how many parts rows are dealt out."""
    repeats: Annotated[int, Field(ge=1, le=MOST)] = 1
    """How often they are, each time anew."""
    refit: bool = False
    """Whether to train on all rows at the end."""

    @property
    def trainings(self) -> int:
        """How many folds there are over all repeats."""
        return self.folds * self.repeats

    @classmethod
    def of(cls, writer: RunWriter) -> Self:
        """That of a cross-validation that goes on.

        Raises:
            RunError: if it is damaged.
        """
        try:
            return cls.model_validate(writer.read_plan())
        except ValidationError as error:
            message = f"its plan {malformed(error)}"
            raise RunError(f"{writer.path}: {message}; begin it again") from None
