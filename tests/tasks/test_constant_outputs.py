"""The prediction that looks at no column, by hand for every kind of target."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from dlcli.columns.scaling import LinearScaling
from dlcli.config.config_schema import Config, Output
from dlcli.config.data_section import Data
from dlcli.config.training_choices import Hinge, MeanAbsoluteError, MeanSquaredError
from dlcli.tables.table import Table
from dlcli.tasks.classification import Binary, Multiclass, Multilabel
from dlcli.tasks.regression import Counts, Regression

MSE = MeanSquaredError()
WEIGHTS = np.array([1.0, 1.0, 2.0])
STANDARD = LinearScaling(name="standard", offset=10.0, scale=4.0)
LOG = LinearScaling(name="log1p", offset=1.0, scale=2.0)
UNSCALED = LinearScaling(name="none")

DATA = Data(train="t.csv", target="y")


def rows(**columns):
    table = pa.table(columns)
    return Table("t.csv", table, np.arange(1, table.num_rows + 1))


def constant(target, table, weights=None, outputs=1, loss=MSE):
    config = Config.model_construct(
        loss=loss, output=Output(units=outputs), class_weight=None, data=DATA
    )
    return target.constant_outputs(table, weights, config).tolist()


def two_classes(*values, weights=None, outputs=1, loss=None):
    target = Binary(columns=("y",), classes=("cat", "dog")).for_loss(loss)
    return constant(target, rows(y=list(values)), weights, outputs)


@pytest.mark.parametrize(
    ("scaling", "weights", "mean", "output"),
    [
        (UNSCALED, None, 5.0, 5.0),  # (3 + 0 + 12) / 3
        (UNSCALED, WEIGHTS, 6.75, 6.75),  # (3 + 0 + 2 · 12) / 4
        (STANDARD, None, 5.0, -1.25),  # (5 - 10) / 4
        (LOG, None, 5.0, (np.log(6.0) - 1) / 2),  # the mean is taken before the logarithm
    ],
)
def test_of_a_number_it_is_the_mean_in_the_numbers_own_unit(scaling, weights, mean, output):
    target = Regression(columns=("y",), scalings=(scaling,))
    outputs = constant(target, rows(y=[3.0, 0.0, 12.0]), weights)
    assert outputs == pytest.approx([output])
    assert target.decode(np.array([outputs])).tolist()[0] == pytest.approx([mean])


@pytest.mark.parametrize(
    ("scaling", "weights", "median"),
    [
        (UNSCALED, None, 3.0),
        (STANDARD, np.array([1.0, 1.0, 2.0]), 7.5),  # of 0, 3, 12 and 12
        (LOG, np.array([1.0, 3.0, 1.0]), 0.0),
    ],
)
def test_of_a_number_that_is_compared_by_absolute_errors_it_is_the_median(scaling, weights, median):
    target = Regression(columns=("y",), scalings=(scaling,))
    outputs = constant(target, rows(y=[3.0, 0.0, 12.0]), weights, loss=MeanAbsoluteError())
    assert target.decode(np.array([outputs])).tolist()[0] == pytest.approx([median])


def test_of_several_numbers_it_is_the_mean_of_each():
    target = Regression(columns=("u", "v"), scalings=(UNSCALED, STANDARD))
    table = rows(u=[0.0, 4.0, 4.0], v=[10.0, 10.0, 16.0])
    assert constant(target, table, WEIGHTS, 2) == [3.0, 0.75]  # v: (13 - 10) / 4


def test_of_counts_it_is_the_mean_be_it_no_count():
    target = Counts(columns=("n",), scalings=(UNSCALED,))
    assert constant(target, rows(n=[0, 1, 4, 5])) == [2.5]


def test_of_classes_it_is_the_share_of_each_be_it_none():
    target = Multiclass(columns=("y",), classes=("a", "b", "c"))
    assert constant(target, rows(y=["b", "a", "b"]), None, 3) == pytest.approx([1 / 3, 2 / 3, 0])
    assert constant(target, rows(y=["b", "a", "b"]), WEIGHTS, 3) == [0.25, 0.75, 0]


def test_of_two_classes_one_output_has_the_share_of_the_second():
    assert two_classes("dog", "cat", "cat", "cat") == [0.25]
    assert two_classes("dog", "cat", "dog", weights=WEIGHTS, outputs=2) == [0.25, 0.75]


@pytest.mark.parametrize(
    ("pets", "margin"),
    [(("dog", "dog", "cat"), 1.0), (("dog", "cat", "cat"), -1.0), (("dog", "cat"), -1.0)],
)
def test_a_margin_is_on_the_side_of_the_more_frequent_class(pets, margin):
    assert two_classes(*pets, loss=Hinge()) == [margin]


def test_weights_say_which_class_is_more_frequent():
    weights = np.array([1.0, 1.0, 3.0])
    assert two_classes("cat", "cat", "dog", weights=weights, loss=Hinge()) == [1.0]


def test_of_labels_it_is_the_share_of_each():
    target = Multilabel(columns=("u", "v"), labels=("u", "v"))
    assert constant(target, rows(u=[1, 0, 1], v=[0, 0, 0]), WEIGHTS, 2) == [0.75, 0.0]
