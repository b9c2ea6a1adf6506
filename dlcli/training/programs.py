"""Compiled programs that several trainings share."""

from __future__ import annotations


class Programs:
    """The programs of earlier jobs."""
