"""The progress of a training, a cross-validation or a search, as one line."""

from __future__ import annotations

from dlcli.errors import plural
from dlcli.pipeline import events
from dlcli.reports import formatting as fmt

LEARNING_RATE = "learning_rate"
"""The value of an epoch that is not a loss or a metric."""


def metric_names(event: events.EpochEvent) -> list[str]:
    """Return the names of the losses and metrics of an epoch."""
    return [name for name in event.values if name != LEARNING_RATE]


class EpochCount:
    """Counts the epochs of a training, over all members of an ensemble."""

    def __init__(self) -> None:
        self._epochs: dict[int, int] = {}
        self._finished: set[int] = set()
        self._of = 0
        self._members = 1

    def add(self, event: events.Event) -> None:
        """Count an epoch, or a member of an ensemble that needs no more epochs."""
        if isinstance(event, events.MemberEvent):
            self._finished.add(event.member)
        elif isinstance(event, events.EpochEvent):
            self._epochs[event.member or 1] = event.epoch
            self._of, self._members = event.of, event.members or 1

    @property
    def done(self) -> int:
        """The number of epochs that have ended or are not needed."""
        running = (count for member, count in self._epochs.items() if member not in self._finished)
        return len(self._finished) * self._of + sum(running)

    @property
    def total(self) -> int:
        """The number of epochs at most."""
        return self._members * self._of


def epoch_line(event: events.EpochEvent) -> str:
    """Describe an epoch: `member 2/8  epoch  3/40  loss 0.1234`."""
    place = f"epoch {event.epoch:>{len(str(event.of))}}/{event.of}"
    if event.member is not None:
        place = f"member {event.member}/{event.members}  {place}"
    names = metric_names(event)
    values = "  ".join(f"{name} {fmt.number(event.values[name]):<9}" for name in names)
    return f"{place}  {values.rstrip()}"


def member_line(event: events.MemberEvent) -> str:
    """Describe a member of an ensemble: `member 2/8  40 epochs, best 31`."""
    of, best = event.members, event.best_epoch
    kept = f", best {best}" if best not in (None, event.epochs) else ""
    return f"member {event.member:>{len(str(of))}}/{of}  {plural(event.epochs, 'epoch')}{kept}"


def progress_line(event: events.Event) -> str | None:
    """Describe the progress of a cross-validation or a search; `None` for another event.

    Returns:
        `fold 3/10  epoch 40/100`, or `trial 13/50  best val_loss 0.1234 (#4)`.
    """
    match event:
        case events.FoldProgressEvent():
            place = f"fold {event.done + 1}/{event.folds}"
            return f"{place}  epoch {event.epoch:,}/{event.of:,}"
        case events.FinalistProgressEvent():
            return f"training {event.finalist} in full"
        case events.TrialProgressEvent():
            of = f"/{event.of:,}" if event.of else ""
            best = ""
            if event.best is not None:
                best = f"  best {event.metric} {fmt.number(event.best_value)} (#{event.best})"
            return f"trial {event.trial:,}{of}{best}"
    return None
