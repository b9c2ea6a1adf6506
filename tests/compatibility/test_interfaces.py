"""The public interfaces keep what the latest release has.

If a test fails, keep the earlier name next to the new one, see `docs/compatibility.md`. What may
be removed is removed by writing the interfaces again, see "Release" in `CONTRIBUTING.md`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import griffe
import pytest

from tests.compatibility.interfaces import STORED, interfaces
from tests.compatibility.schema_changes import refusals

Interfaces = dict[str, Any]


def version_of(name: str) -> tuple[int, ...]:
    return tuple(map(int, name.split(".")))


@pytest.fixture(scope="module")
def released() -> Interfaces:
    latest = max(STORED.glob("*.json"), key=lambda path: version_of(path.stem))
    content: Interfaces = json.loads(latest.read_text("utf-8"))
    return content


@pytest.fixture(scope="module")
def present() -> Interfaces:
    return interfaces()


def breakages(released: Interfaces, present: Interfaces) -> list[str]:
    """Return what a user of the released interfaces misses in the present ones."""
    return [
        *python_breakages(released["python"], present["python"]),
        *(f"config{each}" for each in refusals(released["config"], present["config"])),
        *command_breakages(released["commands"], present["commands"]),
        *event_breakages(released["events"], present["events"]),
        *(
            f"output of {command}: {key!r} was removed"
            for command, keys in released["outputs"].items()
            for key in keys
            if key not in present["outputs"].get(command, ())
        ),
        *(
            f"exit code of {name}: was {code}, is {present['exit_codes'].get(name)}"
            for name, code in released["exit_codes"].items()
            if present["exit_codes"].get(name) != code
        ),
        *(f"server: {each} was removed" for each in {*released["server"]} - {*present["server"]}),
    ]


def python_breakages(released: Interfaces, present: Interfaces) -> list[str]:
    old, new = (griffe.Module.from_json(json.dumps(each)) for each in (released, present))
    changes = griffe.find_breaking_changes(old, new)
    return [
        f"{each.obj.path}: {each.explain(griffe.ExplanationStyle.MARKDOWN)}" for each in changes
    ]


def command_breakages(released: Interfaces, present: Interfaces) -> list[str]:
    found = []
    for name, options in released.items():
        now = present.get(name, {})
        found += [f"command {name}: {each} was removed" for each in options if each not in now]
        found += [
            f"command {name}: {each} is required"
            for each, required in now.items()
            if required and not options.get(each)
        ]
    return found


def event_breakages(released: Interfaces, present: Interfaces) -> list[str]:
    found = []
    for name, event in released.items():
        now = present.get(name, {"event": None, "fields": {}, "always": []})
        if now["event"] != event["event"]:
            found.append(f"{name}: event was {event['event']}, is {now['event']}")
        for field, kind in event["fields"].items():
            if now["fields"].get(field) != kind:
                found.append(f"{name}.{field}: was {kind}, is {now['fields'].get(field)}")
            elif field in event["always"] and field not in now["always"]:
                found.append(f"{name}.{field}: may be absent")
    return found


def test_nothing_of_the_latest_release_is_missing(
    released: Interfaces, present: Interfaces
) -> None:
    assert breakages(released, present) == []


def remove_function(changed: Interfaces) -> None:
    del changed["python"]["members"]["tune"]


def remove_parameter(changed: Interfaces) -> None:
    parameters = changed["python"]["members"]["load"]["parameters"]
    parameters[0]["name"] = "folder"


def remove_attribute(changed: Interfaces) -> None:
    del changed["python"]["members"]["TrainingRun"]["members"]["metrics"]


def remove_key(changed: Interfaces) -> None:
    del changed["config"]["properties"]["epochs"]


def require_key(changed: Interfaces) -> None:
    changed["config"]["required"].append("seed")


def narrow_key(changed: Interfaces) -> None:
    changed["config"]["properties"]["seed"] = {"type": "string"}


def remove_optimizer(changed: Interfaces) -> None:
    changed["config"]["$defs"]["Adam"]["properties"]["name"]["const"] = "adam2"


def remove_option(changed: Interfaces) -> None:
    del changed["commands"]["train"]["--quiet"]


def require_option(changed: Interfaces) -> None:
    changed["commands"]["tune"]["--seed-of-all"] = True


def remove_field(changed: Interfaces) -> None:
    del changed["events"]["EpochEvent"]["fields"]["of"]


def omit_field(changed: Interfaces) -> None:
    changed["events"]["TrainedEvent"]["always"].remove("epochs")


def remove_output(changed: Interfaces) -> None:
    changed["outputs"]["evaluate"].remove("rows")


def remove_path(changed: Interfaces) -> None:
    removed = "paths /explain/model "
    changed["server"] = [each for each in changed["server"] if not each.startswith(removed)]


def rename_key_of_response(changed: Interfaces) -> None:
    text = json.dumps(changed["server"]).replace("properties probability_yes", "properties yes")
    changed["server"] = json.loads(text)


def change_exit_code(changed: Interfaces) -> None:
    changed["exit_codes"]["DataError"] = 1


@pytest.mark.parametrize(
    "change, expected",
    [
        (remove_function, "dlcli.tune: "),
        (remove_parameter, "dlcli.load: "),
        (remove_attribute, "dlcli.TrainingRun.metrics: "),
        (remove_key, "config.epochs: was removed"),
        (require_key, "config.seed: is required"),
        (narrow_key, "config.seed: "),
        (remove_optimizer, "config.optimizer: refuses adam"),
        (remove_option, "command train: --quiet was removed"),
        (require_option, "command tune: --seed-of-all is required"),
        (remove_field, "EpochEvent.of: "),
        (omit_field, "TrainedEvent.epochs: may be absent"),
        (remove_output, "output of evaluate: 'rows' was removed"),
        (remove_path, "server: paths /explain/model post responses 200"),
        (rename_key_of_response, "server: components schemas model.Prediction properties prob"),
        (change_exit_code, "exit code of DataError: was 3, is 1"),
    ],
)
def test_a_removal_is_found(
    present: Interfaces, change: Callable[[Interfaces], None], expected: str
) -> None:
    changed = copy.deepcopy(present)
    change(changed)
    found = breakages(present, changed)
    assert any(each.startswith(expected) for each in found), found


@pytest.mark.parametrize(
    "earlier, present, refused",
    [
        ({"type": "number"}, {"type": "integer"}, [": was ['integer', 'number'], is ['integer']"]),
        ({"type": "integer"}, {"type": "number"}, []),
        ({"minimum": 0}, {"minimum": 1}, [": minimum was 0, is 1"]),
        ({"minimum": 1}, {"minimum": 0}, []),
        ({"maximum": 9}, {}, []),
        ({}, {"maxLength": 9}, [": maxLength was None, is 9"]),
        ({"enum": ["a", "b"]}, {"enum": ["b", "c"]}, [": refuses 'a'"]),
        ({"const": "a"}, {"type": "string"}, []),
        ({"type": "string"}, {"anyOf": [{"type": "null"}, {"type": "string"}]}, []),
        (
            {"anyOf": [{"type": "null"}, {"type": "string"}]},
            {"type": "string"},
            [": was ['null'], is ['string']"],
        ),
        (
            {"type": "array", "items": {"type": "string"}},
            {"type": "array", "items": {"const": "a"}},
            ["[]: accepts only ['a']"],
        ),
        (
            {"type": "object", "properties": {"a": {}}, "additionalProperties": False},
            {"type": "object", "properties": {"b": {}}, "additionalProperties": False},
            [".a: was removed"],
        ),
        ({"type": "object"}, {"type": "object", "additionalProperties": False}, [".*: is refused"]),
    ],
)
def test_a_schema_is_compared(
    earlier: dict[str, Any], present: dict[str, Any], refused: list[str]
) -> None:
    assert refusals(earlier, present) == refused
