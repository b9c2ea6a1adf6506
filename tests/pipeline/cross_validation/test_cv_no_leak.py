"""Neither a fold's held-out rows nor test rows have a part in training its network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dlcli.encoding.table_encoding import fit_encoding
from dlcli.pipeline import cross_validation, preparation
from tests.pipeline.cross_validation.small_rows import cv, row_numbers

pytestmark = pytest.mark.usefixtures("compiled_once")


def learned_means(outcomes):
    """Return the mean of x that each training has fitted."""
    return [outcome.predictor.encoding.features[0].scaling.offset for outcome in outcomes]


def true_means(outcomes):
    """The means of x over the rows that each training learned from: x counts rows from 0."""
    return [np.mean(row_numbers(outcome.tables["train"])) - 1 for outcome in outcomes]


def test_encodings_are_fitted_to_what_a_fold_learns_from(outcomes):
    cv("input.features=[x]", "data.validation=0.2")
    assert len(outcomes) == 4
    assert learned_means(outcomes) == pytest.approx(true_means(outcomes))
    assert len(set(learned_means(outcomes))) == 4


def test_an_encoding_that_is_fitted_to_all_rows_is_caught(outcomes, monkeypatch):
    whole = []

    def leaky(decisions, section, table, target, *more):
        whole.append(table)
        return fit_encoding(
            decisions, section, max(whole, key=lambda each: each.rows), target, *more
        )

    def read_candidates(file, events):
        dataset = original(file, events)
        whole.append(dataset.candidates)
        return dataset

    original = cross_validation.read_candidates
    monkeypatch.setattr(cross_validation, "read_candidates", read_candidates)
    monkeypatch.setattr(preparation, "fit_encoding", leaky)
    cv("input.features=[x]")
    assert learned_means(outcomes) == pytest.approx([9.5] * 4)
    assert learned_means(outcomes) != pytest.approx(true_means(outcomes))


@pytest.mark.slow
def test_a_category_that_gives_each_row_away_is_of_no_use_on_rows_that_were_held_out():
    lot = np.random.default_rng(0).normal(size=40).round(3)
    rows = "\n".join(f"name{row},{value}" for row, value in enumerate(lot))
    Path("rows.csv").write_text(f"who,y\n{rows}\n")
    settings = ("input.features={who: categorical}", "epochs=300", "optimizer.learning_rate=0.5")
    found = cv(*settings).cross_validation
    assert all(each.history["loss"][-1] < 0.01 for each in found.results)  # of a variance of 1
    assert found.pooled["r2"].value < 0.01


def cross_validated(name):
    types = "input.features={x: numeric, group: categorical}"
    return cv("data.test=0.3", types, output=Path(name)).cross_validation


@pytest.mark.slow
def test_no_number_depends_on_what_test_rows_hold(outcomes):
    """Types are declared, since a row index is recognized by all rows of the table."""
    before = cross_validated("before")
    seen = {row for outcome in outcomes for row in row_numbers(outcome.tables["train"])}
    seen |= {row for outcome in outcomes for row in row_numbers(outcome.tables["test"])}
    assert (len(seen), before.set_aside) == (14, 6)
    header, *lines = Path("rows.csv").read_text().splitlines()
    poisoned = [
        line if row in seen else f"{row}e30,unheard of,{-row}e30"
        for row, line in enumerate(lines, start=1)
    ]
    Path("rows.csv").write_text("\n".join([header, *poisoned]) + "\n")
    after = cross_validated("after")
    ignored = {"results": {"__all__": {"seconds"}}}
    assert after.model_dump(exclude=ignored) == before.model_dump(exclude=ignored)
