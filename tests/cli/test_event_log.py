"""Events as lines of text."""

from __future__ import annotations

import pytest

from dlcli.cli.event_log import EVENT_LINES, _EpochLines, print_event


def test_a_warning_is_one_line_even_if_it_quotes_line_ends(capsys):
    print_event("warning", {"message": "a.csv: new value '\x1b[2J\r\n'"})
    assert capsys.readouterr().err == "warning: a.csv: new value '\\x1b[2J\\r\\n'\n"


def test_control_characters_in_file_names_are_escaped(capsys):
    fields = {"file": "a\nb.csv", "rows": {"train": 4}, "split": None, "seed": 0, "notes": []}
    print_event("data", fields)
    assert capsys.readouterr().err == "data      a\\nb.csv: 4 training rows\n"


def test_columns_of_one_type_and_reason_share_a_line():
    columns = {
        "a": {"type": "numeric", "reason": "all numbers"},
        "b": {"type": "categorical", "reason": "text, 3 values"},
        "c": {"type": "numeric", "reason": "all numbers"},
        "d": {"type": "categorical", "reason": "text, 5 values"},
        "e": {"type": "ignored", "reason": "has no value in the training rows"},
    }
    assert EVENT_LINES["features"]({"columns": columns}) == [
        "2 numeric, all numbers: a, c",
        "2 categorical: b (text, 3 values), d (text, 5 values)",
        "1 ignored, has no value in the training rows: e",
    ]


def test_unnamed_columns_come_last_with_the_setting_that_includes_them():
    columns = {
        "a": {"type": "ignored", "reason": "not named"},
        "b": {"type": "numeric", "reason": "declared"},
        "c": {"type": "ignored", "reason": "declared"},
        "d": {"type": "ignored", "reason": "not named"},
    }
    assert EVENT_LINES["features"]({"columns": columns}) == [
        "1 numeric, declared: b",
        "1 ignored, declared: c",
        "2 ignored, not named: a, d",
        '"*": auto in input.features (or "*" in a list of names) includes the others',
    ]


def test_rows_are_counted_by_set():
    fields = {
        "file": "a",
        "rows": {"train": 8000, "validation": 1, "test": 1},
        "split": "random",
        "seed": 3,
        "notes": ["a: is UTF-16"],
    }
    assert EVENT_LINES["data"](fields) == [
        "a: 8,000 training, 1 validation, 1 test rows (random, seed 3)",
        "a: is UTF-16",
    ]


def test_without_a_split_none_is_named():
    fields = {"file": "a.csv", "rows": {"train": 4}, "split": None, "seed": 0, "notes": []}
    assert EVENT_LINES["data"](fields) == ["a.csv: 4 training rows"]


def test_a_target_has_its_type_and_the_reason():
    def lines(columns, reason, kind="numeric", classes=(), labels=()):
        return EVENT_LINES["target"](
            {
                "columns": columns,
                "type": kind,
                "classes": classes,
                "labels": labels,
                "reason": reason,
            }
        )

    assert lines(["pet"], "text", "categorical", classes=["cat", "dog"]) == [
        "pet: 2 classes, text: cat, dog"
    ]
    assert lines(["y"], "all numbers") == ["y: a number, all numbers"]
    assert lines(["y", "z"], "several columns") == ["y, z: 2 numbers, several columns"]
    assert lines(["n"], "declared", "count") == ["n: a count, declared"]
    assert lines(["tags"], "declared", "multi_label", labels=["a", "b"]) == [
        "tags: 2 labels, declared: a, b"
    ]
    assert lines(["a", "b"], "all 0 or 1", "multi_label", labels=["a", "b"]) == [
        "a, b: 2 labels, all 0 or 1"
    ]


def test_encodings_of_the_inputs_come_first_in_a_network():
    layers = [
        {"kind": "Periodic", "units": 96},
        {"kind": "Embedding", "units": 8},
        {"kind": "Dense", "units": 1, "activation": "linear"},
    ]
    fields = {"inputs": 4, "layers": layers, "parameters": 300, "loss": "huber", "metrics": []}
    fields["members"] = None
    chain = "4, periodic 96, embedding 8 → 1 linear, 300 parameters"
    assert EVENT_LINES["network"]({**fields, "target_scaling": "none"})[0] == chain


