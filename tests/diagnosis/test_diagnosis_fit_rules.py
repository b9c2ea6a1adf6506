"""Rules of the curves: both sides of each threshold, on curves made by hand."""

from __future__ import annotations

import math

import pytest

from dlcli.diagnosis.findings import examine
from tests.diagnosis.cases import CONFIG, compared, r2

HALF = r2(0.5, 0.5)
"""Metrics of a network that explains half of the variance."""


def falling(constants, epochs=40, start=1.0, end=0.2):
    """A loss that decays exponentially over so many time constants."""
    times = [constants * at / (epochs - 1) for at in range(epochs)]
    return [end + (start - end) * math.exp(-time) for time in times]


def leaping(share, epochs=40, level=0.5):
    """A loss that jumps up and down with noise of a share of its level."""
    size = share * level * math.sqrt(6) / (4 * 1.4826)
    return [level + (size if at % 2 else -size) for at in range(epochs)]


def both(values):
    return {"loss": values, "val_loss": values}


def test_a_loss_that_has_settled_is_healthy(named):
    assert named(history=both(falling(6)), metrics=HALF) == []


def test_a_loss_that_falls_to_the_last_epoch_asks_for_more(named):
    assert named(history=both(falling(2)), metrics=HALF) == ["still_improving"]


def test_five_time_constants_are_enough_and_two_are_not(named):
    assert named(history={"loss": falling(5)}, metrics=HALF) == []
    assert named(history={"loss": falling(2)}, metrics=HALF) == ["still_improving"]


def test_a_training_that_stopped_early_was_not_ended_too_soon(named):
    assert named("epochs=100", history=both(falling(2)), metrics=HALF) == []


def test_a_decrease_that_is_small_against_the_loss_is_healthy(named):
    history = both(falling(2, start=1.0, end=0.99))
    assert named(history=history, metrics=HALF) == []


def test_a_decrease_within_the_noise_is_healthy(named):
    wave = [0.3 * (-1) ** at for at in range(40)]
    history = [value + noise for value, noise in zip(falling(2), wave, strict=True)]
    assert "still_improving" not in named(history={"loss": history}, metrics=r2(0.95, 0.9))


def test_a_straight_fall_is_a_rate_too_low(named):
    straight = [1.0 - 0.005 * at for at in range(40)]
    assert named(history=both(straight), metrics=HALF) == ["learning_rate_too_low"]


def test_what_has_learned_its_rows_well_was_not_too_slow(named):
    straight = [1.0 - 0.005 * at for at in range(40)]
    assert "learning_rate_too_low" not in named(history=both(straight), metrics=r2(0.95, 0.95))


@pytest.mark.parametrize(
    ("share", "rules"), [(0.2, ["learning_rate_too_high"]), (0.12, ["plateau"])]
)
def test_a_loss_that_jumps_by_much_of_its_level_has_a_rate_too_high(named, share, rules):
    assert named(history=both(leaping(share)), metrics=HALF) == rules


def test_a_slightly_noisy_loss_is_healthy(named):
    assert named(history=both(leaping(0.04)), metrics=HALF) == []


def test_jumps_do_no_harm_where_the_rows_are_learned(named):
    assert named(history=both(leaping(0.2)), metrics=r2(0.95, 0.95)) == []


def test_jumps_of_a_loss_near_0_do_no_harm_whatever_epoch_was_kept(named):
    history = {"loss": [1.0, 0.5, *leaping(0.2, epochs=38, level=0.05)], "val_loss": falling(6)}
    assert named("early_stopping={patience: 50}", history=history, metrics=HALF) == []
    assert named(history=history, metrics=HALF) == ["learning_rate_too_high"]


def test_few_rows_with_dropout_may_jump_more(named):
    # 3/√100 = 0.3
    rows = {"train": 100, "validation": 200}
    fields = {"history": both(leaping(0.25)), "metrics": HALF, "rows": rows}
    assert named("hidden[0].dropout=0.5", **fields) == []
    assert named(**fields) == ["learning_rate_too_high"]


def test_a_falling_rate_has_no_plateau(named):
    history = both(leaping(0.12))
    assert named("learning_rate_schedule=cosine_decay", history=history, metrics=HALF) == []


def test_a_loss_that_rises_again_for_good_has_a_rate_too_high(named):
    rising = [1.0, 0.6, *[0.4] * 20, *[0.7] * 18]
    assert named(history={"loss": rising}, metrics=HALF)[0] == "learning_rate_too_high"
    slightly = [1.0, 0.6, *[0.4] * 20, *[0.55] * 18]
    assert named(history={"loss": slightly}, metrics=HALF) == []


@pytest.mark.parametrize(("rate", "speaks"), [("0.02", True), ("0.01", False)])
def test_a_rate_far_from_usual_is_blamed_if_nothing_was_learned(named, rate, speaks):
    rules = named(f"optimizer.learning_rate={rate}", metrics=r2(0.01, 0.0))
    assert rules[0] == ("learning_rate_too_high" if speaks else "underfitting")


