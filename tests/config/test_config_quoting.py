"""Names in `--set` that look like a path, and the way to quote them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from dlcli.config import Config, load_config

Load = Callable[..., Config]
Problems = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("argument", "problem"),
    [
        ("input.features.c[0]=numeric",
         "input.features.c: expected a list here, to take an item of"),
        ("input.features.c[0].scaling={name: divide, by: 2}",
         "input.features.c: expected a list here, to take an item of"),
        ("input.features.a[x]=numeric", "can't read 'input.features.a[x]' as a path at '[x]'"),
        ("input.features[a b]=numeric", "can't read 'input.features[a b]' as a path at '[a b]'"),
        ("input.features.Sepal.Length=numeric",
         "input.features.Sepal: expected a feature type as {type: ...}, got no 'type'"),
        ("input.features.it's=numeric", "expected path=value, as in hidden[0].units=64"),
        ("class_weight.<=50K=2",
         "class_weight: expected balanced, or a weight above 0 for each class,"
         ' got {"<": "50K=2"}'),
        ("class_weight.a.b=2",
         "class_weight: expected balanced, or a weight above 0 for each class,"
         ' got {"a": {"b": 2}}'),
    ],
)  # fmt: skip
def test_an_unquoted_name_is_reported_with_the_way_to_quote_it(
    problems_with: Problems, argument: str, problem: str
) -> None:
    parent = re.split(r"[.\[](?!features)", argument)[0]
    assert problems_with("", argument) == [
        f"--set '{argument}': {problem}; quote a name with dots or other signs:"
        f" --set '{parent}[\"a.b\"]=...'"
    ]


@pytest.mark.parametrize(
    ("argument", "path"),
    [
        ("""input.features["c[0]"]=numeric""", "c[0]"),
        ("""input.features["it's"]=numeric""", "it's"),
        (r"""input.features["say \"x\""]=numeric""", 'say "x"'),
    ],
)
def test_a_quoted_name_is_accepted(load_with: Load, argument: str, path: str) -> None:
    assert list(load_with("", argument).input.features or ()) == ["*", path]


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
def test_there_is_no_hint_if_quotes_would_not_help(problems_with: Problems, argument: str) -> None:
    (problem,) = problems_with("", argument)
    assert "quote a name" not in problem


def test_only_the_problem_of_the_argument_has_the_hint(problems_with: Problems) -> None:
    lines = "input: {features: {b: nothing}}\n"
    first, second = problems_with(lines, "input.features.Sepal.Length=numeric")
    assert first.endswith("""--set 'input.features["a.b"]=...'""")
    assert second.startswith("c.yaml:4:23: input.features.b: unknown feature type 'nothing'")
    assert "quote a name" not in second


def test_the_type_of_a_feature_may_be_set_later(config_file: Path) -> None:
    config_file.write_text("data: {train: a.csv, target: y}\nhidden: []\nepochs: 1\n")
    settings = ("input.features.a.missing=mean", "input.features.a.type=numeric")
    features = load_config(config_file, settings).config.input.features or {}
    assert features["a"].type == "numeric"
