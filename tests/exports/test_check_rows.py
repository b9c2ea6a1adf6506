"""The rows of a run's data that exported models are checked on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa

from dlcli.config.data_section import Data
from dlcli.exports.agreement import held_out_rows
from dlcli.tables.table_files import read_table


def test_of_several_files_only_the_rows_that_were_held_out_are_checked(tmp_path: Path) -> None:
    for month in ("01", "02", "03"):
        folder = tmp_path / f"month={month}"
        folder.mkdir()
        (folder / "part-0.csv").write_text(f"x,y\n{month}1,1\n{month}2,2\n{month}3,3\n")
    names = ["month=02/part-0.csv", "month=03/part-0.csv", "month=03/part-0.csv"]
    stored = pa.table({"split": ["test"] * 3, "row": [2, 1, 3], "file": names})
    run = SimpleNamespace(
        config_file=SimpleNamespace(locate_files=tmp_path.joinpath),
        required_predictions=SimpleNamespace(table=stored),
    )
    data = Data.model_validate({"train": "*/part-0.csv", "target": "y", "test": 0.5})
    predictor = SimpleNamespace(config=SimpleNamespace(data=data), read=read_table)
    table, kind = held_out_rows(run, predictor)
    assert table is not None
    assert (table.numbers("x").tolist(), kind) == ([22, 31, 33], "held-out rows")

    (tmp_path / "month=02" / "part-0.csv").write_text("x,y\n021,1\n")
    (tmp_path / "month=03" / "part-0.csv").write_text("x,y\n032,2\n033,3\n")
    run.required_predictions.table = stored.slice(0, 1)
    table, kind = held_out_rows(run, predictor)
    assert table is None and kind.endswith("no longer contains the run's held-out rows")
