"""The progress of a training, a cross-validation or a search, as one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlcli.reports import formatting as fmt


def metric_names(fields: Mapping[str, Any]) -> list[str]:
    """Return the names of the losses and metrics of an `epoch` event."""
    others = ("member", "members", "epoch", "of", "learning_rate")
    return [name for name in fields if name not in others]


def total_epochs(fields: Mapping[str, Any]) -> tuple[int, int]:
    """Return the epochs of an `epoch` event over all members of an ensemble: begun, and at most."""
    epoch, of = fields["epoch"], fields["of"]
    return (fields.get("member", 1) - 1) * of + epoch, fields.get("members", 1) * of


def epoch_line(fields: Mapping[str, Any]) -> str:
    """Describe an `epoch` event: `member 2/8  epoch  3/40  loss 0.1234`."""
    of = fields["of"]
    place = f"epoch {fields['epoch']:>{len(str(of))}}/{of}"
    if "member" in fields:
        place = f"member {fields['member']}/{fields['members']}  {place}"
    values = "  ".join(f"{name} {fmt.number(fields[name]):<9}" for name in metric_names(fields))
    return f"{place}  {values.rstrip()}"


def progress_line(fields: Mapping[str, Any]) -> str:
    """Describe a `progress` event of a cross-validation or a search.

    Returns:
        `fold 3/10  epoch 40/100`, or `trial 13/50  best val_loss 0.1234 (#4)`.
    """
    if "fold" in fields or "done" in fields:
        place = f"fold {fields['done'] + 1}/{fields['folds']}"
        return f"{place}  epoch {fields['epoch']:,}/{fields['of']:,}"
    if "finalist" in fields:
        return f"training {fields['finalist']} in full"
    of = f"/{fields['of']:,}" if fields["of"] else ""
    best = ""
    if fields["best"] is not None:
        best = f"  best {fields['metric']} {fmt.number(fields['best_value'])} (#{fields['best']})"
    return f"trial {fields['trial']:,}{of}{best}"
