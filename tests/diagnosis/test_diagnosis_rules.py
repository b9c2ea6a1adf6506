"""Rules of metrics and explanation: both sides of each threshold, on cases made by hand."""

from __future__ import annotations

import math

import pytest

from dlcli.columns.layout import Block
from dlcli.diagnosis.case import Peak
from dlcli.diagnosis.findings import examine
from dlcli.explanation.explanation_document import ColumnStatistics, Explanation, Importance
from dlcli.prediction.baseline_comparison import BaselineComparison, NearlyPerfect
from tests.diagnosis.cases import CLASSES, CONFIG, classified, compared, dense, layers, r2

HALF = r2(0.5, 0.5)


def test_a_feature_that_numbers_the_rows_is_found(case):
    first = Importance(column="n", increase=5, deviation=1)
    why = Explanation(rows={}, sampled_rows={}, importances=(first,))
    settings = "input.features={n: numeric, m: ignored, x: numeric}"
    finding, *_ = examine(case(settings, identifiers=("n", "m"), explanation=why))
    assert (finding.rule, finding.observation) == (
        "identifiers",
        "ID-like features, which only identify rows: 'n'; the most important feature is among them",
    )
    assert finding.patches[0].overrides == ("input.features.n=ignored",)


@pytest.mark.parametrize(
    ("held", "rows", "speaks"),
    [
        (0.60, 200, True),
        (0.86, 200, False),  # a gap of less than a tenth
        (0.60, 8, False),  # 0.4 · √(2/8) is 0.2, and two of it more than the gap of 0.35
    ],
)
def test_a_large_and_significant_gap_is_overfitting(named, held, rows, speaks):
    counts = {"train": 800, "validation": rows}
    rules = named(metrics=r2(0.95, held), rows=counts)
    assert ("overfitting" in rules) is speaks


@pytest.mark.parametrize(
    ("mse", "target", "speaks"),
    [
        ((5.0, 4.0), "y", False),  # validation rows vary less: their error only seems larger
        ((5.0, 40.0), "y", True),
        ((5.0, 4.0), "[y, z]", True),  # the mean over columns in two units
        ((None, 4.0), "y", True),
    ],
)
def test_a_gap_that_follows_from_another_variance_is_not_overfitting(named, mse, target, speaks):
    train, held = mse
    metrics = {"train": {"r2": 0.95, "mse": train}, "validation": {"r2": 0.6, "mse": held}}
    rules = named(f"data.target.column={target}", metrics=metrics)
    assert ("overfitting" in rules) is speaks


def test_a_gap_that_follows_from_other_shares_of_the_classes_is_not_overfitting(named):
    # A tenth is wrong in both; the most frequent class has a half of the rows, and then 4/5.
    metrics = {
        "train": {"accuracy": 0.9, "confusion": [[360, 40], [40, 360]]},
        "validation": {"accuracy": 0.9, "confusion": [[144, 16], [4, 36]]},
    }
    assert "overfitting" not in named(config=CLASSES, metrics=metrics)


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ("{name: time, column: t}", "or later rows differ"),
        ("{name: group, column: g}", "or other groups differ"),
    ],
)
def test_overfitting_may_be_a_difference_between_the_rows(case, split, words):
    (finding,) = examine(case(f"data.split={split}", metrics=r2(0.95, 0.6)))
    assert words in finding.meaning


def test_existing_regularization_is_not_proposed_again(case):
    settings = [
        "hidden[0].dropout=0.5",
        "hidden[0].kernel_regularizer={name: l2, l2: 0.1}",
        "hidden[0].units=3",
        "early_stopping={patience: 5}",
    ]
    (finding,) = examine(case(*settings, metrics=r2(0.95, 0.6)))
    assert (finding.rule, finding.patches) == ("overfitting", ())


def test_images_are_augmented_and_a_hostile_name_is_quoted(case):
    image = """input.features={"a' b": {type: image, shape: [28, 28, 1]}}"""
    (finding,) = examine(case(image, metrics=r2(0.95, 0.6)))
    varied = next(patch for patch in finding.patches if patch.name == "augmentation")
    assert varied.overrides == ("""input.features["a' b"].augmentation={shift: 2}""",)


