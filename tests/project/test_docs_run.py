"""The pages are true: their commands run and print what they show, and their configs are valid."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Collection, Iterator
from itertools import groupby
from pathlib import Path

import click
import pytest
from pages import DOCS, Block, Run, find_blocks, pages_to_run, pattern, read_page
from scripts import NOT_RUN, Scripts, write_tables

from dlcli.cli.program import main
from dlcli.config.config_file import load_config

ROOT = Path(__file__).parents[2]
PAGES = pages_to_run()
FOR_RELEASES = (
    *("2-xor", "3-overfitting", "4-images", "5-text-and-a-game", "6-choosing", "7-experiments"),
    *(
        "8-ensembles",
        "imbalanced",
        "decisions",
        "monotone",
        "intervals",
        "cluster",
        "export",
        "commands",
        "choose",
    ),
    "result",
    *("serve", "tracking", "README", "pipeline", "categories", "predict-many", "gallery"),
    *("migrate", "recipes", "distill", "amounts"),
)
"""Pages whose trainings and exports take more than three seconds.

What they use is tested elsewhere as well: tests/cluster trains with workers, the Python of the
page about exports is run by test_beside_pandas, `start/understand.md` trains the table of
`start/result.md`, and tests/cli has gates and predicts folders.
"""
SMALLEST = "data: {train: table.csv, target: y}\nhidden: []\nepochs: 1\n"


def blocks_of(page: Path) -> list[Block]:
    return find_blocks(read_page(page))


def each_page_with(*languages: str, longest: Collection[str] = ()) -> pytest.MarkDecorator:
    pages = [page for page in PAGES if {block.language for block in blocks_of(page)} & {*languages}]
    given = [
        pytest.param(page, marks=pytest.mark.release if page.stem in longest else ())
        for page in pages
    ]
    return pytest.mark.parametrize("page", given, ids=lambda page: page.stem)


def file_name(block: Block) -> str:
    """The file that the reader is to write, if the block begins with its name."""
    named = re.match(r"# (\S+\.(yaml|py))\n", block.text)
    return named[1] if named else ""


def edit(diff: str, folder: Path) -> None:
    """Edit a file as a diff shows it, or write the edited text to the other file that it names."""
    (source, target), *hunks = diff_parts(diff)
    text = (folder / source).read_text(encoding="utf-8")
    for before, after in hunks:
        assert text.count(before) == 1, f"{source} has not exactly one place for:\n{before}"
        text = text.replace(before, after)
    (folder / target).write_text(text, encoding="utf-8")


def diff_parts(diff: str) -> Iterator[tuple[str, str]]:
    """Yield the two files of a diff, then each piece of text with what replaces it."""
    old, new, *lines = diff.splitlines(keepends=True)
    yield old.removeprefix("--- ").strip(), new.removeprefix("+++ ").strip()
    for is_mark, piece in groupby(lines, lambda line: line.startswith("@@")):
        if not is_mark:
            hunk = [*piece]
            yield tuple(
                "".join(line[1:] for line in hunk if line[0] in kept) for kept in (" -", " +")
            )


def test_a_diff_is_applied_at_the_only_place_that_it_fits(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("x: 1\ny: 2\nz: 3\n")

    edit("--- a.yaml\n+++ b.yaml\n x: 1\n-y: 2\n@@\n z: 3\n+w: 4\n", tmp_path)

    assert (tmp_path / "b.yaml").read_text() == "x: 1\nz: 3\nw: 4\n"
    with pytest.raises(AssertionError, match="has not exactly one place"):
        edit("--- b.yaml\n+++ b.yaml\n-y: 2\n", tmp_path)


def differences(page: Path, run: Run, folder: Path) -> Iterator[str]:
    """Does what a reader of the page does, and yields what comes out otherwise than shown."""
    scripts = Scripts(run, folder)
    for block in blocks_of(page):
        if block.language == "diff":
            edit(block.text, folder)
        if name := file_name(block):
            (folder / name).write_text(block.text, encoding="utf-8")
        for command, shown in block.steps if block.language == "console" else ():
            printed = run(command, folder)
            if not re.fullmatch(pattern(shown), printed):
                yield f"$ {command}\n{printed}"
        if block.language == "sh":
            yield from scripts.failures(block)
    scripts.close()


@pytest.mark.slow
@each_page_with("console", "sh", longest=FOR_RELEASES)
def test_the_commands_of_a_page_run_and_print_what_it_shows(
    page: Path, run: Run, tmp_path: Path
) -> None:
    for name in ("configs", "data"):
        shutil.copytree(ROOT / name, tmp_path / name)
    write_tables(tmp_path)

    assert "\n".join(differences(page, run, tmp_path)) == ""


def test_only_commands_that_stand_on_a_page_are_exempt_from_being_run() -> None:
    scripts = [block for page in PAGES for block in blocks_of(page) if block.language == "sh"]

    for part in NOT_RUN:
        assert any(re.search(part, script.text) for script in scripts), part


def commands_of(page: str) -> Iterator[list[str]]:
    """The words of each command of dlcli in a block for a shell or in a line of prose."""
    blocks = [block.text for block in find_blocks(page, "sh")]
    for given in (*blocks, *re.findall(r"`(dlcli [a-z][^`]*)`", page)):
        # shlex would drop the end of a line with a comment.
        text = re.sub(r"(^|\s)#.*", "", given.replace("\\\n", ""), flags=re.MULTILINE)
        lexer = shlex.shlex(text, posix=True, punctuation_chars="\n;|&<>()")
        lexer.whitespace = " \t"
        for is_end, words in groupby(lexer, lambda word: set(word) <= set("\n;|&<>()")):
            command = [*words]
            if not is_end and Path(command[0]).name == "dlcli":
                yield command[1:]


def test_commands_are_found_in_blocks_and_in_prose():
    block = "```sh\na=1 # x\ndlcli cv a.yaml \\\n  --jobs 2 && bin/dlcli help | cat\n```\n"

    assert [*commands_of(f"{block}`dlcli init A`")] == [
        ["cv", "a.yaml", "--jobs", "2"],
        ["help"],
        ["init", "A"],
    ]


@pytest.mark.parametrize(
    "page", [*ROOT.glob("*.md"), *DOCS.rglob("*.md")], ids=lambda page: str(page.relative_to(ROOT))
)
def test_commands_that_are_not_run_have_options_that_exist(page: Path) -> None:
    """Many name a reader's own files, or go on until they are stopped."""
    for name, *arguments in commands_of(page.read_text(encoding="utf-8")):
        if not name.startswith("-"):
            command = main.commands[name]
            context = click.Context(command, info_name=name, **main.context_settings)
            # An option may stand in prose without its value.
            value = ["VALUE"] if arguments and arguments[-1].startswith("-") else []
            command.make_parser(context).parse_args([*arguments, *value])


@each_page_with("yaml")
def test_the_configs_of_a_page_are_valid(page: Path, tmp_path: Path) -> None:
    """A piece of config stands in the place of the keys of the last whole one."""
    whole = tmp_path / "whole.yaml"
    whole.write_text(SMALLEST, encoding="utf-8")

    for block in blocks_of(page):
        if file_name(block).endswith(".yaml"):
            whole.write_text(block.text, encoding="utf-8")
            load_config(whole)
        elif block.language == "yaml":
            # The folds of an ensemble are its validation rows.
            has_folds = any(key.startswith("ensemble=") for key in block.keys)
            load_config(whole, [*block.keys, *["data.validation=null"] * has_folds])
