"""Tables of metrics and of layers on a terminal."""

from __future__ import annotations

from dlcli.network.layers import LayerSummary
from dlcli.reports.command_views import evaluation_view, layer_table
from dlcli.reports.views import render_table, render_text


def text_of(*arguments):
    return render_text(evaluation_view(*arguments)).splitlines()


def test_metrics_come_with_the_confusion_by_class():
    metrics = {"accuracy": 0.75, "auc": None, "confusion": [[12, 0], [3.5, 1]]}
    assert text_of(16, metrics, ["cat", "dog"]) == [
        "rows        16",
        "accuracy  75 %",
        "AUC          -",
        "",
        "true \\ predicted  cat  dog",
        "cat                12    0",
        "dog               3.5    1",
    ]


def test_the_confusion_of_many_classes_is_omitted():
    metrics = {"accuracy": 1.0, "confusion": [[1] * 11] * 11}
    assert text_of(11, metrics, [str(name) for name in range(11)]) == [
        "rows         11",
        "accuracy  100 %",
    ]


def test_metrics_of_columns_are_side_by_side_unless_they_are_many():
    metrics = {"mae": 2.0, "by_column": {"u": {"mae": 1.0}, "v": {"mae": 3.0}}}
    assert text_of(16, metrics, ()) == [
        "rows   16",
        "MAE   2.0",
        "",
        "        u    v",
        "MAE  1.00  3.0",
    ]
    by_label = {str(name): {"f1": 1.0, "confusion": [[1, 0], [0, 1]]} for name in range(11)}
    assert text_of(16, {"by_label": by_label}, ()) == ["rows  16"]


def test_layers_have_their_widths_and_sizes():
    layers = [
        LayerSummary("hidden_1", "Dense", 4, 16, 80, activation="linear"),
        LayerSummary("hidden_1_normalization", "BatchNormalization", 16, 16, 64),
        LayerSummary("hidden_1_dropout", "Dropout", 16, 16, 0, rate=0.25),
        LayerSummary("periodic_1", "Periodic", 3, 48, 24),
        LayerSummary("embedding_1", "Embedding", 1, 8, 32, column="city"),
    ]
    assert render_table(layer_table(layers)) == [
        "layer                   type                inputs  units  parameters",
        "hidden_1                Dense linear             4     16          80",
        "hidden_1_normalization  BatchNormalization      16     16          64",
        "hidden_1_dropout        Dropout 0.25            16     16           0",
        "periodic_1              Periodic                 3     48          24",
        "embedding_1             Embedding of city        1      8          32",
        "total                                                             200",
    ]


def test_what_is_unknown_of_a_layer_is_a_question_mark():
    assert render_table(layer_table([LayerSummary("output", "Dense", None, None, None)])) == [
        "layer   type     inputs  units  parameters",
        "output  Dense ?       ?      ?           ?",
        "total                                    ?",
    ]
