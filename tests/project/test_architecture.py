"""The architecture: the order of packages, their interfaces, and where TensorFlow is loaded."""

from __future__ import annotations

import ast
import collections
import graphlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import dlcli
from dlcli.columns.registry import COLUMN_TYPES, encoder_classes
from dlcli.runs.manifest import RunFile

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "errors",
    "glossary",
    "safe_files",
    "arrays",
    "cluster",
    "metrics",
    "schema",
    "tables",
    "columns",
    "config",
    "tasks",
    "splitting",
    "encoding",
    "data_checks",
    "network",
    "prediction",
    "explanation",
    "runs",
    "comparison",
    "diagnosis",
    "training_job",
    "keras_model",
    "training",
    "pipeline",
    "reports",
    "exports",
    "serving",
    "tracking",
    "starter",
    "api",
    "sklearn",
    "cli",
)
"""In the order in which data flows: each imports only from those above it."""
PRIVATE = re.compile("_[^_]")
WITH_TENSORFLOW = ("keras_model", "training")


@dataclass(frozen=True)
class Import:
    """One imported module."""

    name: str
    line: int
    is_eager: bool
    """Whether it is imported as soon as the importing module is."""

    @property
    def distribution(self) -> str:
        return self.name.partition(".")[0]

    @property
    def package(self) -> str | None:
        """The package of dlcli that it belongs to."""
        return self.name.split(".")[1] if self.name.startswith("dlcli.") else None


@dataclass(frozen=True)
class Module:
    """One source file."""

    path: Path

    @property
    def name(self) -> str:
        """Its name in imports: `dlcli.tables.table`, and `dlcli.tables` for a package."""
        parts = self.path.relative_to(ROOT).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def package(self) -> str | None:
        """The package that it belongs to; None for `dlcli/__init__.py` and `__main__.py`."""
        parts = self.name.split(".")
        return parts[1] if len(parts) > 1 and parts[1] != "__main__" else None

    @cached_property
    def imports(self) -> list[Import]:
        return list(find_imports(ast.parse(self.path.read_text(encoding="utf-8"))))


def find_imports(node: ast.AST, is_eager: bool = True) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):  # which holds no import
            continue
        is_later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        is_for_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield from (Import(name, child.lineno, is_eager) for name in imported(child))
        else:
            yield from find_imports(child, is_eager and not is_later and not is_for_types)


def imported(statement: ast.Import | ast.ImportFrom) -> list[str]:
    """The modules that a statement imports."""
    if isinstance(statement, ast.Import):
        return [alias.name for alias in statement.names]
    assert statement.level == 0, f"line {statement.lineno}: write imports out in full"
    full = [f"{statement.module}.{alias.name}" for alias in statement.names]
    return [name if name in NAMES - EXPORTED else str(statement.module) for name in full]


