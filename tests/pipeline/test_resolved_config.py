"""A config for a file in another folder: the same files, the same run."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_file import dump_config, load_config
from dlcli.config.config_schema import Config
from dlcli.pipeline.events import Events
from dlcli.pipeline.preparation import prepare
from dlcli.pipeline.run_recording import moved_config, resolved_config
from dlcli.pipeline.train_run import train

pytestmark = pytest.mark.usefixtures("compiled_once")

CONFIG = """\
data: {train: data/t.csv, validation: [data/v.csv, /far/w.csv], test: 0.25, target: y}
hidden: []
epochs: 1
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("configs/data").mkdir(parents=True)
    Path("configs/my net.yaml").write_text(CONFIG, "utf-8")
    return tmp_path


def moved(*overrides: str, folder: str = "runs/a") -> Config:
    return moved_config(load_config(Path("configs/my net.yaml"), overrides), Path(folder))


def test_paths_lead_to_the_same_files(folder: Path) -> None:
    data = moved().data
    far = Path("../" * len(folder.joinpath("runs/a").parts[1:]), "far/w.csv").as_posix()
    assert data.train == "../../configs/data/t.csv"
    assert data.validation == ("../../configs/data/v.csv", far)
    assert data.test == 0.25


def test_a_config_in_its_own_folder_is_the_same_but_for_its_name() -> None:
    given = load_config(Path("configs/my net.yaml"), ["data.validation=data/v.csv"]).config
    there = moved("data.validation=data/v.csv", folder="configs")
    assert there == given.model_copy(update={"name": "my-net"})


def test_it_has_the_name_that_its_run_would_have_had() -> None:
    assert moved().name == "my-net"
    assert moved("name=other").name == "other"


def test_the_run_to_start_from_stays_the_same() -> None:
    assert moved("initial_weights=runs/old").initial_weights == "../old"
    Path("configs/runs/old").mkdir(parents=True)
    assert moved("initial_weights=runs/old").initial_weights == "../../configs/runs/old"


def test_omitted_sections_stay_omitted() -> None:
    text = dump_config(moved("data={train: t.csv, target: y}"))
    assert "split" not in text
    assert "initial_weights" not in text
    assert "loss" not in text


def test_a_split_without_shares_stays_in_the_resolved_config() -> None:
    Path("configs/t.csv").write_text("x,g,y\n1,a,2.5\n2,b,3.5\n3,a,4.5\n", "utf-8")
    wanted = "data={train: t.csv, target: y, split: {name: group, column: g}}"
    file = load_config(Path("configs/my net.yaml"), [wanted])
    prepared = prepare(file, Events())
    resolved = resolved_config(file, *prepared, Path("runs/a"), threads=1)
    assert resolved.data.split == file.config.data.split
    assert list(resolved.input.features or {}) == ["x"]


def test_what_to_search_for_is_dropped_unless_it_is_to_be_kept() -> None:
    wanted = "tune={space: {batch_size: [8, 16]}}"
    file = load_config(Path("configs/my net.yaml"), [wanted])
    assert moved_config(file, Path("runs/a")).tune is None
    assert moved_config(file, Path("runs/a"), keep_tune=True).tune == file.config.tune


def test_an_automatic_floor_is_a_number_but_not_for_folds_of_different_sizes() -> None:
    Path("t.csv").write_text("x,y\n" + "".join(f"{at},{'ab'[at % 2]}\n" for at in range(200)))
    Path("c.yaml").write_text(
        "data: {train: t.csv, target: y}\nhidden: []\noutput: {probability_floor: auto}\nepochs: 1"
    )
    file = load_config(Path("c.yaml"))
    prepared = prepare(file, Events())
    of_run = resolved_config(file, *prepared, Path("runs/a"), threads=1)
    of_folds = resolved_config(file, *prepared, Path("runs/a"), threads=1, of_folds=True)
    assert of_run.output.probability_floor == 0.025  # 5 / 200
    assert of_folds.output.probability_floor == "auto"


@pytest.mark.slow
def test_words_for_missing_values_train_the_same_and_are_read_in_predictions() -> None:
    kinds, sizes = ["a", "b", "NA", "c"] * 10, ["1.5", "2", "3.5", "NA"] * 10
    rows = [f"{kinds[at]},{sizes[at]},{at % 7},{at / 2}\n" for at in range(40)]
    Path("t.csv").write_text("kind,size,x,y\n" + "".join(rows), "utf-8")
    Path("c.yaml").write_text(
        "data: {train: t.csv, target: y, test: 0.25}\n"
        "input: {features: [kind, size, x]}\nhidden: []\nepochs: 1\n",
        "utf-8",
    )
    run = train(load_config(Path("c.yaml")))
    resolved = load_config(run.resolved_path())
    assert resolved.config.data.missing == {"kind": ("NA",)}
    again = train(resolved)
    for name in ("weights.npz", "encoding.json", "predictions.parquet"):
        assert (again.path / name).read_bytes() == (run.path / name).read_bytes()
    predictor, problems = run.predictor, ValueProblems(lenient=True)
    Path("new.csv").write_text("kind,size,x,y\nNA,?,-,1\na,NA,1,NA\n", "utf-8")
    table = predictor.read("new.csv")
    predictor.predict(table, problems)
    assert {name: table.missing(name).tolist() for name in table.columns} == {
        "kind": [True, False],
        "size": [True, True],
        "x": [True, False],
        "y": [False, True],
    }
    assert not any(column.unreadable or column.unseen for column in problems.columns.values())
