"""Numbers, tables and events in words."""

from __future__ import annotations

import pytest

from dlcli.cli.epochs import EpochLines
from dlcli.cli.narration import tell
from dlcli.cli.text import align, layer_table, metric_table, number, score_table, some
from dlcli.cli.wording import WORDS
from dlcli.pipeline import LayerSummary


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.123456, "0.1235"),
        (1.0, "1"),
        (0, "0"),
        (123456.0, "123500"),
        (-0.00001234567, "-1.235e-05"),
        (1.5e20, "1.5e+20"),
        (float("nan"), "nan"),
        (None, "-"),
    ],
)
def test_numbers_have_four_significant_digits(value, text):
    assert number(value) == text


def test_eight_names_are_listed_in_full():
    assert some("abcdefgh") == "a, b, c, d, e, f, g, h"


def test_more_names_are_cut():
    assert some("abcdefghi") == "a, b, c, d, e, f, g, h, ..."


def test_a_name_can_break_no_line():
    assert some(["a\nb", "\x1b[2J"]) == "a\\nb, \\x1b[2J"


def test_a_warning_is_one_line_whatever_the_values_in_it(capsys):
    tell("warning", {"message": "a.csv: new value '\x1b[2J\r\n'"})
    assert capsys.readouterr().err == "warning: a.csv: new value '\\x1b[2J\\r\\n'\n"


def test_a_file_can_break_no_line_of_the_story(capsys):
    fields = {"file": "a\nb.csv", "rows": {"train": 4}, "split": None, "seed": 0, "notes": []}
    tell("data", fields)
    assert capsys.readouterr().err == "data      a\\nb.csv: 4 training rows\n"


def test_text_stands_left_and_numbers_right():
    assert align([["", "train"], ["mae", "1"], ["r2", "0.25"]]) == [
        "     train",
        "mae      1",
        "r2    0.25",
    ]


def test_metrics_stand_side_by_side_without_their_matrices():
    metrics = {
        "train": {"accuracy": 0.98765, "auc": None, "confusion": [[1, 0], [0, 1]]},
        "test": {"accuracy": 1.0, "auc": 0.5, "confusion": [[1, 0], [0, 1]]},
    }
    assert metric_table(metrics) == [
        "           train  test",
        "accuracy  0.9877     1",
        "auc            -   0.5",
    ]


def test_scores_show_the_confusion_by_class():
    scores = {"accuracy": 0.75, "confusion": [[12, 0], [3.5, 1]]}
    assert score_table(16, scores, ["cat", "dog"]) == [
        "rows        16",
        "accuracy  0.75",
        "",
        "true \\ predicted  cat  dog",
        "cat                12    0",
        "dog               3.5    1",
    ]


def test_the_confusion_of_many_classes_is_left_out():
    scores = {"accuracy": 1.0, "confusion": [[1] * 11] * 11}
    assert score_table(11, scores, [str(name) for name in range(11)]) == [
        "rows      11",
        "accuracy   1",
    ]


def test_scores_of_labels_and_columns_stand_side_by_side():
    scores = {"mae": 2.0, "by_column": {"u": {"mae": 1.0}, "v": {"mae": 3.0}}}
    assert score_table(16, scores, ()) == [
        "rows  16",
        "mae    2",
        "",
        "     u  v",
        "mae  1  3",
    ]
    by_label = {str(name): {"f1": 1.0, "confusion": [[1, 0], [0, 1]]} for name in range(11)}
    assert score_table(16, {"by_label": by_label}, ()) == ["rows  16"]


def test_layers_show_widths_and_sizes():
    layers = [
        LayerSummary("hidden_1", "Dense", 4, 16, 80, activation="linear"),
        LayerSummary("hidden_1_normalization", "BatchNormalization", 16, 16, 64),
        LayerSummary("hidden_1_dropout", "Dropout", 16, 16, 0, rate=0.25),
    ]
    assert layer_table(layers) == [
        "layer                   type                inputs  units  parameters",
        "hidden_1                Dense linear             4     16          80",
        "hidden_1_normalization  BatchNormalization      16     16          64",
        "hidden_1_dropout        Dropout 0.25            16     16           0",
        "total                                                             144",
    ]


def test_what_is_unknown_of_a_layer_is_a_question_mark():
    assert layer_table([LayerSummary("output", "Dense", None, None, None)]) == [
        "layer   type     inputs  units  parameters",
        "output  Dense ?       ?      ?           ?",
        "total                                    ?",
    ]


def test_columns_of_one_type_and_reason_share_a_line():
    columns = {
        "a": {"type": "numeric", "reason": "all numbers"},
        "b": {"type": "categorical", "reason": "text, 3 values"},
        "c": {"type": "numeric", "reason": "all numbers"},
        "d": {"type": "categorical", "reason": "text, 5 values"},
        "e": {"type": "ignored", "reason": "has no value in the training rows"},
    }
    assert WORDS["features"]({"columns": columns}) == [
        "2 numeric, all numbers: a, c",
        "2 categorical: b (text, 3 values), d (text, 5 values)",
        "1 ignored, has no value in the training rows: e",
    ]


def test_columns_that_are_not_named_come_last_with_the_way_to_read_them():
    columns = {
        "a": {"type": "ignored", "reason": "not named"},
        "b": {"type": "numeric", "reason": "declared"},
        "c": {"type": "ignored", "reason": "declared"},
        "d": {"type": "ignored", "reason": "not named"},
    }
    assert WORDS["features"]({"columns": columns}) == [
        "1 numeric, declared: b",
        "1 ignored, declared: c",
        "2 ignored, not named: a, d",
        '"*": auto in input.features (or "*" in a list of names) takes the rest',
    ]