def exported(package: Module) -> Iterator[str]:
    """The names that a package's interface has from its modules: `dlcli.training.train_job`."""
    for node in ast.walk(ast.parse(package.path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{package.name}.{alias.name}" for alias in node.names)


MODULES = [Module(path) for path in sorted((ROOT / "dlcli").rglob("*.py"))]
NAMES = {module.name for module in MODULES}
PACKAGE_FILES = [module for module in MODULES if module.path.stem == "__init__"]
EXPORTED = {name for package in PACKAGE_FILES for name in exported(package)}
"""A module of such a name can't be imported from its package: the name is what it exports."""
IMPORTS = [(module, found) for module in MODULES for found in module.imports]


def described(pairs: Iterator[tuple[Module, Import]]) -> list[str]:
    return [f"{module.name}, line {found.line}: imports {found.name}" for module, found in pairs]


def test_every_package_has_its_position_in_the_order() -> None:
    assert {module.package for module in MODULES} - {None} == set(PACKAGES)


def test_contributing_lists_the_packages_in_the_same_order() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    _, _, table = page.partition("| package |")

    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == PACKAGES


def test_a_package_imports_only_from_packages_above_it() -> None:
    def position(name: str | None) -> int:
        return PACKAGES.index(name) if name else len(PACKAGES)

    upward = ((m, f) for m, f in IMPORTS if f.package and position(f.package) > position(m.package))

    assert described(upward) == []


def test_a_package_file_holds_only_its_documentation() -> None:
    """Names are imported from the modules that define them, so that each has one address."""
    packages = [each for each in PACKAGE_FILES if each.name != "dlcli"]

    assert [each.name for each in packages if len(ast.parse(each.path.read_text()).body) > 1] == []


def test_a_name_is_imported_from_the_module_that_defines_it() -> None:
    defined = {f"{module.name}.{name}" for module in MODULES for name in defined_in(module)}
    elsewhere = [
        f"{module.name}, line {node.lineno}: {alias.name} from {node.module}"
        for module in MODULES
        if module.name != "dlcli"
        for node in ast.walk(ast.parse(module.path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("dlcli.")
        for alias in node.names
        if f"{node.module}.{alias.name}" not in NAMES | defined or PRIVATE.match(alias.name)
    ]

    assert elsewhere == []


def test_what_a_package_loads_on_use_has_not_the_name_of_a_module() -> None:
    """Once loaded, the module would take the place of what it exports."""
    lazy = [each for each in PACKAGE_FILES if "__getattr__" in each.path.read_text("utf-8")]

    assert {name for package in lazy for name in exported(package)} & NAMES == set()


def test_no_module_imports_itself_through_others() -> None:
    """The package itself offers what it loads on use, see `dlcli.__getattr__`."""
    named = [module for module in MODULES if module.name != "dlcli"]
    graph = {module.name: {f.name for f in module.imports if f.name in NAMES} for module in named}

    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the cycle


def test_no_two_modules_have_the_same_name() -> None:
    stems = collections.Counter(module.path.stem for module in MODULES)

    assert {stem for stem, count in stems.items() if count > 1} == {"__init__"}


def test_tensorflow_is_loaded_only_with_the_packages_that_train() -> None:
    loading = (
        (module, found)
        for module, found in IMPORTS
        if module.package not in WITH_TENSORFLOW
        and found.is_eager
        and (found.distribution in ("tensorflow", "keras") or found.package in WITH_TENSORFLOW)
    )

    assert described(loading) == []


def test_no_module_outside_of_columns_asks_for_the_class_of_a_type() -> None:
    """A new type has one module; what others need to know of it is a method or a property."""
    types = [each for name, each in COLUMN_TYPES.items() if name != "auto"]  # no type yet
    classes = {each.__name__ for each in types}
    classes |= {encoder.__name__ for encoder in encoder_classes()}

    asked = [
        f"{module.name}, line {node.lineno}: {name}"
        for module in MODULES
        if module.package != "columns"
        for node in ast.walk(ast.parse(module.path.read_text(encoding="utf-8")))
        for name in classes_asked_for(node)
        if name in classes & {found.name for found in names_from_columns(module)}
    ]

    assert asked == []


def classes_asked_for(node: ast.AST) -> set[str]:
    """The names of the classes of an `isinstance`, or of a pattern of `match`."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
        return {each.id for each in ast.walk(node.args[1]) if isinstance(each, ast.Name)}
    return {ast.unparse(node.cls)} if isinstance(node, ast.MatchClass) else set()


def names_from_columns(module: Module) -> Iterator[ast.alias]:
    """The names that a module imports from those of the types of columns."""
    for node in ast.walk(ast.parse(module.path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("dlcli.columns."):
            yield from node.names


def test_only_cli_imports_click() -> None:
    elsewhere = ((m, f) for m, f in IMPORTS if f.distribution == "click" and m.package != "cli")

    assert described(elsewhere) == []


def test_only_runs_names_the_files_of_a_run_folder() -> None:
    """Except in documentation: docstrings, and the help of commands."""
    named = re.compile("|".join(rf"(?<![\w.-]){re.escape(name)}(?!\w)" for name in RunFile))
    elsewhere = [
        f"{module.name}, line {node.lineno}: {node.value}"
        for module in MODULES
        if module.package not in ("runs", "cli")
        for node in messages_of(ast.parse(module.path.read_text(encoding="utf-8")))
        if named.search(str(node.value))
    ]

    assert elsewhere == []


def messages_of(module: ast.Module) -> Iterator[ast.Constant]:
    """The texts of a module that are no documentation."""
    statements = [node for node in ast.walk(module) if isinstance(node, ast.Expr)]
    documentation = {id(node.value) for node in statements}
    for node in ast.walk(module):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and id(node) not in documentation:
            yield node


def test_benchmarks_and_pages_import_only_what_exists() -> None:
    """Nothing else runs them all, as some need other programs or hours."""
    known = NAMES | {f"{module.name}.{name}" for module in MODULES for name in defined_in(module)}
    scripts = [path for folder in ("benchmarks", "docs") for path in (ROOT / folder).rglob("*.py")]

    missing = [
        f"{path.relative_to(ROOT)}, line {node.lineno}: {node.module}.{alias.name}"
        for path in sorted(scripts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("dlcli.")
        for alias in node.names
        if f"{node.module}.{alias.name}" not in known
    ]

    assert missing == []


def defined_in(module: Module) -> Iterator[str]:
    """The names that a module defines; `dlcli` itself offers those of its `__all__`."""
    if module.name == "dlcli":
        yield from dlcli.__all__
    for node in ast.walk(ast.parse(module.path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
