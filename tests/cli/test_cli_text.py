"""Numbers, tables and events in words."""

from __future__ import annotations

import pytest

from dlcli.cli.text import align, layer_table, metric_table, number, score_table, some
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


def test_an_embedding_is_shown_with_its_column_and_waves_without_an_activation() -> None:
    layers = [
        LayerSummary("periodic_1", "Periodic", 3, 48, 24),
        LayerSummary("embedding_1", "Embedding", 1, 8, 32, column="city"),
    ]

    assert [line.split()[1:4] for line in layer_table(layers)[1:3]] == [
        ["Periodic", "3", "48"],
        ["Embedding", "of", "city"],
    ]
