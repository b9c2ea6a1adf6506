"""Events as tests compare them: the name of each, with its fields as JSON has them."""

from __future__ import annotations

from dlcli.pipeline.events import Event, Listener

Recorded = tuple[str, dict[str, object]]


def recorded(event: Event) -> Recorded:
    """The name of an event, and its fields."""
    return event.kind, event.to_json()


def recorded_in(events: list[Recorded]) -> Listener:
    """A listener that adds each event to a list."""
    return lambda event: events.append(recorded(event))
