"""The tutorial's mathematics is right: its numbers and derivatives, worked out again in NumPy."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

Vector = NDArray[np.float64]

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial"
MATHEMATICS, XOR, CHOOSING = (
    (TUTORIAL / name).read_text(encoding="utf-8")
    for name in ("mathematics.md", "2-xor.md", "6-choosing.md")
)
X = np.arange(4.0)
START = np.array([0.5, 0.0, 0.5, 0.0])


def predicted(theta: Vector) -> Vector:
    return theta[2] * (theta[0] * X + theta[1]) + theta[3]


def line_loss(theta: Vector) -> float:
    return float(np.mean((predicted(theta) - X) ** 2))


def slope(function: Callable[[Vector], float], at: Vector, step: float = 1e-5) -> Vector:
    """The gradient by central differences, which know nothing of the chain rule."""
    directions = np.eye(at.size) * step
    return np.array([(function(at + d) - function(at - d)) / (2 * step) for d in directions])


def rows(page: str, header: str) -> list[list[str]]:
    """The cells of a table."""
    table = page.split(header)[1].split("\n\n")[0]
    return [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]


def number(cell: str) -> float:
    """What a cell says, or what it comes to."""
    return float(re.split("= ?", cell.strip("$"))[-1].replace("−", "-"))


def test_the_forward_pass_and_the_signals_of_the_line() -> None:
    hidden, output = 0.5 * X, 0.25 * X
    signal = slope(lambda y: float(np.mean((y - X) ** 2)), output)
    sent_back = slope(lambda h: float(np.mean((0.5 * h - X) ** 2)), hidden)
    expected = np.transpose([X, hidden, output, output - X, signal, sent_back])

    shown = [list(map(number, row)) for row in rows(MATHEMATICS, "| $x_i = y_i$")]

    np.testing.assert_allclose(shown, expected, rtol=0, atol=1e-9)


def test_the_step_of_the_line() -> None:
    gradient = slope(line_loss, START)
    expected = np.transpose([gradient, START, START - 0.01 * gradient])

    shown = [list(map(number, row[1:])) for row in rows(MATHEMATICS, "| parameter | derivative")]

    np.testing.assert_allclose(shown, expected, rtol=0, atol=1e-8)
    assert f"= {line_loss(START)}$" in MATHEMATICS
    assert f"The loss is now {line_loss(START - 0.01 * gradient):.3f}." in MATHEMATICS


@pytest.mark.parametrize(("a", "b"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_two_units_hold_exclusive_or(a: int, b: int) -> None:
    assert "$$h_1 = \\max(0, a + b) \\qquad h_2 = \\max(0, a + b - 1) \\qquad" in MATHEMATICS
    assert "z = h_1 - 2 h_2$$" in MATHEMATICS

    assert max(0, a + b) - 2 * max(0, a + b - 1) == (a ^ b)


def test_no_flat_network_costs_less_than_log_2() -> None:
    inputs = np.array([[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
    truth = np.array([0, 1, 1, 0])
    scores = np.random.default_rng(0).normal(scale=2, size=(10_000, 3)) @ inputs.T
    losses = np.logaddexp(0, np.where(truth, -scores, scores)).mean(axis=1)

    assert losses.min() >= math.log(2)
    assert f"$\\log 2 = {math.log(2):.4f}$" in XOR


def test_what_goes_back_from_a_sigmoid_and_from_a_softmax() -> None:
    scores, truth = np.array([0.3, -1.2, 2.0]), np.array([1.0, 0.0, 0.0])
    sigmoid = 1 / (1 + np.exp(-scores))
    softmax = np.exp(scores) / np.exp(scores).sum()

    def binary(z: Vector) -> float:
        p = 1 / (1 + np.exp(-z))
        return float(-np.mean(truth * np.log(p) + (1 - truth) * np.log(1 - p)))

    def categorical(z: Vector) -> float:
        return float(-np.log(np.exp(z[0]) / np.exp(z).sum()))

    np.testing.assert_allclose(slope(binary, scores), (sigmoid - truth) / 3, atol=1e-9)
    np.testing.assert_allclose(slope(categorical, scores), softmax - truth, atol=1e-9)


def test_the_standard_error_is_the_deviation_of_many_test_scores() -> None:
    scores = np.random.default_rng(0).binomial(150, 0.83, size=100_000) / 150

    assert scores.std() == pytest.approx(0.031, abs=0.0005)
    assert "$\\sqrt{0.83 \\cdot 0.17 / 150} = 0.031$" in CHOOSING


def test_the_best_of_sixteen_equals_seems_better_than_it_is() -> None:
    scores = np.random.default_rng(0).normal(size=(400_000, 16))

    assert scores.max(axis=1).mean() == pytest.approx(1.77, abs=0.005)
    assert "better than it is by $1.77 s$ on average" in MATHEMATICS


def test_the_mean_of_folds_that_share_rows_is_less_sure_than_of_independent_ones() -> None:
    independent, of_folds = math.sqrt(1 / 5), math.sqrt(1 / 5 + 1 / 4)

    assert f"that is ${of_folds:.2f} s$ instead of ${independent:.2f} s$" in MATHEMATICS
