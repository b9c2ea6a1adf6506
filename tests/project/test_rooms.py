"""The architecture: rooms import only from rooms above them, and TensorFlow stays in its own."""

from __future__ import annotations

import ast
import graphlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "dlcli"
ROOMS = (
    "errors",
    "config",
    "metrics",
    "tables",
    "preprocessing",
    "tasks",
    "splitting",
    "encoding",
    "data_checks",
    "network",
    "runs",
    "prediction",
    "explanation",
    "comparison",
    "diagnosis",
    "keras_model",
    "training",
    "pipeline",
    "reports",
    "tracking",
    "starter",
    "cli",
)
WITH_TENSORFLOW = ("keras_model", "training")


@dataclass(frozen=True)
class Import:
    """One imported module."""

    name: str
    line: int
    is_eager: bool
    """Whether it happens as soon as the module is imported itself."""

    @property
    def top(self) -> str:
        """The distribution, as far as this test needs to know."""
        return self.name.partition(".")[0]

    @property
    def room(self) -> str | None:
        """The room of ours that it enters; the package itself is none."""
        return self.name.split(".")[1] if self.name.startswith("dlcli.") else None


@dataclass(frozen=True)
class Module:
    """One source file."""

    path: Path

    @property
    def name(self) -> str:
        """As it is imported: `dlcli.tables.column`, and `dlcli.tables` for a package."""
        parts = self.path.relative_to(ROOT).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def room(self) -> str | None:
        """The room that it stands in; `dlcli/__init__.py` and `__main__.py` stand in none."""
        parts = self.name.split(".")
        return parts[1] if len(parts) > 1 and parts[1] != "__main__" else None

    def imports(self) -> list[Import]:
        """All imports, wherever they stand."""
        return list(find_imports(ast.parse(self.path.read_text(encoding="utf-8"))))


def find_imports(node: ast.AST, is_eager: bool = True) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        is_later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        is_for_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield from (Import(name, child.lineno, is_eager) for name in imported(child))
        else:
            yield from find_imports(child, is_eager and not is_later and not is_for_types)


def imported(statement: ast.Import | ast.ImportFrom) -> list[str]:
    """The modules that a statement imports: in `from dlcli.tables import csv`, the last word."""
    if isinstance(statement, ast.Import):
        return [alias.name for alias in statement.names]
    assert statement.level == 0, f"line {statement.lineno}: write imports out in full"
    full = [f"{statement.module}.{alias.name}" for alias in statement.names]
    return [name if name in NAMES else str(statement.module) for name in full]


MODULES = [Module(path) for path in sorted(PACKAGE.rglob("*.py"))]
NAMES = {module.name for module in MODULES}


def each_module(*, outside: tuple[str, ...] = ()) -> pytest.MarkDecorator:
    modules = [module for module in MODULES if module.room not in outside]
    return pytest.mark.parametrize("module", modules, ids=lambda module: module.name)


def test_every_room_has_its_place_in_the_order() -> None:
    assert {module.room for module in MODULES} - {None} == set(ROOMS)


def test_contributing_lists_the_rooms_in_the_same_order() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    _, _, table = page.partition("| room |")

    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == ROOMS


@each_module()
def test_a_room_imports_only_from_rooms_above_it(module: Module) -> None:
    place = ROOMS.index(module.room) if module.room else len(ROOMS)

    assert [
        f"line {found.line}: {module.room} imports {found.room}"
        for found in module.imports()
        if found.room and found.room != module.room and ROOMS.index(found.room) > place
    ] == []


def test_no_module_imports_itself_through_others() -> None:
    graph = {
        module.name: {found.name for found in module.imports() if found.name in NAMES}
        for module in MODULES
    }

    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, with the way around


@each_module(outside=WITH_TENSORFLOW)
def test_only_model_and_training_load_tensorflow_when_they_are_imported(module: Module) -> None:
    assert [
        f"line {found.line}: imports {found.name}"
        for found in module.imports()
        if found.is_eager
        and (found.top in ("tensorflow", "keras") or found.room in WITH_TENSORFLOW)
    ] == []


@each_module(outside=("cli",))
def test_only_cli_imports_click(module: Module) -> None:
    assert [found.line for found in module.imports() if found.top == "click"] == []
