"""Inputs and targets that lie far from 1, where networks learn best."""

from __future__ import annotations

from dlcli.config import LARGE, Setting, Unscaled, printable, target_scaling_settings
from dlcli.diagnosis.case import Case
from dlcli.diagnosis.finding import Finding, Patch, number
from dlcli.encoding import Remedy, remedy
from dlcli.errors import plural

_SOURCE = (
    "LeCun, Bottou, Orr & Müller, Efficient BackProp (1998), section 4.3; "
    "Goodfellow, Bengio & Courville, Deep Learning (2016), section 8.2.1"
)
_MOST_SETTINGS = 20
"""Most columns whose own scaling one command changes."""


def unscaled_inputs(case: Case) -> Finding | None:
    """Columns that became inputs far from 1, because of a scaling or for want of one."""
    far = list(_far_inputs(case))
    if not far:
        return None
    name, size, worst = max(far, key=lambda each: each[1] / each[2].far)
    others = f", and {plural(len(far) - 1, 'column')} more" if len(far) > 1 else ""
    settings = tuple(dict.fromkeys(remedy.setting for _, _, remedy in far))[:_MOST_SETTINGS]
    return Finding(
        rule="unscaled_inputs",
        saw=f"inputs reach {number(size)}: the column '{printable(name)}' has {worst.has}{others}",
        means="a step grows with the input that it is taken over: large inputs make training leap "
        "and small ones make it crawl, so that no learning rate suits both",
        patches=(Patch("scaled", "brings inputs near 1", settings),),
        source=_SOURCE,
    )


def unscaled_target(case: Case) -> Finding | None:
    """Numbers to predict that lie far from 1 and are trained on as they are."""
    config = case.config
    targets = [column for column in _columns(case) if column[1] > LARGE]
    is_unscaled = isinstance(config.output.scaling, Unscaled)
    if not targets or not is_unscaled or config.loss is None:
        return None
    settings = target_scaling_settings(config.loss, config.output)
    if not settings:
        return None
    name, size = max(targets, key=lambda column: column[1])
    return Finding(
        rule="unscaled_target",
        saw=f"the target '{printable(name)}' reaches {number(size)} with output.scaling none",
        means="the first predictions lie near 0 and far from the target, and the weights must grow "
        "large before they come near; errors of that size also make steps of that size",
        patches=(Patch("target-scaled", "trains on the standardised target", settings),),
        source=_SOURCE,
    )


def _far_inputs(case: Case) -> list[tuple[str, float, Remedy]]:
    found = ((peak, remedy(peak.block, case.config.input)) for peak in case.peaks)
    return [
        (peak.block.name, peak.size, advice)
        for peak, advice in found
        if advice is not None and peak.size > advice.far
    ]


def target_settings_of(case: Case) -> tuple[Setting, ...]:
    """What has the target scaled, if it is a number and is not."""
    config = case.config
    is_unscaled = isinstance(config.output.scaling, Unscaled)
    is_number = config.data.target.type == "numeric"
    if config.loss is None or not is_unscaled or not is_number:
        return ()
    return target_scaling_settings(config.loss, config.output)


def _columns(case: Case) -> list[tuple[str, float]]:
    """The target's columns of numbers and their largest sizes."""
    if case.explanation is None or case.config.data.target.type != "numeric":
        return []
    return [
        (column.name, max(abs(column.minimum), abs(column.maximum)))
        for column in case.explanation.columns
        if column.role == "target" and column.minimum is not None and column.maximum is not None
    ]
