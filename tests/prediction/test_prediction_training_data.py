"""The warning of a table that a run was trained on."""

from __future__ import annotations

from pathlib import Path

from dlcli.runs.environment import TrainingData, fingerprint


def test_of_several_tables_one_may_be_held_out_as_a_whole(tmp_path: Path) -> None:
    months = [tmp_path / f"2024-{at:02}.csv" for at in (1, 2, 3)]
    for at, month in enumerate(months):
        month.write_text(f"x,y\n{at},1\n")
    files = [{"key": "data.train", **fingerprint(month)} for month in months[:2]]
    known = TrainingData(Path("runs/a"), files, "test", "test")
    assert known.warning(months[1], "2024-02.csv").startswith(
        "2024-02.csv: has rows that runs/a may have been trained on; unless all were held out, "
        "these metrics are too optimistic; "
    )
    assert known.warning(months[2], "2024-03.csv") == ""


def test_a_size_that_dlcli_did_not_write_matches_no_table(tmp_path: Path) -> None:
    (table := tmp_path / "t.csv").write_text("x,y\n1,1\n")
    files = [{"key": "data.train", **fingerprint(table), "bytes": size} for size in ({}, [])]
    assert TrainingData(Path("runs/a"), files, "test", "test").warning(table, "t.csv") == ""
