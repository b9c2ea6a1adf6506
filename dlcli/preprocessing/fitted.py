"""The ground of everything fitted: frozen, and to JSON and back unchanged."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Fitted(BaseModel):
    """Statistics and vocabularies taken from training rows."""

    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )
