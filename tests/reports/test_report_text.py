"""Numbers, names and views as plain text."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dlcli.diagnosis.remedies import Finding, Patch
from dlcli.metrics.intervals import Estimate
from dlcli.reports import formatting as fmt
from dlcli.reports.views import (
    CodeBlock,
    FindingsBlock,
    GroupBlock,
    TableBlock,
    TextBlock,
    View,
    render_table,
    render_text,
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (1.0, "1"),
        (0.123456, "0.1235"),
        (9999.4, "9,999"),
        (12345.6, "12,346"),
        (1234567, "1,234,567"),
        (-0.00001234567, "−1.235e-05"),
        (1.5e20, "1.5e+20"),
        (np.float32(0.5), "0.5"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (10**400, "-"),
        (None, "-"),
        ("1", "-"),
        (True, "-"),
        ([1], "-"),
    ],
)
def test_a_number_has_four_digits_or_is_whole_and_what_is_none_is_a_dash(value, shown):
    assert fmt.number(value) == shown


def test_what_a_list_omits_is_counted():
    assert [fmt.omitted(count, "file") for count in (0, 1, 1200)] == [
        "",
        "1 more file is not listed.",
        "1,200 more files are not listed.",
    ]
    assert fmt.omitted(1) == "1 more is not listed."
    assert fmt.omitted(2, "but rarer class") == "2 more but rarer classes are not listed."


def test_shares_differences_and_intervals_share_the_format_of_numbers():
    assert (fmt.percent(0.9545), fmt.percent(None)) == ("95.5 %", "-")
    assert [fmt.difference(value) for value in (0.5, -2, 0, None)] == ["+0.5", "−2", "0", "-"]
    assert fmt.estimate(Estimate(value=0.5)) == "0.5"
    assert fmt.estimate(None) == "-"
    assert (fmt.metric("accuracy", 0.5), fmt.metric("auc", 0.5)) == ("50.0 %", "0.5")
    assert fmt.metric("accuracy", None) == "-"


def test_a_number_has_two_digits_of_half_its_confidence_interval():
    estimate = Estimate(value=0.85, lower=0.834, upper=0.8671)
    assert fmt.estimate(estimate) == "0.850 [0.834, 0.867]"
    assert fmt.estimate(estimate, "accuracy") == "85.0 % [83.4, 86.7]"
    change = Estimate(value=0.25, lower=-0.25, upper=0.75)
    assert fmt.estimate(change, is_difference=True) == "+0.25 [−0.25, +0.75]"
    assert fmt.estimate(change, "accuracy", is_difference=True) == "+25 points [−25, +75]"


def test_the_values_of_a_comparison_have_the_digits_of_their_difference():
    change = Estimate(value=-2.849, lower=-9.309, upper=2.829)
    assert fmt.versus("rmse", 57.82, 60.67, change) == (
        "57.8 vs 60.7 (95 % CI of the difference: −9.3 to +2.8)"
    )
    barely = Estimate(value=0.0133, lower=0.0000813, upper=0.0245)  # which does not include 0
    assert fmt.versus("log_loss", 0.213, 0.2, barely) == (
        "0.213 vs 0.200 (95 % CI of the difference: +0.00008 to +0.025)"
    )
    shares = Estimate(value=0.05, lower=0.02, upper=0.08)
    assert fmt.versus("accuracy", 0.95, 0.9, shares) == (
        "95.0 % vs 90.0 % (95 % CI of the difference: +2.0 to +8.0 percentage points)"
    )
    unknown = Estimate(value=0.1, reason="fewer than 10 rows")
    assert fmt.versus("rmse", 0.6, 0.5, unknown) == "0.6 vs 0.5 (fewer than 10 rows)"


def test_a_metric_has_the_digits_that_its_number_of_rows_supports():
    assert [fmt.metric("rmse", 57.8217, rows) for rows in (66, 6_600)] == ["57.8", "57.82"]
    assert [fmt.metric("mse", 3343.2, 66), fmt.metric("r2", -0.0312, 66)] == ["3,340", "−0.03"]
    assert [fmt.metric("accuracy", 0.9545, rows) for rows in (22, 2_200)] == ["95 %", "95.45 %"]


def test_tiny_values_are_shown_without_a_row_of_zeros() -> None:
    shown = [fmt.metric("mse", value, decimals=13) for value in (1.654e-12, -1.654e-12, 0.0)]
    assert shown == ["1.7e-12", "−1.7e-12", "0.0000"]
    assert fmt.metric("mse", 3e-9, decimals=2) == "3e-09"
    assert fmt.metric("r2", 0.0, decimals=2) == "0.00"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0207, "20.7 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1 s"),
        (1.617, "1.62 s"),
        (59.96, "1 min 0 s"),
        (252, "4 min 12 s"),
        (7500, "2 h 5 min"),
        (None, "-"),
    ],
)
def test_a_duration_has_the_unit_that_fits_it(seconds, shown):
    assert fmt.duration(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "1970-01-01"),
        (-86_400, "1969-12-31"),
        (951_782_400, "2000-02-29"),
        (951_782_400 + 3_661.4, "2000-02-29 01:01:01"),
        (1e300, "1e+300"),
        (-1e12, "−1,000,000,000,000"),
        (None, "-"),
    ],
)
def test_a_time_is_a_date_and_what_no_calendar_has_a_number(seconds, shown):
    assert fmt.time(seconds) == shown


def test_a_long_name_is_cut_and_what_can_not_be_printed_is_escaped():
    assert fmt.shorten("a" * 100, 10) == "aaaaaaaaa…"
    assert fmt.shorten_middle("abcdefghij", 7) == "abc…hij"
    assert fmt.shorten("a\n\u202eb") == "a\\n\\u202eb"


def test_names_that_are_alike_when_shortened_still_differ():
    assert fmt.shorten_names(["abcdef1", "abcdef2", "x"], 5) == ["abcd… (1)", "abcd… (2)", "x"]


def test_of_many_names_the_first_are_listed():
    assert (fmt.join_names("ab", 2), fmt.join_names("abcd", 2)) == ("a, b", "a, b and 2 more")


def test_a_note_becomes_a_sentence_and_a_file_name_keeps_its_case():
    notes = ["the folds are small", "refit.yaml: has no schedule", "Two failed."]
    assert list(map(fmt.sentence, notes)) == [
        "The folds are small.",
        "refit.yaml: has no schedule.",
        "Two failed.",
    ]


METRICS = TableBlock(
    ("", "train", "run"), (("mae", "1", "a"), ("r2", "0.25", "b c")), text_columns=(0, 2)
)


def test_columns_of_text_are_aligned_to_the_left_and_numbers_to_the_right():
    assert render_table(METRICS) == ["     train  run", "mae      1  a", "r2    0.25  b c"]


def test_columns_of_wide_characters_are_aligned_on_a_terminal():
    table = TableBlock(
        ("", "件"), (("日期", "1"), ("🏠 e\u0301", "20"), ("ab", "3")), text_columns=(0,)
    )
    assert render_table(table) == ["      件", "日期   1", "🏠 e\u0301  20", "ab     3"]
    assert render_table(replace(table, rows=(("日" * 9, "1"),)), width=16)[1] == "日日日日日…    1"


def test_the_longest_cells_are_cut_to_the_width():
    table = TableBlock(("config", "run 1"), (("a" * 40, "b" * 14),), text_columns=(0, 1))
    assert render_table(table, 32) == [
        f"{'config':<16}  run 1",
        f"{'a' * 15}…  {'b' * 14}",
    ]


def test_numbers_are_never_cut():
    table = TableBlock(("a" * 40, "b" * 40), (("x", "1234567890123456"),))
    assert render_table(table, 20) == [
        f"{'a' * 11}…  {'b' * 15}…",
        f"{'x':<12}  1234567890123456",
    ]


def test_no_cell_breaks_a_line_or_moves_the_cursor():
    assert render_table(TableBlock(("", "a\nb"), (("\x1b[2J", "1"),))) == [
        "         a\\nb",
        "\\x1b[2J     1",
    ]


def test_a_terminal_shows_blocks_then_sentences_notes_and_links():
    view = View(
        title="of pages only",
        blocks=(METRICS, GroupBlock("More", (TextBlock("A text."), CodeBlock("dlcli train")))),
        sentences=("It is good.", "It is small."),
        notes=("The rows are few.",),
        links=(("run", "runs/a"), ("report", "dlcli report runs/a")),
    )
    assert render_text(view).split("\n\n") == [
        "     train  run\nmae      1  a\nr2    0.25  b c",
        "More\nA text.\ndlcli train",
        "It is good.\nIt is small.\nnote: The rows are few.",
        "run: runs/a\nreport: dlcli report runs/a",
    ]


def test_columns_that_do_not_fit_follow_below():
    table = TableBlock(
        ("", "first", "second", "third"), (("R²", "0.1", "0.22", "0.3"),), wraps=True
    )
    assert render_table(table, 19) == [
        "    first  second",
        "R²    0.1    0.22",
        "",
        "    third",
        "R²    0.3",
    ]
    assert len(render_table(table, 24)) == 2


def test_sentences_are_broken_at_the_width_and_commands_are_not():
    patch = Patch("wider", "g h", (("a", "1"),))
    finding = Finding("too_small", "a b c", "d e f", (patch,), source="")
    view = View("", blocks=(FindingsBlock((finding,), Path("a/c")),), sentences=("one two three",))
    assert render_text(view, 16).splitlines() == [
        "1. too small",
        "   evidence  a b",
        "             c",
        "   meaning   d e",
        "             f",
        "   try       dlcli train a/c --set a=1 --set name=a-wider",
        "             g h",
        "",
        "one two three",
    ]


def test_a_loss_of_an_epoch_has_three_digits_and_a_metric_those_that_its_rows_support():
    assert fmt.of_epoch("loss", 0.123456) == "0.123"
    assert fmt.of_epoch("auc", 0.123456, rows=100) == "0.123"
    assert fmt.of_epoch("accuracy", 0.95, rows=1_000) == "95.0 %"


def test_a_metric_of_validation_rows_is_named_as_such():
    assert fmt.metric_title("val_r2") == "validation R²"
    assert fmt.metric_title("val_loss") == "validation loss"
