"""Runs side by side: which rows they share, what is refused, and what is said of it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from inline_snapshot import snapshot

from dlcli import comparison
from dlcli.comparison import compare
from dlcli.errors import RunError, UsageError
from dlcli.tasks.classification import Binary
from dlcli.tasks.regression import Regression
from tests.comparison.hand_made import held_out, number_run

ROWS = range(1, 51)
NEAR = {row: row + (0.5 if row % 2 else -0.25) for row in ROWS}
FAR = {row: row + (2.0 if row % 3 else -1.0) for row in ROWS}


def test_rows_are_paired_by_their_number_in_whatever_order(tmp_path):
    first = number_run(tmp_path, "first", FAR)
    second = number_run(tmp_path, "second", dict(reversed(NEAR.items())))
    found = compare([first, second])
    (against,) = found.differences
    assert (found.split, against.rows, against.reason) == ("test", 50, None)
    assert against.metrics["mae"].value == pytest.approx(0.375 - (34 * 2 + 16) / 50)
    assert against.metrics["mae"].verdict == "better"


def test_rows_that_both_have_are_paired_if_they_are_most(tmp_path):
    runs = [number_run(tmp_path, "a", FAR), number_run(tmp_path, "b", {1: 1.0, **_some(NEAR, 40)})]
    (against,) = compare(runs).differences
    assert (against.rows, against.reason) == (40, None)


def _some(predictions, most):
    return {row: value for row, value in predictions.items() if row <= most}


def test_few_shared_rows_are_not_paired(tmp_path):
    later = {row: row + 0.5 for row in range(41, 91)}
    runs = [number_run(tmp_path, "a", FAR), number_run(tmp_path, "b", later)]
    (against,) = compare(runs).differences
    assert (against.rows, against.reason) == (None, "the runs share only 10 of 50 rows")
    assert against.metrics["mae"].value == pytest.approx(0.5 - (34 * 2 + 16) / 50)


@pytest.mark.parametrize(
    ("split", "verdict"),
    [
        (None, "better"),  # drawn at random by another seed: another sample of the same rows
        ({"name": "group", "column": "z"}, "unknown"),
        ({"name": "time", "column": "z"}, "unknown"),
    ],
)
def test_runs_whose_rows_were_split_in_another_way_have_no_verdict(tmp_path, split, verdict):
    far = {row: row + (2.0 if row % 3 else -1.0) for row in range(51, 101)}
    time = {"data": {"split": split}} if verdict == "unknown" else {}
    runs = [number_run(tmp_path, "a", far), number_run(tmp_path, "b", NEAR, config=time)]
    found = compare(runs)
    (against,) = found.differences
    assert {each.verdict for name, each in against.metrics.items() if name != "r2"} == {verdict}
    assert (against.metrics["mae"].lower is None) is (verdict == "unknown")
    note = f"metrics of '{tmp_path}/a', '{tmp_path}/b' may differ because they are computed on different rows; to compare"
    assert found.notes[0].startswith(note) is (verdict == "unknown")
    alike = f"the held-out rows of '{tmp_path}/a', '{tmp_path}/b' are different random rows of the"
    assert found.notes[0].startswith(alike) is (verdict == "better")


def test_later_rows_are_no_sample_of_the_same_rows(tmp_path):
    time = {"data": {"split": {"name": "time", "column": "x"}}}
    later = {row: row + 2.0 - row % 2 for row in range(76, 101)}
    runs = [
        number_run(tmp_path, name, rows, config=time) for name, rows in (("a", NEAR), ("b", later))
    ]
    assert compare(runs).differences[0].metrics["mae"].verdict == "unknown"


def test_rows_of_other_data_are_not_paired(tmp_path):
    first = number_run(tmp_path, "first", FAR)
    (tmp_path / "table.csv").write_text((tmp_path / "table.csv").read_text() + "101,2,101\n")
    found = compare([first, number_run(tmp_path, "second", NEAR)])
    assert not found.same_data
    assert found.differences[0].reason == snapshot("the runs have read different data")


def test_data_without_a_digest_are_not_taken_for_the_same(tmp_path):
    stored = {"environment": {"data": [{"file": "-", "sha256": None}]}}
    runs = [number_run(tmp_path, name, NEAR, stored=stored) for name in ("a", "b")]
    assert not compare(runs).same_data


def test_rows_with_another_target_are_not_paired(tmp_path):
    rows = {"row": [*ROWS], "split": ["test"] * 50, "prediction": [0.0] * 50}
    table = pa.table({**rows, "target": [-float(row) for row in ROWS]})
    runs = [
        number_run(tmp_path, "a", NEAR),
        number_run(tmp_path, "b", NEAR, stored={"predictions": table}),
    ]
    assert compare(runs).differences[0].reason == snapshot("the targets of their rows differ")


def test_rows_that_are_numbered_twice_are_not_paired(tmp_path):
    rows = {"row": [1] * 20, "split": ["test"] * 20, "target": [1.0] * 20}
    twice = {"predictions": pa.table({**rows, "prediction": [0.0] * 20})}
    runs = [number_run(tmp_path, "a", NEAR), number_run(tmp_path, "b", NEAR, stored=twice)]
    assert compare(runs).differences[0].reason == snapshot(
        "rows can't be matched, because their row numbers are not unique"
    )


def test_rows_of_several_files_are_identified_by_file_and_row(tmp_path):
    def stored(order):
        files, rows = ["a.csv", "b.csv"] * 10, [row for row in range(1, 11) for _ in range(2)]
        truth = [row if file == "a.csv" else -row for file, row in zip(files, rows, strict=True)]
        columns = {"file": files, "row": rows, "split": ["test"] * 20, "target": truth}
        table = pa.table({**columns, "prediction": [float(row) for row in rows]})
        data = [{"file": name, "sha256": name[0] * 64} for name in ("a.csv", "b.csv")]
        return {"predictions": table.take(list(order)), "environment": {"data": data}}

    runs = [
        number_run(tmp_path, "a", NEAR, stored=stored(range(20))),
        number_run(tmp_path, "b", NEAR, stored=stored(reversed(range(20)))),
    ]
    (against,) = compare(runs).differences
    assert (against.rows, against.metrics["mae"].value) == (20, 0)


def test_other_weights_make_other_metrics_that_are_not_paired(tmp_path):
    rows = {"row": [*ROWS], "split": ["test"] * 50, "target": [float(row) for row in ROWS]}
    weighted = pa.table({**rows, "prediction": [0.0] * 50, "weight": [1.0, 2.0] * 25})
    runs = [
        number_run(tmp_path, "a", NEAR),
        number_run(tmp_path, "b", NEAR, stored={"predictions": weighted}),
    ]
    assert compare(runs).differences[0].reason == snapshot("the weights of their rows differ")


def test_rows_of_weight_0_are_not_counted(tmp_path):
    rows = {"row": [*ROWS], "split": ["test"] * 50, "target": [float(row) for row in ROWS]}
    weighted = pa.table({**rows, "prediction": [0.0] * 50, "weight": [1.0] * 20 + [0.0] * 30})
    runs = [
        number_run(tmp_path, name, NEAR, stored={"predictions": weighted}) for name in ("a", "b")
    ]
    found = compare(runs)
    assert ([side.rows for side in found.sides], found.differences[0].rows) == ([20, 20], 20)


def test_out_of_fold_rows_are_paired_with_validation_rows_of_the_same_file(tmp_path):
    rows = {"split": "validation", "stored": {"metrics": {"validation": {"mse": 1.0}}}}
    folds = {"ensemble": {"members": 2}, "data": {"validation": None}}
    runs = [
        number_run(tmp_path, "single", _some(NEAR, 20), **rows),
        number_run(tmp_path, "ensemble", FAR, config=folds, **rows),
    ]
    (against,) = compare(runs).differences
    assert (against.rows, against.reason) == (20, None)


def test_rows_that_are_out_of_fold_in_all_runs_are_named_so(tmp_path):
    rows = {"split": "validation", "stored": {"metrics": {"validation": {"mse": 1.0}}}}
    folds = {"ensemble": {"members": 2}, "data": {"validation": None}}
    of_folds = [number_run(tmp_path, name, NEAR, config=folds, **rows) for name in ("a", "b")]
    found = compare(of_folds)
    assert (found.split, found.rows_name) == ("validation", "out-of-fold")
    assert found.notes[0] == (
        f"the out-of-fold rows of '{tmp_path}/a', '{tmp_path}/b' are training rows, each predicted "
        "by the members of the ensemble that were not trained on it"
    )
    assert not any("data.test" in note for note in found.notes)
    assert of_folds[0].trained_on.held_out_name == "out-of-fold"
    mixed = compare([number_run(tmp_path, "single", NEAR, **rows), of_folds[0]])
    assert mixed.rows_name == "held-out"
    assert mixed.notes[0].startswith(f"the out-of-fold rows of '{tmp_path}/a' are training rows")
    assert mixed.rows_name_of("test") == "test"
    assert "not all runs have test rows" in mixed.notes[-1]


def test_validation_rows_are_compared_if_a_run_has_no_test_rows(tmp_path):
    split = {"split": "validation", "stored": {"metrics": {"validation": {"mse": 1.0}}}}
    runs = [number_run(tmp_path, name, NEAR, **split) for name in ("a", "b")]
    found = compare(runs)
    assert found.split == "validation"
    assert found.notes[-1] == (
        "not all runs have test rows; validation rows were used during training, so their metrics "
        "are too optimistic: set data.test: 0.15"
    )


def test_runs_without_held_out_rows_are_compared_without_intervals(tmp_path):
    metrics = {"stored": {"metrics": {"train": {"mse": 2.0, "r2": None}}}}
    runs = [number_run(tmp_path, "a", {}, **metrics), number_run(tmp_path, "b", NEAR)]
    found = compare(runs)
    assert (found.split, found.differences, found.sides[0].estimates) == (None, (), {})
    assert found.sides[0].metrics == {"train": {"mse": 2.0, "r2": None}}
    assert found.notes == (
        f"1 run without held-out rows ('{tmp_path}/a'), so no difference can be tested for "
        "significance; train with data.test: 0.15",
    )


def test_a_note_says_that_rows_of_groups_or_times_are_dependent(tmp_path):
    group = {"data": {"split": {"name": "group", "column": "z"}}}
    time = {"data": {"split": {"name": "time", "column": "z"}}}
    runs = [
        number_run(tmp_path, "a", NEAR, config=group),
        number_run(tmp_path, "b", NEAR, config=time),
    ]
    assert compare(runs).notes[1:] == (
        "intervals treat rows as independent; rows of one group are similar, so the intervals are "
        "too narrow",
        "intervals treat rows as independent; rows of neighboring times may be similar, so the "
        "intervals may be too narrow",
    )


def test_versions_and_devices_that_differ_are_named(tmp_path):
    facts = {"tensorflow": "2.21.0", "device": "cpu", "python": "3.13.1"}
    runs = [
        number_run(tmp_path, "a", NEAR, stored={"environment": facts}),
        number_run(tmp_path, "b", NEAR, stored={"environment": {**facts, "device": "gpu"}}),
    ]
    assert list(compare(runs).facts.items()) == [("device", ("cpu", "gpu"))]


def test_what_is_no_number_in_metrics_is_not_compared(tmp_path):
    scores = {"mse": 1.0, "rmse": "<b>", "confusion": [[1]], "by_column": {}, "brand_new": 2.0}
    runs = [number_run(tmp_path, n, NEAR, stored={"metrics": {"test": scores}}) for n in ("a", "b")]
    assert compare(runs).sides[0].metrics == {"test": {"mse": 1.0}}


def test_a_number_too_long_for_a_float_is_undefined(tmp_path):
    scores = {"mse": 1.0, "rmse": 10**400, "mae": -(10**400)}
    runs = [number_run(tmp_path, n, NEAR, stored={"metrics": {"test": scores}}) for n in ("a", "b")]
    assert compare(runs).sides[0].metrics == {"test": {"mse": 1.0, "rmse": None, "mae": None}}


def test_one_run_is_no_comparison(tmp_path):
    with pytest.raises(UsageError) as caught:
        compare([number_run(tmp_path, "a", NEAR)])
    assert str(caught.value) == snapshot("expected two runs or more to compare, got 1")


def test_the_same_run_twice_is_refused_by_whatever_name(tmp_path):
    run = number_run(tmp_path, "a", NEAR)
    (tmp_path / "link").symlink_to(run.path)
    with pytest.raises(UsageError) as caught:
        compare([run, type(run)(tmp_path / "link", run.manifest)])
    assert str(caught.value) == (
        f"{tmp_path}/link: is the same run as {tmp_path}/a; name each run once"
    )


def test_runs_of_different_targets_are_refused(tmp_path):
    other = {"config": {"data": {"target": "x"}, "input": {"features": ["z"]}}}
    runs = [number_run(tmp_path, "a", NEAR), number_run(tmp_path, "b", NEAR, **other)]
    with pytest.raises(UsageError) as caught:
        compare(runs)
    assert str(caught.value) == (
        f"{tmp_path}/a predicts 'y' as numbers, {tmp_path}/b predicts 'x' as numbers: their "
        "metrics can't be compared; choose runs with the same target"
    )


def test_runs_of_two_of_many_targets_are_refused_by_all_their_names(tmp_path):
    sides = [
        SimpleNamespace(run=SimpleNamespace(path=name, task=Regression(columns=(*"abcde", last))))
        for name, last in (("one", "f"), ("two", "g"))
    ]
    with pytest.raises(UsageError, match=r"'e', 'f' as numbers, two predicts .*'e', 'g' as"):
        comparison._check_targets(sides)
    comparison._check_targets(sides[:1] * 2)


def test_metrics_of_a_positive_class_are_compared_with_those_of_the_same():
    truth, chance = np.array([0, 1] * 20), np.linspace(0.1, 0.9, 40)[:, np.newaxis]
    tasks = [Binary(columns=("y",), classes=names) for names in (("no", "yes"), ("yes", "no"))]
    held = [
        held_out(tasks[0], truth, chance),
        held_out(tasks[1], 1 - truth, 1 - chance),
        held_out(tasks[0], truth, 1 - chance),
    ]
    runs = [SimpleNamespace(run=SimpleNamespace(task=rows.task)) for rows in held]
    pairs = [(held[0], rows) for rows in held[1:]]
    reversed_, same = comparison._differences(runs, held, pairs)
    of_positive = ("precision", "recall", "f1", "average_precision")
    reason = "not the same positive class"
    assert {reversed_.metrics[metric].reason for metric in of_positive} == {reason}
    assert (reversed_.rows, reversed_.reason) == (40, None)
    assert reversed_.metrics["accuracy"].reason is None
    assert reason not in {same.metrics[metric].reason for metric in of_positive}


def test_a_run_that_has_diverged_is_refused(tmp_path):
    runs = [number_run(tmp_path, "a", NEAR), number_run(tmp_path, "b", NEAR, kind="diverged")]
    with pytest.raises(RunError, match="b: diverged; to start from its last finite weights"):
        compare(runs)


def test_metrics_without_their_rows_are_refused(tmp_path):
    metrics = {"test": {"mse": 1.0}, "validation": {"mse": 1.0}}
    with_both = number_run(tmp_path, "a", NEAR, split="validation", stored={"metrics": metrics})
    with pytest.raises(RunError) as caught:
        compare([with_both, number_run(tmp_path, "b", NEAR)])
    assert str(caught.value) == (
        f"{tmp_path}/a/predictions.parquet: has no test rows, but metrics.json has their "
        "metrics; train it again"
    )
