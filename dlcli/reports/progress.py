"""The progress of a training, a cross-validation or a search, as one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlcli.errors import plural
from dlcli.reports import formatting as fmt


def metric_names(fields: Mapping[str, Any]) -> list[str]:
    """Return the names of the losses and metrics of an `epoch` event."""
    others = ("member", "members", "epoch", "of", "learning_rate")
    return [name for name in fields if name not in others]


class EpochCount:
    """Counts the epochs of a training, over all members of an ensemble."""

    def __init__(self) -> None:
        self._epochs: dict[int, int] = {}
        self._finished: set[int] = set()
        self._of = 0
        self._members = 1

    def add(self, event: str, fields: Mapping[str, Any]) -> None:
        """Count an `epoch` event, or a `member` event: a member that needs no more epochs."""
        if event == "member":
            self._finished.add(fields["member"])
        elif event == "epoch":
            self._epochs[fields.get("member", 1)] = fields["epoch"]
            self._of, self._members = fields["of"], fields.get("members", 1)

    @property
    def done(self) -> int:
        """The number of epochs that have ended or are not needed."""
        running = (count for member, count in self._epochs.items() if member not in self._finished)
        return len(self._finished) * self._of + sum(running)

    @property
    def total(self) -> int:
        """The number of epochs at most."""
        return self._members * self._of


def epoch_line(fields: Mapping[str, Any]) -> str:
    """Describe an `epoch` event: `member 2/8  epoch  3/40  loss 0.1234`."""
    of = fields["of"]
    place = f"epoch {fields['epoch']:>{len(str(of))}}/{of}"
    if "member" in fields:
        place = f"member {fields['member']}/{fields['members']}  {place}"
    values = "  ".join(f"{name} {fmt.number(fields[name]):<9}" for name in metric_names(fields))
    return f"{place}  {values.rstrip()}"


def member_line(fields: Mapping[str, Any]) -> str:
    """Describe a `member` event: `member 2/8  40 epochs, best 31`."""
    of, best = fields["members"], fields["best_epoch"]
    kept = f", best {best}" if best not in (None, fields["epochs"]) else ""
    return (
        f"member {fields['member']:>{len(str(of))}}/{of}  {plural(fields['epochs'], 'epoch')}{kept}"
    )


def progress_line(fields: Mapping[str, Any]) -> str:
    """Describe a `progress` event of a cross-validation or a search.

    Returns:
        `fold 3/10  epoch 40/100`, or `trial 13/50  best val_loss 0.1234 (#4)`.
    """
    if "done" in fields:
        place = f"fold {fields['done'] + 1}/{fields['folds']}"
        return f"{place}  epoch {fields['epoch']:,}/{fields['of']:,}"
    if "finalist" in fields:
        return f"training {fields['finalist']} in full"
    of = f"/{fields['of']:,}" if fields["of"] else ""
    best = ""
    if fields["best"] is not None:
        best = f"  best {fields['metric']} {fmt.number(fields['best_value'])} (#{fields['best']})"
    return f"trial {fields['trial']:,}{of}{best}"