@pytest.mark.parametrize(("train", "speaks"), [(0.05, True), (0.15, False)])
def test_training_rows_that_are_hardly_learned_are_underfitting(named, train, speaks):
    rules = named(metrics=r2(train, train))
    assert ("underfitting" in rules) is speaks


@pytest.mark.parametrize(
    ("train", "words", "value"), [(0.05, "hardly better", "0.050"), (-2.0, "no better", "−2.00")]
)
def test_a_network_that_is_worse_than_a_constant_is_not_called_hardly_better(
    case, train, words, value
):
    (finding,) = examine(case(metrics=r2(train, train)))
    assert finding.observation == (
        f"even on training rows, the network is {words} than a constant prediction: R² {value}"
    )


@pytest.mark.parametrize(
    ("epochs", "loss", "first"),
    [
        (5, [1.0, 0.99, 0.98, 0.97, 0.96], "epochs=50"),
        (40, [0.6 + 0.4 * math.exp(-at / 20) for at in range(40)], "epochs=120"),
        (40, [1.0, *[0.95] * 39], "hidden[0].units=64"),  # it has settled
        (100, [1.0, 0.95, 0.95, 0.95, 0.95], "hidden[0].units=64"),  # it has stopped early
    ],
)
def test_an_underfitted_network_that_was_trained_too_briefly_is_trained_for_longer_first(
    case, epochs, loss, first
):
    history = {"loss": loss, "val_loss": loss}
    found = examine(case(f"epochs={epochs}", history=history, metrics=r2(0.05, 0.05)))
    (finding,) = [each for each in found if each.rule == "underfitting"]
    assert finding.patches[0].overrides == (first,)
    assert [patch.name for patch in finding.patches].count("epochs") == (len(loss) == epochs)


@pytest.mark.parametrize(
    ("schedule", "names"),
    [
        ("constant", ["more-units", "rate-times-10", "layer"]),
        ("cosine_decay", ["more-units", "rate-times-10", "layer", "epochs"]),  # other rates
    ],
)
def test_more_epochs_are_not_advised_where_early_stopping_would_end_training_again(
    case, schedule, names
):
    loss = [1.0, 0.95, 0.95, 0.95, 0.95]
    settings = ("epochs=100", f"learning_rate_schedule={schedule}")
    found = examine(
        case(*settings, history={"loss": loss, "val_loss": loss}, metrics=r2(0.05, 0.05))
    )
    (finding,) = [each for each in found if each.rule == "underfitting"]
    assert [patch.name for patch in finding.patches] == names


@pytest.mark.parametrize(
    ("settings", "end", "speaks"),
    [
        ([], 0.4, True),
        (["early_stopping={patience: 50}"], 0.4, False),  # the weights of the first epoch
        (["early_stopping={patience: 50}"], 0.97, True),
        (["early_stopping={patience: 50, restore_best_weights: false}"], 0.4, True),
        (["early_stopping={monitor: val_r2, patience: 50}"], 0.4, True),  # those of the last
    ],
)
def test_a_network_that_memorized_rows_after_the_epoch_that_was_kept_is_not_underfitted(
    named, settings, end, speaks
):
    falling = [end + (1 - end) * math.exp(-at / 6) for at in range(40)]
    rising = [1 + at / 100 for at in range(40)]
    history = {"loss": falling, "val_loss": rising, "val_r2": rising}
    rules = named(*settings, history=history, metrics=r2(0.03, 0.0))
    assert ("underfitting" in rules) is speaks


def test_a_network_that_fits_training_rows_worse_than_a_line_is_underfitted(named):
    linear = {"linear": r2(0.8, 0.8)}
    assert named(metrics=r2(0.5, 0.5), baselines=linear)[0] == "underfitting"
    assert named(metrics=r2(0.75, 0.78), baselines=linear) == []
    assert named("hidden=[]", metrics=r2(0.5, 0.5), baselines=linear) == []


