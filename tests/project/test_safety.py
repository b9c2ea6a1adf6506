"""What the package never does, as a run, a config or a table may come from a stranger.

Held on its syntax trees, and so of code, too, that no test runs.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import dlcli

PACKAGE = Path(dlcli.__file__).parent

FORBIDDEN = re.compile(
    r"""
    (?:c?pickle|_pickle|marshal|shelve|dill|joblib|cloudpickle|jsonpickle)(?:\..+)?
    | (?:.+\.)?(?:load_model|model_from_json|model_from_config|enable_unsafe_deserialization)
    | yaml\.(?:load|load_all|Loader|CLoader|(?:unsafe|full)_load(?:_all)?)
    | (?:.+\.)?C?(?:Unsafe|Full)(?:Loader|Constructor)
    | (?:builtins\.)?(?:eval|exec|compile|__import__)
    | os\.(?:system|popen|exec\w+|spawn\w+|startfile)
    | subprocess\.(?:getoutput|getstatusoutput)
    | asyncio\.(?:.+\.)?create_subprocess_shell
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""Names, with those of their modules before them; of built-in functions those alone, as a method
called `compile` is another matter."""
PICKLES = re.compile(r"(?:np|numpy)\.(?:load|save)|(?:.+\.)?(?:read|write)_array")
"""What pickles arrays unless it is told not to."""
FALSE_ONLY = ("allow_pickle", "shell")


def findings(source: str) -> list[str]:
    """What a module does that the package must not: `LINE: WHAT` each."""
    tree = ast.parse(source)
    modules = {
        alias.asname: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.asname
    }
    found = {
        (node.lineno, what)
        for node in ast.walk(tree)
        if isinstance(node, ast.expr | ast.stmt)
        for what in [*_forbidden(node, modules), *_arguments(node)]
    }
    return [f"{line}: {what}" for line, what in sorted(found)]


def _forbidden(node: ast.AST, modules: dict[str, str]) -> Iterator[str]:
    for name in _names(node):
        first, dot, rest = name.partition(".")
        full = f"{modules.get(first, first)}{dot}{rest}"
        if FORBIDDEN.fullmatch(full):
            yield full


def _names(node: ast.AST) -> Iterator[str]:
    """The names that a piece of source uses, and what it may ask `getattr` for."""
    match node:
        case ast.Import(names=names):
            yield from (each.name for each in names)
        case ast.ImportFrom(module=module, names=names):
            yield from (f"{module}.{each.name}" for each in names)
        case ast.Attribute() | ast.Name():
            yield ast.unparse(node)
        case ast.Call(func=ast.Name(id="getattr"), args=[owner, ast.Constant(value=name), *_]):
            yield f"{ast.unparse(owner)}.{name}"
        case ast.Call(func=function, args=[ast.Constant(value=str(name)), *_]):
            if ast.unparse(function).endswith("import_module"):
                yield name


def _arguments(node: ast.AST) -> Iterator[str]:
    if not isinstance(node, ast.Call):
        return
    given = {each.arg: each.value for each in node.keywords}
    for name in FALSE_ONLY:
        value = given.get(name, ast.Constant(value=False))
        if not (isinstance(value, ast.Constant) and value.value is False):
            yield f"{name}={ast.unparse(value)}"
    function = ast.unparse(node.func)
    if PICKLES.fullmatch(function) and "allow_pickle" not in given:
        yield f"{function} without allow_pickle=False"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import pickle", ["1: pickle"]),
        (
            "import json, marshal as m\nm.loads(b'')",
            ["1: marshal", "2: marshal", "2: marshal.loads"],
        ),
        ("def f():\n    from shelve import open", ["2: shelve.open"]),
        ("import joblib.numpy_pickle", ["1: joblib.numpy_pickle"]),
        ("importlib.import_module('dill')", ["1: dill"]),
        ("keras.models.load_model(path)", ["1: keras.models.load_model"]),
        ("from keras.saving import load_model as read", ["1: keras.saving.load_model"]),
        ("getattr(keras.saving, 'load_model')(path)", ["1: keras.saving.load_model"]),
        ("yaml.load(text, Loader=yaml.Loader)", ["1: yaml.Loader", "1: yaml.load"]),
        ("import yaml as y\ny.unsafe_load(text)", ["2: yaml.unsafe_load"]),
        ("from yaml import full_load", ["1: yaml.full_load"]),
        ("yaml.compose(text, Loader=CUnsafeLoader)", ["1: CUnsafeLoader"]),
        ("eval(text)", ["1: eval"]),
        ("x = [exec]", ["1: exec"]),
        ("compile(text, name, 'exec')", ["1: compile"]),
        ("builtins.eval(text)", ["1: builtins.eval"]),
        ("__import__(name)", ["1: __import__"]),
        ("np.load(file, allow_pickle=True)", ["1: allow_pickle=True"]),
        ("read(file, allow_pickle=trusted)", ["1: allow_pickle=trusted"]),
        ("read(file, allow_pickle=0)", ["1: allow_pickle=0"]),
        ("np.load(file)", ["1: np.load without allow_pickle=False"]),
        ("npy.write_array(file, a)", ["1: npy.write_array without allow_pickle=False"]),
        ("subprocess.run(line, shell=True)", ["1: shell=True"]),
        ("os.system(line)", ["1: os.system"]),
        ("from os import popen", ["1: os.popen"]),
        ("os.execv(path, words)", ["1: os.execv"]),
        ("subprocess.getoutput(line)", ["1: subprocess.getoutput"]),
    ],
)
def test_what_is_forbidden_is_found(source: str, found: list[str]) -> None:
    assert findings(source) == found


@pytest.mark.parametrize(
    "source",
    [
        "re.compile(text)",
        "model.compile(optimizer)",
        "self.evaluate(text)",
        "yaml.compose(text, Loader=SafeLoader)",
        "yaml.safe_load(text)",
        "from yaml import CSafeLoader as _Loader",
        "np.load(file, allow_pickle=False)",
        "json.load(file)",
        "subprocess.run(words, shell=False)",
        "os.path.exists(path)",
        "'pickle and eval(text) in words'",
        "import pickled_onions",
    ],
)
def test_what_reads_alike_is_not(source: str) -> None:
    assert findings(source) == []


@pytest.mark.slow
def test_the_package_has_none_of_it() -> None:
    modules = sorted(PACKAGE.rglob("*.py"))
    assert len(modules) > 100
    found = {
        str(path.relative_to(PACKAGE)): found
        for path in modules
        if (found := findings(path.read_text(encoding="utf-8")))
    }
    assert found == {}
