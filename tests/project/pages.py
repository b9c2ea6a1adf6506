"""Pages that show a terminal and configs: what they show, and what their commands really print."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import textwrap
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.forks import Forks

DOCS = Path(__file__).parents[2] / "docs"
TRANSLATED_TUTORIAL = DOCS / "zh-CN" / "tutorial"
TRANSLATED_START = DOCS / "zh-CN" / "start"
NUMBER = r"\d+([.,]\d+)*(e-?\d+)?"
EXIT_CODE = ' || echo "exit code $?"'
DURATION = rf"({NUMBER} min {NUMBER} s|{NUMBER} m?s)"


def pages_to_run() -> list[Path]:
    """The pages of docs/ but for those in Chinese that have the code of English ones.

    The pages of a folder that has an overview are read with it.
    """
    return sorted(
        page
        for page in DOCS.rglob("*.md")
        if page.parent not in (TRANSLATED_TUTORIAL, TRANSLATED_START)
        and not page.parent.with_suffix(".md").exists()
    )


def read_page(page: Path) -> str:
    """The text of a page, and that of the pages in the folder of its name in the order of its links."""
    text = page.read_text(encoding="utf-8")
    links = dict.fromkeys(re.findall(rf"\]\(({page.stem}/[\w-]+\.md)", text))
    return "\n".join([text, *((page.parent / link).read_text(encoding="utf-8") for link in links)])


@dataclass(frozen=True)
class Block:
    """A fenced part of a page."""

    language: str
    text: str

    @property
    def steps(self) -> list[tuple[str, str]]:
        """The commands in it, each with the output that is shown."""
        return re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", self.text, re.MULTILINE)

    @property
    def commands(self) -> list[str]:
        """The commands of a script; one may have several lines."""
        commands, begun = [], ""
        for line in self.text.splitlines(keepends=True):
            begun += line
            if is_complete(begun):
                commands.append(begun.replace("\\\n", "").strip())
                begun = ""
        return [command for command in commands if shlex.split(command, comments=True)]

    @property
    def keys(self) -> list[str]:
        """A piece of config as overrides, one for each of its own keys."""
        pairs = re.findall(r"^(\w+):((?:.*\n)(?:[ -].*\n)*)", self.text, re.MULTILINE)
        return [f"{key}={value}" for key, value in pairs]


def is_complete(command: str) -> bool:
    """Whether a command ends here: not in quotes, and without a backslash."""
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return False
    return not command.endswith("\\\n")


def find_blocks(page: str, language: str = r"\S+") -> list[Block]:
    """The fenced parts of a page, in order; of one language, if it is named."""
    fences = rf"^( *)```({language})\n(.*?)^\1```$"
    found = re.findall(fences, page, re.MULTILINE | re.DOTALL)
    return [Block(language, textwrap.dedent(text)) for _, language, text in found]


def pattern(shown: str) -> str:
    """A pattern for an output with other numbers, padded to another width; `...` is any lines."""
    text = re.sub(NUMBER, "0", shown)
    text = re.escape(re.sub(r"0 min 0 s\b|0 m?s\b", "DURATION", text))
    text = re.sub(r"(\\ )+", " +", text)
    text = text.replace(re.escape("...\n"), "(.*\n)*?")
    return text.replace("DURATION", DURATION.replace(NUMBER, "0")).replace("0", NUMBER)


class Run(Protocol):
    """Runs a command line."""

    def __call__(self, command: str, folder: Path) -> str:
        """What it prints in the folder, on either stream."""


def shell(forks: Forks) -> Run:
    """A shell with this environment's dlcli and Python, which loads TensorFlow only once.

    A command of dlcli alone, or with its exit code, runs in a fork of a process that has loaded it.
    """

    def run(command: str, folder: Path) -> str:
        alone = command.removesuffix(EXIT_CODE)
        program, *arguments = shlex.split(alone)
        if program != "dlcli" or {"|", "||", ">"} & {*arguments}:
            return run_by_bash(command, folder)
        with chdir(folder):
            ended = forks.run(*arguments, merged=True)
        shows_code = ended.code and alone != command
        return f"{ended.output}exit code {ended.code}\n" if shows_code else ended.output

    return run


def run_by_bash(command: str, folder: Path) -> str:
    """What a command line prints."""
    python = f'"{sys.executable}"'
    script = f'dlcli() {{ {python} -m dlcli "$@"; }}\npython() {{ {python} "$@"; }}\n{command}'
    bash = ["bash", "-c", script]
    done = subprocess.run(
        bash, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.stdout
