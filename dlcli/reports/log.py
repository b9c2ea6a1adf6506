"""What the run's log tells of how it came about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from dlcli.errors import RunError
from dlcli.explanation import Count
from dlcli.runs import Run

MOST_WARNINGS = 100


class _Event(BaseModel):
    """An event's fields, as far as a page needs them."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class DataEvent(_Event):
    """The rows that were read."""

    file: str
    rows: dict[str, Count]
    split: str | None = None
    notes: list[str] = []


class TargetEvent(_Event):
    """What is predicted."""

    columns: list[str]
    type: str
    classes: list[str] = []
    labels: list[str] = []
    reason: str = ""


class TypedColumn(_Event):
    """What a column was taken for."""

    type: str
    reason: str


class FeaturesEvent(_Event):
    """The columns."""

    columns: dict[str, TypedColumn]


class LoggedLayer(_Event):
    """One layer."""

    name: str
    kind: str
    inputs: Count | None = None
    units: Count | None = None
    parameters: Count | None = None
    activation: str | None = None
    column: str | None = None
    rate: float | None = None


class NetworkEvent(_Event):
    """The network."""

    inputs: Count
    layers: list[LoggedLayer]
    parameters: Count
    loss: str
    target_scaling: str | None = None


class EngineEvent(_Event):
    """What trained it."""

    name: str
    jit_compile: bool = False


class DeviceEvent(_Event):
    """Where."""

    device: str
    threads: Count


class TrainedEvent(_Event):
    """How training ended."""

    epochs: Count
    best_epoch: Count | None = None
    seconds: float | None = None


_KINDS: Mapping[str, type[_Event]] = {
    "data": DataEvent,
    "target": TargetEvent,
    "features": FeaturesEvent,
    "network": NetworkEvent,
    "engine": EngineEvent,
    "device": DeviceEvent,
    "trained": TrainedEvent,
}


@dataclass
class Log:
    """What was told, the last where it was told twice; a diverged training tells no end."""

    data: DataEvent | None = None
    target: TargetEvent | None = None
    features: FeaturesEvent | None = None
    network: NetworkEvent | None = None
    engine: EngineEvent | None = None
    device: DeviceEvent | None = None
    trained: TrainedEvent | None = None
    warnings: dict[str, None] = field(default_factory=dict)
    """Each once, in order."""
    more_warnings: int = 0
    """How many there are beyond these."""
    resumed: int = 0
    """How often training went on after it had been ended."""

    @classmethod
    def of(cls, run: Run) -> Log:
        """Reads a run's log.

        Raises:
            RunError: if it is damaged, or says something else than dlcli does.
        """
        log = cls()
        if run.has("events.jsonl"):
            log._take_in(run, run.read_events())
        return log

    def _take_in(self, run: Run, events: Iterable[dict[str, Any]]) -> None:
        for event in events:
            name = event.get("event")
            if name == "warning":
                self._warn(str(event.get("message", "")))
            elif name == "resumed":
                self.resumed += 1
            elif isinstance(name, str) and name in _KINDS:
                try:
                    setattr(self, name, _KINDS[name].model_validate(event))
                except ValidationError as error:
                    raise _misread(run, name, error) from None

    def _warn(self, message: str) -> None:
        if message in self.warnings:
            return
        if len(self.warnings) < MOST_WARNINGS:
            self.warnings[message] = None
        else:
            self.more_warnings += 1


def _misread(run: Run, name: str, error: ValidationError) -> RunError:
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, [name, *first["loc"]]))
    return RunError(f"{run.path}: its events.jsonl can't be read: {place}: {first['msg']}")
