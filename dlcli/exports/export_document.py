"""The description of an export, and the result of its check: `export.json`."""

from __future__ import annotations

from dlcli.exports.agreement import Agreement
from dlcli.runs import Document, FileDigest


class ExportDocument(Document):
    """The description of an export, and the result of its check: `export.json`."""

    format: str
    dlcli: str
    """Version of dlcli that wrote it."""
    run: str
    """Name of the run folder."""
    interval: float | None
    """The level of intervals or sets of classes; none if the run has no held-out rows for them."""
    names: tuple[str, ...]
    """The classes or labels, in the order of probabilities."""
    quantized: bool = False
    """True if weights have 8 bits, so that numbers differ more."""
    tolerance: float
    """Largest difference of a number that is accepted, as a share of the output's scale."""
    checked: dict[str, Agreement]
    """By kind of rows, such as `held-out rows`."""
    unchecked: str
    """Why there are only made-up rows among these; else empty."""
    files: dict[str, FileDigest]
