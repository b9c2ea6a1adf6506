"""A network is compared with the simplest models."""

from __future__ import annotations

import pytest

from dlcli.metrics import compare_to_baselines


def compared(mine, constant, metric="accuracy"):
    found = compare_to_baselines(metric, mine, {"constant": constant})
    return found.unbeaten, dict(found.beaten_otherwise), found.is_imbalanced


@pytest.mark.parametrize(
    ("other", "mine", "theirs", "is_better"),
    [
        ("auc", 0.526, 0.5, True),  # 5.2 % of 0.5
        ("auc", 0.524, 0.5, False),
        ("balanced_accuracy", 0.54, 0.5, True),
        ("log_loss", 0.94, 1.0, True),
        ("log_loss", 0.96, 1.0, False),
        ("log_loss", 1.2, 1.0, False),
        ("macro_f1", 0.9, 0.1, False),
        ("auc", None, 0.5, False),
        ("auc", 0.9, None, False),
    ],
)
def test_a_network_beats_a_baseline_by_another_metric_if_that_is_better_by_a_twentieth(
    other, mine, theirs, is_better
):
    mine, theirs = {"accuracy": 0.9, other: mine}, {"accuracy": 0.9, other: theirs}
    expected = ((), {"constant": other}) if is_better else (("constant",), {})
    assert compared(mine, theirs) == (*expected, True)


def test_other_metrics_count_only_if_the_main_metric_is_accuracy():
    assert compared({"log_loss": 2.0, "auc": 0.9}, {"log_loss": 1.0, "auc": 0.5}, "log_loss") == (
        ("constant",),
        {},
        False,
    )


def test_baselines_that_are_beaten_or_undefined_are_not_listed():
    assert compared({"accuracy": 0.6}, {"accuracy": 0.5}) == ((), {}, False)
    assert compared({"accuracy": 0.6}, {"accuracy": None}) == ((), {}, False)
