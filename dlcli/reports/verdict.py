"""What came out, in a sentence or two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dlcli.metrics import HIGHER_IS_BETTER, BaselineComparison, compare_to_baselines, finite_number
from dlcli.reports.blocks import Card, Cards
from dlcli.reports.record import Record
from dlcli.reports.result import BASELINES
from dlcli.reports.wording import ADJECTIVES, ROWS_OF, number, percent, plain

_FEW = 100
"""Rows below which a metric is mostly chance in its second digit."""


def verdict(record: Record) -> str:
    """Whether the network is worth having, by the metric that matters most."""
    if record.diverged:
        return (
            "Training diverged: the loss or the weights became no numbers any more. Nothing was "
            "scored; see what happened below, and lower the learning rate."
        )
    metric = record.main_metric
    if metric is None:
        return "Nothing could be scored."
    split = record.splits[0]
    value = finite_number(record.metrics[split][metric])
    sentences = [_value(record, metric, split, value)]
    sentences += _comparison(record, metric, split)
    if split == "train":
        sentences.append("No rows were held out, so this tells nothing about new ones.")
    elif (rows := record.rows(split)) is not None and rows < _FEW:
        sentences.append(
            f"With only {rows:,} {ADJECTIVES[split]} rows, chance has a large part in it."
        )
    return " ".join(sentences)


def _value(record: Record, metric: str, split: str, value: float | None) -> str:
    rows = record.rows(split)
    on = (
        f"{rows:,} {ADJECTIVES[split]} rows"
        if rows is not None
        else f"the {ADJECTIVES[split]} rows"
    )
    if metric == "accuracy":
        return f"On {on}, {percent(value)} of the predictions are right."
    return f"On {on}, {plain(metric)} is {number(value)}."


def _comparison(record: Record, metric: str, split: str) -> list[str]:
    """How it stands beside the simplest models; nothing where a run has none."""
    baselines = {name: record.baselines.get(name, {}).get(split, {}) for name in BASELINES}
    return compared(metric, record.metrics[split], baselines)


def compared(
    metric: str, scores: Mapping[str, object], baselines: Mapping[str, Mapping[str, object]]
) -> list[str]:
    """How a network stands beside the simplest models, as sentences.

    Args:
        metric: what to judge by.
        scores: the network's, of some rows.
        baselines: those of the simplest models on the same rows, by their names in `BASELINES`;
            one without the metric is left out.
    """
    known = {name: finite_number(each.get(metric)) for name, each in baselines.items()}
    simple = {name: baselines[name] for name in BASELINES if known.get(name) is not None}
    if finite_number(scores.get(metric)) is None or not simple:
        return []
    found = compare_to_baselines(metric, scores, simple)
    listed = " and ".join(
        f"{_WHO[name]} has {shown_score(metric, simple[name])}" for name in simple
    )
    if found.unbeaten:
        return [*_condemned(metric, found, simple, listed), *_hidden(scores, found, simple)]
    if found.beaten_otherwise:
        return [f"That is no better: {listed}.", *_hidden(scores, found, simple)]
    models = "the simplest models" if len(simple) > 1 else "the simplest model"
    return [f"It is better than {models}: {listed}."]


def _condemned(
    metric: str, found: BaselineComparison, simple: Mapping[str, Mapping[str, object]], listed: str
) -> Iterator[str]:
    """Which of the simplest models is as good, and what that means."""
    sign = 1 if HIGHER_IS_BETTER[metric] else -1
    best = max(found.unbeaten, key=lambda name: sign * (finite_number(simple[name][metric]) or 0))
    yield f"It is no better than {_WHO[best]}: {listed}."
    if best == "linear":
        yield "Its layers add nothing yet."
    else:
        yield "What it has learned is of no use on these rows yet."


def _hidden(
    scores: Mapping[str, object],
    found: BaselineComparison,
    simple: Mapping[str, Mapping[str, object]],
) -> Iterator[str]:
    """What accuracy doesn't show."""
    reason = ", as a class is rare" if found.is_imbalanced else ""
    for other in dict.fromkeys(found.beaten_otherwise.values()):
        theirs = " and ".join(
            f"{_WHO[name]} has {number(simple[name][other])}"
            for name in found.beaten_otherwise
            if found.beaten_otherwise[name] == other
        )
        yield (
            f"But accuracy hides what was learned{reason}: "
            f"{plain(other)} is {number(scores[other])}, and {theirs}."
        )


_WHO = {"constant": "always predicting the same", "linear": "a linear model"}


def cards(record: Record) -> Cards:
    """The main metric on each set, and of the simplest models."""
    metric = record.main_metric
    if metric is None:
        return Cards((Card("Parameters", _parameters(record)),))
    first = record.splits[0]
    arrow = "higher is better" if HIGHER_IS_BETTER[metric] else "lower is better"
    found = [
        Card(
            f"{plain(metric)}, {ROWS_OF[split].lower()}",
            shown_score(metric, record.metrics[split]),
            arrow if split == first else "",
        )
        for split in record.splits
    ]
    found += [
        Card(
            f"{BASELINES[name]}, {ROWS_OF[first].lower()}",
            shown_score(metric, scores[first]),
            "to compare with",
        )
        for name in BASELINES
        if first in (scores := record.baselines.get(name, {}))
    ]
    return Cards((*found, Card("Parameters", _parameters(record), "numbers that were learned")))


def shown_score(metric: str, scores: Mapping[str, object]) -> str:
    """A metric of some scores as one reads it: accuracy in percent."""
    value = finite_number(scores.get(metric))
    return percent(value) if metric == "accuracy" else number(value)


def _parameters(record: Record) -> str:
    return f"{record.log.network.parameters:,}" if record.log.network else "–"
