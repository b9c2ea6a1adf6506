"""The benchmark of both engines on random shapes: what it draws, measures and concludes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import engines
from benchmarks.engines import MOST_OPERATIONS, Shape, compare, draw_shape

pytestmark = pytest.mark.release

SHAPE = Shape(5, (8,), 8, 2, "sgd", 0.0, batch_normalization=False, epochs=3)


def test_shapes_are_drawn_from_a_seed_and_can_be_measured() -> None:
    first, again = ([draw_shape(np.random.default_rng(1)) for _ in range(2)] for _ in range(2))
    assert first == again
    for shape in (draw_shape(np.random.default_rng(seed)) for seed in range(50)):
        widths = (shape.inputs, *shape.units, 1)
        weights = sum(a * b for a, b in zip(widths[:-1], widths[1:], strict=True))
        assert 6 * shape.batch_size * weights <= MOST_OPERATIONS
        assert shape.steps >= 1


def test_regret_compares_the_chosen_engine_with_the_faster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds = {False: (1.0, 0.5), True: (2.0, 0.1)}
    monkeypatch.setattr(engines, "measure", lambda job, jit_compile: seconds[jit_compile])
    found = compare(SHAPE, np.random.default_rng(0))
    assert found["chosen"] == 0  # three epochs of two small steps are a graph
    assert found["regret"] == pytest.approx((1.0 + 3 * 0.5) / (2.0 + 3 * 0.1))


def test_it_measures_both_engines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "result.json"
    monkeypatch.setattr(engines, "SECONDS", 0.1)
    monkeypatch.setattr(engines, "draw_shape", lambda rng: SHAPE)
    monkeypatch.setattr("sys.argv", ["engines", "--shapes", "1", "--json", str(path)])
    engines.main()
    [found] = json.loads(path.read_text())
    assert all(seconds > 0 for seconds in found["epoch"])
    assert f"regret: median {found['regret']:.3f}" in capsys.readouterr().out
