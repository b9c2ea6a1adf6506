"""Loading: all problems at once, in the order of the text, and nothing but the errors it names."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from dlcli.config.config_file import load_config, make_config, relative_path
from dlcli.errors import ConfigError, Position, Problem, UsageError

Problems = Callable[..., list[str]]

MINIMAL = "data: {train: a.csv, target: y}\nhidden: []\nepochs: 1\n"
ROOT = Path(__file__).parents[2]


def test_all_problems_are_reported_at_once_in_the_order_of_the_text(problems_of: Problems) -> None:
    text = """\
sed: 1
data:
  train: 5
  validation: 2
hidden:
  - {units: 16, activation: relu}
  - {units: ten, activaton: relu, dropout: 1.0}
  - {activation: rellu}
epochs: true
epochs: 0
loss: !!binary aGk=
"""
    assert problems_of(text) == snapshot(
        [
            "c.yaml:1:1: sed: unknown key; did you mean 'seed'?",
            "c.yaml:3:3: data.target: is required; write target: COLUMN",
            "c.yaml:3:10: data.train: expected a file, got 5; write '5' in quotes",
            "c.yaml:4:15: data.validation: expected a share of the rows above 0 and below 1, or a file,"
            " got 2; for 2 % write 0.02",
            "c.yaml:7:13: hidden[1].units: expected a positive integer up to 1,000,000, got 'ten'",
            "c.yaml:7:18: hidden[1].activaton: unknown key; did you mean 'activation'?",
            "c.yaml:7:44: hidden[1].dropout: expected a number of 0 or more and below 1, got 1.0",
            "c.yaml:8:5: hidden[2].units: is required",
            "c.yaml:8:18: hidden[2].activation: unknown activation 'rellu'; did you mean 'relu'?",
            "c.yaml:10:1: epochs: is given twice",
            "c.yaml:11:7: loss: the tag '!!binary' is not allowed",
        ]
    )


def test_required_keys_are_named_with_an_example(problems_of: Problems) -> None:
    assert problems_of("seed: 1\n") == snapshot(
        [
            "c.yaml:1:1: data: is required",
            "c.yaml:1:1: hidden: is required; write hidden: [{units: 64, activation: relu}], or hidden: [] for a linear model",
            "c.yaml:1:1: epochs: is required; write epochs: 100",
        ]
    )


def test_a_misspelled_key_is_not_missing(problems_of: Problems) -> None:
    text = "data: {train: t.csv, tagret: y}\nhiden: []\nepoch: 5\n"
    assert problems_of(text) == snapshot(
        [
            "c.yaml:1:22: data.tagret: unknown key; did you mean 'target'?",
            "c.yaml:2:1: hiden: unknown key; did you mean 'hidden'?",
            "c.yaml:3:1: epoch: unknown key; did you mean 'epochs'?",
        ]
    )


def test_an_unknown_key_is_located_at_the_key(
    problems_with: Problems,
) -> None:
    assert problems_with("output:\n  kernel_init:\n    name: ones\n") == [
        "c.yaml:5:3: output.kernel_init: unknown key; did you mean 'kernel_initializer'?"
    ]


def test_problems_are_sorted_by_line_number(problems_of: Problems) -> None:
    text = "".join(f"key{line}: 1\n" for line in range(1, 12))
    found = [problem.split(":")[1] for problem in problems_of(text) if "unknown" in problem]
    assert found == [str(line) for line in range(1, 12)]


def test_the_first_100_problems_are_reported(problems_with: Problems) -> None:
    unknown = "".join(f"key{line}: 1\n" for line in range(4, 154))
    found = problems_with(unknown)
    assert [problem.split(": ")[:2] for problem in found[:100]] == [
        [f"c.yaml:{line}:1", f"key{line}"] for line in range(4, 104)
    ]
    assert found[100:] == ["c.yaml:1:1: and 50 more problems"]


def test_a_single_problem_more_than_100_is_one_problem(problems_with: Problems) -> None:
    unknown = "".join(f"key{line}: 1\n" for line in range(4, 105))
    assert problems_with(unknown)[100:] == ["c.yaml:1:1: and 1 more problem"]


def test_the_first_100_repeated_keys_are_reported(problems_with: Problems) -> None:
    found = problems_with("seed: 1\n" * 151)
    assert found[0] == "c.yaml:5:1: seed: is given twice"
    assert found[99:] == [
        "c.yaml:104:1: seed: is given twice",
        "c.yaml:1:1: and 50 more problems",
    ]


def test_a_column_is_counted_in_characters(problems_with: Problems) -> None:
    (problem,) = problems_with("input: {features: {größe: nmeric}}\n")
    assert problem == (
        snapshot(
            "c.yaml:4:27: input.features.größe: unknown feature type 'nmeric'; did you mean 'numeric'?"
        )
    )


def test_a_problem_in_an_alias_is_located_at_its_anchor(problems_of: Problems) -> None:
    text = "data: {train: a.csv, target: y}\nepochs: 1\nhidden: [&l {units: 0}, *l]\n"
    wanted = "expected a positive integer up to 1,000,000, got 0"
    assert problems_of(text) == [
        f"c.yaml:3:21: hidden[0].units: {wanted}",
        f"c.yaml:3:21: hidden[1].units: {wanted}",
    ]


def test_the_last_of_repeated_keys_is_checked(problems_with: Problems) -> None:
    assert problems_with("output: {units: 3}\noutput: {units: 0}\n") == [
        "c.yaml:5:1: output: is given twice",
        "c.yaml:5:17: output.units: expected a positive integer up to 1,000,000, got 0",
    ]


def test_a_run_is_named_after_its_config_or_its_file(tmp_path: Path) -> None:
    path = tmp_path / "adult.v2.yaml"
    path.write_text(MINIMAL)
    assert load_config(path).name == "adult.v2"
    assert load_config(path, ["name=other"]).name == "other"


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("my config.yaml", "my-config"),
        ("a (2nd) try!.yaml", "a-2nd-try"),
        (".hidden.yaml", "hidden"),
        ("größe_1.yaml", "gr-e_1"),
        ("数据.yaml", "run"),
        ("a" * 63 + "-b.yaml", "a" * 63),
        ("a" * 70 + ".yaml", "a" * 64),
    ],
)
def test_a_file_name_is_adapted_to_a_run_name(tmp_path: Path, file: str, name: str) -> None:
    path = tmp_path / file
    path.write_text(MINIMAL)
    assert load_config(path).name == name
    assert load_config(path, [f"name={name}"]).name == name


def test_paths_are_relative_to_the_config(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(MINIMAL)
    config = load_config(path)
    assert config.resolve("../data/a.csv") == tmp_path.parent / "data" / "a.csv"
    assert config.resolve("/data/a.csv") == Path("/data/a.csv")


def test_a_path_leads_out_of_the_folder_that_a_symbolic_link_points_to(tmp_path: Path) -> None:
    (tmp_path / "versions" / "3").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "versions" / "3")
    config = make_config(MINIMAL)
    within = replace(config, path=tmp_path / "link" / "c.yaml")
    assert os.path.samefile(within.resolve(".."), tmp_path / "versions")
    assert within.resolve("../3/a.csv") == tmp_path / "link" / "../3/a.csv"
    assert within.resolve("more/../a.csv") == tmp_path / "link" / "a.csv"


def test_a_path_is_written_so_that_it_is_read_as_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "versions" / "3").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "versions" / "3")
    file = tmp_path / "data" / "a.csv"
    assert relative_path(file, tmp_path / "runs" / "c") == "../../data/a.csv"
    assert relative_path(file, tmp_path / "link") == "../../data/a.csv"
    assert relative_path(tmp_path / "link" / ".." / "a.csv", tmp_path) == "versions/a.csv"


def test_the_text_of_the_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"# mine\n{MINIMAL}")
    assert load_config(path, ["seed=3"]).text == f"# mine\n{MINIMAL}"


def test_later_problems_are_located_and_sorted(
    config_file: Path,
) -> None:
    config_file.write_text(f"{MINIMAL}input:\n  features: {{a: auto, 'b.c': auto}}\n")
    loaded = load_config(config_file, ["data.sample_weight=w"])
    with pytest.raises(ConfigError) as caught, loaded.located():
        raise ConfigError(
            [
                Problem("data.target", "no such column"),
                Problem("input.features['b.c']", "no such column"),
                Problem("loss", "doesn't fit"),
                Problem("data.sample_weight", "no such column"),
                Problem("", "is odd"),
                Problem("seed", "is odd", Position("elsewhere", 1, 1)),
            ]
        )
    assert str(caught.value).splitlines() == snapshot(
        [
            "--set 'data.sample_weight=w': no such column",
            "c.yaml:1:1: loss: doesn't fit",
            "c.yaml:1:1: is odd",
            "elsewhere:1:1: seed: is odd",
            "c.yaml:1:30: data.target: no such column",
            "c.yaml:5:30: input.features['b.c']: no such column",
        ]
    )


def load_or_explain(path: Path, overrides: list[str]) -> None:
    """Load a config, or check that each of its problems is explained on one line."""
    try:
        load_config(path, overrides)
    except ConfigError as error:
        assert error.problems
        assert len(str(error).splitlines()) == len(error.problems)
        for problem in error.problems:
            assert problem.message
            assert problem.position.name.startswith((str(path), "--set '"))
    except UsageError as error:
        assert len(str(error).splitlines()) == 1


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "c.yaml"


@given(
    content=st.binary()
    | st.text().map(str.encode)
    | st.text(":-?[]{},&*!|>'\"%@` \n\ta1.~#<").map(str.encode)
)
def test_any_bytes_are_loaded_or_explained(scratch: Path, content: bytes) -> None:
    scratch.write_bytes(content)
    load_or_explain(scratch, [])


REAL = """\
name: adult
data:
  train: adult.csv
  validation: 0.15
  split: {name: group, column: house}
  target: {column: income, type: categorical}
  missing: ["?", 'NA']
