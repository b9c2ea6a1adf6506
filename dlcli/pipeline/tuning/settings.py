"""How a search is carried out, which is no part of the config."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """How a search is carried out."""

    jobs: int = 1
    """Processes that try candidates."""
    storage: str | None = None
    """The URL of a database that processes and machines share; a file in the run folder, if left
    out."""
    nested: bool = False
    """Whether the whole search is judged, too, by rows that it doesn't see."""
