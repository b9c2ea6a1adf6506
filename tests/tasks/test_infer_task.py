"""The task that a target implies, its encoding, and the values that it refuses."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from inline_snapshot import snapshot

from dlcli.columns.scaling import Log1p, Standard
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.data_section import Target
from dlcli.encoding.table_encoding import Encoding
from dlcli.errors import ConfigError, DataError
from dlcli.tables.table import Table
from dlcli.tasks.inference import drop_missing_targets, infer_task

NO_TARGET = (
    "the target is missing; remove such rows from the file, or set data.on_missing_target: drop"
)


def rows(first_row=1, **columns):
    data = pa.table(columns)
    return Table("t.csv", data, np.arange(first_row, first_row + data.num_rows))


def kind_of(values, target="auto"):
    return infer_task(Target(column="y", type=target), [rows(y=values)])


@pytest.mark.parametrize(
    ("values", "classes", "reason"),
    [
        (["no", "yes"], ("no", "yes"), "text"),
        (["1", "two"], ("1", "two"), "text"),
        ([True, False], ("false", "true"), "only true and false"),
        (["false", "true"], ("false", "true"), "only true and false"),
        ([1, 0, 1], ("0", "1"), "all 0 or 1"),
        (["0", "1"], ("0", "1"), "all 0 or 1"),
        ([1.0, 0.0], ("0", "1"), "all 0 or 1"),
        ([0, 1], ("0", "1"), "all 0 or 1"),
        ([2, 1, 1], ("1", "2"), "all 1 or 2"),
        (["-1", "1", "1"], ("-1", "1"), "all -1 or 1"),
        ([4.0, 2.0, 2.0], ("2", "4"), "all 2 or 4"),
        ([1, 2], (), "all values are numbers"),  # a row of each
        ([1.5, 2, 2], (), "all values are numbers"),
        ([1, 2, 3], (), "all values are numbers"),
        ([0, 1, 2], (), "all values are numbers"),
        (["0.5", "1"], (), "all values are numbers"),
        ([7], (), "all values are numbers"),
    ],
)
def test_text_booleans_and_two_integers_are_classes_and_all_other_targets_are_numbers(
    values, classes, reason
):
    kind = kind_of(values)
    assert (kind.classes, kind.reason) == (classes, reason)


def test_digits_declared_categorical_are_classes_in_numeric_order():
    kind = kind_of([10, 2, -1, 2], "categorical")
    assert (kind.classes, kind.reason) == (("-1", "2", "10"), "declared")


def test_zeros_and_ones_declared_numeric_are_numbers():
    assert kind_of([0, 1], "numeric").classes == ()


def test_texts_declared_numeric_may_be_classes():
    words = ["no", "yes"]
    with pytest.raises(DataError, match="expected a finite number, got 'no'") as caught:
        kind_of(words, "numeric").fit(Standard(), rows(y=words))
    [hint] = caught.value.__notes__
    assert hint == "hint: for a categorical target, set data.target.type: categorical"


def test_text_sorts_after_numbers_and_nan_is_text():
    assert kind_of(["nan", "inf", "10", "9", "b"], "categorical").classes == (
        "9",
        "10",
        "b",
        "inf",
        "nan",
    )


def test_classes_come_from_all_tables_in_one_order():
    tables = [rows(y=["c", "a"]), rows(y=["b", "a"])]
    assert infer_task(Target(column="y"), tables).classes == ("a", "b", "c")


def test_a_2_in_the_test_rows_makes_0_and_1_numbers():
    tables = [rows(y=[0, 1]), rows(y=[0, 2])]
    assert infer_task(Target(column="y"), tables).reason == "all values are numbers"


@pytest.mark.parametrize(
    ("values", "target", "stored"),
    [
        (["a", "b"], "auto", "text"),
        (["true", "false"], "auto", "text"),
        ([True, False], "auto", "boolean"),
        ([0, 1], "auto", "integer"),
        ([3.0, 4.0], "categorical", "integer"),
        (["3", "-40"], "categorical", "integer"),
        (["03", "04"], "categorical", "text"),
        ([0.5, 1.5], "categorical", "text"),
    ],
)
def test_the_storage_type_of_classes_in_the_table_is_kept(values, target, stored):
    assert kind_of(values, target).stored == stored


@pytest.mark.parametrize(
    ("values", "positive", "classes"),
    [
        (["no", "yes", "no"], "no", ("yes", "no")),
        (["no", "yes", "no"], "yes", ("no", "yes")),
        ([0, 1, 1], "0", ("1", "0")),
        ([True, False], "false", ("true", "false")),
        ([2, 1, 2], "1", ("2", "1")),  # numbers become classes
    ],
)
def test_the_positive_class_is_the_second(values, positive, classes):
    task = infer_task(Target(column="y", positive_class=positive), [rows(y=values)])
    assert task.classes == classes
    assert task.encode(rows(y=values), ValueProblems()).tolist() == [
        int(str(value).lower() == positive) for value in values
    ]


@pytest.mark.parametrize(
    "classes",
    [("no", "yes"), ("nein", "ja"), ("NEE", "JA"), ("нет", "да"), ("não", "sim"), ("否", "是")],
)
def test_yes_is_the_positive_class_in_any_language(classes):
    assert infer_task(Target(column="y"), [rows(y=classes)]).classes == classes
    other = infer_task(Target(column="y", positive_class=classes[0]), [rows(y=classes)])
    assert other.classes == classes[::-1]


@pytest.mark.parametrize(
    ("values", "positive", "message"),
    [
        (["no", "yes"], "yess", "no class 'yess' in the column 'y'; did you mean 'yes'?"),
        (["no", "yes"], "1", "no class '1' in the column 'y'; there are 'no', 'yes'"),
        (
            [1, 2, 3.5],
            "3",
            "the target 'y' is numeric, with 3 different values, and only a target with two "
            "classes has a positive class; omit it",
        ),
        (["a", "b", "c"], "a", "requires two classes, but the column 'y' has 3; omit it"),
    ],
)
def test_a_positive_class_must_be_one_of_two(values, positive, message):
    with pytest.raises(ConfigError) as caught:
        infer_task(Target(column="y", positive_class=positive), [rows(y=values)])
    assert [str(problem) for problem in caught.value.problems] == [
        f"data.target.positive_class: {message}"
    ]


@pytest.mark.parametrize("type_name", ["numeric", "count", "multi_label"])
def test_a_positive_class_requires_classes(type_name):
    delimiter = "|" if type_name == "multi_label" else None
    with pytest.raises(ValueError, match="has no effect without classes"):
        Target(column="y", type=type_name, delimiter=delimiter, positive_class="a")


def test_several_columns_are_several_numbers():
    kind = infer_task(Target(column=("u", "v")), [rows(u=[0, 1], v=[0.5, 2])])
    assert (kind.columns, kind.classes, kind.reason) == (("u", "v"), (), "several columns")
    assert kind.name == "'u', 'v'"


def test_text_among_several_columns_is_refused_with_its_row():
    table = rows(u=["1", "2"], v=["3", "four"])
    kind = infer_task(Target(column=("u", "v")), [table])
    with pytest.raises(
        DataError, match="t.csv: row 2, column 'v': expected a finite number"
    ) as caught:
        kind.fit(None, table)
    assert "type: categorical" not in str(caught.value.__notes__)  # which several columns refuse
    assert "type: multi_label; for classes, name one column" in caught.value.__notes__[0]


@pytest.mark.parametrize("values", [["yes", "yes"], [True, True]])
def test_a_single_class_is_refused(values):
    with pytest.raises(DataError, match="column 'y': has only the class '(yes|true)'"):
        kind_of(values)


@pytest.mark.parametrize("target", ["auto", "numeric", "count"])
@pytest.mark.parametrize(
    ("values", "found"),
    [([7, 7, 7], "7"), ([0, 0], "0"), ([str(10**29 + at) for at in range(9)], r"1e\+29")],
)
def test_the_same_number_in_all_rows_is_refused(values, target, found):
    message = f"column 'y': has the same value in all rows, {found}: there is nothing to learn"
    with pytest.raises(DataError, match=message):
        kind_of(values, target)


def test_of_several_columns_of_numbers_one_may_be_constant():
    table = rows(a=[1.5, 2.5], b=[3.5, 3.5], c=[4, 4])
    assert infer_task(Target(column=("a", "b")), [table]).width == 2
    message = "column 'b, c': has the same value in all rows, 3.5, 4: there is nothing to learn"
    with pytest.raises(DataError, match=message):
        infer_task(Target(column=("b", "c")), [table])


@pytest.mark.parametrize(
    ("values", "others"),
    [([1.5, None, 3.0], ""), (["a", "", " ", "b"], "; 1 more row has this problem")],
)
def test_a_missing_target_is_refused_with_its_row(values, others):
    with pytest.raises(DataError) as caught:
        infer_task(Target(column="y"), [rows(y=["a", "b"]), rows(first_row=7, y=values)])
    assert str(caught.value) == (f"t.csv: row 8, column 'y': {NO_TARGET}{others}")


def test_rows_without_a_target_are_left_out_and_the_others_keep_their_numbers():
    table = rows(first_row=7, x=[1, 2, 3, 4, 5], y=[1.5, None, 3.0, math.nan, None])
    labelled, message = drop_missing_targets(Target(column="y"), table)
    assert labelled.row_numbers.tolist() == [7, 9]
    assert labelled.numbers("x").tolist() == [1, 3]
    assert message == snapshot(
        "3 of 5 rows have no target ('y') and are skipped: row 8, row 10, row 11"
    )


def test_a_row_with_one_of_several_targets_is_left_out():
    table = rows(u=["1", "", "3", "4", "", ""], v=["1", "2", " ", "4", "", ""])
    labelled, message = drop_missing_targets(Target(column=("u", "v")), table)
    assert labelled.row_numbers.tolist() == [1, 4]
    assert message == (
        snapshot("4 of 6 rows have no target ('u', 'v') and are skipped: row 2, row 3, row 5, ...")
    )


def test_a_row_of_several_files_that_is_left_out_is_named_with_its_file():
    table = rows(y=["a", "", "b"])
    numbers = np.array([0, 1, 1], dtype=np.int32)
    table = replace(table, files=("1.csv", "2.csv"), file_numbers=numbers)
    labelled, message = drop_missing_targets(Target(column="y"), table)
    assert labelled.where(1) == ("2.csv", 3)
    assert message == snapshot("1 of 3 rows has no target ('y') and is skipped: row 2 of 2.csv")


def test_a_table_in_which_every_row_has_a_target_is_the_same():
    table = rows(y=["a", "b"])
    assert drop_missing_targets(Target(column="y"), table) == (table, "")


def test_an_empty_field_of_delimited_labels_is_a_target():
    table = rows(tags=["b|a", "", None])
    assert drop_missing_targets(TAGS, table) == (table, "")


def test_a_table_without_any_target_is_refused():
    with pytest.raises(DataError, match="^t.csv: column 'u, v': no row has a target"):
        drop_missing_targets(Target(column=("u", "v")), rows(u=[1, None], v=[None, 2]))


@pytest.mark.parametrize("values", [["1.5", "NA", "3"], ["7", "7", "N/A", "8", "-"]])
def test_numbers_with_a_word_for_a_missing_value_are_not_classes(values):
    word = next(value for value in values if value.startswith("N"))
    with pytest.raises(DataError) as caught:
        kind_of(values)
    assert f"column 'y': expected a finite number, got '{word}'" in str(caught.value)


@pytest.mark.parametrize("values", [["1.5", "many", "3"], ["NA", "no", "yes"], ["NA", "?"]])
def test_other_words_are_classes(values):
    assert kind_of(values).reason == "text"


def test_numbers_with_a_word_for_a_missing_value_may_be_declared_classes():
    assert kind_of(["1", "2", "NA"], "categorical").classes == ("1", "2", "NA")


def test_classes_are_encoded_by_their_index():
    target = kind_of(["b", "a", "c"]).fit(None, rows(y=["b"]))
    assert target.encode(rows(y=["c", "a", "b"]), ValueProblems()).tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("classes", "shown"),
    [(["a", "{b}"], "a, {b}"), ([*"abcdefghijk"], "a, b, c, d, e, f, g, h, i, j, ...")],
)
def test_a_class_without_a_training_row_is_refused_with_its_row(classes, shown):
    target = kind_of(classes).fit(None, rows(y=["a"]))
    with pytest.raises(DataError) as caught:
        target.encode(rows(first_row=4, y=["a", "z"]), ValueProblems())
    assert (
        str(caught.value)
        == f"t.csv: row 5, column 'y': 'z' is not one of the classes that the network was trained on ({shown})"
    )


def test_numbers_are_trained_standardized_and_decoded_to_their_own_unit():
    train = rows(y=[2, 4, 4, 4, 5, 5, 7, 9])  # mean 5, population deviation 2
    target = infer_task(Target(column="y"), [train]).fit(Standard(), train)
    assert target.encode(rows(y=[5, 9]), ValueProblems()).tolist() == [[0], [2]]
    assert target.decode(np.array([[0.0], [2.0], [-1.5]])).tolist() == [[5], [9], [2]]


def test_log_numbers_are_trained_as_standardized_log_1_plus_y():
    train = rows(y=[0, math.exp(2) - 1])  # log(1 + y): 0 and 2, so mean 1 and deviation 1
    target = infer_task(Target(column="y"), [train]).fit(Log1p(), train)
    np.testing.assert_allclose(target.encode(train, ValueProblems()), [[-1], [1]], rtol=1e-6)
    given_back = target.decode(np.array([[0.0], [2.0]]))
    np.testing.assert_allclose(given_back, [[math.e - 1], [math.exp(3) - 1]])


def test_a_negative_number_under_log_is_refused_with_its_row():
    train = rows(y=[3.0, -1.0])
    with pytest.raises(
        DataError, match="row 2, column 'y': scaling 'log1p' requires values of at least 0, got -1"
    ):
        infer_task(Target(column="y"), [train]).fit(Log1p(), train)


def test_without_a_scaling_numbers_stay_as_they_are_and_each_column_has_its_own_otherwise():
    train = rows(u=[1.0, 3.0], v=[10.0, 30.0])
    kind = infer_task(Target(column=("u", "v")), [train])
    assert kind.fit(None, train).encode(train, ValueProblems()).tolist() == [[1, 10], [3, 30]]
    assert kind.fit(Standard(), train).encode(train, ValueProblems()).tolist() == [
        [-1, -1],
        [1, 1],
    ]


def labels_of(**columns):
    return infer_task(Target(column=tuple(columns)), [rows(**columns)])


@pytest.mark.parametrize(
    ("u", "v", "reason", "stored"),
    [
        ([0, 1], ["1", "0"], "all 0 or 1", "integer"),
        ([0.0, 1.0], [1, 1], "all 0 or 1", "integer"),
        ([True, False], ["false", "true"], "only true and false", "boolean"),
        ([True, False], [0, 1], "all 0 or 1", "integer"),
    ],
)
def test_several_columns_of_truth_or_0_and_1_are_labels(u, v, reason, stored):
    kind = labels_of(u=u, v=v)
    assert (kind.type, kind.labels, kind.classes) == ("multi_label", ("u", "v"), ())
    assert (kind.reason, kind.stored) == (reason, stored)


def test_a_2_in_the_test_rows_makes_columns_of_labels_numbers():
    tables = [rows(u=[0, 1], v=[1, 0]), rows(u=[0, 2], v=[1, 0])]
    assert infer_task(Target(column=("u", "v")), tables).type == "numeric"


def test_columns_of_0_and_1_declared_numeric_are_numbers():
    target = Target(column=("u", "v"), type="numeric")
    assert infer_task(target, [rows(u=[0, 1], v=[1, 0])]).type == "numeric"


def test_labels_that_are_equal_in_all_rows_are_refused():
    with pytest.raises(DataError, match="column 'u, v': all rows have the same labels"):
        labels_of(u=[0, 0], v=[1, 1])


def test_columns_of_labels_are_encoded_as_0_and_1():
    target = labels_of(u=[0, 1], v=[True, False]).fit(None, rows(u=[0, 1], v=[0, 1]))
    assert target.encode(rows(v=["TRUE", "0"], u=[1.0, 0.0]), ValueProblems()).tolist() == [
        [1, 1],
        [0, 0],
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, None], f"row 2, column 'v': {NO_TARGET}"),
        (["0", "2"], "row 2, column 'v': expected true, false, 1 or 0, got '2'"),
    ],
)
def test_a_value_that_is_not_a_label_is_refused_with_its_row(values, message):
    target = Target(column=("u", "v"), type="multi_label")
    with pytest.raises(DataError) as caught:
        infer_task(target, [rows(u=[0, 1], v=values)])
    assert str(caught.value) == f"t.csv: {message}"


TAGS = Target(column="tags", type="multi_label", delimiter="|")


def test_delimited_labels_come_from_all_tables_in_one_order():
    tables = [rows(tags=["b|10", "", None]), rows(tags=["9 | b |", "a"])]
    kind = infer_task(TAGS, tables)
    assert (kind.labels, kind.delimiter, kind.reason) == (("9", "10", "a", "b"), "|", "declared")


def test_an_empty_field_has_no_label_and_a_label_named_twice_counts_once():
    table = rows(tags=["b|a", "", None, "a|a", "c"])
    target = infer_task(TAGS, [table]).fit(None, table)
    expected = [[1, 1, 0], [0, 0, 0], [0, 0, 0], [1, 0, 0], [0, 0, 1]]
    assert target.encode(table, ValueProblems()).tolist() == expected


def test_a_label_that_no_table_had_is_refused_with_its_row():
    table = rows(tags=["{b}|a", "{b}"])
    target = infer_task(TAGS, [table]).fit(None, table)
    with pytest.raises(DataError) as caught:
        target.encode(rows(first_row=4, tags=["", "a|z", "z"]), ValueProblems())
    message = snapshot(
        "t.csv: row 5, column 'tags': 'z' is not one of the labels (a, {b}); 1 more row has this problem"
    )
    assert str(caught.value) == message


def test_labels_are_written_with_the_delimiter_between_them():
    table = rows(tags=["b|a|c", ""])
    target = infer_task(TAGS, [table]).fit(None, table)
    columns = target.value_columns(np.array([[1, 0, 1], [0, 0, 0], [1, 0, 1]]), "target")
    assert columns["target"].to_pylist() == ["a|c", "", "a|c"]


def test_text_is_never_inferred_as_labels_but_a_note_mentions_possible_labels():
    kind = kind_of(["rain|snow", "snow|fog", "fog|rain", "rain", "rain|snow|fog"])
    assert kind.type == "categorical"
    assert kind.reason == snapshot(
        "text (if '|' separates labels, set type: multi_label, delimiter: '|')"
    )


def test_a_missing_value_among_texts_that_look_like_labels_is_refused_with_their_declaration():
    with pytest.raises(DataError) as caught:
        kind_of(["rain|snow", "snow|fog", "fog|rain", ""])
    assert str(caught.value) == (
        f"t.csv: row 4, column 'y': {NO_TARGET} "
        "(if '|' separates labels, set type: multi_label, delimiter: '|')"
    )


@pytest.mark.parametrize(
    "values", [["Doe, Jane", "Roe, Rita", "Poe, John"], ["a", "b", "a|b", "b"], ["a|b", "c|d"]]
)
def test_a_delimiter_without_repeated_parts_is_not_mentioned(values):
    assert kind_of(values).reason == "text"


def test_a_declared_count_is_a_number_and_stays_as_it_is():
    train = rows(n=[0, 3, 2])
    kind = infer_task(Target(column="n", type="count"), [train])
    assert (kind.type, kind.classes, kind.reason) == ("count", (), "declared")
    target = kind.fit(None, train)
    assert target.encode(train, ValueProblems()).tolist() == [[0], [3], [2]]


@pytest.mark.parametrize(("value", "shown"), [(-1.0, "-1"), (2.5, "2.5")])
def test_a_value_that_is_not_a_count_is_refused_with_its_row_in_any_table(value, shown):
    target = Target(column="n", type="count")
    with pytest.raises(DataError) as caught:
        infer_task(target, [rows(n=[1, 2]), rows(first_row=5, n=[0.0, value])])
    assert str(caught.value) == (
        f"t.csv: row 6, column 'n': a count must be a non-negative integer, got {shown}"
    )
    fitted = infer_task(target, [rows(n=[1, 2])]).fit(None, rows(n=[1, 2]))
    with pytest.raises(DataError, match="row 1, column 'n': a count must be"):
        fitted.encode(rows(n=[value]), ValueProblems())


@pytest.mark.parametrize(
    ("target", "table"),
    [
        (TAGS, rows(tags=["b|a", "c", ""])),
        (Target(column=("u", "v")), rows(u=[0, 1], v=[1, 0])),
        (Target(column="n", type="count"), rows(n=[1, 0])),
    ],
    ids=["delimited labels", "columns of labels", "count"],
)
def test_a_fitted_task_is_equal_after_a_round_trip_through_json(target, table):
    fitted = infer_task(target, [table]).fit(None, table)
    encoding = Encoding(features=(), task=fitted)
    assert Encoding.model_validate_json(encoding.model_dump_json()).task == fitted


@pytest.mark.parametrize(
    "change",
    [{"labels": ()}, {"labels": ("u", "u")}, {"columns": ("u",)}, {"delimiter": "|"}],
    ids=str,
)
def test_labels_that_contradict_themselves_are_refused(change):
    fitted = labels_of(u=[0, 1], v=[1, 0]).fit(None, rows(u=[0], v=[1]))
    with pytest.raises(ValueError, match="label|delimiter"):
        type(fitted).model_validate({**fitted.model_dump(), **change})
