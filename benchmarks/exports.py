"""Measure `dlcli export`: seconds, size and largest difference for each format and shipped config.

`python -m benchmarks.exports` trains the shipped configs, or reads the runs of a folder, exports
each run to each format in a separate process, and prints a line per format: medians over the
configs, and the largest difference.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.processes import DLCLI, ROOT, output, wall_seconds
from dlcli.exports.formats import ENTRIES


@dataclass(frozen=True)
class Exported:
    """One export of a run."""

    run: str
    """Name of the run folder."""
    format: str
    seconds: float
    """Wall time of the whole process, including the check."""
    model_bytes: int
    """Size of the model or script, without documentation and synthetic rows."""
    largest_difference: float | None
    """The largest difference from dlcli's prediction, as a share of its scale; `None` if nothing is
    compared."""
    unequal: int
    """Number of held-out rows whose class differs from dlcli's."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Export all runs, print the table, and write JSON on request."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.exports", description=__doc__)
    parser.add_argument("--runs", type=Path, metavar="FOLDER", help="take the runs of a folder")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write each export to a file")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="dlcli-exports-") as temporary:
        folder = Path(temporary)
        runs = sorted(options.runs.iterdir()) if options.runs else [*train_all(folder / "runs")]
        exports = [
            measure(run, format, folder / f"{run.name}-{format}")
            for run in runs
            for format in ENTRIES
        ]
    Console().print(report(exports))
    if options.json:
        text = json.dumps([asdict(each) for each in exports], indent=2)
        options.json.write_text(f"{text}\n", encoding="utf-8")


def train_all(folder: Path) -> Iterator[Path]:
    """Train each shipped config, and yield its run folder."""
    for config in sorted((ROOT / "configs").glob("*.yaml")):
        output([*DLCLI, "train", config, "--quiet", "--output", folder / config.stem])
        yield folder / config.stem


def measure(run: Path, format: str, target: Path) -> Exported:
    """Export a run once.

    Args:
        run: the run folder.
        format: the format, as in `dlcli export`.
        target: the path to create.
    """
    seconds = wall_seconds([*DLCLI, "export", run, "--format", format, "--output", target])
    files = [target] if target.is_file() else [path for path in target.rglob("*") if path.is_file()]
    others = ("README.md", "check.json", "export.json", "split.csv", "requirements.txt")
    size = sum(path.stat().st_size for path in files if path.name not in others)
    document = target / "export.json"
    if not document.is_file():
        return Exported(run.name, format, seconds, size, None, 0)
    checked = json.loads(document.read_text(encoding="utf-8"))["checked"]
    differences = [
        share for each in checked.values() for share in each["relative_difference"].values()
    ]
    unequal = [
        each["rows"] - count for each in checked.values() for count in each["equal"].values()
    ]
    return Exported(run.name, format, seconds, size, max(differences), max(unequal, default=0))


def report(exports: Sequence[Exported]) -> Table:
    """Return a table with a row per format."""
    table = Table(box=SIMPLE)
    for head in ("format", "runs", "seconds", "kB", "largest difference", "unequal classes"):
        table.add_column(head, justify="left" if head == "format" else "right")
    for format in dict.fromkeys(each.format for each in exports):
        some = [each for each in exports if each.format == format]
        known = [each for each in some if each.largest_difference is not None]
        worst = max(known, key=lambda each: each.largest_difference or 0, default=None)
        table.add_row(
            format,
            str(len(some)),
            f"{statistics.median(each.seconds for each in some):.2f}",
            f"{statistics.median(each.model_bytes for each in some) / 1e3:,.1f}",
            f"{worst.largest_difference:.1e} ({worst.run})" if worst else "-",
            str(sum(each.unequal for each in known)) if known else "-",
        )
    return table


if __name__ == "__main__":
    main(sys.argv[1:])
