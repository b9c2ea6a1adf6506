"""The number of steps in a dispatch changes only when progress is reported."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from dlcli.training import compiled_engine, compiled_program
from dlcli.training.compiled_program import State

EVERYTHING = {
    "hidden": (
        {
            "units": 4,
            "activation": "tanh",
            "use_bias": False,
            "batch_normalization": {},
            "dropout": 0.3,
        },
    ),
    "optimizer": {
        "name": "adam",
        "learning_rate": 0.05,
        "use_ema": True,
        "ema_overwrite_frequency": 4,
    },
    "early_stopping": {"patience": 4},
    "learning_rate_schedule": {"name": "reduce_on_plateau", "patience": 1},
    "metrics": ("mae", "r2"),
    "epochs": 12,
}
PLAIN = {"optimizer": {"name": "adam", "learning_rate": 0.05}, "metrics": ("mae",), "epochs": 7}
"""Without batch normalization the last batch is padded instead of having its own program."""


@pytest.fixture(scope="module")
def programs():
    """The programs of earlier trainings of this module, each with its state before the first step.

    Only the number of steps in a dispatch differs between trainings of one program.
    """
    return {}


@pytest.fixture
def train_in_steps(monkeypatch, programs, make_job, train):
    """Train a config with a fixed number of steps a dispatch.

    Returns:
        the result, and the reported epochs.
    """
    make_program = compiled_engine.open_program

    def run(config, steps, engine="graph"):
        @contextmanager
        def kept_program(job, jit_compile, _):
            key = repr(config), engine, compiled_program.MOST_EPOCHS
            if key not in programs:
                with make_program(job, jit_compile, None) as program:
                    programs[key] = program, program.arrays(State.start())
            program, start = programs[key]
            program.restore(start)
            yield program

        class Pace:
            def __init__(self, job):
                self.steps = steps

            def adapt(self, seconds):
                pass

        monkeypatch.setattr(compiled_engine, "open_program", kept_program)
        monkeypatch.setattr(compiled_program, "Pace", Pace)
        reported = []
        job = make_job(config, rows=11, validation=7)
        result = train(job, engine, lambda *epoch: reported.append((epoch[0], dict(epoch[1]))))
        return result, reported

    return run


def same(one, other):
    weights = [
        one.weights[name].tobytes() == array.tobytes() for name, array in other.weights.items()
    ]
    return all(weights) and one.history == other.history and one.best_epoch == other.best_epoch


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "engine"),
    [
        (EVERYTHING, "graph"),
        (PLAIN, "graph"),
        # Under XLA, test_training_checkpoints interrupts a training within an epoch.
        pytest.param(EVERYTHING, "xla", marks=pytest.mark.release),
        pytest.param(PLAIN, "xla", marks=pytest.mark.release),
    ],
    ids=["everything-graph", "plain-graph", "everything-xla", "plain-xla"],
)
def test_the_steps_of_a_dispatch_change_no_bit(config, engine, train_in_steps):
    whole, _ = train_in_steps(config, 10**6, engine)
    for steps in (1, 7):
        assert same(train_in_steps(config, steps, engine)[0], whole)


@pytest.mark.slow
def test_the_epochs_given_at_once_change_no_bit(train_in_steps, monkeypatch):
    whole, _ = train_in_steps(EVERYTHING, 10**6)
    for epochs_at_once in (1, 5):
        monkeypatch.setattr(compiled_program, "MOST_EPOCHS", epochs_at_once)
        assert same(train_in_steps(EVERYTHING, 4)[0], whole)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 10**6])
def test_every_epoch_is_reported_once_and_in_order(steps, train_in_steps):
    result, reported = train_in_steps(PLAIN, steps)
    assert [epoch for epoch, _ in reported] == [1, 2, 3, 4, 5, 6, 7]
    for name, values in result.history.items():
        assert [shown[name] for _, shown in reported] == values


@pytest.mark.slow
def test_both_engines_report_the_same_columns_in_the_same_order(make_job, train):
    job = make_job(PLAIN, validation=7)
    reported = {}
    for engine in ("keras", "graph"):
        train(
            job, engine, lambda _, values, engine=engine: reported.setdefault(engine, list(values))
        )
    expected = ["loss", "mae", "val_loss", "val_mae", "learning_rate"]
    assert reported == {"keras": expected, "graph": expected}


def test_a_dispatch_aims_at_a_tenth_of_a_second(make_job):
    pace = compiled_program.Pace(make_job())
    first = pace.steps
    pace.adapt(2.0)  # the first dispatch also compiled, and tells nothing
    assert pace.steps == first
    pace.adapt(0.05)
    assert pace.steps == 2 * first
    pace.adapt(0.2)
    assert pace.steps == first


def test_a_slow_dispatch_still_takes_a_step(make_job):
    pace = compiled_program.Pace(make_job())
    for _ in range(20):
        pace.adapt(60.0)
    assert pace.steps == 1
