"""Events: which warnings repeat an earlier one."""

from __future__ import annotations

from dlcli.pipeline.events import Events


def reported(events: Events, told: list[str], **fields: object) -> bool:
    """Return whether a warning of a part is reported."""
    before = len(told)
    events.warn_once("warning", fields)
    return len(told) > before


def test_the_same_problem_in_other_rows_or_fewer_columns_is_a_repeated_warning() -> None:
    told: list[str] = []
    events = Events(lambda _, fields: told.append(str(fields["message"])))
    events.emit("warning", message="copies: 3 of 11", check="leaked_rows", columns=())
    events.emit("warning", message="leak: a, b", check="target_leakage", columns=("a", "b"))
    copies = {"check": "leaked_rows", "columns": ()}
    assert not reported(events, told, message="copies: 5 of 11", **copies)
    leak = {"check": "target_leakage"}
    assert not reported(events, told, message="leak: b", **leak, columns=("b",))
    assert reported(events, told, message="leak: b, c", **leak, columns=("b", "c"))
    assert reported(events, told, message="rare: b", check="rare", columns=("b",))


def test_a_warning_of_no_check_repeats_the_same_words_only() -> None:
    told: list[str] = []
    events = Events(lambda _, fields: told.append(str(fields["message"])))
    events.emit("warning", message="slow")
    assert not reported(events, told, message="slow")
    assert reported(events, told, message="slower")
    assert not reported(events, told, message="slower")


def test_other_events_of_a_part_are_ignored() -> None:
    told: list[str] = []
    Events(lambda event, _: told.append(event)).warn_once("result", {"message": "done"})
    assert told == []
