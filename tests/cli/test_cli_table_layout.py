"""Tables without a header from `dlcli init` to `dlcli predict`."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcli.config.config_file import load_config

ROWS = [f"{size},{'new' if size % 2 else 'old'},{3 * size}" for size in range(50, 90)]


@pytest.fixture(autouse=True)
def houses(folder):
    Path("houses.data").write_text("# prices\n" + "\n".join(ROWS) + "\n")


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr("dlcli.cli.table_format_options.is_interactive", lambda: True)


def test_the_format_of_the_table_is_kept_for_rows_to_predict(dlcli):
    layout = ["--header", "none", "--names", "size,state,price", "--comment", "#"]
    target = ["--target", "price", "--preset", "simple", "--output", "houses.yaml"]
    with Path("houses.data").open("a") as stream:
        stream.write(",,8340\n")  # the total, which rows to predict lack
    assert dlcli("init", "houses.data", *layout, *target).exit_code == 0
    data = load_config(Path("houses.yaml")).config.data
    assert (data.header, data.names, data.comment) == ("none", ("size", "state", "price"), "#")
    assert data.footer == 1
    changes = ["--set", "hidden=[]", "--set", "epochs=1", "--set", "early_stopping=null"]
    assert dlcli("train", "houses.yaml", *changes).exit_code == 0
    Path("same.data").write_text("# new\n50,old,150\n51,new,153\n")
    Path("without_target.data").write_text("50,old\n51,new\n")
    Path("plain.csv").write_text("state,size\nold,50\nnew,51\n")
    files = ("same.data", "without_target.data", "plain.csv")
    predicted = [dlcli("predict", "runs/houses", file) for file in files]
    assert [result.exit_code for result in predicted] == [0, 0, 0]
    assert len({result.stdout for result in predicted}) == 1
    assert len(predicted[0].stdout.splitlines()) == 3


def test_without_a_terminal_a_missing_header_is_an_error(dlcli):
    Path("houses.data").write_text("\n".join(ROWS))
    result = dlcli("inspect", "houses.data")
    assert result.exit_code == 3
    assert "looks like a row, not like a header" in result.stderr


@pytest.mark.usefixtures("terminal")
def test_on_a_terminal_the_header_is_asked_for(dlcli):
    Path("houses.data").write_text("\n".join(ROWS))
    arguments = ["init", "houses.data", "--target", "price", "--preset", "simple"]
    result = dlcli(*arguments, text="y\nsize,state,price\n")
    assert result.exit_code == 0
    assert "names: [size, state, price]" in result.stdout
    result = dlcli("inspect", "houses.data", text="n\n")
    assert (result.exit_code, "39 rows" in result.stdout) == (0, True)


def test_types_and_formats_of_columns_can_be_given(dlcli):
    Path("t.csv").write_text(
        "d,zip,y\n" + "".join(f"{1 + i % 12}/1/20,{i % 9},{i}\n" for i in range(60))
    )
    options = ["--type", "zip=categorical", "--type", "count", "--date-format", "d=%m/%d/%y"]
    result = dlcli("init", "t.csv", "--target", "y", *options, "--missing", "?")
    assert result.exit_code == 0
    for line in ('target: {column: "y", type: count}', 'missing: ["?"]', "zip: categorical"):
        assert line in result.stdout
    assert 'd: {type: datetime, format: "%m/%d/%y"}' in result.stdout
    result = dlcli("init", "t.csv", "--target", "y", "--type", "number")
    assert (result.exit_code, "COLUMN=TYPE, got number" in result.stderr) == (2, True)


def test_names_are_checked(dlcli):
    for names, message in {"a,,b": "name 2 is empty", "a,a": "'a' occurs twice"}.items():
        result = dlcli("inspect", "houses.data", "--names", names)
        assert (result.exit_code, message in result.stderr) == (2, True)