@pytest.mark.parametrize(("train", "line", "is_possible"), [(0.5, 0.8, False), (0.05, 0.1, True)])
def test_columns_that_help_a_linear_model_are_not_called_useless(case, train, line, is_possible):
    found, *_ = examine(case(metrics=r2(train, train), baselines={"linear": r2(line, line)}))
    assert found.rule == "underfitting"
    assert ("the columns hold no information" in found.meaning) == is_possible


def test_hidden_layers_without_an_activation_get_one_first(case):
    (finding,) = examine(case("hidden[0].activation=linear", metrics=r2(0.05, 0.05)))
    assert finding.patches[0].overrides == ("hidden[0].activation=relu",)


def test_existing_regularization_of_an_underfitted_network_is_removed(case):
    settings = ["hidden[0].dropout=0.9", "hidden[0].kernel_regularizer=l2"]
    (finding,) = examine(case(*settings, metrics=r2(0.05, 0.05)))
    assert finding.patches[0].overrides == (
        "hidden[0].dropout=0.0",
        "hidden[0].kernel_regularizer=null",
    )


@pytest.mark.parametrize(
    ("verdict", "value", "speaks"),
    [
        ("worse", -0.1, True),
        ("same", 0.0, True),
        ("not_significant", 0.04, True),
        ("not_significant", 0.06, False),  # a gain of more than a twentieth may be real
        ("better", 0.04, False),
    ],
)
def test_a_network_no_better_than_the_mean_is_found(named, verdict, value, speaks):
    comparison = compared("constant", verdict, network=value, baseline=0.0, value=value)
    rules = named(metrics=r2(0.3, value), comparison=comparison)
    assert ("no_better_than_constant" in rules) is speaks


def test_a_finding_has_both_values_and_the_interval(case):
    comparison = compared(
        "constant",
        "worse",
        "log_loss",
        network=0.71,
        baseline=0.69,
        value=0.02,
        lower=0.01,
        upper=0.03,
    )
    (finding,) = examine(case(metrics=HALF, comparison=comparison))
    assert finding.observation == (
        "log loss 0.710 vs 0.690 for a constant prediction on validation rows (95 % CI of the "
        "difference: +0.010 to +0.030)"
    )


def test_a_comparison_by_log_loss_counts_where_accuracy_is_the_same(named):
    scores = {"accuracy": 0.95, "confusion": [[190, 0], [10, 0]], "auc": 0.8}
    comparison = compared("constant", "better", "log_loss", network=0.15, baseline=0.2, value=-0.05)
    rules = named(metrics={"validation": scores}, comparison=comparison)
    assert "no_better_than_constant" not in rules


@pytest.mark.parametrize(
    ("verdict", "upper", "speaks"),
    [
        ("worse", -0.01, True),
        ("not_significant", 0.04, True),  # less than a tenth of 0.5
        ("not_significant", 0.06, False),  # the gain may be larger
        ("better", 0.04, False),  # a significant gain counts, however small
        ("unknown", None, False),
    ],
)
def test_a_network_no_better_than_the_linear_model_is_found(named, verdict, upper, speaks):
    comparison = compared("linear", verdict, lower=-0.1, upper=upper)
    fields = {"metrics": HALF, "baselines": {"linear": HALF}, "comparison": comparison}
    assert named(**fields) == (["no_better_than_linear"] if speaks else [])
    assert named("hidden=[]", **fields) == []


def test_a_network_without_hidden_layers_is_not_called_the_linear_baseline(case):
    comparison = compared("linear", "worse", lower=-0.1, upper=-0.01)
    (finding,) = examine(case(metrics=HALF, baselines={"linear": HALF}, comparison=comparison))
    [patch] = finding.patches
    assert patch.overrides == ("hidden=[]",)
    assert (
        patch.why
        == "removes the hidden layers, so the model is linear, and keeps your training settings"
    )
    assert finding.heading == "worse than linear"
    assert finding.meaning.startswith("the hidden layers make predictions worse")


