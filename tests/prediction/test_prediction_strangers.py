"""A run folder may come from a stranger: its encoding is refused, or predicts, or says why not."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from dlcli.columns.boolean import Boolean
from dlcli.columns.category import Categorical, Embedding
from dlcli.columns.date_time import Datetime
from dlcli.columns.image import Image
from dlcli.columns.number import Numeric
from dlcli.columns.numeric_encodings import Periodic, PiecewiseLinear
from dlcli.columns.scaling import Quantile, Robust, Standard
from dlcli.columns.text import Text
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_file import load_config
from dlcli.config.data_section import Input, Target
from dlcli.encoding.column_types import decide_types
from dlcli.encoding.table_encoding import fit_encoding
from dlcli.errors import DlcliError, RunError
from dlcli.network.layers import build_network
from dlcli.runs.manifest import RunFile
from dlcli.runs.run_folder import new_run
from dlcli.tables.table import Table
from dlcli.tasks.inference import infer_task

RESOLVED = """
data: {train: t.csv, target: y}
hidden: []
output: {units: 1, activation: linear, scaling: standard}
loss: mean_squared_error
epochs: 1
"""
CHOSEN = {
    "number": Numeric(),
    "robust": Numeric(scaling=Robust()),
    "quantile": Numeric(scaling=Quantile()),
    "bins": Numeric(encoding=PiecewiseLinear(bins=3)),
    "waves": Numeric(encoding=Periodic(frequencies=2)),
    "flag": Boolean(),
    "colour": Categorical(),
    "town": Categorical(encoding=Embedding(units=2)),
    "words": Text(),
    "day": Datetime(),
    "photo": Image(shape=(2, 2, 1)),
}
VALUES = {
    **dict.fromkeys(["number", "robust", "quantile", "bins", "waves"], [1.0, 2.0, None, 4.0]),
    "flag": ["true", "false", None, "true"],
    **dict.fromkeys(["colour", "town"], ["a", "b", None, "a"]),
    "words": ["one two", "two", None, "three"],
    "day": ["2024-01-01", "2024-02-03T04:05:06", None, "2025-01-01"],
    "photo": ["a.png"] * 4,
}


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """A table, the encoding that was fitted on it as JSON, and weights that suit it."""
    folder = tmp_path_factory.mktemp("honest")
    Pillow.new("L", (2, 2)).save(folder / "a.png")
    (folder / "run.yaml").write_text(RESOLVED)
    data = pa.table({**VALUES, "y": [1.0, 2.0, 3.0, 4.0]})
    table = Table(str(folder / "t.csv"), data, np.arange(1, 5))
    target = infer_task(Target(column="y"), [table]).fit(Standard(), table)
    encoding = fit_encoding(decide_types(CHOSEN, table), Input(), table, target)
    output = load_config(folder / "run.yaml").config.output
    network = build_network(encoding.layout, (), output)
    weights = {weight.name: np.ones(weight.shape, np.float32) for weight in network.weights}
    return table, encoding.model_dump_json(), weights


def stored(folder, encoding, weights):
    with new_run(folder / "run", "run") as writer:
        writer.write_resolved(RESOLVED)
        writer.write_text(RunFile.ENCODING, encoding)
        writer.write_arrays(RunFile.WEIGHTS, weights)
        return writer.finish()


def places(document, path=()):
    """Yields the path of everything within a JSON document."""
    pairs = document.items() if isinstance(document, dict) else ()
    for key, value in enumerate(document) if isinstance(document, list) else pairs:
        yield (*path, key)
        yield from places(value, (*path, key))


def put(text, path, literal):
    """The document with a JSON literal, good or bad, at a path."""
    document = json.loads(text)
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = "@"
    return json.dumps(document).replace('"@"', literal)


LITERALS = st.sampled_from(
    ["0", "-1", "1e400", "NaN", "-Infinity", "5e-324", "1.7e308", "1000000000000", "9" * 5000]
    + ["null", "true", '""', '"a"', '"\\u0000"', '"\\ud800"', "[]", "{}", '["a", "a"]', "[1, 1]"]
    + ["[1024, 1024, 3]", "[-1, 1, 1]", "[100000, 100000, 3]", "[" * 5000, '["%Q"]']
    + ['"../../etc/passwd"', '"0001-01-01T00:00:00+14:00"', '"9999-12-31T23:59:59-14:00"']
) | st.integers(-(2**70), 2**70).map(str)


@settings(
    suppress_health_check=[HealthCheck.too_slow],
)
@given(data=st.data())
def test_an_encoding_that_anybody_wrote_is_refused_or_predicts(honest, data):
    table, encoding, weights = honest
    path = data.draw(st.sampled_from(list(places(json.loads(encoding)))))
    text = put(encoding, path, data.draw(LITERALS))
    with tempfile.TemporaryDirectory() as folder:
        try:
            predictor = stored(Path(folder), text, weights).predictor
            predictor.predict(table, ValueProblems(lenient=True)).columns()
        except DlcliError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("column", "field", "literal"),
    [
        ("town", "units", "1000000000000"),
        ("town", "units", "0"),
        ("town", "units", "-2"),
        ("waves", "waves", '{"frequencies": 1000000000000, "deviation": 0.1}'),
        ("waves", "waves", '{"frequencies": -1, "deviation": 0.1}'),
        ("waves", "waves", '{"frequencies": 2, "deviation": NaN}'),
        ("photo", "shape", "[1000000, 1000000, 3]"),
        ("photo", "shape", "[-2, -2, 1]"),
        ("number", "fill", "NaN"),
        ("number", "missing_share", "1.5"),
        ("bins", "edges", "[1, 1]"),
        ("bins", "edges", "[2, 1]"),
        ("flag", "fill", "1e300"),
        ("colour", "categories", '["a", "a"]'),
        ("words", "tokens", '["one", "one"]'),
        ("words", "training_rows", "-1"),
        ("day", "timezone", '"../../etc/passwd"'),
        ("day", "formats", '["%Q"]'),
    ],
)
def test_absurd_statistics_are_refused(honest, tmp_path, column, field, literal):
    _, encoding, weights = honest
    path = ("features", list(CHOSEN).index(column), field)
    run = stored(tmp_path, put(encoding, path, literal), weights)
    with pytest.raises(RunError) as caught:
        run.predictor
    assert caught.value.exit_code == 5
    assert "\n" not in str(caught.value)


def test_the_honest_encoding_predicts(honest, tmp_path):
    table, encoding, weights = honest
    predicted = stored(tmp_path, encoding, weights).predictor.predict(table, ValueProblems())
    assert all(map(math.isfinite, predicted.columns()["prediction"].to_pylist()))
