"""TensorBoard event files in the run folder.

They are written with TensorBoard's record writer. `tf.summary` runs TensorFlow operations: for six
curves, an epoch takes 4 ms instead of 0.06 ms, longer than training an epoch of a small table. It
also can't write the start of a session, which makes TensorBoard discard the epochs that a resumed
training repeats. TensorBoard's event file writer uses a thread.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from dlcli.errors import truncate
from dlcli.pipeline.events import TrackingEvent
from dlcli.runs.run_folder import tensorboard_folder
from dlcli.runs.run_writer import RunWriter
from dlcli.tracking.tracker import Outcome, Parameter, TrackedRun, TrackedValues, Tracker

_SECONDS = 1.0
"""Maximum time until an epoch is written to disk."""
_MOST_TEXT = 2**16
_MOST_VALUE = 100
"""Maximum number of characters of a config, and of a value in a table."""


class TensorBoard(Tracker):
    """Writes curves, final metrics, parameters and the config.

    Training and validation rows are separate TensorBoard runs with the same tags, so their curves
    share a chart.
    """

    name = "TensorBoard"

    def __init__(self) -> None:
        self._folder = Path()
        self._files: dict[str, _EventFile] = {}
        self._first = 0
        self._due = 0.0

    def begin(self, run: TrackedRun) -> TrackingEvent:
        """Write config and parameters; see `Tracker`."""
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb
        from tensorboard.plugins.text.summary_v2 import text_pb

        self._folder = run.folder
        parameters = {
            path: truncate(value, _MOST_VALUE) if isinstance(value, str) else value
            for path, value in run.parameters.items()
        }
        whole = self._file("")
        whole.write(summary=hparams_pb(parameters, trial_id=str(run.folder)))
        # TensorBoard shows a Markdown code block unchanged.
        lines = truncate(
            RunWriter(run.folder).config_file.path.read_text("utf-8"), _MOST_TEXT
        ).splitlines()
        code = "".join(f"    {line}\n" for line in lines)
        whole.write(summary=text_pb("config", code))
        whole.flush()
        look = shlex.join(["tensorboard", "--logdir", str(run.folder.parent)])
        return TrackingEvent(
            tracker=self.name, place=str(tensorboard_folder(run.folder)), look=look
        )

    def resume(self, epochs: int) -> None:
        """Make TensorBoard discard later epochs; see `Tracker`."""
        self._first = epochs + 1

    def log_epoch(self, epoch: int, values: TrackedValues) -> None:
        """Write a point of each curve; see `Tracker`."""
        curves: dict[str, dict[str, float]] = {"train": {}, "validation": {}}
        for name, value in values.items():
            split = "validation" if name.startswith("val_") else "train"
            curves[split][name.removeprefix("val_")] = value
        for split, numbers in curves.items():
            if numbers:
                self._file(split).write_numbers(epoch, numbers)
        now = time.monotonic()
        if now >= self._due:
            self._due = now + _SECONDS
            self._flush()

    def log_part(
        self, name: str, parameters: Mapping[str, Parameter], values: TrackedValues
    ) -> None:
        """Write a fold or a trial to a separate folder; see `Tracker`."""
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb

        file = _EventFile(tensorboard_folder(self._folder, name), 0)
        if parameters:
            trial = str(self._folder / name)
            file.write(summary=hparams_pb(dict(parameters), trial_id=trial))
        file.write_numbers(0, values)
        file.close()

    def log_metrics(self, epochs: int, metrics: Mapping[str, TrackedValues]) -> None:
        """Write the final metrics as `final/accuracy` and so on; see `Tracker`."""
        for split, values in metrics.items():
            final = {f"final/{name}": value for name, value in values.items()}
            self._file(split).write_numbers(epochs, final)
        self._flush()

    def end(self, outcome: Outcome, files: Sequence[Path]) -> None:
        """Flush all files; see `Tracker`."""
        self._flush()

    def close(self) -> None:
        """Close all files; see `Tracker`."""
        for file in self._files.values():
            file.close()

    def _flush(self) -> None:
        for file in self._files.values():
            file.flush()

    def _file(self, split: str) -> _EventFile:
        if split not in self._files:
            self._files[split] = _EventFile(tensorboard_folder(self._folder, split), self._first)
        return self._files[split]


class _EventFile:
    """A new event file.

    Args:
        folder: its folder, which contains older files of a resumed training.
        first: its first epoch if older files may contain it, else 0.
    """

    def __init__(self, folder: Path, first: int) -> None:
        from tensorboard.compat.proto.event_pb2 import SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        # TensorBoard finds files by the middle of the name, and reads them in the order of names.
        self._stream = (folder / f"events.out.tfevents.{time.time_ns():020d}").open("xb")
        self._records = RecordWriter(self._stream)
        self.write(file_version="brain.Event:2")
        if first:
            self.write(step=first, session_log=SessionLog(status=SessionLog.START))

    def write(self, **fields: Any) -> None:  # noqa: ANN401
        """Write an event, given its message's fields."""
        from tensorboard.compat.proto.event_pb2 import Event

        self._records.write(Event(wall_time=time.time(), **fields).SerializeToString())

    def write_numbers(self, step: int, numbers: TrackedValues) -> None:
        """Write a point of several curves."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=tag, simple_value=number) for tag, number in numbers.items()]
        self.write(step=step, summary=Summary(value=values))

    def flush(self) -> None:
        """Pass all data to the operating system."""
        self._stream.flush()

    def close(self) -> None:
        """Close the file; `flush` has already reported errors."""
        with suppress(OSError):
            self._stream.close()