def test_rows_are_told_by_set():
    fields = {
        "file": "a",
        "rows": {"train": 8, "validation": 1, "test": 1},
        "split": "random",
        "seed": 3,
        "notes": ["a: is UTF-16"],
    }
    assert WORDS["data"](fields) == [
        "a: 8 training, 1 validation, 1 test rows (random, seed 3)",
        "a: is UTF-16",
    ]


def test_rows_that_were_not_dealt_out_have_no_split():
    fields = {"file": "a.csv", "rows": {"train": 4}, "split": None, "seed": 0, "notes": []}
    assert WORDS["data"](fields) == ["a.csv: 4 training rows"]


def test_a_target_is_told_with_the_reason():
    def told(columns, reason, kind="numeric", classes=(), labels=()):
        return WORDS["target"](
            {
                "columns": columns,
                "type": kind,
                "classes": classes,
                "labels": labels,
                "reason": reason,
            }
        )

    assert told(["pet"], "text", "categorical", classes=["cat", "dog"]) == [
        "pet: 2 classes, text: cat, dog"
    ]
    assert told(["y"], "all numbers") == ["y: a number, all numbers"]
    assert told(["y", "z"], "several columns") == ["y, z: 2 numbers, several columns"]
    assert told(["n"], "declared", "count") == ["n: a count, declared"]
    assert told(["tags"], "declared", "multi_label", labels=["a", "b"]) == [
        "tags: 2 labels, declared: a, b"
    ]
    assert told(["a", "b"], "all 0 or 1", "multi_label", labels=["a", "b"]) == [
        "a, b: 2 labels, all 0 or 1"
    ]


def test_a_network_tells_what_becomes_of_its_inputs_first():
    layers = [
        {"kind": "Periodic", "units": 96},
        {"kind": "Embedding", "units": 8},
        {"kind": "Dense", "units": 1, "activation": "linear"},
    ]
    fields = {"inputs": 4, "layers": layers, "parameters": 300, "loss": "huber", "metrics": []}
    chain = "4, periodic 96, embedding 8 → 1 linear, 300 parameters"
    assert WORDS["network"]({**fields, "target_scaling": "none"})[0] == chain


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
    }
    assert WORDS["network"](fields) == [
        "4 → 16, batch normalization, relu, dropout 0.2 → 3 softmax, 195 parameters",
        "loss mean_squared_error of the standardised target; metrics mae, r2",
    ]


@pytest.mark.parametrize(
    ("scaling", "words"),
    [
        ("log", "loss huber of the target's standardised logarithm"),
        ("none", "loss huber of the target as it is"),
        (None, "loss huber"),
    ],
)
def test_a_loss_is_told_with_the_unit_it_is_in(scaling, words):
    layers = [{"kind": "Dense", "units": 1, "activation": "linear"}]
    fields = {"inputs": 1, "layers": layers, "parameters": 2, "loss": "huber", "metrics": []}
    assert WORDS["network"]({**fields, "target_scaling": scaling})[1] == words


def test_kept_weights_are_told_if_they_are_not_the_last():
    fields = {"epochs": 20, "best_epoch": 12, "seconds": 1.23456}
    assert WORDS["trained"](fields) == ["20 epochs in 1.235 s, the weights of epoch 12 kept"]
    fields = {"epochs": 1, "best_epoch": 1, "seconds": 2.0}
    assert WORDS["trained"](fields) == ["1 epoch in 2 s"]


def test_baselines_are_told_and_why_there_is_no_linear_one():
    fields = {"models": ["constant", "linear"], "no_linear": None, "seconds": 0.5123}
    assert WORDS["baselines"](fields) == ["constant, linear in 0.5123 s"]
    fields = {"models": ["constant"], "no_linear": "it diverged", "seconds": 1.0}
    assert WORDS["baselines"](fields) == ["constant in 1 s; no linear one: it diverged"]


def epochs(count, of):
    for epoch in range(1, count + 1):
        yield {"epoch": epoch, "of": of, "loss": 1 / epoch, "learning_rate": 0.01}


def shown_lines(capsys, count, of):
    lines = EpochLines()
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


def test_the_last_epoch_is_shown_though_training_stops_early(capsys):
    assert shown_lines(capsys, 25, of=100) == [
        "epoch   1/100",
        "epoch  10/100",
        "epoch  20/100",
        "epoch  25/100",
    ]


def test_an_epoch_shows_all_but_its_learning_rate(capsys):
    fields = {"epoch": 1, "of": 2, "loss": 0.5, "val_loss": 0.25, "learning_rate": 0.01}
    EpochLines().show(fields)
    assert capsys.readouterr().err == "epoch 1/2  loss 0.5        val_loss 0.25\n"


def test_an_embedding_is_shown_with_its_column_and_waves_without_an_activation() -> None:
    layers = [
        LayerSummary("periodic_1", "Periodic", 3, 48, 24),
        LayerSummary("embedding_1", "Embedding", 1, 8, 32, column="city"),
    ]

    assert [line.split()[1:4] for line in layer_table(layers)[1:3]] == [
        ["Periodic", "3", "48"],
        ["Embedding", "of", "city"],
    ]