def test_a_validation_loss_that_rises_while_the_training_loss_falls_is_overfitting(named):
    held = [1.0, 0.5, *[0.4 + 0.004 * at for at in range(38)]]
    history = {"loss": falling(6), "val_loss": held}
    metrics = r2(0.62, 0.6)
    assert named(history=history, metrics=metrics) == ["overfitting"]
    stopping = "early_stopping={patience: 50}"
    assert named(stopping, history=history, metrics=metrics) == []  # the best epoch is kept


@pytest.mark.parametrize(
    ("settings", "verdict", "rules"),
    [
        ([], "better", ["overfitting"]),
        (["early_stopping={patience: 50}"], "better", []),
        (["early_stopping={patience: 50}"], "worse", ["overfitting", "no_better_than_linear"]),
    ],
)
def test_an_ensemble_of_best_epochs_may_know_its_training_rows_better(
    named, settings, verdict, rules
):
    config = CONFIG.replace(", validation: 0.2", "") + "ensemble: {members: 8}\n"
    comparison = compared("linear", verdict, value=-0.1 if verdict == "worse" else 0.1)
    found = named(
        *settings,
        config=config,
        metrics=r2(0.8, 0.5),
        baselines={"linear": r2(0.6, 0.6)},
        comparison=comparison,
    )
    assert found == rules


def test_best_epochs_are_overfitting_if_a_linear_model_is_better(case):
    held = [1.0, 0.5, *[0.4 + 0.004 * at for at in range(38)]]
    settings = (
        "early_stopping={patience: 50}",
        "input.scaling_layer={learning_rate_multiplier: 40}",
    )
    first, second = examine(
        case(
            *settings,
            history={"loss": falling(6), "val_loss": held},
            metrics=r2(0.62, 0.6),
            comparison=compared("linear", "worse", value=-0.1),
        )
    )
    assert first.rule == "overfitting"
    assert "rose from 0.4 in epoch 3" in first.observation
    assert first.patches[0].overrides == ("input.scaling_layer=null",)
    assert second.rule == "no_better_than_linear"


@pytest.mark.parametrize(
    ("held", "rules"),
    [
        (falling(6), ["underfitting"]),
        ([1.0, 0.5, *[0.4 + 0.004 * at for at in range(38)]], ["overfitting"]),
    ],
)
def test_rows_fitted_worse_than_by_a_line_are_not_also_memorized(named, held, rules):
    history = {"loss": falling(6), "val_loss": held}
    found = named(history=history, metrics=r2(0.7, 0.3), baselines={"linear": r2(0.9, 0.5)})
    assert found == rules


def test_a_loss_that_rises_and_falls_with_a_rate_that_restarts_is_healthy(named):
    rising = [1.0, 0.6, *[0.4] * 20, *[0.7] * 18]
    straight = [1.0 - 0.005 * at for at in range(40)]
    for history, rule in ((rising, "learning_rate_too_high"), (straight, "learning_rate_too_low")):
        fields = {"history": {"loss": history}, "metrics": HALF}
        assert rule in named(**fields)
        restarts = "learning_rate_schedule=cosine_decay_restarts"
        assert rule not in named(restarts, **fields)


def test_a_rise_of_less_than_a_twentieth_is_healthy(named):
    held = [1.0, 0.5, *[0.4 + 0.001 * at for at in range(38)]]
    assert named(history={"loss": falling(6), "val_loss": held}, metrics=r2(0.62, 0.6)) == []


def test_where_both_losses_rise_it_is_not_overfitting(named):
    rising = [1.0, 0.5, *[0.4 + 0.004 * at for at in range(38)]]
    rules = named(history={"loss": rising, "val_loss": rising}, metrics=r2(0.62, 0.6))
    assert "overfitting" not in rules


def test_a_few_epochs_show_nothing(named):
    assert named("epochs=3", history=both([1.0, 5.0, 0.9]), metrics=HALF) == []


def test_a_run_that_diverged_has_no_findings_from_its_curve(named):
    history = {"loss": [1.0, 10.0, 1e20]}
    assert named(history=history, diverged=True) == ["divergence"]


def test_a_run_that_diverged_at_once_is_diagnosed_without_a_curve(case):
    (finding,) = examine(case("optimizer.learning_rate=5", diverged=True))
    assert finding.observation == "optimizer.learning_rate 5 is 5,000 times the usual 0.001 of adam"
    assert [patch.name for patch in finding.patches] == ["usual-rate", "rate-tenth", "clipnorm"]


def test_a_run_without_results_has_no_findings(named):
    assert named(config=CONFIG, rows={}) == []


@pytest.mark.parametrize("value", [1.7e308, -1.7e308, math.inf, math.nan, 0.0, 5e-324])
def test_numbers_that_a_stranger_has_written_break_nothing(named, value):
    named(history=both([value] * 40), metrics=r2(value, value), baselines={"linear": r2(0.5, 0.5)})
    named(history=both([1.0] * 20 + [value] * 20), metrics=HALF)
