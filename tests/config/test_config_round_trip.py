"""A config that is written and read is the same, and satisfies the JSON Schema.

For more configs: `DLCLI_FUZZ=10000 pytest tests/config`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot
from pydantic import TypeAdapter, ValidationError

from dlcli.config.config_file import dump_config, load_config
from dlcli.config.config_schema import Config
from dlcli.config.training_choices import PiecewiseConstant
from dlcli.config.tune_section import Range, Space, Variants
from dlcli.schema.section import OneOf, Section
from dlcli.schema.yaml_document import Values, parse
from dlcli.tables.table_formats import _known_encoding
from tests.config.schema import VALIDATOR

TRICKY = ["no", "1e-3", "010", "null", "~", "true", "", " a ", "0x1F", "0o17", ".inf", "1:30", "=",
          "<<", "-", "a: b", "# a", "!a", "*a", "a\nb", "\x85", "\ufeff", "'", '"', "é", "\x7f",
          "a" * 200, "%a", "@a", "2024-12-31", "[a]", "{a}", "?", "---", "😀",
          "\u2028"]  # fmt: skip
TEXTS = st.sampled_from(TRICKY) | st.text() | st.from_regex(r"\A[a-z0-9]{1,8}\Z")
SCALARS: dict[object, st.SearchStrategy[Any]] = {
    str: TEXTS,
    int: st.integers(1, 9) | st.integers(0, 2**31),
    float: st.floats(0.01, 0.99) | st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    type(None): st.none(),
}
CHOICES = st.recursive(
    TEXTS | st.integers(-9, 9) | st.floats(0.01, 0.99) | st.booleans() | st.none(),
    lambda below: (
        st.lists(below, max_size=2).map(tuple) | st.dictionaries(TEXTS, below, max_size=2)
    ),
    max_leaves=3,
)
VARIED = (
    st.builds(Range, low=st.integers(1, 9), high=st.integers(10, 99), log=st.booleans())
    | st.builds(Range, low=st.floats(-9, 9), high=st.floats(10, 1e9), step=st.floats(0.1, 1))
    | st.lists(CHOICES, min_size=2, max_size=3).map(tuple)
)
SPACES = st.dictionaries(
    st.sampled_from(["epochs", "input.scaling", "hidden[0].units"]), VARIED, min_size=1
) | st.dictionaries(st.sampled_from(["units", "activation.alpha"]), VARIED, min_size=1).map(
    lambda layers: {"hidden": layers}
)
"""Search spaces; a random text is hardly ever the path of a setting."""
GROUPS = st.lists(
    st.dictionaries(st.sampled_from(["epochs", "hidden[0].units"]), CHOICES, min_size=1)
    | st.dictionaries(st.sampled_from(["units", "activation"]), CHOICES, min_size=1).map(
        lambda layers: {"hidden_layers": layers}
    ),
    min_size=1,
    max_size=3,
).map(tuple)
"""The settings of groups of networks."""


STEPS = st.lists(st.integers(1, 99), min_size=1, max_size=3, unique=True).flatmap(
    lambda boundaries: st.builds(
        PiecewiseConstant,
        boundaries=st.just(tuple(sorted(boundaries))),
        values=st.tuples(*[st.floats(0.01, 0.99)] * len(boundaries)),
    )
)
"""Schedules with as many increasing boundaries as values."""


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Return values that an annotation accepts."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Space:
        return SPACES.filter(taken_by(TypeAdapter(hint)))
    if hint is Variants:
        return (SPACES | GROUPS).filter(taken_by(TypeAdapter(hint)))
    if origin is Annotated and isinstance(mark := arguments[1], OneOf):
        return st.one_of(*map(sections, mark.members_in(hint).values()))
    if origin is Annotated:
        return within_limits(*arguments).filter(taken_by(TypeAdapter(hint)))
    if origin in (Union, UnionType):
        return st.one_of(*map(values, arguments))
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        return st.lists(values(arguments[0]), max_size=3).map(tuple)
    if origin is Mapping:
        return st.dictionaries(TEXTS, values(arguments[1]), max_size=3)
    return sections(hint) if issubclass(hint, Section) else SCALARS[hint]


def within_limits(hint: Any, *marks: Any) -> st.SearchStrategy[Any]:
    """Return values of an annotation, within the limits that its marks set for a number or a text.

    Values that are drawn without regard to limits would have to be discarded, and most configs with
    them.
    """
    if _known_encoding in [getattr(mark, "func", None) for mark in marks]:
        return st.sampled_from(["auto", "utf-8", "latin-1", "CP1252"])
    rules = [rule for mark in marks for rule in getattr(mark, "metadata", [mark])]
    limits: dict[str, Any] = {}
    for rule in rules:
        for limit in ("gt", "ge", "lt", "le", "pattern"):
            if (value := getattr(rule, limit, None)) is not None:
                limits[limit] = value
    if "pattern" in limits:
        return st.from_regex(limits["pattern"])
    if hint is int and limits:
        low = limits["ge"] if "ge" in limits else limits.get("gt", -(2**31)) + 1
        high = limits["le"] if "le" in limits else limits.get("lt", 2**31) - 1
        return st.integers(low, min(low + 9, high)) | st.integers(low, high)
    if hint is float and limits:
        return st.floats(
            min_value=limits.get("ge", limits.get("gt")),
            max_value=limits.get("le", limits.get("lt")),
            exclude_min="gt" in limits,
            exclude_max="lt" in limits,
            allow_nan=False,
            allow_infinity=False,
        )
    return values(hint)


def taken_by(adapter: TypeAdapter[Any]) -> Callable[[object], bool]:
    def taken(value: object) -> bool:
        try:
            adapter.validate_python(value)
        except ValidationError:
            return False
        return True

    return taken


def sections(section: type[Section]) -> st.SearchStrategy[Section]:
    """Return sections that set some of the optional keys."""
    if section is PiecewiseConstant:
        return STEPS
    keys = {
        key: values(hint)
        for key, hint in get_type_hints(section, include_extras=True).items()
        if key in section.model_fields
    }
    required = [key for key in keys if section.model_fields[key].is_required()]

    @st.composite
    def drawn(draw: st.DrawFn) -> Section:
        chosen = draw(st.fixed_dictionaries({key: keys[key] for key in required}).filter(taken))
        for key in [key for key in keys if draw(st.booleans())]:
            more = {**chosen, key: draw(keys[key])}
            chosen = more if taken(more) else chosen  # some keys conflict with each other
        return section.model_validate(chosen)

    taken = taken_by(TypeAdapter(section))
    return drawn()


CONFIGS = sections(Config)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("round_trip") / "c.yaml"


def written_and_read(config: object, path: Path) -> Config:
    assert isinstance(config, Config)
    path.write_text(dump_config(config), encoding="utf-8", newline="")
    return load_config(path).config


@pytest.mark.slow
@settings(
    suppress_health_check=[HealthCheck.too_slow],
)
@given(config=CONFIGS)
def test_a_written_config_is_read_as_equal_and_satisfies_the_json_schema(
    path: Path, config: Section
) -> None:
    assert written_and_read(config, path) == config
    document = parse(path.read_text(encoding="utf-8"), "c.yaml")
    content = Values(document).of(document.root)
    assert [error.message for error in VALIDATOR.iter_errors(with_lists(content))] == []


def with_lists(value: object) -> object:
    """Replace tuples by lists, which the validator takes as arrays."""
    if isinstance(value, dict):
        return {key: with_lists(item) for key, item in value.items()}
    return [with_lists(item) for item in value] if isinstance(value, tuple) else value


def test_a_text_remains_a_text_as_key_and_value(path: Path) -> None:
    for text in TRICKY:
        config = Config.model_validate(
            {
                "data": {"train": text or "a", "target": ("y", text or "z"), "missing": (text,)},
                "input": {"features": {text: "numeric", "other": "auto"}},
                "hidden": (),
                "class_weight": {text: 2.0},
                "epochs": 1,
            }
        )
        assert written_and_read(config, path) == config


def test_a_written_config_has_all_defaults_in_the_order_of_the_schema(path: Path) -> None:
    path.write_text(
        "epochs: 2\noptimizer: {learning_rate: 1e-4, name: sgd}\n"
        "hidden: [{units: 3}]\ndata: {target: y, train: a.csv}\n"
    )
    assert dump_config(load_config(path).config) == snapshot("""\
