"""Values as text, cut where they are long."""

from __future__ import annotations

from typing import Any

from dlcli.data_checks import number


def cut(text: str, letters: int) -> str:
    """A text with so many letters at most."""
    return text if len(text) <= letters else f"{text[: letters - 3]}..."


def written(value: Any) -> str:  # noqa: ANN401 — what a cell of a table may hold
    """A value of a table as people write it."""
    if isinstance(value, bool):
        return str(value).lower()
    return number(value) if isinstance(value, float) else str(value)
