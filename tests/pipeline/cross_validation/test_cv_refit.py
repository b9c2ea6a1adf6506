"""The config that trains on the rows of all folds does what was best in the folds."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcli.config.config_file import dump_config, load_config
from dlcli.pipeline.cross_validation import refit_config
from dlcli.pipeline.events import Events
from tests.pipeline.cross_validation.small_rows import config_file

pytestmark = pytest.mark.usefixtures("compiled_once")

STEERED = ("data.validation=0.2", "epochs=100", "early_stopping={patience: 3}")
WARNING = (
    "refit.yaml: learning_rate_schedule requires validation rows, but the final training uses them as training rows; "
    "the learning rate stays constant"
)


def refitted(*settings, epochs=30):
    """The config of a refit as it is read again, and the warnings."""
    told = []
    events = Events(lambda event: told.append(event.message))
    made = refit_config(config_file(*settings).config, epochs, events)
    Path("refit.yaml").write_text(dump_config(made))
    return load_config(Path("refit.yaml")).config, told


def test_it_learns_from_validation_rows_for_the_best_number_of_epochs():
    config, told = refitted(*STEERED)
    assert (config.data.validation, config.data.train_on_validation) == (0.2, True)
    assert (config.epochs, config.early_stopping, told) == (30, None, [])


def test_a_file_for_validation_is_kept():
    Path("more.csv").write_text("x,group,y\n100,a,200\n")
    config, _ = refitted("data.validation=more.csv", "epochs=100", "early_stopping={patience: 3}")
    assert (config.data.validation, config.data.train_on_validation) == ("more.csv", False)
    assert config.early_stopping is None


@pytest.mark.parametrize(
    ("schedule", "wanted"),
    [
        (
            "{name: piecewise_constant, boundaries: [10, 60], values: [0.1, 0.01]}",
            {"name": "piecewise_constant", "boundaries": (10,), "values": (0.1,)},
        ),
        (
            "{name: piecewise_constant, boundaries: [30], values: [0.1]}",
            {"name": "constant"},
        ),
        (
            "{name: cosine_decay, warmup_epochs: 5}",
            {"name": "cosine_decay", "warmup_epochs": 5.0, "decay_epochs": 95.0, "alpha": 0.0},
        ),
        (
            "{name: cosine_decay, warmup_epochs: 40, decay_epochs: 50}",
            {"name": "cosine_decay", "warmup_epochs": 29.0, "decay_epochs": 50.0, "alpha": 0.0},
        ),
        (
            "{name: cosine_decay_restarts, cycles: 2, t_mul: 3}",
            {"name": "cosine_decay_restarts", "first_decay_epochs": 25.0, "cycles": 4}
            | {"t_mul": 3.0, "m_mul": 1.0, "alpha": 0.0},
        ),
        ("constant", {"name": "constant"}),
    ],
)
def test_a_schedule_does_what_it_did_in_the_first_epochs(schedule, wanted):
    config, told = refitted(*STEERED, f"learning_rate_schedule={schedule}")
    assert (config.learning_rate_schedule.model_dump(), told) == (wanted, [])


def test_a_schedule_that_needs_validation_rows_is_omitted_with_a_warning():
    config, told = refitted(*STEERED, "learning_rate_schedule=reduce_on_plateau")
    assert (config.learning_rate_schedule.name, told) == ("constant", [WARNING])


@pytest.mark.parametrize(
    "settings",
    [
        (*STEERED, "learning_rate_schedule={name: reduce_on_plateau, monitor: loss}"),
        ("data.validation=rows.csv", "epochs=100", "learning_rate_schedule=reduce_on_plateau"),
    ],
    ids=["the training loss", "a file"],
)
def test_one_that_waits_for_what_is_there_is_kept(settings):
    config, told = refitted(*settings)
    assert (config.learning_rate_schedule.name, told) == ("reduce_on_plateau", [])


def test_a_gate_that_needs_validation_rows_is_omitted_with_a_warning():
    gates = "gates={validation.mae: {at_most: 1}, train.mae: {at_most: 2}}"
    config, told = refitted(*STEERED, gates)
    assert [*config.gates] == ["train.mae"]
    assert told == [
        "refit.yaml: gates.validation.mae requires validation rows, but the final training uses them as training rows; "
        "this gate is skipped"
    ]
    config, told = refitted("data.validation=rows.csv", "epochs=100", gates)
    assert ([*config.gates], told) == (["validation.mae", "train.mae"], [])


def test_a_config_without_other_gates_has_none():
    config, _ = refitted(*STEERED, "gates={validation.mae: {at_most: 1}}")
    assert config.gates is None