@pytest.mark.parametrize("verdict", ["worse", "not_significant"])
def test_where_a_linear_model_is_nearly_perfect_a_worse_network_is_found(named, verdict):
    comparison = compared("linear", verdict, baseline=1.0, lower=-0.04, upper=-0.01)
    good = {"metrics": r2(0.97, 0.97), "baselines": {"linear": r2(1.0, 1.0)}}
    found = named(**good, comparison=comparison)
    assert found == (["no_better_than_linear"] if verdict == "worse" else [])


@pytest.mark.parametrize(
    ("verdict", "out_of_fold", "rules"),
    [
        ("worse", "better", ["no_better_than_constant"]),
        ("better", "worse", []),  # each of these rows is predicted by one member only
        ("not_significant", "better", []),
    ],
)
def test_test_rows_decide_unless_only_out_of_fold_rows_show_a_gain(
    named, verdict, out_of_fold, rules
):
    on_test = compared("constant", verdict).on("validation")["constant"]
    held = compared("constant", out_of_fold).on("validation")["constant"]
    comparison = BaselineComparison(differences={"constant": {"test": on_test, "validation": held}})
    ensemble = CONFIG.replace(", validation: 0.2", "") + "ensemble: {members: 8}\n"
    assert named(config=ensemble, metrics=HALF, comparison=comparison) == rules


@pytest.mark.parametrize(("best", "speaks"), [((1, 1, 4), True), ((1, 4, 4), False)])
def test_networks_whose_first_epoch_was_the_best_overfit(named, best, speaks):
    rules = named(history={"val_loss": [0.5] * 8}, metrics=HALF, best_epochs=best)
    assert ("overfitting" in rules) is speaks


def test_a_leaking_column_is_reported_first_with_a_patch_that_ignores_it(case):
    comparison = BaselineComparison(leaks={"a.b": 0.999})
    features = 'input.features={"a.b": numeric, x: numeric}'
    found = list(examine(case(features, metrics=r2(0.05, 0.05), comparison=comparison)))
    assert [each.rule for each in found] == ["possible_leak", "underfitting"]
    assert found[0].patches[0].overrides == ("input.features['a.b']=ignored",)


def test_a_linear_model_that_is_nearly_perfect_is_found_without_a_change_to_try(case):
    perfect = NearlyPerfect(model="linear", split="validation", metric="r2", value=0.999)
    comparison = BaselineComparison(nearly_perfect=perfect)
    (finding,) = examine(case(metrics=r2(0.999, 0.999), comparison=comparison))
    assert (finding.rule, finding.patches) == ("nearly_perfect_baseline", ())


def test_a_nearly_perfect_majority_class_is_explained_by_imbalance_not_by_leakage(case):
    usual = NearlyPerfect(model="constant", split="validation", metric="accuracy", value=0.995)
    comparison = BaselineComparison(nearly_perfect=usual)
    (finding,) = examine(case(metrics=r2(0.999, 0.999), comparison=comparison))
    assert "Imbalanced Data" in finding.source


@pytest.mark.parametrize(("dead", "speaks"), [(0.5, True), (0.3, False)])
def test_a_layer_of_dead_units_is_found_with_its_index(case, dead, speaks):
    found = list(examine(case(metrics=HALF, explanation=layers(dense("hidden_1", dead=dead)))))
    assert [each.rule for each in found] == (["dead_units"] if speaks else [])
    if speaks:
        assert (
            found[0].observation == "units that output 0 for every row: 50 % in hidden[0], layer 1"
        )
        assert found[0].patches[0].overrides == ("hidden[0].activation=leaky_relu",)


def test_dead_units_do_no_harm_where_the_rows_are_learned(named):
    explanation = layers(dense("hidden_1", dead=0.9))
    assert named(metrics=r2(0.95, 0.94), explanation=explanation) == []


@pytest.mark.parametrize(("saturated", "speaks"), [(0.8, True), (0.7, False)])
def test_saturated_units_are_found(named, saturated, speaks):
    explanation = layers(dense("hidden_1", saturated=saturated))
    rules = named("hidden[0].activation=tanh", metrics=HALF, explanation=explanation)
    assert rules == (["saturated_units"] if speaks else [])


