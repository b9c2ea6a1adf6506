"""What a training certainly takes of the memory, by hand, by Keras's count and by the system's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

import dlcli as package
from dlcli.config import Optimizer, load_config
from dlcli.pipeline import Events, prepare
from dlcli.pipeline import footprint as module
from dlcli.pipeline.footprint import footprint, slots

COLUMNS = [f"x{at}" for at in range(10)]
WIDE = ("hidden=[{units: 2000}, {units: 2000}]",)
SMALL = 10 * 20 + 20 + 20 + 1
"""Parameters of 10 → 20 → 1."""
LARGE = 10 * 2000 + 2000 + 2000 * 2000 + 2000 + 2000 + 1
"""Parameters of 10 → 2000 → 2000 → 1."""


@pytest.fixture
def parts(tmp_path):
    """Sums up a training of 100 rows of 10 numbers, with settings."""
    rows = [",".join(str((row * at) % 17) for at in range(1, 12)) for row in range(100)]
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("\n".join([",".join([*COLUMNS, "y"]), *rows]) + "\n")
    config = tmp_path / "c.yaml"
    config.write_text("data: {train: a.csv, target: y}\nhidden: [{units: 20}]\nepochs: 2\n")

    def sum_up(*settings, **options):
        file = load_config(config, settings)
        prepared = prepare(file, Events(lambda *_: None))
        return footprint(prepared, file.config, **{"on_disk": False, **options}).parts

    return sum_up


class TestScoring:
    """Of a small network, the end takes most: its result, and what the layers give of all rows."""

    def test_counts_the_widest_layer_of_all_rows(self, parts):
        assert parts() == {"weights": 4 * SMALL, "rows": 4000, "judging": 4 * 100 * (10 + 20)}

    def test_counts_no_more_rows_than_are_taken_at_once(self, parts, monkeypatch):
        monkeypatch.setattr(module, "ROWS_AT_ONCE", 99)
        assert parts("batch_size=1")["judging"] == 4 * 99 * (10 + 20)


class TestBatch:
    """Of a large batch, a step takes most: its rows, what the layers give of them, gradients."""

    @pytest.mark.parametrize(
        ("settings", "options", "rows", "batch"),
        [
            ([], {}, 8000, 100 * 4 * (10 + 20 + 1)),
            (["precision=mixed_bfloat16"], {}, 8000, 100 * (4 * 10 + 2 * (20 + 1))),
            (["engine=keras"], {}, 4000, 100 * 4 * (10 + 20 + 1)),
            (["engine=keras"], {"on_disk": True}, 0, 100 * 4 * (10 + 20 + 1)),
            ([], {"on_disk": True}, 0, 100 * 4 * (10 + 10 + 20 + 1)),
        ],
    )
    def test_counts_rows_and_layers(self, settings, options, rows, batch, parts):
        weights = 4 * (1 + 2) * SMALL + 4 * 200
        expected = {"weights": weights, "rows": rows, "batch": batch}
        assert parts("batch_size=1000", *settings, **options) == expected


class TestWeights:
    """Of a large network, a checkpoint takes most: all that is trained, and a copy of it."""

    @pytest.mark.parametrize(
        ("setting", "numbers"),
        [
            ("optimizer=adam", 2 * 3),
            ("optimizer={name: sgd, momentum: 0.9}", 2 * 2),
            ("optimizer={name: adam, amsgrad: true}", 2 * 4),
            ("early_stopping={monitor: loss}", 2 * 4),
            ("early_stopping={monitor: loss, restore_best_weights: false}", 2 * 3),
            ("initial_weights=runs/earlier", 1 + 2 * 3),
        ],
    )
    def test_counts_copies(self, setting, numbers, parts):
        assert parts(*WIDE, setting) == {"weights": 4 * numbers * LARGE, "rows": 8000}

    def test_counts_the_largest_gradient_where_an_optimizer_keeps_nothing(self, parts):
        weights, batch = 4 * (LARGE + 2000 * 2000), 32 * 4 * (10 + 2000 + 2000 + 1)
        expected = {"weights": weights, "rows": 8000, "batch": batch}
        assert parts(*WIDE, "optimizer=sgd") == expected

    def test_running_means_are_not_moved(self, parts):
        normalized = "hidden=[{units: 2000}, {units: 2000, batch_normalization: true}]"
        trained = 4 * 3 * (LARGE + 2 * 2000) + 4 * 2 * 2000
        assert parts(normalized)["weights"] == 2 * trained

    def test_a_device_has_a_memory_of_its_own(self, parts):
        assert parts(*WIDE, on_device=True) == {"weights": 4 * 3 * LARGE, "rows": 4000}


class TestValidation:
    """Of many held-out rows, validation takes most."""

    @pytest.mark.parametrize(
        ("settings", "most", "rows", "judging"),
        [
            ([], 4096, 16_000, 4 * 100 * 30),
            ([], 90, 16_000, 4 * 90 * 30),
            (["precision=mixed_bfloat16", "batch_size=1"], 4096, 16_000, 2 * 100 * 30),
            (["engine=keras"], 4096, 8000, 4 * 100 * 30),
        ],
    )
    def test_counts_the_rows_taken_at_once(self, settings, most, rows, judging, parts, monkeypatch):
        monkeypatch.setattr(module, "ROWS_VALIDATED_AT_ONCE", {"compiled": most, "keras": most + 1})
        found = parts("data.validation=b.csv", *settings)
        assert found == {"weights": 4 * 3 * SMALL, "rows": rows, "judging": judging}


def test_inputs_that_are_mostly_0_are_not_counted(parts, tmp_path):
    texts = "".join(f"word{row % 50} and,{row}\n" for row in range(100))
    (tmp_path / "t.csv").write_text("note,y\n" + texts)
    settings = ("data.train=t.csv", "input.features={note: text}", "batch_size=100")
    parameters = 51 * 20 + 20 + 20 + 1
    assert parts(*settings) == {
        "weights": 4 * 3 * parameters + 4 * 51 * 20,
        "rows": 0,
        "batch": 100 * 4 * (51 + 51 + 20 + 1),
    }


def test_an_embedding_is_counted_as_what_it_gives(parts):
    features = "{x0: {type: categorical, encoding: {name: embedding, units: 50}}, x1: numeric}"
    found = parts(f"input.features={features}", "batch_size=100")
    parameters = 18 * 50 + 51 * 20 + 20 + 20 + 1
    assert found == {
        "weights": 4 * 3 * parameters + 4 * 51 * 20,
        "rows": 2 * 100 * 2 * 4,
        "batch": 100 * 4 * (51 + 20 + 1),
    }


VARIANTS = ("use_ema", "gradient_accumulation_steps", "momentum", "amsgrad", "centered", "none")
OPTIMIZERS = {
    (section.model_fields["name"].default, variant): section.model_validate(
        {}
        if variant == "none"
        else {variant: 0.5 if variant == "momentum" else 2}
        if variant in ("momentum", "gradient_accumulation_steps")
        else {variant: True}
    )
    for section in get_args(get_args(Optimizer)[0])
    for variant in VARIANTS
    if variant == "none" or variant in section.model_fields
}


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=map("-".join, OPTIMIZERS))
def test_slots_are_those_of_keras(optimizer):
    import keras

    from dlcli.keras_model import parameters_of

    kernel = keras.Variable([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], name="kernel")
    theirs = getattr(keras.optimizers, type(optimizer).__name__)(**parameters_of(optimizer))
    theirs.build([kernel])
    assert sum(variable.shape == (2, 3) for variable in theirs.variables) == slots(optimizer)


@pytest.mark.slow
def test_engines_validate_as_many_rows_at_once():
    from dlcli.training import keras_engine, program

    assert module.ROWS_VALIDATED_AT_ONCE == {
        "compiled": program.ROWS_VALIDATED_AT_ONCE,
        "keras": keras_engine.ROWS_VALIDATED_AT_ONCE,
    }


MEASURE = """\
import json, re, sys
from pathlib import Path
from dlcli.config import load_config
from dlcli.pipeline import story, preflight

