"""The shipped examples: a config, its table, a description of its columns, and scripts."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from dlcli.config.config_file import EDITOR_COMMENT
from dlcli.errors import UsageError, did_you_mean

SCHEMA = "dlcli.schema.json"
"""The JSON Schema for editors; the first line of each config refers to it."""


def add_schema(config: str, folder: Path) -> str:
    """Make a config refer to its JSON Schema, and write the schema to a folder if missing."""
    from dlcli.config.config_schema import json_schema

    with suppress(FileExistsError), folder.joinpath(SCHEMA).open("x", encoding="utf-8") as stream:
        stream.write(json_schema())
    return f"{EDITOR_COMMENT}\n{config}"


def example_names() -> list[str]:
    """Return the names of the examples, sorted."""
    return sorted(path.stem for path in _examples_folder().joinpath("configs").glob("*.yaml"))


def write_example(name: str, folder: Path) -> list[Path]:
    """Write the config, table, description, scripts and images of an example to a folder.

    Existing files of another example with the same table are kept.

    Args:
        name: the example.
        folder: the folder, which is created if missing.

    Returns:
        The files, the config first.

    Raises:
        UsageError: if the name is unknown, the config or another version of a file exists, or the
            folder can't be written to. No file remains in that case.
    """
    contents = _contents(name)
    written: list[Path] = []
    try:
        present = [file for file in contents if folder.joinpath(file).exists()]
        for file in present:
            is_same = folder.joinpath(file).read_bytes() == contents[file]
            if file == f"{name}.yaml" or not (is_same or file == SCHEMA):
                raise UsageError(f"{folder / file}: already exists; choose another folder")
            del contents[file]
        for file, content in contents.items():
            folder.joinpath(file).parent.mkdir(parents=True, exist_ok=True)
            with folder.joinpath(file).open("xb") as stream:
                written.append(folder / file)
                stream.write(content)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise UsageError(f"{folder}: can't be written to: {error.strerror}") from None
    return written


def _contents(name: str) -> dict[str, bytes]:
    """Return an example's files by name, with the path in the config adapted.

    Raises:
        UsageError: for an unknown name.
    """
    names = example_names()
    if name not in names:
        listed = f"there are {', '.join(names)}{did_you_mean(name, names)}"
        raise UsageError(f"no example '{name}'; {listed}")
    config = _examples_folder().joinpath("configs", f"{name}.yaml").read_bytes()
    files = {f"{name}.yaml": _next_to_table(config)}
    data = _examples_folder() / "data"
    table = config.partition(b"../data/")[2].partition(b".csv")[0].decode()  # some share it
    tables = (data / f"{table}.csv", data / f"{table}.md")
    scripts = sorted(data.glob(f"*_{table}.py"))
    files |= {path.name: path.read_bytes() for path in (*tables, *scripts)}
    files[SCHEMA] = _examples_folder().joinpath("configs", SCHEMA).read_bytes()
    for path in sorted(data.glob(f"{table}/*.png")):
        files[path.relative_to(data).as_posix()] = path.read_bytes()
    return files


def _next_to_table(config: bytes) -> bytes:
    """Adapt a config to the folder of its table; comments stay aligned."""
    aligned = re.sub(rb"\.\./data/(\S+ +)(?=#)", rb"\1" + b" " * len("../data/"), config)
    return aligned.replace(b"../data/", b"")


def _examples_folder() -> Path:
    """Return the folder of `configs` and `data`: in an installed package, or next to the source."""
    package = Path(__file__).parents[1]
    installed = package / "examples"
    return installed if installed.is_dir() else package.parent