input:
  features:
    capital_gain: {type: numeric, scaling: log1p, missing: median}
    "pixel_*": {type: numeric, scaling: {name: divide, by: 255}}
hidden:
  - &wide {units: 256, activation: relu, dropout: 0.2, batch_normalization: true}
  - *wide
class_weight: {a: 1, b: 2.5}
optimizer: {name: adamw, learning_rate: 1e-3, clipnorm: 1.0}
epochs: 100
early_stopping: {monitor: val_loss, patience: 10}
"""
FRAGMENTS = st.text(max_size=3) | st.sampled_from(
    ["null", "true", "-1", "0", "1e999", ".nan", "0x" + "f" * 500, "[]", "{}", "*wide", "&wide ",
     "!!str ", "!x ", "? ", "- ", ": ", "\n", "\t", "'", '"', "---\n", "<<: *wide", "# "]
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Return a valid config with one to three parts replaced by fragments."""
    text = REAL
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        length = draw(st.integers(0, 8))
        text = text[:start] + draw(FRAGMENTS) + text[start + length :]
    return text


@given(text=mutated())
def test_a_mangled_config_is_loaded_or_explained(scratch: Path, text: str) -> None:
    scratch.write_text(text, encoding="utf-8", errors="surrogatepass")
    load_or_explain(scratch, [])


ARGUMENTS = st.text() | st.builds(
    "{}={}".format,
    st.sampled_from(
        ["hidden[0].units", "hidden[2]", "hidden", "input.features['a.b']", "optimizer.name",
         "data.target.type", "data.missing[1]", "class_weight.a.b", "epochs[0]", "input[0]"]
    ),
    FRAGMENTS,
)  # fmt: skip


@given(overrides=st.lists(ARGUMENTS, min_size=1, max_size=3))
def test_any_override_is_loaded_or_explained(scratch: Path, overrides: list[str]) -> None:
    scratch.write_text(REAL)
    load_or_explain(scratch, overrides)


def test_neither_the_package_nor_an_error_imports_a_heavy_library(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"{MINIMAL}loss: hubber\n")
    program = f"""
import sys
from pathlib import Path
from dlcli.config.config_file import load_config, make_config, relative_path
from dlcli.errors import ConfigError
try:
    load_config(Path({str(path)!r}))
except ConfigError:
    heavy = {{"tensorflow", "keras", "numpy", "pyarrow", "click", "rich"}}
    print(*sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "\n"