seed: 0
data:
  train: a.csv
  train_on_validation: false
  format: {name: auto}
  header: auto
  skip_lines: 0
  target: {column: y, type: auto}
  missing: auto
  on_missing_target: drop
  storage: auto
input:
  scaling: {name: standard}
  encoding: {name: none}
hidden:
- units: 3
  activation: {name: linear}
  dropout: 0.0
  use_bias: true
  kernel_initializer: {name: glorot_uniform}
  bias_initializer: {name: zeros}
output:
  use_bias: true
  kernel_initializer: {name: glorot_uniform}
  bias_initializer: {name: zeros}
optimizer: {name: sgd, learning_rate: 0.0001, momentum: 0.0, nesterov: false, use_ema: false, ema_momentum: 0.99}
learning_rate_schedule: {name: constant}
learning_rate_multipliers: {kernels: 1.0, biases: 1.0, encodings: 1.0}
exclude_from_weight_decay: []
epochs: 2
batch_size: 32
engine: {name: auto}
device: auto
threads: auto
precision: float32
checkpoint: {seconds: 30.0}
explanation: {background_rows: 32}
""")


def test_a_null_that_is_not_the_default_is_written(path: Path) -> None:
    path.write_text(
        "epochs: 2\noptimizer: {name: muon, rms_rate: null, weight_decay: null}\n"
        "hidden: []\ndata: {target: y, train: a.csv}\n"
    )
    config = load_config(path).config
    assert config.optimizer.model_dump()["rms_rate"] is None
    assert written_and_read(config, path) == config
