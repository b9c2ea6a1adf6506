"""Sentences on probabilities that differ from those that training minimized."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from dlcli.config.config_schema import Config
from dlcli.reports import formatting as fmt
from dlcli.tasks import prior_shift
from dlcli.tasks.task import Task

_MOST_CLASSES = 5
"""Maximum number of classes whose frequencies are listed."""


def probability_sentences(task: Task, config: Config) -> Iterator[str]:
    """Yield sentences on the effect of class weights and `data.prevalence` on probabilities."""
    if task.class_weights and task.decision is not None:
        yield "Probabilities are corrected for the class weights."
    elif task.class_weights:
        rule = "the class with the largest product of weight and probability"
        if len(task.classes) == 2:
            name, border = fmt.shorten(task.classes[1]), fmt.percent(task.threshold)
            rule = f"{name} if its probability is above {border}"
        yield f"Probabilities are corrected for the class weights; the prediction is {rule}."
    elif (
        config.class_weight is not None
        and task.has_probabilities
        and config.loss is not None
        and (reason := prior_shift.obstacle(config.loss, config.output))
    ):
        yield f"Probabilities are not corrected for the class weights, because {reason}."
    if task.prevalence:
        triples = zip(task.classes, task.prevalence, task.frequencies, strict=True)
        shares = [
            f"{fmt.shorten(name)} {fmt.percent(new)} (training rows: {fmt.percent(old)})"
            for name, new, old in islice(triples, _MOST_CLASSES)
        ]
        more = ", ..." if len(task.classes) > _MOST_CLASSES else ""
        yield (
            f"Probabilities are for these frequencies of the classes: {', '.join(shares)}{more}. "
            "The metrics are for rows with their own frequencies."
        )