def test_a_network_is_a_chain_of_widths():
    layers = [
        {"kind": "Dense", "units": 16, "activation": "linear"},
        {"kind": "BatchNormalization", "units": 16},
        {"kind": "Activation", "units": 16, "activation": "relu"},
        {"kind": "Dropout", "units": 16, "rate": 0.2},
        {"kind": "Dense", "units": 3, "activation": "softmax"},
    ]
    fields = {
        "inputs": 4,
        "layers": layers,
        "parameters": 195,
        "loss": "mean_squared_error",
        "metrics": ["mae", "r2"],
        "target_scaling": "standard",
        "members": None,
        "folds": None,
    }
    lines = [
        "4 → 16, batch normalization, relu, dropout 0.2 → 3 softmax, 195 parameters",
        "loss mean_squared_error of the standardized target; metrics mae, r2",
    ]
    assert EVENT_LINES["network"](fields) == lines
    ensemble = "an ensemble of 8 such networks"
    shared = {**fields, "members": 8}
    assert EVENT_LINES["network"](shared) == [*lines, ensemble]
    own = f"{ensemble}, each validated on one of 4 folds of the training rows"
    assert EVENT_LINES["network"]({**shared, "folds": 4}) == [*lines, own]


@pytest.mark.parametrize(
    ("scaling", "words"),
    [
        ("log1p", "loss huber of the target's standardized logarithm"),
        ("none", "loss huber of the target as it is"),
        (None, "loss huber"),
    ],
)
def test_a_loss_is_shown_with_the_scaling_of_the_target(scaling, words):
    layers = [{"kind": "Dense", "units": 1, "activation": "linear"}]
    fields = {"inputs": 1, "layers": layers, "parameters": 2, "loss": "huber", "metrics": []}
    fields["members"] = None
    assert EVENT_LINES["network"]({**fields, "target_scaling": scaling})[1] == words


def test_the_epoch_of_the_kept_weights_is_shown_unless_it_is_the_last():
    fields = {"epochs": 20, "best_epoch": 12, "seconds": 1.23456}
    assert EVENT_LINES["trained"](fields) == [
        "20 epochs in 1.23 s; the weights of epoch 12 are kept"
    ]
    fields = {"epochs": 1, "best_epoch": 1, "seconds": 2.0}
    assert EVENT_LINES["trained"](fields) == ["1 epoch in 2 s"]


def test_baselines_are_listed_and_why_there_is_no_linear_model():
    fields = {"models": ["constant", "linear"], "no_linear": None, "seconds": 0.5123}
    assert EVENT_LINES["baselines"](fields) == ["constant, linear in 512 ms"]
    fields = {"models": ["constant"], "no_linear": "it diverged", "seconds": 1.0}
    assert EVENT_LINES["baselines"](fields) == ["constant in 1 s; no linear model: it diverged"]


def epochs(count, of):
    for epoch in range(1, count + 1):
        yield {"epoch": epoch, "of": of, "loss": 1 / epoch, "learning_rate": 0.01}


def shown_lines(capsys, count, of):
    lines = _EpochLines()
    for fields in epochs(count, of):
        lines.show(fields)
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
    lines = _EpochLines()
    for fields in epochs(2, of=100):
        lines.show({"member": 1, "members": 12, **fields})
    lines.finish_member({"member": 1, "members": 12, "epochs": 2, "best_epoch": 1})
    lines.finish_member({"member": 12, "members": 12, "epochs": 100, "best_epoch": 100})
    lines.close()
    assert capsys.readouterr().err.splitlines() == [
        "member  1/12  2 epochs, best 1",
        "member 12/12  100 epochs",
    ]


def test_the_last_epoch_is_shown_when_training_stops_early(capsys):
    assert shown_lines(capsys, 25, of=100) == [
        "epoch   1/100",
        "epoch  10/100",
        "epoch  20/100",
        "epoch  25/100",
    ]


def test_an_epoch_shows_everything_except_the_learning_rate(capsys):
    fields = {"epoch": 1, "of": 2, "loss": 0.5, "val_loss": 0.25, "learning_rate": 0.01}
    _EpochLines().show(fields)
    assert capsys.readouterr().err == "epoch 1/2  loss 0.5        val_loss 0.25\n"


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"device": "cpu", "threads": 2, "gpus": 0}, "cpu, 2 threads"),
        ({"device": "gpu", "threads": 1, "gpus": 1}, "gpu, 1 thread"),
        ({"device": "gpu", "threads": 8, "gpus": 4}, "gpu (one of 4), 8 threads"),
    ],
)
def test_a_gpu_is_said_to_be_one_of_several(fields, line):
    assert EVENT_LINES["device"](fields) == [line]