def now(name):
    text = Path("/proc/self/status").read_text()
    return int(re.search(name + r":\\s+(\\d+)", text)[1]) * 1024

def check(prepared, config, folder, events):
    told["least"] = preflight.footprint(prepared, config, on_disk=folder is not None).total
    told["before"] = now("VmRSS")

told = {}
story.check_memory = check
story.train(load_config(Path("c.yaml"), sys.argv[1:]))
print(json.dumps(told | {"peak": now("VmHWM")}))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
@pytest.mark.parametrize("engine", ["{name: compiled, jit_compile: true}", "compiled", "keras"])
@pytest.mark.parametrize(
    ("rows", "settings"),
    [
        (50, ["hidden=[{units: 4000}, {units: 4000}]", "early_stopping={monitor: loss}"]),
        (50, ["hidden=[{units: 5000, activation: relu}, {units: 5000}]", "optimizer=sgd"]),
        (20_000, ["hidden=[{units: 4000, activation: relu}, {units: 9}]", "batch_size=20000"]),
    ],
    ids=["weights", "gradients", "batch"],
)
def test_it_is_never_more_than_is_really_taken(rows, settings, engine, tmp_path):
    lines = "".join(f"{row % 13},{row % 7}\n" for row in range(rows))
    (tmp_path / "a.csv").write_text("x,y\n" + lines)
    config = "data: {train: a.csv, target: y}\nhidden: []\nepochs: 1\n"
    (tmp_path / "c.yaml").write_text(config)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, f"engine={engine}", *settings],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(package.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    assert 200_000_000 < told["least"] < told["peak"] - told["before"]
