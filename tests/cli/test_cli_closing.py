"""The closing table: the network beside the simplest models, and where the run is."""

from __future__ import annotations

import pytest

from dlcli.cli.closing import Closing


def closing(metrics, baselines=None, metrics_of_config=(), **events):
    noted = Closing()
    noted.note("network", {"metrics": list(metrics_of_config)})
    for event, fields in events.items():
        noted.note(event, fields)
    fields = {"run": "runs/a b", "epochs": 1, "metrics": metrics}
    noted.note("result", fields if baselines is None else {**fields, "baselines": baselines})
    return list(noted.lines())


END = ["", "run: runs/a b", "report: dlcli report 'runs/a b'"]
METRICS = {
    "train": {"accuracy": 1.0, "log_loss": 0.125, "confusion": [[1]]},
    "validation": {"accuracy": 0.75, "log_loss": 0.25, "confusion": [[1]]},
    "test": {"accuracy": 0.75, "log_loss": 0.5, "confusion": [[1]]},
}


def model(accuracy, log_loss):
    """Scores on the test rows; elsewhere far better ones, which must not be shown."""
    best = {"accuracy": 1.0, "log_loss": 0.0}
    test = {"accuracy": accuracy, "log_loss": log_loss}
    return {"train": best, "validation": best, "test": test}


def test_baselines_stand_beside_the_network_on_the_most_independent_rows():
    baselines = {"constant": model(0.5, 0.75), "linear": model(0.625, 0.625)}
    assert closing(METRICS, baselines, ["accuracy"]) == [
        "          train  validation  test  linear  constant",
        "accuracy      1        0.75  0.75   0.625       0.5",
        "log_loss  0.125        0.25   0.5   0.625      0.75",
        "",
        "linear and constant are baselines, scored on the test rows",
        *END,
    ]


@pytest.mark.parametrize(
    ("linear", "constant", "named", "sentence"),
    [
        ((0.75, 0.51), (0.5, 9), ["accuracy"], "than linear there: accuracy 0.75, linear 0.75"),
        (
            (0.875, 0.51),
            (0.75, 0.51),
            ["accuracy"],
            "than linear and constant there: accuracy 0.75, linear 0.875, constant 0.75",
        ),
        ((0.5, 9), (0.8, 0.51), ["accuracy"], "than constant there: accuracy 0.75, constant 0.8"),
        (
            (0.5, 9),
            (0.8, 0.51),
            ["auc", "accuracy"],
            "than constant there: accuracy 0.75, constant 0.8",
        ),
        ((0.5, 0.25), (0.5, 9), ["log_loss"], "than linear there: log_loss 0.5, linear 0.25"),
    ],
)
def test_a_network_that_adds_nothing_is_told_by_the_first_metric(linear, constant, named, sentence):
    baselines = {"constant": model(*constant), "linear": model(*linear)}
    assert closing(METRICS, baselines, named)[5] == f"the network is no better {sentence}"


def test_accuracy_does_not_condemn_what_has_learned_of_a_rare_class():
    metrics = {"test": {"accuracy": 0.865, "auc": 0.951}}
    constant = {"test": {"accuracy": 0.935, "auc": 0.5}}
    linear = {"test": {"accuracy": 0.935, "auc": 0.95}}
    hidden = "accuracy hides what was learned, as a class is rare: auc 0.951, constant 0.5"
    assert closing(metrics, {"constant": constant}, ["accuracy"])[5] == hidden
    assert closing(metrics, {"constant": constant, "linear": linear}, ["accuracy"])[5:7] == [
        "the network is no better than linear there: accuracy 0.865, linear 0.935",
        hidden,
    ]


def test_without_test_rows_validation_rows_count_and_without_these_training_rows():
    held = {name: METRICS[name] for name in ("train", "validation")}
    simple = {"constant": {"train": {"accuracy": 0.25}, "validation": {"accuracy": 0.5}}}
    assert closing(held, simple)[:2] == [
        "          train  validation  constant",
        "accuracy      1        0.75       0.5",
    ]
    lines = closing({"train": METRICS["train"]}, simple)
    assert lines[1] == "accuracy      1      0.25"
    assert lines[4] == "constant is a baseline, scored on the training rows"


def test_a_network_that_is_linear_itself_is_told_to_be():
    no_linear = {"models": ["constant"], "no_linear": "the network itself is linear", "seconds": 0}
    lines = closing(
        {"train": {"rmse": 1.0}}, {"constant": {"train": {"rmse": 2.0}}}, baselines_event=no_linear
    )
    assert lines[3] == "constant is a baseline, scored on the training rows"
    noted = Closing()
    noted.note("baselines", no_linear)
    noted.note(
        "result",
        {
            "run": "r",
            "metrics": {"train": {"rmse": 1.0}},
            "baselines": {"constant": {"train": {"rmse": 2.0}}},
        },
    )
    assert list(noted.lines())[3] == (
        "constant is a baseline, scored on the training rows; "
        "no linear one: the network itself is linear"
    )


def test_what_is_undefined_is_compared_with_nothing():
    metrics = {"train": {"r2": None, "rmse": 1.0}}
    baselines = {"constant": {"train": {"r2": None, "rmse": None}}}
    assert closing(metrics, baselines, ["r2"])[4:] == [
        "constant is a baseline, scored on the training rows",
        *END,
    ]


def test_a_run_without_baselines_has_its_metrics_alone():
    assert closing({"train": {"mse": 0.25}}) == ["     train", "mse   0.25", *END]


def test_a_page_that_was_made_is_named():
    lines = closing({"train": {"mse": 0.25}}, report={"page": "runs/a b/report.html"})
    assert lines[-1] == "report: runs/a b/report.html"
