"""The type of a column whose values help to predict the target, by their number."""

from __future__ import annotations

import pytest

from dlcli.columns.category import Categorical, Embedding, type_of_values


@pytest.mark.parametrize(
    ("distinct", "most_inputs", "expected"),
    [
        (20, 1_000, Categorical()),
        (300, 1_000, Categorical(max_categories=300)),
        (300, 299, Categorical(encoding=Embedding(), max_categories=300)),
        (301, 1_000, Categorical(encoding=Embedding(), max_categories=301)),
        (20_000, 1_000, Categorical(encoding=Embedding(), max_categories=10_000)),
    ],
)
def test_many_categories_get_an_embedding(
    distinct: int, most_inputs: int, expected: Categorical
) -> None:
    assert type_of_values(distinct, most_inputs) == expected


def test_an_embedding_has_as_many_inputs_as_units() -> None:
    assert Categorical(encoding=Embedding(units=4)).inputs_of(500, bins=16) == 4
    assert Categorical(max_categories=30).inputs_of(500, bins=16) == 30
