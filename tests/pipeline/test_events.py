"""Events: which warnings repeat an earlier one."""

from __future__ import annotations

from dlcli.pipeline.events import Events


def test_the_same_problem_in_other_rows_or_fewer_columns_is_a_repeated_warning() -> None:
    events = Events()
    events.emit("warning", message="copies: 3 of 11", check="leaked_rows", columns=())
    events.emit("warning", message="leak: a, b", check="target_leakage", columns=("a", "b"))
    assert events.has_warned({"message": "copies: 5 of 11", "check": "leaked_rows", "columns": ()})
    assert events.has_warned({"message": "leak: b", "check": "target_leakage", "columns": ("b",)})
    more = {"message": "leak: b, c", "check": "target_leakage", "columns": ("b", "c")}
    assert not events.has_warned(more)
    assert not events.has_warned({"message": "rare: b", "check": "rare", "columns": ("b",)})


def test_a_warning_of_no_check_repeats_the_same_words_only() -> None:
    events = Events()
    events.emit("warning", message="slow")
    assert events.has_warned({"message": "slow"})
    assert not events.has_warned({"message": "slower"})
