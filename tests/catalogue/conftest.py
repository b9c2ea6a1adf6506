"""A folder of one's own, and the command line in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dlcli.cli.program import main
from dlcli.pipeline.fit import LOG_LEVEL

Call = Callable[..., Result]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, in which there is nothing yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(LOG_LEVEL, "")
    monkeypatch.delenv(LOG_LEVEL)
    return tmp_path


@pytest.fixture
def dlcli() -> Call:
    """Calls a verb, which must not fail otherwise than dlcli explains."""

    def call(*arguments: str, text: str | bytes | None = None) -> Result:
        result = CliRunner().invoke(main, list(arguments), input=text)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        assert "Traceback" not in result.output
        assert "bug in dlcli" not in result.output
        return result

    return call


@pytest.fixture
def refused(dlcli: Call, folder: Path) -> Callable[[int, str, Sequence[str]], None]:
    """Calls a verb that must end with a code and one error, and leave all as it was."""

    def call(code: int, message: str, arguments: Sequence[str]) -> None:
        before = _contents(folder)
        result = dlcli(*arguments)
        errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        assert (errors, result.exit_code) == ([f"error: {message}"], code)
        assert result.stdout == ""
        assert _contents(folder) == before

    return call


def _contents(folder: Path) -> dict[Path, bytes | None]:
    """What is in a folder, whatever it is."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}
