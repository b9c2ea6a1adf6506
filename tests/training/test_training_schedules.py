"""The learning rate of each epoch's last step, computed by hand.

Eight rows in batches of four: two steps an epoch, so that epoch e (from 0) ends with step 2e + 1.
"""

from __future__ import annotations

from math import cos, pi

import pytest

from dlcli.training.objectives import RuntimeValues, keras_optimizer


def warmed_cosine(step):
    """From 0 to 0.1 over 2 steps, then half a cosine down to 0.01 over the other 10."""
    if step < 2:
        return 0.1 * step / 2
    return 0.1 * (0.9 * 0.5 * (1 + cos(pi * (step - 2) / 10)) + 0.1)


def late_cosine(step):
    """Half a cosine from 0.1 to 0 over the first 2 epochs, and nothing after."""
    return 0.05 * (1 + cos(pi * min(step, 4) / 4))


def restarted_cosine(step, *, length, second, m_mul):
    """Half a cosine from 0.1 to 0.01 over the first steps, then one over the others."""
    begun = step >= length
    share = (step - length) / second if begun else step / length
    return 0.1 * (0.9 * (m_mul if begun else 1) * 0.5 * (1 + cos(pi * share)) + 0.1)


LAST_STEPS = [1, 3, 5, 7, 9, 11]
SCHEDULES = {
    "constant": ({"name": "constant"}, [0.1] * 6),
    "exponential": (
        {"name": "exponential_decay", "decay_epochs": 2.0, "decay_rate": 0.5},
        [0.1 * 0.5 ** (step / 4) for step in LAST_STEPS],
    ),
    "staircase": (
        {"name": "exponential_decay", "decay_epochs": 2.0, "decay_rate": 0.5, "staircase": True},
        [0.1, 0.1, 0.05, 0.05, 0.025, 0.025],
    ),
    "piecewise": (
        {"name": "piecewise_constant", "boundaries": (1, 4), "values": (0.05, 0.01)},
        [0.1, 0.05, 0.05, 0.05, 0.01, 0.01],
    ),
    "cosine with warmup": (
        {"name": "cosine_decay", "warmup_epochs": 1.0, "alpha": 0.1},
        [warmed_cosine(step) for step in LAST_STEPS],
    ),
    "cosine of its own length": (
        {"name": "cosine_decay", "decay_epochs": 2.0},
        [late_cosine(step) for step in LAST_STEPS],
    ),
    # 12 steps, 4 and 8 of the cosines.
    "cosines in all epochs": (
        {"name": "cosine_decay_restarts", "cycles": 2, "alpha": 0.1},
        [restarted_cosine(step, length=4, second=8, m_mul=1) for step in LAST_STEPS],
    ),
    "cosines from a length on": (
        {"name": "cosine_decay_restarts", "first_decay_epochs": 3.0, "t_mul": 1.0, "m_mul": 0.5}
        | {"alpha": 0.1},
        [restarted_cosine(step, length=6, second=6, m_mul=0.5) for step in LAST_STEPS],
    ),
}


# All engines take the rate from the same object.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "engine"),
    [
        *((case, "graph") for case in SCHEDULES),
        *(("cosine with warmup", engine) for engine in ("keras", "xla")),
    ],
)
def test_the_history_shows_the_rate_of_each_epoch(case, engine, make_job, train):
    schedule, expected = SCHEDULES[case]
    result = train(make_job({"learning_rate_schedule": schedule, "epochs": 6}, rows=8), engine)
    assert result.history["learning_rate"] == pytest.approx(expected, rel=1e-6, abs=1e-9)


def rate_at(step, job):
    optimizer = keras_optimizer(job.config, 2, RuntimeValues(job))
    optimizer.iterations.assign(step)
    return float(optimizer.learning_rate)


def test_a_piecewise_rate_changes_with_the_first_step_after_its_boundary(make_job):
    job = make_job({"learning_rate_schedule": SCHEDULES["piecewise"][0]})
    assert [rate_at(step, job) for step in (1, 2, 7, 8)] == pytest.approx([0.1, 0.05, 0.05, 0.01])


def test_a_cosine_ends_at_its_share_of_the_rate(make_job):
    schedule = SCHEDULES["cosine with warmup"][0]
    job = make_job({"learning_rate_schedule": schedule, "epochs": 6})
    assert [rate_at(step, job) for step in (0, 2, 12)] == pytest.approx([0.0, 0.1, 0.01])
