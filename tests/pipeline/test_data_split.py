"""Rows dealt out to training, validation and test, and what is said of those that can't be."""

from __future__ import annotations

from pathlib import Path

import pytest
from inline_snapshot import snapshot

from dlcli.config.config_file import load_config
from dlcli.errors import ConfigError, DataError
from dlcli.pipeline.events import Event, Events, WarningEvent
from dlcli.pipeline.preflight import prepare_example
from dlcli.pipeline.preparation import prepare, read_candidates, read_dataset
from dlcli.pipeline.train_run import train
from dlcli.splitting import Split
from dlcli.tables.stored_columns import Storage

pytestmark = pytest.mark.usefixtures("compiled_once")

SPLITS = ["random", "stratified", "{name: group, column: g}", "{name: time, column: x}"]
EVERY = "data.train_on_validation=true"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refusal(data: str, target: list[str]) -> str:
    Path("d.csv").write_text(
        "x,g,y\n" + "".join(f"{i},a,{y}\n" for i, y in enumerate(target)), "utf-8"
    )
    named = data if "target" in data else f"target: y, {data}"
    config = f"data: {{train: d.csv, {named}}}\nhidden: []\nepochs: 1\n"
    Path("c.yaml").write_text(config, "utf-8")
    file = load_config(Path("c.yaml"))
    with pytest.raises(DataError) as caught:
        read_dataset(file, Events())
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "target", "message"),
    [
        (
            "test: 0.5",
            ["a", "b", "c"],
            snapshot(
                "d.csv: column 'y': each of the 3 classes has only one row; is this column really the target?"
            ),
        ),
        (
            "test: 0.5",
            [*map(str, range(20)), "many"],
            snapshot(
                "d.csv: column 'y': each of the 21 classes has only one row; 95.2 % are numbers, "
                "'many' in 1 row is not"
            ),
        ),
        (
            "test: 0.5, target: {column: y, type: categorical}",
            [*map(str, range(20)), "many"],
            snapshot(
                "d.csv: column 'y': each of the 21 classes has only one row; is this column really the target?"
            ),
        ),
        (
            "test: 0.75",
            ["a", "a", "b", "b"],
            snapshot(
                "d.csv: column 'y': validation and test need 3 rows, but only 2 of 4 are "
                "available, because each of 2 classes keeps a training row; add rows or hold out fewer"
            ),
        ),
        (
            "test: 0.9, validation: 0.05",
            ["1.5", "2.5"],
            snapshot(
                "d.csv: 2 rows are too few: validation needs 1, test 2 and training at least "
                "1; add rows or hold out fewer"
            ),
        ),
        (
            "test: 0.9, split: {name: time, column: x}",
            ["1.5", "2.5"],
            snapshot(
                "d.csv: 2 rows are too few: validation needs 0, test 2 and training at least "
                "1; add rows or hold out fewer"
            ),
        ),
        (
            "test: 0.2, split: {name: group, column: g}",
            ["1.5", "2.5", "3.5"],
            snapshot("d.csv: column 'g': 1 group, expected at least 2: one for each set"),
        ),
    ],
)
def test_the_file_and_column_are_named(data: str, target: list[str], message: str) -> None:
    assert refusal(data, target) == message


def write(split: str) -> None:
    """A config that holds rows out of 40, whose column `x` counts them."""
    lines = [f"{row},{row % 10},{'ab'[row % 2]}\n" for row in range(40)]
    Path("d.csv").write_text("x,g,y\n" + "".join(lines), "utf-8")
    Path("c.yaml").write_text(
        f"data: {{train: d.csv, target: y, validation: 0.2, test: 0.2, split: {split}}}\n"
        "hidden: []\nepochs: 2\n",
        "utf-8",
    )


def dealt(*overrides: str) -> Split:
    file = load_config(Path("c.yaml"), overrides)
    return read_dataset(file, Events()).split


def rows(split: Split) -> dict[str, list[float]]:
    tables = {"train": split.train, "validation": split.validation, "test": split.test}
    return {name: table.numbers("x").tolist() for name, table in tables.items() if table}


