"""Trainings in threads of one process; they compile programs of their own, as users' do."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

import dlcli
from tests.api.test_functions import CONFIG, TABLE


@pytest.mark.slow
@pytest.mark.usefixtures("no_linear_baseline")
@pytest.mark.filterwarnings("ignore::dlcli.DataWarning")  # as the rows are few
def test_trainings_in_two_threads_are_those_of_one(tmp_path):
    def train(name):
        return dlcli.train(CONFIG, TABLE, output=tmp_path / name, progress=False)

    expected = train("alone").metrics
    with warnings.catch_warnings(), ThreadPoolExecutor(2) as pool:
        for found in pool.map(train, ("first", "second")):
            assert found.metrics == expected
