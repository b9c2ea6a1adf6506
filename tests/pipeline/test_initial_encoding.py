"""`initial_encoding`: training on new rows with the encoding of an earlier run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import dlcli
from dlcli.config.config_file import load_config
from dlcli.pipeline.events import Events
from dlcli.pipeline.preparation import encode_sets, prepare, read_candidates
from tests.catalogue import hand_made

CONFIG = """\
data: {train: old.csv, target: pet}
input: {features: {x: numeric, color: categorical}}
hidden: []
epochs: 1
"""
OLD = "x,color,pet\n0,red,cat\n2,blue,dog\n4,red,dog\n"
NEW = "x,color,pet\n10,red,cat\n20,green,dog\n30,blue,dog\n"


@pytest.fixture(autouse=True)
def old_run(tmp_path, monkeypatch):
    """runs/old, which was trained on old.csv."""
    monkeypatch.chdir(tmp_path)
    Path("old.csv").write_text(OLD)
    hand_made.make_run(CONFIG, "old")
    return tmp_path


def config(text=NEW, **more):
    """The config of new.csv, with the encoding of runs/old."""
    Path("new.csv").write_text(text)
    added = "".join(f"{key}: {value}\n" for key, value in more.items())
    content = CONFIG.replace("old.csv", "new.csv") + "initial_encoding: runs/old\n" + added
    Path("new.yaml").write_text(content)
    return load_config(Path("new.yaml"))


def test_new_rows_are_encoded_like_those_of_the_earlier_run():
    rows, _ = prepare(config(), Events())
    encoded = encode_sets(rows, Events()).encoded["train"].inputs.part(0, 3)
    # Mean 2 and deviation sqrt(8 / 3) of the old rows; green is unknown.
    expected = (np.array([10, 20, 30]) - 2) / np.sqrt(8 / 3)
    np.testing.assert_allclose(encoded[:, 0], expected, rtol=1e-6)
    assert encoded[1, 1:].tolist() == [0] * (encoded.shape[1] - 1)


def test_categories_that_the_earlier_run_does_not_have_are_reported():
    messages = []
    events = Events(lambda event: messages.append(getattr(event, "message", "")))
    rows, _ = prepare(config(), events)
    encode_sets(rows, events)
    assert [each for each in messages if "green" in each] == [
        "train rows of new.csv: column 'color': 1 row with an unknown category ('green'), row 2 of "
        "the table: encoded as zeros"
    ]


def test_without_it_they_have_an_encoding_of_their_own():
    file = config()
    Path("new.yaml").write_text(CONFIG.replace("old.csv", "new.csv"))
    rows, _ = prepare(load_config(file.path), Events())
    encoded = encode_sets(rows, Events()).encoded["train"].inputs.part(0, 3)
    assert encoded[:, 0].mean() == pytest.approx(0, abs=1e-6)


def test_other_classes_are_refused():
    text = "x,color,pet\n1,red,cat\n2,red,dog\n3,blue,fox\n4,red,cat\n"
    message = (
        "initial_encoding: its target 'pet' is 2 classes, and here 3 classes: cat, dog there, "
        "cat, dog, fox here"
    )
    with pytest.raises(dlcli.ConfigError, match=message):
        prepare(config(text), Events())


def test_a_column_of_another_type_is_refused():
    file = config(NEW)
    Path("new.yaml").write_text(file.path.read_text().replace("x: numeric", "x: categorical"))
    expected = "column 'x' is numeric there and categorical here; set its type in input.features"
    with pytest.raises(dlcli.ConfigError, match=expected):
        prepare(load_config(file.path), Events())


def test_a_run_that_is_not_there_is_named():
    Path("runs/old").rename("runs/older")
    with pytest.raises(dlcli.RunError, match="runs/old"):
        prepare(config(), Events())


def test_held_out_rows_of_folds_may_be_known_to_it():
    with pytest.raises(dlcli.ConfigError, match="initial_encoding: may have been trained on rows"):
        read_candidates(config(), Events())


@pytest.mark.slow
def test_training_continues_where_it_ended():
    """With a learning rate of almost 0, the weights predict new rows as before."""
    first = dlcli.train(CONFIG.replace("epochs: 1", "epochs: 20"), output="first")
    again = config(OLD, initial_weights="first", optimizer="{name: sgd, learning_rate: 1e-12}")
    text = again.path.read_text().replace("runs/old", "first")
    again.path.write_text(text)
    second = dlcli.train("new.yaml", output="second")
    before, after = (run.model.predict(Path("old.csv")).probabilities for run in (first, second))
    np.testing.assert_allclose(after, before, rtol=1e-5)
    resolved = (second.path / "resolved.yaml").read_text()
    assert "initial_encoding: ../first" in resolved
