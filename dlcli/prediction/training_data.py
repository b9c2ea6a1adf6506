"""Recognize the table that a run was trained on, whose metrics are optimistically biased."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dlcli.config.urls import Location, Url
from dlcli.errors import by_caller
from dlcli.runs.manifest import RunFile
from dlcli.runs.run_reader import Run
from dlcli.runs.run_writer import content_id, data_entries, fingerprint
from dlcli.tables.memory_tables import MemoryTable
from dlcli.tables.remote_files import file_size
from dlcli.tables.source_files import Source, expand


@dataclass(frozen=True)
class TrainingData:
    """The files or the table in memory that a run was trained on, by their digests."""

    run: Location
    """The run folder, or its URL."""
    sizes: Mapping[str, object]
    """The size in bytes of each, by SHA-256."""
    held_out: str | None
    """The rows of which the run has unbiased metrics: `test` or else `validation`."""

    @classmethod
    def of(cls, run: Run, location: Location | None = None) -> TrainingData:
        """Read what a run was trained on.

        Args:
            run: the run.
            location: where it is; by default in its folder.

        Raises:
            RunError: if its files are damaged.
        """
        environment = run.read_environment() if run.has(RunFile.ENVIRONMENT) else {}
        sizes = {
            identity: entry.get("bytes")
            for entry in data_entries(environment)
            if entry.get("key") == "data.train" and (identity := content_id(entry))
        }
        metrics = run.read_metrics() if run.has(RunFile.METRICS) else {}
        held_out = next((split for split in ("test", "validation") if split in metrics), None)
        return cls(location or run.path, sizes, held_out)

    def warning(self, source: Source | MemoryTable, file: str) -> str:
        """Return a warning for a table that the run was trained on, else an empty text.

        A file is hashed only if its size is that of one that was trained on.

        Args:
            source: what is evaluated.
            file: its name in messages.
        """
        if isinstance(source, MemoryTable):
            is_known = source.fingerprint["sha256"] in self.sizes
        else:
            sizes = {*self.sizes.values()}
            files = [each for each in expand(source) if isinstance(each, Url) or each.is_file()]
            same_size = [each for each in files if file_size(each) in sizes]
            is_known = any(content_id(fingerprint(each)) in self.sizes for each in same_size)
        if not is_known:
            return ""
        way_out = "to hold rows out, set data.test and train again"
        if self.held_out:
            call = f"dlcli.open_run({str(self.run)!r}).metrics[{self.held_out!r}]"
            shown = by_caller(f"dlcli report {self.run}", call)
            way_out = f"`{shown}` has those of the {self.held_out} rows"
        what = f"{self.run} was trained on rows of this table, so"
        if len(self.sizes) > 1:  # all rows of the latest month may be test rows
            what = f"has rows that {self.run} was made from; unless all of them were held out,"
        return f"{file}: {what} these metrics are optimistically biased; {way_out}"
