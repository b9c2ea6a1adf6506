"""The examples that come with dlcli: a config, its table and what the table's columns mean."""

from __future__ import annotations

from pathlib import Path

from dlcli.errors import UsageError, did_you_mean


def example_names() -> list[str]:
    """The examples there are, sorted."""
    return sorted(path.stem for path in _shelf().joinpath("configs").glob("*.yaml"))


def write_example(name: str, folder: Path) -> list[Path]:
    """Writes an example's config, table and description side by side, and its images in a folder.

    Args:
        name: the example.
        folder: where to; it is made if need be.

    Returns:
        The files, the config first.

    Raises:
        UsageError: for an unknown name, a file that exists already or a folder that can't be
            written; none of the files is left then.
    """
    contents = _contents(name)
    for file in contents:
        if folder.joinpath(file).exists():
            raise UsageError(f"{folder / file}: exists already; choose another folder")
    written: list[Path] = []
    try:
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
    """An example's files by name, the config's path adapted to its new place.

    Raises:
        UsageError: for an unknown name.
    """
    names = example_names()
    if name not in names:
        listed = f"there are {', '.join(names)}{did_you_mean(name, names)}"
        raise UsageError(f"no example '{name}'; {listed}")
    config = _shelf().joinpath("configs", f"{name}.yaml").read_bytes()
    files = {f"{name}.yaml": config.replace(b"../data/", b"")}
    data, table = _shelf() / "data", _table_of(config)
    for path in (data / f"{table}.csv", data / f"{table}.md", *sorted(data.glob(f"{table}/*.png"))):
        files[path.relative_to(data).as_posix()] = path.read_bytes()
    return files


def _table_of(config: bytes) -> str:
    """The name of the table that an example trains on; several may share one."""
    return config.partition(b"../data/")[2].partition(b".csv")[0].decode()


def _shelf() -> Path:
    """The folder with `configs` and `data`: in an installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "examples"
    return installed if installed.is_dir() else package.parent