def test_an_output_may_well_be_saturated(named):
    explanation = layers(dense("hidden_1"), dense("output", saturated=1.0))
    assert named(metrics=HALF, explanation=explanation) == []


@pytest.mark.parametrize(
    ("first", "last", "norm", "rule"),
    [
        (5e-4, 1.0, 4.0, ["vanishing_gradients"]),
        (5e-3, 1.0, 4.0, []),
        (500.0, 500.0, 4.0, ["exploding_gradients"]),
        (300.0, 300.0, 4.0, []),
    ],
)
def test_vanishing_and_exploding_gradients_are_found(named, first, last, norm, rule):
    explanation = layers(
        dense("hidden_1", first_gradient=first, weight_norm=norm),
        dense("output", first_gradient=last, weight_norm=norm),
    )
    assert named(metrics=HALF, explanation=explanation) == rule


def test_the_gradient_of_a_single_layer_does_not_explode(named):
    explanation = layers(dense("output", first_gradient=500.0, weight_norm=0.01))
    assert named(metrics=HALF, explanation=explanation) == []


def test_a_layer_that_is_dead_from_the_start_is_not_one_of_gradients_that_fade(named):
    explanation = layers(
        dense("hidden_1", first_gradient=0.0, weight_norm=4.0, dead=1.0),
        dense("output", first_gradient=1.0, weight_norm=4.0),
    )
    assert named(metrics=HALF, explanation=explanation) == ["dead_units"]


@pytest.mark.parametrize(
    ("scaling", "size", "setting"),
    [
        ("none", 11.0, "input.scaling=standard"),
        ("none", 9.0, None),
        ("{name: divide, by: 2}", 11.0, "input.scaling=standard"),
        ("standard", 110.0, "input.scaling=robust"),
        ("standard", 90.0, None),
        ("robust", 110.0, None),
    ],
)
def test_inputs_far_from_1_are_found_with_a_better_scaling(case, scaling, size, setting):
    peaks = (Peak(Block("a", "numeric", ("a",)), size),)
    features = "input.features={a: numeric}"
    found = list(examine(case(f"input.scaling={scaling}", features, metrics=HALF, peaks=peaks)))
    overrides = [patch.overrides for each in found for patch in each.patches]
    assert overrides == ([(setting,)] if setting else [])


def test_columns_with_individual_scalings_get_individual_suggestions(case):
    features = (
        'input.features={a: {type: numeric, scaling: none}, "b.c": {type: numeric, scaling: none}}'
    )
    peaks = tuple(Peak(Block(name, "numeric", (name,)), 50.0) for name in ("a", "b.c"))
    (finding,) = examine(case(features, metrics=HALF, peaks=peaks))
    assert (
        finding.observation == "inputs reach 50: the column 'a' has scaling none, and 1 column more"
    )
    assert finding.patches[0].overrides == (
        "input.features.a.scaling=standard",
        "input.features['b.c'].scaling=standard",
    )


@pytest.mark.parametrize(
    ("size", "settings", "speaks"),
    [
        (11.0, ["output.scaling=none"], True),
        (9.0, ["output.scaling=none"], False),
        (11.0, [], False),
        (11.0, ["output.scaling=none", "loss=mean_absolute_percentage_error"], False),
    ],
)
def test_an_unscaled_target_far_from_1_is_found(case, size, settings, speaks):
    column = ColumnStatistics(
        name="y",
        role="target",
        type="numeric",
        reason="declared",
        missing=0,
        distinct=9,
        minimum=-size,
        maximum=1.0,
    )
    explanation = Explanation(rows={}, sampled_rows={}, columns=(column,))
    found = list(examine(case(*settings, metrics=HALF, explanation=explanation)))
    overrides = [patch.overrides for each in found for patch in each.patches]
    assert overrides == ([("output.scaling=standard",)] if speaks else [])


@pytest.mark.parametrize(
    ("confusion", "speaks"),
    [
        ([[178, 2], [17, 3]], True),  # 3 of 20 are found
        ([[178, 2], [8, 12]], False),  # 12 of 20 are
        ([[118, 2], [70, 10]], False),  # the class is not rare
        ([[195, 1], [4, 0]], False),  # four rows say nothing
    ],
)
def test_a_missed_rare_class_is_found(named, confusion, speaks):
    rules = named(config=CLASSES, metrics=classified(confusion))
    assert ("imbalance" in rules) is speaks


