"""Many trainings in one process: what they have in common is done once, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from dlcli.config import load_config
from dlcli.errors import ConfigError, DataError, UsageError
from dlcli.pipeline import Events, workbench
from dlcli.pipeline.pool import read_pool
from dlcli.pipeline.workbench import Part, Workbench
from dlcli.training.snapshots import NOBODY

CONFIG = """\
data: {train: rows.csv, target: y, validation: 0.25, test: 0.25}
hidden: [{units: 3, activation: tanh}]
epochs: 2
"""
ROWS = "a,b,y\n" + "".join(f"{x},{x % 7},{x - 30}\n" for x in range(60))


@pytest.fixture
def config(tmp_path):
    """A config for rows of which half have a negative target, with other settings."""
    (tmp_path / "rows.csv").write_text(ROWS)
    (tmp_path / "config.yaml").write_text(CONFIG)
    return lambda *settings: load_config(tmp_path / "config.yaml", settings)


def bench_of(file, told=None, **options):
    events = Events(lambda event, fields: None if told is None else told.append((event, fields)))
    return Workbench(read_pool(file, events), file.config, events, **options)


def parts_of(bench, count=1):
    rows = bench.pool.rows
    places = np.arange(rows.rows)
    return [
        Part(rows.take(places[places % 5 != at]), rows.take(places[places % 5 == at]))
        for at in range(count)
    ]


def train(bench, file, part):
    return bench.train(file.config, part, lambda *_: None, NOBODY)


@pytest.fixture
def encoded(monkeypatch):
    """How often rows are encoded."""
    calls = []
    original = workbench.encode_sets

    def counted(*arguments):
        calls.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(workbench, "encode_sets", counted)
    return calls


def test_rows_are_encoded_once_for_all_candidates_that_read_them_alike(config, encoded):
    bench = bench_of(config())
    [part] = parts_of(bench)
    for units in (3, 4):
        train(bench, config(f"hidden[0].units={units}"), part)
    assert len(encoded) == 1
    train(bench, config("input.scaling=minmax"), part)
    train(bench, config("output.scaling=none"), part)
    assert len(encoded) == 3


def test_each_part_has_statistics_of_its_own(config, encoded):
    bench = bench_of(config())
    first, second = (train(bench, config(), part) for part in parts_of(bench, 2))
    assert len(encoded) == 2
    means = [outcome.predictor.encoding.features[0].scaling.offset for outcome in (first, second)]
    rows = [outcome.part.train.numbers("a") for outcome in (first, second)]
    assert means == pytest.approx([values.mean() for values in rows])
    assert means[0] != means[1]


def test_nothing_is_kept_where_no_part_comes_again(config, encoded):
    bench = bench_of(config(), keeps=False)
    [part] = parts_of(bench)
    for _ in range(2):
        train(bench, config(), part)
    assert len(encoded) == 2


def test_what_takes_too_much_memory_is_encoded_again(config, encoded, monkeypatch):
    monkeypatch.setattr(workbench, "available_memory", lambda: 100.0)
    bench = bench_of(config())
    one, other = parts_of(bench, 2)
    for part in (one, other, one):
        train(bench, config(), part)
    assert len(encoded) == 3


def test_a_loss_is_held_against_the_target_also_where_the_rows_are_encoded_already(config):
    bench = bench_of(config())
    [part] = parts_of(bench)
    train(bench, config("output.scaling=none"), part)
    with pytest.raises(DataError, match="poisson"):
        train(bench, config("output.scaling=none", "loss=poisson"), part)


def test_folds_share_a_program(config):
    bench = bench_of(config())
    for part in parts_of(bench, 3):
        train(bench, config(), part)
    assert bench.programs.made == 1


def test_rows_held_out_judge_and_without_them_those_that_steer(config):
    bench = bench_of(config())
    [part] = parts_of(bench)
    rows = bench.pool.rows
    apart = Part(part.train, part.validation, rows.take(np.arange(4)))
    steered, judged = train(bench, config(), part), train(bench, config(), apart)
    assert (steered.judging, judged.judging) == ("validation", "test")
    assert len(judged.predictions("test").outputs) == 4


def test_the_pool_is_all_rows_but_those_of_the_test_split(config):
    told = []
    pool = bench_of(config(), told).pool
    assert (pool.rows.rows, pool.set_aside) == (45, 15)
    assert pool.split.test is None
    assert pool.split.train.rows + pool.split.validation.rows == 45
    assert told[-1][0] == "pool"


def test_a_warning_is_told_once_and_calls_no_rows_test_rows(config, tmp_path):
    lines = [f"{x},{'' if x % 2 else x * x % 11},{x - 30}" for x in range(60)]
    (tmp_path / "rows.csv").write_text("\n".join(["a,b,y", *lines]))
    told = []
    bench = bench_of(config("data.test=null", "data.validation=null"), told, keeps=False)
    rows = bench.pool.rows
    part = Part(rows.take(np.arange(0, 60, 2)), None, rows.take(np.arange(1, 60, 2)))
    for _ in range(2):
        train(bench, config("data.test=null", "data.validation=null"), part)
    messages = [fields["message"] for event, fields in told if event == "warning"]
    assert len(messages) == len(set(messages))
    assert any(message.startswith("held-out rows of") for message in messages)


def test_weights_that_may_have_seen_the_rows_are_refused(config):
    with pytest.raises(ConfigError) as error:
        bench_of(config("initial_weights=runs/earlier"))
    assert str(error.value) == (
        "initial_weights: may have learned from rows that are to judge, which then could not; "
        "leave it out: --set initial_weights=null"
    )


def test_rows_on_disk_are_refused(config):
    file = config("data.storage=disk")
    with pytest.raises(UsageError, match="need them in memory"):
        bench_of(file)
