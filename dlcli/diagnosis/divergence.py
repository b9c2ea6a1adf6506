"""Training that left the numbers."""

from __future__ import annotations

from dlcli.config import typical_learning_rate
from dlcli.diagnosis.case import Case
from dlcli.diagnosis.finding import Finding, Patch, number
from dlcli.diagnosis.remedies import clipping, present, rate, to_usual_rate
from dlcli.diagnosis.scaling import target_settings_of
from dlcli.errors import plural


def divergence(case: Case) -> Finding | None:
    """A loss that became infinite or no number at all."""
    if not case.diverged:
        return None
    config, losses = case.config, case.curve("loss")
    last = f"; the last loss was {number(losses[-1])}" if losses else ""
    learning_rate, usual = config.optimizer.learning_rate, typical_learning_rate(config.optimizer)
    saw = f"training diverged after {plural(len(losses), 'epoch')}{last}; "
    saw += f"optimizer.learning_rate is {learning_rate:g}, and {config.optimizer.name} usually has "
    return Finding(
        rule="divergence",
        saw=f"{saw}{usual:g}",
        means="steps went so far that each made the loss larger, until no number could hold it: "
        "the learning rate is too high for these inputs, or some of them or the target are large",
        patches=present(
            to_usual_rate(config), _target(case), rate(config, 1 / 10), clipping(config)
        ),
        source="Goodfellow, Bengio & Courville, Deep Learning (2016), sections 8.2.4 and 11.4.1; "
        "Pascanu, Mikolov & Bengio, On the Difficulty of Training Recurrent Neural Networks (2013)",
    )


def _target(case: Case) -> Patch | None:
    settings = target_settings_of(case)
    why = "trains on the standardised target"
    return Patch("target-scaled", why, settings) if settings else None