def test_class_weights_are_not_proposed_twice(named):
    metrics = classified([[178, 2], [17, 3]])
    assert "imbalance" not in named("class_weight=balanced", config=CLASSES, metrics=metrics)


@pytest.mark.parametrize(
    ("rows", "value", "speaks"),
    [
        (19, 0.9, True),  # so few are always too few
        (20, 0.9, False),
        (30, 0.5, True),  # 0.5 · √(2/30) = 0.129
        (34, 0.5, False),  # 0.5 · √(2/34) = 0.121
        (30, -3.0, True),  # counts as one that has learned half
        (34, -3.0, False),
    ],
)
def test_too_few_validation_rows_are_found(named, rows, value, speaks):
    fields = {"metrics": {"validation": {"r2": value}}, "rows": {"train": 100, "validation": rows}}
    assert ("small_validation" in named(**fields)) is speaks


@pytest.mark.parametrize(
    ("share", "rows", "proposed"),
    [
        ("0.1", 10, "0.2"),
        ("0.1", 7, "0.3"),
        ("0.1", 6, None),  # 0.3 would be 18 rows, which are too few, too
        ("0.2", 14, "0.3"),
        ("0.3", 19, None),
        ("v.csv", 10, None),
    ],
)
def test_a_larger_share_is_proposed_as_far_as_that_is_sensible(case, share, rows, proposed):
    rows = {"train": 100, "validation": rows}
    (finding,) = examine(case(f"data.validation={share}", metrics=HALF, rows=rows))
    overrides = [patch.overrides for patch in finding.patches]
    assert overrides == ([(f"data.validation={proposed}",)] if proposed else [])


@pytest.mark.parametrize(("rows", "speaks"), [(140, True), (130, False)])
def test_rows_that_could_be_held_out_are_missed(named, rows, speaks):
    rules = named("data.validation=null", metrics={"train": {"r2": 0.5}}, rows={"train": rows})
    assert rules == (["no_validation"] if speaks else [])


def test_causes_are_reported_without_their_consequences(named):
    explanation = layers(dense("hidden_1", dead=1.0))
    baselines = {"constant": r2(0.0, 0.0), "linear": r2(0.8, 0.8)}
    rules = named(metrics=r2(0.01, 0.0), explanation=explanation, baselines=baselines)
    assert rules == ["dead_units"]


def test_a_useless_network_is_reported_in_addition_to_any_cause(case):
    explanation = layers(dense("hidden_1", dead=1.0))
    comparison = compared("constant", "worse", network=-0.1, baseline=0.0, value=-0.1)
    ensemble = CONFIG.replace(", validation: 0.2", "") + "ensemble: {members: 8}\n"
    first, second = examine(
        case(
            config=ensemble,
            metrics=r2(0.0, -0.1),
            explanation=explanation,
            comparison=comparison,
        )
    )
    assert (first.rule, second.rule) == ("dead_units", "no_better_than_constant")
    assert second.observation == "R² −0.1 vs 0 for a constant prediction on out-of-fold rows"


@pytest.mark.parametrize(
    ("verdict", "rules"), [("worse", ["no_better_than_linear"]), ("better", [])]
)
@pytest.mark.parametrize("is_ensemble", [False, True])
def test_a_gain_over_a_linear_model_on_test_rows_decides(named, verdict, rules, is_ensemble):
    ensemble = CONFIG.replace(", validation: 0.2", "") + "ensemble: {members: 8}\n"
    lost = compared("linear", "worse", value=-0.1).differences["linear"]
    on_test = compared("linear", verdict, value=0.1).on("validation")["linear"]
    assert (
        named(
            config=ensemble if is_ensemble else CONFIG,
            metrics=HALF,
            comparison=BaselineComparison(differences={"linear": {**lost, "test": on_test}}),
        )
        == rules
    )
