"""The networks that a fit trains: one, or the members of an ensemble.

The members of an ensemble have seeds of their own. With folds, each is validated on the rows of one
fold and trained on the others; with fewer folds than members, several have the same fold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dlcli.encoding import Indices
from dlcli.network import NormalizationLayer
from dlcli.pipeline.preparation import Prepared, member_folds
from dlcli.preprocessing import ValueIssues

if TYPE_CHECKING:
    from dlcli.training import Job, TrainingResult


class Member(NamedTuple):
    """One network to train."""

    number: int
    """From 1."""
    job: Job
    """Its job, with its own seed, rows and scaling of the target."""
    held_out: Indices | None = None
    """With folds, the indices of the rows that it is validated on, among all training rows."""


def make_members(job: Job, prepared: Prepared) -> Iterator[Member]:
    """Yield the networks that a config asks for; the rows of one are selected at a time.

    Args:
        job: one network on all training rows; its config's `ensemble` is read.
        prepared: the rows, and how they were split.

    Raises:
        DataError: for too few rows, groups or times for the folds.
    """
    config, ensemble = job.config, job.config.ensemble
    if ensemble is None:
        yield Member(1, job)
        return
    seeds = np.random.SeedSequence(config.seed).generate_state(ensemble.members).tolist()
    jobs = [replace(job, config=config.model_copy(update={"seed": seed})) for seed in seeds]
    if config.ensemble_folds is None:
        yield from (Member(number, each) for number, each in enumerate(jobs, start=1))
        return
    folds = member_folds(config, prepared)
    target = prepared.split.train.only(job.task.columns)
    is_normalized = any(isinstance(layer, NormalizationLayer) for layer in job.network.layers)
    largest = 0 if is_normalized else max(len(fold.train) for fold in folds)
    for number, each in enumerate(jobs, start=1):
        fold = folds[(number - 1) % len(folds)]
        # What is fitted on the target must not know the rows that the member is validated on.
        task = job.task.fit(prepared.head.output.scaling, target.take(fold.train))
        rows = replace(job.train, target=task.encode(target, ValueIssues()))
        own, held_out = rows.select(fold.train), rows.select(fold.held_out)
        each = replace(each, task=task, train=own, validation=held_out, rows_of_largest=largest)
        yield Member(number, each, fold.held_out)


def mean_history(trainings: Sequence[TrainingResult]) -> dict[str, list[float]]:
    """Return the mean of each epoch's values over the members that were trained so long."""
    longest = max(each.epochs for each in trainings)
    return {
        name: [
            float(np.mean([each.history[name][at] for each in trainings if at < each.epochs]))
            for at in range(longest)
        ]
        for name in trainings[0].history
    }
