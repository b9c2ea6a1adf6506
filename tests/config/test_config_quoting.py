"""Names in `--set` that look like steps of a path, and the way to quote them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dlcli.config import Config, load_config

Load = Callable[..., Config]
Problems = Callable[..., list[str]]

NO_LIST = "expected a list here, to take an item of"
NO_TYPE = "expected a feature type as {type: ...}, got no 'type'"
WEIGHT = "class_weight: expected balanced, or a weight above 0 for each class"


@pytest.mark.parametrize(
    ("argument", "problem", "name", "quoted"),
    [
        (
            "input.features.c[0]=numeric",
            f"input.features.c: {NO_LIST}",
            "c[0]",
            """'input.features["c[0]"]=numeric'""",
        ),
        (
            "input.features.c[0].scaling={name: divide, by: 2}",
            f"input.features.c: {NO_LIST}",
            "c[0]",
            """'input.features["c[0]"].scaling={name: divide, by: 2}'""",
        ),
        (
            "input.features.a[x]=numeric",
            "can't read 'input.features.a[x]' as a path at '[x]'",
            "a[x]",
            """'input.features["a[x]"]=numeric'""",
        ),
        (
            "input.features[a b]=numeric",
            "can't read 'input.features[a b]' as a path at '[a b]'",
            "a b",
            """'input.features["a b"]=numeric'""",
        ),
        (
            "input.features.Sepal.Length=numeric",
            f"input.features.Sepal: {NO_TYPE}",
            "Sepal.Length",
            """'input.features["Sepal.Length"]=numeric'""",
        ),
        (
            "input.features.Sepal.Length.type=numeric",
            f"input.features.Sepal: {NO_TYPE}",
            "Sepal.Length",
            """'input.features["Sepal.Length"].type=numeric'""",
        ),
        (
            "input.features.it's=numeric",
            "expected path=value, as in hidden[0].units=64",
            "it's",
            """'input.features["it'"'"'s"]=numeric'""",
        ),
        (
            'input.features.say "x"=numeric',
            """can't read 'input.features.say "x"' as a path at '"x"'""",
            'say "x"',
            r"""'input.features["say \"x\""]=numeric'""",
        ),
    ],
)
def test_the_quoted_form_of_a_column_is_told(
    problems_with: Problems, argument: str, problem: str, name: str, quoted: str
) -> None:
    assert problems_with("", argument) == [
        f"--set '{argument}': {problem}; if '{name}' is a column, quote it: --set {quoted}"
    ]


@pytest.mark.parametrize(
    ("argument", "got", "name"),
    [
        ("class_weight.<=50K=2", '{"<": "50K=2"}', "<=50K"),
        ("class_weight.a.b=2", '{"a": {"b": 2}}', "a.b"),
    ],
)
def test_the_quoted_form_of_a_class_is_told(
    problems_with: Problems, argument: str, got: str, name: str
) -> None:
    assert problems_with("", argument) == [
        f"--set '{argument}': {WEIGHT}, got {got}; "
        f"if '{name}' is a class, quote it: --set 'class_weight[\"{name}\"]=2'"
    ]


@pytest.mark.parametrize(
    ("argument", "path"),
    [
        ("""input.features["c[0]"]=numeric""", "c[0]"),
        ("""input.features["it's"]=numeric""", "it's"),
        (r"""input.features["say \"x\""]=numeric""", 'say "x"'),
    ],
)
def test_what_is_told_is_taken(load_with: Load, argument: str, path: str) -> None:
    assert list(load_with("", argument).input.features or ()) == [path]


@pytest.mark.parametrize(
    "argument",
    [
        "hidden[x].units=3",
        "data[0]=5",
        "seed=ten",
        "input.features.c[0]",
        "input.features.=numeric",
        "input.features.age.type=x",
        "input.features.age=nmeric",
        "input.features.income (k$)=x",
        """input.features["c[0]"]=x""",
        "class_weight.cat=none",
        "input.featuresx.c[0]=1",
    ],
)
def test_nothing_is_told_where_quotes_would_not_help(
    problems_with: Problems, argument: str
) -> None:
    (problem,) = problems_with("", argument)
    assert "quote it" not in problem


def test_only_the_argument_in_question_gets_the_hint(problems_with: Problems) -> None:
    lines = "input: {features: {b: nothing}}\n"
    first, second = problems_with(lines, "input.features.Sepal.Length=numeric")
    assert first.endswith("""quote it: --set 'input.features["Sepal.Length"]=numeric'""")
    assert second.startswith("c.yaml:4:23: input.features.b: unknown feature type 'nothing'")
    assert "quote it" not in second


def test_a_type_that_comes_later_needs_no_quotes(config_file: Path) -> None:
    config_file.write_text("data: {train: a.csv, target: y}\nhidden: []\nepochs: 1\n")
    settings = ("input.features.a.missing=mean", "input.features.a.type=numeric")
    features = load_config(config_file, settings).config.input.features or {}
    assert features["a"].type == "numeric"
