"""The public interfaces of this version, as stored at a release and compared by later versions.

`python tests/compatibility/interfaces.py` writes interfaces/VERSION.json; no test writes it. It
contains what `docs/compatibility.md` covers and a file can describe: the signatures of the Python
API, the JSON Schema of the config without its texts, the options of commands, the fields of events
and of other JSON output, the exit codes of errors, and the paths and keys of the server.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import click
import griffe
from starlette.routing import Route

import dlcli
from dlcli import errors
from dlcli.cli.help_topics import EXIT_CODES
from dlcli.cli.program import main
from dlcli.config.config_schema import Config
from dlcli.pipeline import events
from dlcli.serving.application import make_application
from dlcli.serving.pages import describe_server
from dlcli.serving.requests import Models
from dlcli.serving.served_model import Limits, ServedModel

ROOT = Path(__file__).parents[2]
STORED = Path(__file__).parent / "interfaces"
_SERVED = Path(__file__).parent / "corpus" / "0.1.0" / "runs" / "classification"
_TEXTS = {"title", "description", "default", "examples"}
_NOT_KEPT = {*_TEXTS, "summary", "minItems", "maxItems"}
_ROW = re.compile(r"^\| `([^|]+)` \| (.+) \|$", re.MULTILINE)


def interfaces() -> dict[str, Any]:
    """Return all interfaces, in the form in which they are stored."""
    return {
        "python": python_api(),
        "config": without_texts(Config.model_json_schema()),
        "commands": command_options(),
        "events": event_fields(),
        "outputs": output_keys(),
        "exit_codes": exit_codes(),
        "server": sorted(set(server_parts())),
    }


def python_api() -> dict[str, Any]:
    """Return the public names of `dlcli` and `dlcli.sklearn`, as griffe stores a module."""
    package = griffe.load("dlcli", search_paths=[ROOT], resolve_aliases=True)
    assert isinstance(package, griffe.Module)
    names = [*dlcli.__all__, "sklearn"]
    members = {name: _signature(package[name], name) for name in names}
    members["Config"]["members"] = {}  # the schema covers its keys
    return _container("module", "dlcli", members)


def _signature(member: griffe.Object | griffe.Alias, name: str) -> dict[str, Any]:
    """Return what callers of a function, class, module or attribute depend on."""
    target = member.final_target if isinstance(member, griffe.Alias) else member
    if isinstance(target, griffe.Function):
        return _function(target, name)
    if isinstance(target, griffe.Module):
        members = {
            key: each
            for key, each in target.members.items()
            if not each.is_alias and each.is_class  # not the imports
        }
    elif isinstance(target, griffe.Class):
        members = target.all_members  # with the inherited ones
    else:
        return {"kind": "attribute", "name": name, "lineno": None}
    public = {key: _signature(each, key) for key, each in members.items() if key[0] != "_"}
    return _container(target.kind.value, name, public)


def _function(function: griffe.Function, name: str) -> dict[str, Any]:
    parameters = [
        {
            "name": each.name,
            "kind": each.kind.value if each.kind else None,
            "annotation": None,
            "default": None if each.default is None else str(each.default),
        }
        for each in function.parameters
    ]
    returns = None if function.returns is None else str(function.returns)
    return {
        "kind": "function",
        "name": name,
        "parameters": parameters,
        "returns": returns,
        "lineno": None,
    }


def _container(kind: str, name: str, members: dict[str, Any]) -> dict[str, Any]:
    extra = {"bases": [], "lineno": None} if kind == "class" else {"filepath": f"{name}.py"}
    return {"kind": kind, "name": name, "members": members, **extra}


def without_texts(schema: Any) -> Any:
    """Return a JSON Schema without descriptions and defaults."""
    if isinstance(schema, list):
        return [without_texts(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    named = {"properties", "$defs"}
    return {
        key: {name: without_texts(each) for name, each in value.items()}
        if key in named
        else without_texts(value)
        for key, value in schema.items()
        if key not in _TEXTS
    }


def command_options() -> dict[str, dict[str, bool]]:
    """Return the arguments, options and choices of each command, and whether they are required."""
    return {
        name: {part: each.required for each in command.params for part in _parts_of_parameter(each)}
        for name, command in main.commands.items()
    }


def _parts_of_parameter(parameter: click.Parameter) -> list[str]:
    if isinstance(parameter, click.Argument):
        return [str(parameter.name)]
    names = [*parameter.opts, *parameter.secondary_opts]
    choices = parameter.type.choices if isinstance(parameter.type, click.Choice) else ()
    return names + [f"{name} {choice}" for name in names for choice in choices]


def event_fields() -> dict[str, dict[str, Any]]:
    """Return the fields of each event with their types, and which are always present."""
    described = {}
    for name, kind in vars(events).items():
        if isinstance(kind, type) and issubclass(kind, events.Event) and kind is not events.Event:
            present = fields(kind)  # type: ignore[arg-type]  # each event is a dataclass
            types = {each.name: str(each.type) for each in present}
            always = [each.name for each in present if each.default is MISSING]
            described[name] = {"event": kind.kind, "fields": types, "always": always}
    return described


def output_keys() -> dict[str, list[str]]:
    """Return the keys of the other commands' JSON objects, by command, as documented."""
    page = (ROOT / "docs" / "events.md").read_text("utf-8").partition("## One object")[2]
    return {
        command: re.findall(r"`([a-z_]+)`", re.sub(r"\([^)]*\)", "", keys))
        for command, keys in _ROW.findall(page)
    }


def exit_codes() -> dict[str, int | str]:
    """Return the code of each public error, and the codes that are documented."""
    public = {name: getattr(errors, name, None) for name in dlcli.__all__}
    codes = {
        name: kind.exit_code
        for name, kind in public.items()
        if isinstance(kind, type) and issubclass(kind, errors.DlcliError)
    }
    return codes | {f"documented {code}": code for code in EXIT_CODES}


def server_parts() -> Iterator[str]:
    """Yield each path of the server with its methods, parameters, formats, statuses and keys."""
    model = ServedModel.load("model", _SERVED)
    described = describe_server({"model": model}, Limits(), has_key=True)
    for part in ("paths", "components"):
        yield from _leaves(described[part], part)
    for route in make_application(Models({"model": model}, Limits())).routes:
        assert isinstance(route, Route)
        yield f"route {' '.join(sorted(route.methods or ()))} {route.path}"  # of all protocols


def _leaves(node: Any, place: str) -> Iterator[str]:
    if isinstance(node, dict):
        for key, each in node.items():
            if key not in _NOT_KEPT:
                yield from _leaves(each, f"{place} {key}")
    elif isinstance(node, list):
        for each in node:
            name = each.get("name", "") if isinstance(each, dict) else ""
            yield from _leaves(each, f"{place} {name}".rstrip())
    else:
        yield f"{place}: {node}"


if __name__ == "__main__":
    STORED.mkdir(exist_ok=True)
    text = json.dumps(interfaces(), separators=(",", ":"), sort_keys=True)
    (STORED / f"{dlcli.__version__}.json").write_text(f"{text}\n", "utf-8")
