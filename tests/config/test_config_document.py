"""YAML 1.2's scalars, and every kind of text that is no config."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from time import process_time

import pytest
from inline_snapshot import snapshot

from dlcli.config.config_file import load_config
from dlcli.config.config_schema import Config
from dlcli.errors import ConfigError, UsageError
from dlcli.schema import yaml_document
from dlcli.schema.yaml_document import Values, parse

Problems = Callable[..., list[str]]

MINIMAL = "data: {train: a.csv, target: y}\nhidden: []\nepochs: 1\n"


def value_of(scalar: str) -> object:
    parsed = parse(f"key: {scalar}", "c.yaml")
    values = Values(parsed)
    content = values.of(parsed.root)
    assert isinstance(content, dict)
    assert not values.problems
    return content["key"]


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("12", 12),
        ("+12", 12),
        ("-3", -3),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("1e-3", 0.001),
        ("1E3", 1000),
        ("1.", 1.0),
        (".5", 0.5),
        ("-2.5e+1", -25.0),
        (".inf", math.inf),
        ("+.Inf", math.inf),
        ("-.INF", -math.inf),
        ("1e999", math.inf),
        ("true", True),
        ("FALSE", False),
        ("", None),
        ("~", None),
        ("null", None),
        ("NULL", None),
        ("!!str 5", "5"),
        ("!!int '5'", 5),
    ],
)
def test_a_plain_scalar_has_the_type_of_the_core_schema(scalar: str, value: object) -> None:
    assert value_of(scalar) == value
    assert type(value_of(scalar)) is type(value)


def test_nan_is_a_number() -> None:
    assert math.isnan(float(str(value_of(".nan"))))


def test_other_plain_scalars_are_strings() -> None:
    scalars = [
     "no", "on", "yes", "off", "tRue", "nUll", "1:30", "1_000", "2024-12-31", "0b1", "0O17", "1e",
     "0x", "=", "<<", "--", "1.2.3", "inf", "nan", "."]  # fmt: skip
    assert list(map(value_of, scalars)) == scalars


@pytest.mark.parametrize("text", ["12", "1e-3", "true", "null", "~", ""])
def test_quoted_scalars_are_strings(text: str) -> None:
    assert value_of(f"'{text}'") == text
    assert value_of(f'"{text}"') == text


@pytest.mark.parametrize(
    ("line", "way_out"),
    [
        ("input: {features: 'Course, Sleep'}", "write [Course, Sleep]"),
        (
            "input: {features: [Course, {Sleep: numeric}]}",
            "write {Course: auto, Sleep: numeric}",
        ),
        (
            "input: {features: , Course: numeric}",
            "Course: unknown key; if it is a column, indent it below features",
        ),
        ("hidden: [{units: 4, dropout: 50}]", "write 0.5"),
        (
            "hidden: [[{units: 4}]]",
            "the line has two dashes, as a line copied from a diff: remove one",
        ),
        ("+epochs: 5", "copied from a diff? remove the '+'"),
        ("-epochs: 5", "copied from a diff? remove this line"),
    ],
)
def test_frequent_mistakes_are_answered_with_the_way_out(
    problems_of: Problems, line: str, way_out: str
) -> None:
    assert any(each.endswith(way_out) for each in problems_of(f"{line}\n"))


@pytest.mark.parametrize(
    ("lines", "place", "hint"),
    [
        (
            ["hidden: []", "  - {units: 4}", "  - {units: 2}"],
            "2:3",
            "line 1 already has the value []; remove it if this list belongs to 'hidden'",
        ),
        (
            ["hidden:", "  - units: 4", "     activation: relu"],
            "3:16",
            "align 'activation' with 'units' in line 2 (column 5)",
        ),
        (
            ["hidden:", "  - units: 4", "  activation: relu"],
            "3:3",
            "align 'activation' with 'units' in line 2 (column 5) or 'hidden' in line 1 (column 1)",
        ),
        (
            ["hidden:", " - {units: 4}", "  - {units: 2}"],
            "3:3",
            "align the dash with the dash in line 2 (column 2)",
        ),
        (
            ["hidden: []", "# loss", " loss: mse"],
            "3:2",
            "align 'loss' with 'hidden' in line 1 (column 1)",
        ),
        (["epochs: 1", " loss: mse"], "2:6", "align 'loss' with 'epochs' in line 1 (column 1)"),
        (
            ["optimizer:", "  name: adam", " loss: mse"],
            "3:2",
            "align 'loss' with 'name' in line 2 (column 3) or 'optimizer' in line 1 (column 1)",
        ),
        (
            ["features:", "  hours per week: numeric", "   age: numeric"],
            "3:7",
            "align 'age' with 'hours per week' in line 2 (column 3)",
        ),
        (
            [" epochs: 1", "loss: mse"],
            "2:1",
            "line 1 is indented and this line is not; begin both in column 1",
        ),
        (
            ["hidden:", "-  - {units: 4}", "+  - {units: 2, activation: relu}"],
            "3:27",
            "copied from a diff? remove the lines that begin with '-', and the '+' of the others",
        ),
    ],
)
def test_wrong_indentation_is_answered_with_the_line_to_align_with(
    problems_of: Problems, lines: list[str], place: str, hint: str
) -> None:
    problem, *_ = problems_of("\n".join([*lines, ""]))
    assert problem.startswith(f"c.yaml:{place}: not YAML: ")
    assert problem.endswith(f" ({hint})")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "c.yaml:1:1: is empty; start from 'dlcli.starter_config(DATA, target=...)'"),
        (
            "# only words\n",
            "c.yaml:1:1: is empty; start from 'dlcli.starter_config(DATA, target=...)'",
        ),
        ("- a\n", "c.yaml:1:1: expected keys and values (data: ..., hidden: ...) at the top"),
        ("\n\ntext\n", "c.yaml:3:1: expected keys and values (data: ..., hidden: ...) at the top"),
        (
            "a: [1\nb: 2\n",
            "c.yaml:2:2: not YAML: did not find expected ',' or ']'"
            " (the bracket in line 1 is not closed, or a comma is missing)",
        ),
        (
            "a: {hidden[0].units: [8, 16]}\n",
            "c.yaml:1:11: not YAML: did not find expected ',' or '}'"
            ' (a key with brackets needs quotes here: "hidden[0].units")',
        ),
        (
            "a: 1\n---\nb: 2\n",
            "c.yaml:2:1: a second YAML document begins; a config must be a single document: "
            "remove the '---'",
        ),
        (
            "data:\n\ttrain: a.csv\n",
            "c.yaml:2:1: not YAML: found character that cannot start any token"
            " (indent with spaces, not tabs)",
        ),
        (
            "name: @home\n",
            "c.yaml:1:7: not YAML: found character that cannot start any token"
            " (a text that begins with @ needs quotes)",
        ),
        ("a: *b\n", "c.yaml:1:4: not YAML: found undefined alias"),
        (
            "a {b: 1, c: 2}\n",
            "c.yaml:1:11: not YAML: mapping values are not allowed in this context "
            "(is the line indented too far, or does a line before it lack a colon? "
            "A text with ': ' needs quotes)",
        ),
        (
            "a: 'b\nc: 1\n",
            "c.yaml:3:1: not YAML: found unexpected end of stream (the quote in line 1 is not "
            "closed)",
        ),
        ("a: &b [*b]\n", "c.yaml:1:4: a: its aliases expand without bound"),
        ("&b {a: *b}\n", "c.yaml:1:1: a: its aliases expand without bound"),
        ('a: "\\ud800"\n', "c.yaml:1:7: not YAML: found invalid Unicode character escape code"),
        (
            "a: b\n# éé\nc: \x01\n",
            "c.yaml:3:4: has the character U+0001, which YAML forbids; remove it",
        ),
        (
            f"# {'é' * 50}\x01\n\n\n",
            "c.yaml:1:53: has the character U+0001, which YAML forbids; remove it",
        ),
        (
            "a: 1\n...\nb: 2\n",
            "c.yaml:3:1: not YAML: did not find expected <document start>"
            " (a config is one mapping, and this text follows its end)",
        ),
    ],
)
def test_a_document_that_is_not_a_mapping_is_one_problem(
    problems_of: Problems, content: str, problem: str
) -> None:
    assert problems_of(content) == [problem]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"# a\nname: caf\xe9\n", "c.yaml:2:10: byte 0xe9 is not UTF-8; save the file as UTF-8"),
        (b"\xef\xbb\xbf# a\n\xe9\n", "c.yaml:2:1: byte 0xe9 is not UTF-8; save the file as UTF-8"),
        (b"\xff\xfea", "c.yaml:1:1: byte 0x61 is not UTF-16-LE; save the file as UTF-8"),
        (b"\xff\xfe", "c.yaml:1:1: is empty; start from 'dlcli.starter_config(DATA, target=...)'"),
        ("a: 1".encode("utf-32"), "c.yaml:1:1: has a NUL character; save the file as UTF-8"),
    ],
)
def test_bytes_that_are_not_text_are_one_problem(
    problems_of: Problems, content: bytes, problem: str
) -> None:
    assert problems_of(content) == [problem]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_read(config_file: Path, encoding: str) -> None:
    config_file.write_bytes(MINIMAL.replace("a.csv", "é.csv").encode(encoding))
    assert load_config(config_file).config.data.train == "é.csv"


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_every_line_end_is_read(config_file: Path, line_end: str) -> None:
    config_file.write_bytes(MINIMAL.replace("\n", line_end).encode())
    assert load_config(config_file).config.epochs == 1


@pytest.mark.parametrize("nested", ["[" * 3000, "{a: " * 3000, "- " * 3000, "? " * 3000])
def test_deep_nesting_is_a_problem_with_a_position(problems_of: Problems, nested: str) -> None:
    (problem,) = problems_of(f"a:\n {nested}")
    assert problem.startswith("c.yaml:2:")
    assert "nest" in problem


def test_a_long_text_may_have_more_values_than_aliases_may_make(
    config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yaml_document, "MAX_VALUES", 20)
    columns = "".join(f"    column_{at}: numeric\n" for at in range(30))
    text = f"{MINIMAL}input:\n  features:\n{columns}"
    config_file.write_text(text)
    assert len(load_config(config_file).config.input.features) == 30


@pytest.mark.parametrize(
    "key",
    ["class_weight", "data.prevalence", "decision.costs", "decision.costs.a", "data.missing"],
)
def test_a_mapping_may_have_a_key_for_each_of_many_classes_or_columns(
    key: str, load_with: Callable[..., Config]
) -> None:
    value = '["-1"]' if key == "data.missing" else "0.00001"
    section: object = load_with(
        "", f"{key}={{{', '.join(f'c{at}: {value}' for at in range(10_000))}}}"
    )
    for step in key.split("."):
        section = section[step] if isinstance(section, dict) else getattr(section, step)
    assert isinstance(section, dict)
    assert len(section) == 10_000


def hostile(before: str, item: str, between: str = ",", after: str = "") -> str:
    """A config with a megabyte of items, `N` in which is their number."""
    items, size = [], len(MINIMAL)
    while size < 2**20:
        items.append(item.replace("N", str(len(items))))
        size += len(items[-1]) + len(between)
    return f"{MINIMAL}{before}{between.join(items)}{after}\n"


def test_a_long_word_before_an_error_is_read_once(config_file: Path) -> None:
    word = "k" * 100_000
    config_file.write_text(f'x: {{"{word}": 1}}')
    start = process_time()
    with pytest.raises(ConfigError, match="not YAML"):
        load_config(config_file)
    assert process_time() - start < 1


@pytest.mark.release
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (hostile("x: [", "{}", after="]"), "has more than 174,"),
        (hostile("ensemble: {vary: [", "{          }", after="]}"), "ensemble.vary: has 80,"),
        (hostile("", "unknown_N: 1", "\n"), "entries, more than 1,000"),
        (hostile("metrics: [", "unknown", after="]"), "metrics: has 131,"),
        (hostile("input: {features: {", "column_N: x", after="}}"), "unknown feature type 'x'"),
        (hostile("gates: {", "test.gate_N: {at_least: 1}", after="}"), "gates: has 3"),
        (hostile("x: [&a [1], ", "*a", after="]"), "has more than 174,"),
    ],
)
def test_a_hostile_megabyte_costs_little_memory(text: str, message: str, config_file: Path) -> None:
    config_file.write_text(text)
    tracemalloc.start()
    try:
        with pytest.raises(ConfigError) as caught:
            load_config(config_file)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert message in str(caught.value)
    assert peak < 100 * 2**20


def test_an_alias_bomb_is_rejected(problems_of: Problems) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert problems_of("\n".join(lines)) == ["c.yaml:5:5: a4: its aliases expand without bound"]


def test_an_alias_is_the_value_that_it_repeats(load_with: Callable[..., Config]) -> None:
    config = load_with("seed: &n 5\nbatch_size: *n\n")
    assert (config.seed, config.batch_size) == (5, 5)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("name: a\nname: b\n", "c.yaml:5:1: name: is given twice"),
        ("output: {units: 1, units: 2}\n", "c.yaml:4:20: output.units: is given twice"),
        ("? [a]\n: 1\n", "c.yaml:4:3: a key must be text, not a list or a mapping"),
        (
            "name: !!python/object:os.system x\n",
            "c.yaml:4:7: name: the tag '!!python/object:os.system' is not allowed",
        ),
        (
            "metrics: !!python/object/apply:os.system [ls]\n",
            "c.yaml:4:10: metrics: the tag '!!python/object/apply:os.system' is not allowed",
        ),
        ("name: !!binary aGk=\n", "c.yaml:4:7: name: the tag '!!binary' is not allowed"),
        ("output: !dense {}\n", "c.yaml:4:9: output: the tag '!dense' is not allowed"),
        ("name: !!seq x\n", "c.yaml:4:7: name: the tag '!!seq' is not allowed"),
        ("metrics: !!str [mae]\n", "c.yaml:4:10: metrics: the tag '!!str' is not allowed"),
        ("output: !!seq {units: 1}\n", "c.yaml:4:9: output: the tag '!!seq' is not allowed"),
        ("!!map name: a\n", "c.yaml:4:1: name: the tag '!!map' is not allowed"),
        ("name: !a%0Ab x\n", "c.yaml:4:7: name: the tag '!a\\nb' is not allowed"),
        ("seed: !!bool x\n", "c.yaml:4:7: seed: can't read 'x' as bool"),
        ("seed: !!int x\n", "c.yaml:4:7: seed: can't read 'x' as int"),
        (f"seed: {'1' * 5000}\n", f"c.yaml:4:7: seed: can't read '{'1' * 37}...' as int"),
        (
            f"batch_size: 0x{'f' * 6000}\n",
            f"c.yaml:4:13: batch_size: can't read '0x{'f' * 35}...' as int",
        ),
    ],
)
def test_a_value_that_cannot_be_read_is_one_problem(
    problems_with: Problems, lines: str, problem: str
) -> None:
    assert problems_with(lines) == [problem]


def test_a_file_of_8_mib_is_read(config_file: Path) -> None:
    config_file.write_bytes(MINIMAL.encode().ljust(2**23, b"#"))
    assert load_config(config_file).config.epochs == 1


def test_a_file_over_8_mib_is_rejected(problems_of: Problems) -> None:
    content = MINIMAL.encode().ljust(2**23 + 1, b"#")
    assert problems_of(content) == ["c.yaml:1:1: is over 8 MiB, too large for a config"]


def test_a_missing_file_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"^none\.yaml: there is no such file$"):
        load_config(Path("none.yaml"))


def test_a_folder_is_a_usage_error(folder: Path) -> None:
    with pytest.raises(UsageError, match=r": can't be read: Is a directory$"):
        load_config(folder)


def test_an_unreadable_file_is_a_usage_error(
    config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UsageError, match=r"^c\.yaml: can't be read: Permission denied$"):
        load_config(config_file)


def test_a_problem_is_one_line_without_control_characters(
    problems_with: Problems,
) -> None:
    lines = '"new\\nline": 1\nloss: "\\e[31mred\\x85"\nname: "a\\nb"\n'
    found = problems_with(lines)
    assert [problem.split("; allowed")[0] for problem in found] == snapshot(
        [
            'c.yaml:4:1: ["new\\nline"]: unknown key',
            "c.yaml:5:7: loss: unknown loss '\\x1b[31mred\\x85'",
            "c.yaml:6:7: name: expected up to 64 characters (A-Z a-z 0-9 . _ -), beginning with a letter or digit,"
            " got 'a\\nb'",
        ]
    )


def test_a_config_error_has_a_line_for_each_problem(config_file: Path) -> None:
    config_file.write_text("hidden: 1\nepochs: x\n")
    with pytest.raises(ConfigError) as caught:
        load_config(config_file)
    assert len(str(caught.value).splitlines()) == len(caught.value.problems) == 3
