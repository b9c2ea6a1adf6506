"""`time`: the number of epochs that fit into a time limit, measured and then fixed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from dlcli.config.config_file import load_config
from dlcli.errors import ConfigError, Interrupted
from dlcli.pipeline import time_limit
from dlcli.pipeline.cross_validation import CrossValidationPlan, cross_validate
from dlcli.pipeline.events import EpochEvent, Event, Events, TimeLimitEvent, WarningEvent
from dlcli.pipeline.preparation import prepare
from dlcli.pipeline.train_run import train
from dlcli.reports.training_report import training_view
from dlcli.runs.manifest import RunFile

CONFIG = """
data: {train: rows.csv, target: y, test: 0.2}
input: {features: [x]}
hidden: []
learning_rate_schedule: cosine_decay
epochs: 100
"""


@pytest.fixture(autouse=True)
def _table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("x,y\n" + "\n".join(f"{at},{at * 0.5}" for at in range(60)))
    Path("c.yaml").write_text(CONFIG)


@dataclass
class Machine:
    """A machine that compiles, then trains each epoch in the same time, in simulated seconds."""

    compiling: float
    epoch: float
    now: float = 0.0

    def fit(self, rows, plan, observer):
        self.now += self.compiling
        for epoch in range(1, plan.config.epochs + 1):
            self.now += self.epoch
            observer.epoch(1, epoch, {})

    def limited(self, monkeypatch, *settings: str) -> tuple[int, list[Event]]:
        """The number of epochs that fit into a limit, and the events."""
        monkeypatch.setattr(time_limit, "fit", self.fit)
        emitted: list[Event] = []
        file, events = load_config(Path("c.yaml"), settings), Events(emitted.append)
        rows, plan = prepare(file, Events())
        found = time_limit.within_time_limit(file.config, rows, plan, events, lambda: self.now)
        assert found.time is None
        return found.epochs, emitted


def warned(events: list[Event]) -> list[str]:
    return [event.message for event in events if isinstance(event, WarningEvent)]


@pytest.mark.parametrize(
    ("settings", "epochs"),
    [
        # 60 s − 5 % − 10 s for compiling twice − 2 measured epochs of 2 s = 43 s: 21 epochs
        ([], 21),
        (["ensemble={members: 4}"], 5),
        # one more network is trained without the scaling layer
        (["ensemble={members: 4, folds: 4}", "input.scaling_layer=auto"], 4),
        (["epochs=20"], 20),
    ],
)
def test_as_many_epochs_are_trained_as_fit_into_the_limit(monkeypatch, settings, epochs):
    found, events = Machine(compiling=5, epoch=2).limited(monkeypatch, "time=1m", *settings)
    assert found == epochs and not warned(events)


def test_a_slow_epoch_is_measured_only_once(monkeypatch):
    machine = Machine(compiling=5, epoch=25)
    assert machine.limited(monkeypatch, "time=100s")[0] == 2  # (95 − 30) / 30
    assert machine.now == 30


def test_each_network_is_trained_for_an_epoch_even_beyond_the_limit(monkeypatch):
    settings = ("time=10s", "ensemble={members: 8}")
    epochs, events = Machine(compiling=1, epoch=2).limited(monkeypatch, *settings)
    assert epochs == 1
    assert warned(events) == [
        "time: an epoch of each network takes about 16 s, so training exceeds the limit"
    ]


def test_a_limit_that_compiling_exceeds_is_reported(monkeypatch):
    _, events = Machine(compiling=8, epoch=0.1).limited(monkeypatch, "time=10s")
    assert warned(events) == [
        "time: compiling takes about 8 s and is done twice, so training exceeds the limit"
    ]


def test_settings_that_need_more_epochs_are_named(monkeypatch):
    schedule = "learning_rate_schedule={name: cosine_decay, warmup_epochs: 30}"
    with pytest.raises(ConfigError) as caught:
        Machine(compiling=5, epoch=2).limited(monkeypatch, "time=1m", schedule)
    (problem,) = caught.value.problems
    assert str(problem) == (
        "time: allows about 21 epochs, but learning_rate_schedule.warmup_epochs covers all 21 "
        "epochs, so the learning rate never decays; allow more time, or change "
        "learning_rate_schedule.warmup_epochs"
    )


@pytest.mark.parametrize(
    ("schedule", "of_limited"),
    [
        ("{name: cosine_decay, decay_epochs: 80}", {"decay_epochs": 16}),
        # 4 epochs, then the same share of the remaining epochs: 72 of 96, and 12 of 16
        ("{name: cosine_decay, decay_epochs: 72, warmup_epochs: 4}", {"decay_epochs": 12}),
        ("{name: cosine_decay_restarts, first_decay_epochs: 10}", {"first_decay_epochs": 2}),
        ("{name: exponential_decay, decay_epochs: 10, decay_rate: 0.5}", {"decay_epochs": 2}),
        (
            "{name: piecewise_constant, boundaries: [4, 50, 52, 99], values: [4, 3, 2, 1]}",
            {"boundaries": (1, 10, 19), "values": (4, 2, 1)},
        ),
        ("{name: reduce_on_plateau, monitor: loss, patience: 10}", {"patience": 10}),
    ],
)
def test_a_schedule_in_epochs_is_shortened_to_the_limit(schedule, of_limited):
    settings = [f"learning_rate_schedule={schedule}"]
    limited = load_config(Path("c.yaml"), settings).config.within_epochs(20)
    found = limited.learning_rate_schedule.model_dump()
    assert {name: found[name] for name in of_limited} == of_limited
    assert not [*limited.epoch_conflicts()]


def test_a_schedule_is_unchanged_if_all_epochs_fit():
    schedule = "{name: cosine_decay, decay_epochs: 7}"
    config = load_config(Path("c.yaml"), [f"learning_rate_schedule={schedule}"]).config
    assert config.within_epochs(100) == config


def test_keras_compiles_each_network(monkeypatch):
    settings = ("time=1m", "engine=keras", "ensemble={members: 4}")
    # 60 s − 5 % − 9 s for the measurement − 4 · 5 s = 28 s: 3 epochs of 4 networks, of 2 s each
    assert Machine(compiling=5, epoch=2).limited(monkeypatch, *settings)[0] == 3
    _, events = Machine(compiling=5, epoch=0.1).limited(monkeypatch, "time=24s", *settings[1:])
    assert warned(events) == [
        "time: compiling takes about 5 s and is done 5 times, so training exceeds the limit"
    ]


@pytest.mark.usefixtures("compiled_once", "no_linear_baseline")
def test_a_limited_run_equals_one_of_as_many_epochs_also_if_it_is_resumed(monkeypatch):
    monkeypatch.setattr(time_limit._StopWatch, "seconds_per_epoch", 1.0)
    monkeypatch.setattr(time_limit._StopWatch, "preparation", 0.0)
    limits: list[TimeLimitEvent] = []

    def interrupt(event):
        if isinstance(event, TimeLimitEvent):
            limits.append(event)
        if isinstance(event, EpochEvent) and event.epoch == 5:
            raise Interrupted("here", 2)

    settings = ["time=20s", "checkpoint.seconds=1.0e-9"]
    with pytest.raises(Interrupted):
        train(load_config(Path("c.yaml"), settings), Path("limited"), interrupt)
    resumed = train(Path("limited"))
    (limit,) = limits
    assert 5 < limit.epochs < 20 and limit.of == 100
    assert resumed.epochs == resumed.config.epochs == limit.epochs
    other = train(load_config(Path("c.yaml"), [f"epochs={limit.epochs}"]), Path("other"))
    for name in (RunFile.WEIGHTS, RunFile.HISTORY):
        assert (resumed.path / name).read_bytes() == (other.path / name).read_bytes(), name
    note = f"The limit of 20 s allows {limit.epochs} of 100 epochs (1 s each)."
    assert note in training_view(resumed).notes


def test_cross_validation_refuses_a_limit():
    with pytest.raises(ConfigError, match="set epochs and omit it"):
        cross_validate(load_config(Path("c.yaml"), ["time=10m"]), CrossValidationPlan())
