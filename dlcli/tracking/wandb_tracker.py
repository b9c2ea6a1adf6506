"""Tracking with Weights & Biases, on its server or in offline files."""

from __future__ import annotations

import os
import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from dlcli.errors import UsageError
from dlcli.pipeline.events import TrackingEvent
from dlcli.tracking.tracked_events import reason
from dlcli.tracking.tracker import Outcome, Parameter, TrackedRun, TrackedValues, Tracker

_PROJECT = "dlcli"
_OUR_ID = re.compile(r"dlcli-[0-9a-f]{12}")
"""IDs of runs of dlcli; a run folder of a stranger may contain another one."""
_EXIT_CODES = {Outcome.FINISHED: 0, Outcome.FAILED: 1, Outcome.KILLED: 255}
"""W&B shows a run with another exit code than 0 as failed; 255 is its code of Ctrl-C."""
_OFFLINE = ("offline", "dryrun", "disabled")
_TIMEOUTS = {"init_timeout": 30.0, "finish_timeout": 300.0}
"""Time limits in seconds, unless the user sets them. W&B's defaults are 90 seconds and none."""


class WeightsAndBiases(Tracker):
    """Tracks the config, curves, final metrics and the files of the run folder.

    W&B's environment variables and its login set the server, the project and the mode.

    Raises:
        UsageError: if the server can't be reached, or nobody is logged in.
    """

    name = "Weights & Biases"

    def __init__(self) -> None:
        log_in()
        self._run: Any = None  # a `wandb.Run`, from `begin` to `end`
        self._name = ""
        self._group: str | None = None

    def begin(self, run: TrackedRun) -> TrackingEvent:
        """Create a W&B run, or continue the earlier one; see `Tracker`."""
        is_ours = run.earlier_id is not None and _OUR_ID.fullmatch(run.earlier_id)
        run_id = run.earlier_id if is_ours else f"dlcli-{secrets.token_hex(6)}"
        self._name = run.folder.name
        if run.kind != "train":
            self._group = f"{self._name}-{run_id}"
        self._run = self._start(
            self._name,
            {**nested(run.parameters), "dlcli": {**run.tags, "run": str(run.folder)}},
            run.kind,
            **{"id": run_id, "resume": "allow", "allow_val_change": True},
        )
        # Networks of an ensemble and resumed runs repeat epochs, and W&B's own steps only increase.
        self._run.define_metric("epoch", hidden=True)
        self._run.define_metric("*", step_metric="epoch")
        return self._place()

    def log_epoch(self, epoch: int, values: TrackedValues) -> None:
        """Add a point to each curve; see `Tracker`."""
        self._run.log({"epoch": epoch, **values})

    def log_part(
        self, name: str, parameters: Mapping[str, Parameter], values: TrackedValues
    ) -> None:
        """Create a W&B run for a fold or a trial in the group of the run; see `Tracker`."""
        part = self._start(name, nested(parameters), "trial" if parameters else "fold")
        part.summary.update(dict(values))
        part.finish()

    def log_metrics(self, epochs: int, metrics: Mapping[str, TrackedValues]) -> None:
        """Store the final metrics as `test_accuracy` and so on; see `Tracker`."""
        for split, values in metrics.items():
            self._run.summary.update({f"{split}_{name}": each for name, each in values.items()})

    def end(self, outcome: Outcome, files: Sequence[Path]) -> None:
        """Send the files of a complete run as an artifact, and the outcome; see `Tracker`."""
        if self._run is None:
            return
        if files:
            from wandb import Artifact

            artifact = Artifact(re.sub(r"[^\w.-]", "_", self._name), type="model")
            for path in files:
                artifact.add_file(str(path))
            self._run.log_artifact(artifact)
        self._finish(_EXIT_CODES[outcome])

    def close(self) -> None:
        """End a run whose tracking has failed; see `Tracker`."""
        if self._run is not None:
            self._finish(_EXIT_CODES[Outcome.FAILED])

    def _finish(self, exit_code: int) -> None:
        run, self._run = self._run, None
        run.finish(exit_code)

    def _start(self, name: str, config: Mapping[str, Any], job: str, **others: Any) -> Any:  # noqa: ANN401
        import wandb

        limits = {k: v for k, v in _TIMEOUTS.items() if f"WANDB_{k.upper()}" not in os.environ}
        return wandb.init(
            **{"name": name, "config": dict(config), "job_type": job, "group": self._group},
            project=wandb.setup().settings.project or _PROJECT,
            reinit="create_new",
            settings=wandb.Settings(console="off", silent=True, **limits),
            **others,
        )

    def _place(self) -> TrackingEvent:
        run_id = self._run.id
        if self._run.settings.mode not in _OFFLINE:
            return TrackingEvent(tracker=self.name, run_id=run_id, place=str(self._run.url))
        folder = Path(self._run.dir).parent
        with suppress(ValueError):
            folder = folder.relative_to(Path.cwd())
        look = shlex.join(["wandb", "sync", str(folder)])
        return TrackingEvent(tracker=self.name, run_id=run_id, place=str(folder), look=look)


def log_in() -> None:
    """Check the login to W&B's server; in offline mode, only W&B's settings.

    Raises:
        UsageError: if the server can't be reached, or nobody is logged in.
    """
    import wandb

    way_out = "run 'wandb login', set WANDB_MODE=offline, or train without this tracker"
    try:
        settings = wandb.setup(settings=wandb.Settings(silent=True)).settings
        is_ready = settings.mode in _OFFLINE or wandb.login(prompt=False)
    except Exception as error:
        raise UsageError(f"Weights & Biases: {reason(error)}; {way_out}") from error
    if not is_ready:
        raise UsageError(f"Weights & Biases: nobody is logged in to {settings.base_url}; {way_out}")


def nested(parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """Return parameters as W&B's nested config: `hidden[0].units` as `{"hidden": {"0": ...}}`."""
    config: dict[str, Any] = {}
    for path, value in parameters.items():
        inner = config
        *parents, name = re.findall(r"\['(.*?)'\]|([^.\[\]]+)", path)
        for parent in parents:
            inner = inner.setdefault("".join(parent), {})
        inner["".join(name)] = value
    return config