@pytest.mark.parametrize("split", SPLITS)
def test_validation_rows_are_learned_from_in_the_order_of_the_file(split: str) -> None:
    write(split)
    apart, together = rows(dealt()), rows(dealt(EVERY))
    assert together == {
        "train": sorted(apart["train"] + apart["validation"]),
        "test": apart["test"],
    }
    assert len(together["train"]) == 32


def test_without_test_rows_every_row_is_learned_from() -> None:
    write("random")
    together = rows(dealt("data={train: d.csv, target: y, validation: 0.2}", EVERY))
    assert together == {"train": [*range(40)]}


def test_a_training_on_validation_rows_validates_by_none() -> None:
    write("stratified")
    told: list[dict[str, object]] = []
    run = train(
        load_config(Path("c.yaml"), [EVERY]),
        listener=lambda event: told.append(event.to_json()) if event.kind == "data" else None,
    )
    assert [fields["rows"] for fields in told] == [{"train": 32, "test": 8}]
    assert list(run.history) == ["loss", "accuracy", "learning_rate"]
    assert sorted(run.metrics) == ["test", "train"]
    again = load_config(run.resolved_path())
    assert again.config.data.train_on_validation
    assert again.config.data.validation == 0.2


def test_a_split_without_shares_is_for_folds_and_leaves_all_rows_to_training() -> None:
    write("{name: time, column: x}")
    split = dealt("data={train: d.csv, target: y, split: {name: time, column: x}}")
    assert rows(split) == {"train": [*range(40)]}


def test_classes_of_a_number_are_refused_without_shares_too() -> None:
    write("stratified")
    with pytest.raises(ConfigError) as caught:
        dealt("data={train: d.csv, target: x, split: stratified}")
    assert str(caught.value) == (
        snapshot("data.split: 'stratified' requires classes, but 'x' is a number; use random")
    )


# Rows without a target


def write_gaps(name: str = "gaps.csv") -> list[int]:
    """Write the rows of `write` with a row before every fifth that has nothing at all.

    Returns:
        The number in this file of each row that has a target.
    """
    header, *lines = Path("d.csv").read_text("utf-8").splitlines()
    gappy = [each for at, line in enumerate(lines) for each in [*[",,"] * (at % 5 == 0), line]]
    Path(name).write_text("\n".join([header, *gappy]) + "\n", "utf-8")
    return [number for number, line in enumerate(gappy, 1) if line != ",,"]


def row_numbers(split: Split) -> dict[str, list[int]]:
    return {name: table.row_numbers.tolist() for name, table in split.tables.items()}


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("on_disk", [False, True])
def test_a_split_is_the_same_as_without_the_rows_that_have_no_target(
    split: str, on_disk: bool, tmp_path: Path
) -> None:
    write(split)
    numbers = write_gaps()
    whole = dealt()
    file = load_config(Path("c.yaml"), ["data.train=gaps.csv"])
    dataset = read_dataset(file, Events(), Storage(tmp_path if on_disk else None))
    assert rows(dataset.split) == rows(whole)
    assert row_numbers(dataset.split) == {
        name: [numbers[row - 1] for row in of_set] for name, of_set in row_numbers(whole).items()
    }
    assert dataset.candidates.rows == 32


def test_files_of_validation_and_test_rows_lose_their_rows_without_a_target_too() -> None:
    write("random")
    write_gaps()
    given = "data={train: d.csv, validation: gaps.csv, test: [d.csv, gaps.csv], target: y}"
    emitted: list[Event] = []
    events = Events(emitted.append)
    split = read_dataset(load_config(Path("c.yaml"), [given]), events).split
    assert {name: table.rows for name, table in split.tables.items()} == {
        "train": 40,
        "validation": 40,
        "test": 80,
    }
    found = {"check": "missing_target", "columns": ("y",)}
    assert emitted == [
        WarningEvent(
            message="gaps.csv: 8 of 48 rows have no target ('y') and are skipped: row 1, row 7, "
            "row 13, ...",
            **found,
        ),
        WarningEvent(
            message="d.csv and 1 more: 8 of 88 rows have no target ('y') and are skipped: row 1 "
            "of gaps.csv, row 7 of gaps.csv, row 13 of gaps.csv, ...",
            **found,
        ),
    ]


