"""The benchmark of ensembles trains what each case says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks import ensembles
from benchmarks.ensembles import MEMBERS, SHAPES, seconds_of
from dlcli.pipeline import members, train_run

pytestmark = pytest.mark.release

TINY = replace(SHAPES["1,000 × 10"], rows=64, inputs=2, hidden=(3,), epochs=2)


@pytest.mark.parametrize(
    ("case", "trainings", "networks"),
    [
        ("ensemble", 1, MEMBERS),
        ("one at a time", 1, MEMBERS),
        ("8 trainings", MEMBERS, 1),
        ("one network", 1, 1),
    ],
)
def test_each_case_trains_its_networks(
    case: str, trainings: int, networks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    fit_only = train_run.fit_only
    monkeypatch.setattr(
        members, "networks_at_once", members.networks_at_once
    )  # is put back at the end
    monkeypatch.setattr(train_run, "fit_only", lambda file: found.append(fit_only(file)))

    assert seconds_of(case, TINY) > 0

    assert [len(result.members) for result in found] == [networks] * trainings
    seeds = {member.seed for result in found for member in result.members}
    assert len(seeds) == trainings * networks
    assert (members.networks_at_once.__module__ == ensembles.__name__) == (case == "one at a time")
