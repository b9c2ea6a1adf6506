"""Groups: how rows are divided, and the metrics and differences of the groups."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import studentized_range

from dlcli.config.config_file import make_config
from dlcli.config.data_section import Target
from dlcli.errors import ConfigError, DataError
from dlcli.prediction.groups import (
    Groups,
    columns_to_read,
    find_groups,
    measure_groups,
    split_names,
)
from dlcli.tables.memory_tables import memory_table
from dlcli.tables.table import Table
from dlcli.tables.table_files import read_table
from dlcli.tasks.inference import infer_task
from dlcli.tasks.task import DecodedRows

SIZES = {"a": 200, "b": 100, "c": 40, "d": 5}
RIGHT = {"a": 180, "b": 60, "c": 36, "d": 1}


def table(**columns: list[object]) -> Table:
    return read_table(memory_table(columns, "rows"))


def measured(weights: np.ndarray | None = None) -> Groups:
    """Return the groups of `SIZES`, of which `RIGHT` rows are classified correctly."""
    names = [name for name, size in SIZES.items() for _ in range(size)]
    right = np.array([at < RIGHT[name] for name in SIZES for at in range(SIZES[name])])
    truth = np.arange(len(names)) % 2
    predicted = np.where(right, truth, 1 - truth)
    rows = table(y=[["no", "yes"][each] for each in truth], part=names)
    task = infer_task(Target(column="y"), [rows]).fit(rows, None)
    decoded = DecodedRows(truth, np.where(predicted, 0.9, 0.1)[:, None], weights)
    return measure_groups(task, rows, decoded, ["part"], {}, rows="test")


def test_each_group_has_the_accuracy_of_its_rows():
    [column] = measured().columns

    assert [(each.group, each.rows) for each in column.groups] == [*SIZES.items()]
    accuracies = [each.metrics["accuracy"].value for each in column.groups]
    assert accuracies == pytest.approx([0.9, 0.6, 0.9, 0.2])
    assert [each.group for each in column.small] == ["d"]


def test_each_row_is_decided_by_the_threshold_of_its_fold():
    rows = table(y=["no", "yes"] * 20, part=["a"] * 20 + ["b"] * 20)
    task = infer_task(Target(column="y"), [rows]).fit(rows, None)
    scores = np.tile([0.3, 0.7], 20)[:, None]
    thresholds = np.repeat([0.5, 0.8], 20)[:, None]
    decoded = DecodedRows(np.arange(40) % 2, scores, None, thresholds=thresholds)
    [column] = measure_groups(task, rows, decoded, ["part"], {}, rows="folds").columns

    assert [each.metrics["recall"].value for each in column.groups] == [1, 0]


def test_the_largest_difference_is_widened_by_the_studentized_range():
    """Newcombe's interval of 0.9 − 0.6 from Wilson's intervals, times Tukey's factor for three."""

    def wilson(share: float, rows: int) -> tuple[float, float]:
        z = 1.959963984540054
        middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
        half = (
            z
            / (1 + z * z / rows)
            * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
        )
        return middle - half, middle + half

    (low, high), (least, most) = wilson(0.9, 200), wilson(0.6, 100)
    wider = studentized_range.ppf(0.95, 3, np.inf) / (math.sqrt(2) * 1.959963984540054)
    [column] = measured().columns
    found = column.differences["accuracy"]

    assert found.lowest == "b"  # "d" is worse, but has only five rows
    assert found.highest in ("a", "c")
    assert found.is_significant
    if found.highest == "c":
        low, high = wilson(0.9, 40)
    assert found.difference.lower == pytest.approx(
        0.3 - wider * math.hypot(0.9 - low, most - 0.6), rel=1e-6
    )
    assert found.difference.upper == pytest.approx(
        0.3 + wider * math.hypot(high - 0.9, 0.6 - least), rel=1e-6
    )


def test_rows_of_weight_0_do_not_count():
    weights = np.ones(sum(SIZES.values()))
    weights[:150] = 0
    [column] = measured(weights).columns

    assert {each.group: each.rows for each in column.groups} == {**SIZES, "a": 50}


def test_many_numbers_are_divided_at_quartiles_and_missing_values_are_a_group():
    rows = table(age=[*range(1, 41), None, None])
    found = find_groups(rows, "age", {})

    assert found.names == ("1 to 10", "11 to 20", "21 to 30", "31 to 40", "(missing)")
    assert np.bincount(found.codes).tolist() == [10, 10, 10, 10, 2]


def test_few_numbers_are_groups():
    assert find_groups(table(n=[3, 1, 3, 2]), "n", {}).names == ("3", "1", "2")


def test_rare_values_are_pooled():
    names = [f"v{at}" for at in range(40) for _ in range(at + 1)]
    found = find_groups(table(v=[*names, None]), "v", {})

    assert len(found.names) == 30
    assert found.names[-2:] == ("(missing)", "(12 rarer values)")
    assert np.count_nonzero(found.codes == 29) == sum(range(1, 13))


def test_columns_are_combined():
    rows = table(sex=["f", "m", "f", None], region=["n", "n", "s", "s"])
    found = find_groups(rows, "sex*region", {})

    names = [found.names[code] for code in found.codes]
    assert names == ["f, n", "m, n", "f, s", "(missing), s"]


def test_a_name_may_contain_a_comma_or_an_asterisk():
    assert split_names(["a,b", "c"], ["a,b", "c"]) == ["a,b", "c"]
    assert split_names(["a,b"], ["a", "b"]) == ["a", "b"]
    assert columns_to_read(["a*b,c"]) == ["a*b,c", "a*b", "c", "a", "b,c", "b"]
    assert find_groups(table(**{"a*b": ["x", "y"]}), "a*b", {}).names == ("x", "y")


def test_a_missing_column_is_named():
    with pytest.raises(DataError, match="has no column 'regoin'; did you mean 'region'"):
        find_groups(table(region=["n"]), "regoin", {})


CONFIG = {"data": {"train": "rows.csv", "target": "y"}, "hidden": [], "epochs": 1}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"evaluate_by": ["region"]}, "evaluate_by: requires held-out rows"),
        (
            {"gates": {"train.rmse": {"at_most": 1, "min_rows": 3}}},
            "min_rows: has no effect without for_each",
        ),
        (
            {"gates": {"train.rmse": {"better_than": "constant", "for_each": "region"}}},
            "better_than: can't be combined with for_each",
        ),
    ],
)
def test_conflicts_are_refused(keys, message):
    with pytest.raises(ConfigError, match=message):
        make_config({**CONFIG, **keys})