def test_a_config_may_refuse_rows_without_a_target() -> None:
    write("random")
    write_gaps()
    strict = "data={train: d.csv, test: gaps.csv, target: y, on_missing_target: error}"
    with pytest.raises(DataError, match=r"^gaps.csv: row 1, column 'y': the target is missing"):
        dealt(strict)


def test_rows_without_labels_can_not_be_refused() -> None:
    write("random")
    labels = "{column: y, type: multi_label, delimiter: '|'}"
    with pytest.raises(ConfigError) as caught:
        dealt(f"data={{train: d.csv, target: {labels}, on_missing_target: error}}")
    assert "on_missing_target: has no effect with data.target.delimiter" in str(caught.value)


PANEL = "id,x,y\n" + "".join(f"{i // 4},{i * 13 % 17},{i // 4 * 7 % 23}\n" for i in range(100))


def warnings_of(
    data: str,
    *,
    of_folds: bool = False,
    table: str = PANEL,
    check: str = "dependent_rows",
    more: str = "",
) -> list[str]:
    """The warnings of a check, by default those about subjects with four rows each."""
    Path("d.csv").write_text(table, "utf-8")
    config = f"data: {{train: d.csv, target: y{data}}}\nhidden: []\nepochs: 1\n{more}"
    Path("c.yaml").write_text(config)
    file, warned = load_config(Path("c.yaml")), list[str]()

    def listen(event: Event) -> None:
        if isinstance(event, WarningEvent) and event.check == check:
            warned.append(event.message)

    events = Events(listen)
    if of_folds:
        dataset = read_candidates(file, events)
        prepare_example(file.config, dataset, dataset.split, events)
    else:
        prepare(file, events)
    return warned


@pytest.mark.parametrize("of_folds", [False, True])
def test_subjects_that_are_split_at_random_are_warned_of(of_folds: bool) -> None:
    [warning] = warnings_of(", test: 0.2", of_folds=of_folds)
    assert warning.startswith("d.csv: rows with the same 'id' are similar, so metrics of a")
    assert warning.endswith("set data.split: {name: group, column: id}")


@pytest.mark.parametrize("of_folds", [False, True])
@pytest.mark.parametrize(
    "split", ["{name: group, column: id}", "{name: time, column: x}", "random"]
)
def test_subjects_whose_split_was_chosen_are_not(split: str, of_folds: bool) -> None:
    assert warnings_of(f", test: 0.2, split: {split}", of_folds=of_folds) == []


def test_similar_rows_and_copies_in_other_folds_of_an_ensemble_are_warned_of() -> None:
    folds = "ensemble: {members: 4}\n"
    [warning] = warnings_of("", more=folds)
    assert "set data.split: {name: group, column: id}" in warning
    copies = "x,z,y\n" + "".join(f"{at % 90 / 7},{at % 90 * 13},{at % 90}\n" for at in range(100))
    [warning] = warnings_of("", table=copies, check="duplicates", more=folds)
    assert warning == (
        "d.csv: rows with the same features as an earlier row: 10 of 100 (10 %), 10 of them with "
        "the same target; if they are copies, keep only one of each, so no copy of a training row "
        "becomes a test row"
    )
    assert warnings_of("", table=copies, check="duplicates") == []


def test_rows_that_are_not_split_are_not_warned_of() -> None:
    assert warnings_of("") == []
    assert len(warnings_of("", of_folds=True)) == 1


@pytest.mark.parametrize("is_grouped", [False, True])
def test_what_is_in_use_already_is_no_advice_on_copies(is_grouped: bool) -> None:
    group, split = ("id,", "{name: group, column: id}") if is_grouped else ("", "random")
    lines = [f"{group}w,x,z,y"]
    for row in range(100):  # each is there four times, and each time in another group
        copy = row % 25
        lines.append(f"{row // 4}," * is_grouped + f"{copy + 0.5},{copy * 13},{copy * 7},{copy}")
    data, check = f", test: 0.2, split: {split}", "duplicates_across_split"
    [warning] = warnings_of(data, table="\n".join(lines), check=check)
    assert "keep only one of each" in warning
    assert ("data.split: {name: group" in warning) != is_grouped
