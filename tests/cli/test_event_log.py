"""Events as lines of text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dlcli.cli.event_log import EpochLines, event_lines, print_event
from dlcli.network.layers import LayerSummary
from dlcli.pipeline.events import (
    BaselinesEvent,
    DataEvent,
    DeviceEvent,
    EpochEvent,
    FeaturesEvent,
    MemberEvent,
    NetworkEvent,
    TargetEvent,
    TrainedEvent,
    TypedColumn,
    WarningEvent,
)


def test_a_warning_is_one_line_even_if_it_quotes_line_ends(capsys):
    print_event(WarningEvent(message="a.csv: new value '\x1b[2J\r\n'"))
    assert capsys.readouterr().err == "warning: a.csv: new value '\\x1b[2J\\r\\n'\n"


def test_control_characters_in_file_names_are_escaped(capsys):
    print_event(DataEvent(file="a\nb.csv", rows={"train": 4}, split=None, seed=0, notes=[]))
    assert capsys.readouterr().err == "data      a\\nb.csv: 4 training rows\n"


def test_columns_of_one_type_and_reason_share_a_line():
    columns = {
        "a": TypedColumn("numeric", "all values are numbers"),
        "b": TypedColumn("categorical", "text, 3 values"),
        "c": TypedColumn("numeric", "all values are numbers"),
        "d": TypedColumn("categorical", "text, 5 values"),
        "e": TypedColumn("ignored", "has no value in the training rows"),
    }
    assert event_lines(FeaturesEvent(columns=columns)) == [
        "2 numeric: a, c",
        "2 categorical: b (text, 3 values), d (text, 5 values)",
        "1 ignored (has no value in the training rows): e",
    ]


def test_unnamed_columns_come_last_with_the_setting_that_includes_them():
    columns = {
        "a": TypedColumn("ignored", "not in input.features"),
        "b": TypedColumn("numeric", "declared"),
        "c": TypedColumn("ignored", "declared"),
        "d": TypedColumn("ignored", "not in input.features"),
    }
    assert event_lines(FeaturesEvent(columns=columns)) == [
        "1 numeric (set in the config): b",
        "1 ignored (set in the config): c",
        "2 ignored (not in input.features): a, d",
        'to include them, add "*": auto to input.features (or "*", if it is a list)',
    ]


def test_rows_are_counted_by_set():
    rows = {"train": 8000, "validation": 1, "test": 1}
    event = DataEvent(file="a", rows=rows, split="random", seed=3, notes=["a: is UTF-16"])
    assert event_lines(event) == [
        "a: 8,000 training, 1 validation, 1 test rows (random, seed 3)",
        "a: is UTF-16",
    ]


def test_a_sample_is_reported_with_the_number_of_all_rows():
    rows = {"train": 800, "test": 200}
    event = DataEvent(file="a", rows=rows, split="time", seed=3, notes=[], sampled_from=48_842)
    assert event_lines(event)[1] == "a: sample of 48,842 rows (data.sample)"


def test_without_a_split_none_is_named():
    event = DataEvent(file="a.csv", rows={"train": 4}, split=None, seed=0, notes=[])
    assert event_lines(event) == ["a.csv: 4 training rows"]


def test_a_target_has_its_type_and_the_reason():
    def lines(columns, reason, kind="numeric", classes=(), labels=()):
        names = {"classes": classes, "labels": labels}
        return event_lines(TargetEvent(columns=columns, type=kind, reason=reason, **names))

    assert lines(["pet"], "text", "categorical", classes=["cat", "dog"]) == [
        "pet: 2 classes (text): cat, dog"
    ]
    assert lines(["y"], "all values are numbers") == ["y: numeric"]
    assert lines(["y", "z"], "several columns") == ["y, z: 2 numeric columns"]
    assert lines(["n"], "declared", "count") == ["n: count (set in the config)"]
    assert lines(["tags"], "declared", "multi_label", labels=["a", "b"]) == [
        "tags: 2 labels (set in the config): a, b"
    ]
    assert lines(["a", "b"], "all 0 or 1", "multi_label", labels=["a", "b"]) == [
        "a, b: 2 labels (all 0 or 1)"
    ]


def network_lines(layers, **fields):
    usual = {"inputs": 4, "parameters": 2, "loss": "huber", "target_scaling": "none"}
    usual |= {"metrics": [], "members": None, "folds": None}
    return event_lines(NetworkEvent(layers=layers, **{**usual, **fields}))


def test_encodings_of_the_inputs_come_first_in_a_network():
    layers = [
        LayerSummary("waves", "Periodic", units=96),
        LayerSummary("names", "Embedding", units=8),
        LayerSummary("output", "Dense", units=1, activation="linear"),
    ]
    chain = "4, periodic 96, embedding 8 → 1 linear, 300 parameters"
    assert network_lines(layers, parameters=300)[0] == chain


def test_a_network_is_a_chain_of_widths():
    layers = [
        LayerSummary("1", "Dense", units=16, activation="linear"),
        LayerSummary("2", "BatchNormalization", units=16),
        LayerSummary("3", "Activation", units=16, activation="relu"),
        LayerSummary("4", "Dropout", units=16, rate=0.2),
        LayerSummary("5", "Dense", units=3, activation="softmax"),
    ]
    fields = {"parameters": 195, "loss": "mean_squared_error", "metrics": ["mae", "r2"]}
    fields["target_scaling"] = "standard"
    lines = [
        "4 → 16, batch normalization, relu, dropout 0.2 → 3 softmax, 195 parameters",
        "loss mean_squared_error (on the standardized target), metrics MAE, R²",
    ]
    assert network_lines(layers, **fields) == lines
    ensemble = "ensemble of 8 such networks"
    assert network_lines(layers, **fields, members=8) == [*lines, ensemble]
    own = f"{ensemble}, each validated on one of 4 folds of the training rows"
    assert network_lines(layers, **fields, members=8, folds=4) == [*lines, own]
    groups = {"members": 8, "folds": 4, "groups": 2, "varied": ["batch_size", "hidden"]}
    assert network_lines(layers, **fields, **groups) == [
        *lines,
        "ensemble of 8 networks in 2 groups, each validated on one of 4 folds of the training rows",
        "groups differ in batch_size and hidden; the first is shown",
    ]


@pytest.mark.parametrize(
    ("scaling", "words"),
    [
        ("log1p", "loss huber (on the standardized logarithm of the target)"),
        ("none", "loss huber (on the unscaled target)"),
        (None, "loss huber"),
    ],
)
def test_a_loss_is_shown_with_the_scaling_of_the_target(scaling, words):
    layers = [LayerSummary("output", "Dense", units=1, activation="linear")]
    assert network_lines(layers, target_scaling=scaling)[1] == words


def test_the_epoch_of_the_kept_weights_is_shown_unless_it_is_the_last():
    assert event_lines(TrainedEvent(epochs=20, best_epoch=12, seconds=1.23456)) == [
        "20 epochs in 1.23 s; kept the best weights (epoch 12)"
    ]
    assert event_lines(TrainedEvent(epochs=1, best_epoch=1, seconds=2.0)) == ["1 epoch in 2 s"]


def test_baselines_are_listed_and_why_there_is_no_linear_model():
    event = BaselinesEvent(models=["constant", "linear"], no_linear=None, seconds=0.5123)
    assert event_lines(event) == ["constant and linear, computed in 512 ms"]
    event = BaselinesEvent(models=["constant"], no_linear="it diverged", seconds=1.0)
    assert event_lines(event) == ["constant, computed in 1 s; no linear model: it diverged"]


def epochs(count, of):
    for epoch in range(1, count + 1):
        values = {"loss": 1 / epoch, "learning_rate": 0.01}
        yield EpochEvent(epoch=epoch, of=of, values=values)


def shown_lines(capsys, count, of):
    lines = EpochLines()
    for event in epochs(count, of):
        lines.add(event)
    lines.close()
    return [line.split("  loss")[0] for line in capsys.readouterr().err.splitlines()]


def test_without_a_terminal_a_thousand_epochs_are_eleven_lines(capsys):
    assert shown_lines(capsys, 1000, of=1000) == [
        "epoch    1/1000",
        *(f"epoch {epoch:>4}/1000" for epoch in range(100, 1001, 100)),
    ]


def test_without_a_terminal_few_epochs_have_a_line_each(capsys):
    assert shown_lines(capsys, 3, of=3) == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]


def test_without_a_terminal_each_member_of_an_ensemble_is_a_line(capsys):
    lines = EpochLines()
    for event in epochs(2, of=100):
        lines.add(replace(event, member=1, members=12))
    lines.add(MemberEvent(member=1, members=12, epochs=2, best_epoch=1))
    lines.add(MemberEvent(member=12, members=12, epochs=100, best_epoch=100))
    lines.close()
    assert capsys.readouterr().err.splitlines() == [
        "member  1/12  best epoch 1 of 2",
        "member 12/12  best epoch 100 of 100",
    ]


def test_the_last_epoch_is_shown_when_training_stops_early(capsys):
    assert shown_lines(capsys, 25, of=100) == [
        "epoch   1/100",
        "epoch  10/100",
        "epoch  20/100",
        "epoch  25/100",
    ]


def test_an_epoch_shows_everything_except_the_learning_rate(capsys):
    values = {"loss": 0.5, "val_loss": 0.25, "learning_rate": 0.01}
    EpochLines().add(EpochEvent(epoch=1, of=2, values=values))
    assert capsys.readouterr().err == "epoch 1/2  loss 0.5        validation: loss 0.25\n"


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"device": "cpu", "threads": 2, "gpus": 0}, "cpu, 2 threads"),
        ({"device": "gpu", "threads": 1, "gpus": 1}, "gpu, 1 thread"),
        ({"device": "gpu", "threads": 8, "gpus": 4}, "gpu (one of 4), 8 threads"),
    ],
)
def test_a_gpu_is_said_to_be_one_of_several(fields, line):
    assert event_lines(DeviceEvent(**fields)) == [line]
