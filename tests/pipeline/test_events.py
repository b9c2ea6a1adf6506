"""Events: which warnings repeat an earlier one."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from dlcli.network.layers import LayerSummary
from dlcli.pipeline.events import (
    DefaultEvent,
    EpochEvent,
    Event,
    Events,
    NetworkEvent,
    RunEvent,
    TrainedEvent,
    WarningEvent,
)
from dlcli.runs.documents import TrialResult


def warning(message: str, check: str | None = None, columns: tuple[str, ...] = ()) -> WarningEvent:
    return WarningEvent(message=message, check=check, columns=columns)


def is_reported(events: Events, emitted: list[Event], event: Event) -> bool:
    """Return whether a warning of a part is reported."""
    before = len(emitted)
    events.warn_once(event)
    return len(emitted) > before


def test_the_same_problem_in_other_rows_or_fewer_columns_is_a_repeated_warning() -> None:
    emitted: list[Event] = []
    events = Events(emitted.append)
    events.emit(warning("copies: 3 of 11", "leaked_rows"))
    events.emit(warning("leak: a, b", "target_leakage", ("a", "b")))
    assert not is_reported(events, emitted, warning("copies: 5 of 11", "leaked_rows"))
    assert not is_reported(events, emitted, warning("leak: b", "target_leakage", ("b",)))
    assert is_reported(events, emitted, warning("leak: b, c", "target_leakage", ("b", "c")))
    assert is_reported(events, emitted, warning("rare: b", "rare", ("b",)))


def test_a_warning_of_no_check_repeats_the_same_words_only() -> None:
    emitted: list[Event] = []
    events = Events(emitted.append)
    events.emit(warning("slow"))
    assert not is_reported(events, emitted, warning("slow"))
    assert is_reported(events, emitted, warning("slower"))
    assert not is_reported(events, emitted, warning("slower"))


def test_other_events_of_a_part_are_ignored() -> None:
    emitted: list[Event] = []
    Events(emitted.append).warn_once(RunEvent(folder="runs/a"))
    assert emitted == []


def test_json_omits_a_field_with_its_default_and_has_null_for_one_without() -> None:
    trained = TrainedEvent(epochs=3, best_epoch=None, seconds=1.5)
    assert trained.to_json() == {"epochs": 3, "best_epoch": None, "seconds": 1.5}
    member = TrainedEvent(members=2, epochs=3, best_epoch=None, seconds=1.5)
    assert list(member.to_json()) == ["members", "epochs", "best_epoch", "seconds"]


def test_json_has_the_values_of_an_epoch_as_fields_of_the_event() -> None:
    event = EpochEvent(epoch=1, of=2, values={"loss": 0.5, "r2": None})
    assert event.to_json() == {"epoch": 1, "of": 2, "loss": 0.5, "r2": None}


def test_json_has_chosen_fields_of_a_document_as_fields_of_the_event() -> None:
    trial = TrialResult(number=3, state="complete", values={"epochs": 7}, value=0.5, seconds=2.0)
    fields = DefaultEvent(metric="val_loss", result=trial).to_json()
    assert list(fields)[:3] == ["metric", "state", "values"]
    assert (fields["values"], fields["problem"]) == ({"epochs": 7}, None)
    assert "number" not in fields


def test_json_omits_what_a_layer_lacks() -> None:
    event = NetworkEvent(
        inputs=4,
        layers=[LayerSummary("output", "Dense", units=1)],
        parameters=5,
        loss="mean_squared_error",
        target_scaling=None,
        metrics=(),
        members=None,
        folds=None,
    )
    fields = event.to_json()
    assert fields["layers"] == [{"name": "output", "kind": "Dense", "units": 1}]
    assert (list(fields)[1], fields["folds"]) == ("layers", None)


def test_an_event_is_not_changed_on_its_way() -> None:
    with pytest.raises(FrozenInstanceError):
        RunEvent(folder="a").folder = "b"  # type: ignore[misc]
