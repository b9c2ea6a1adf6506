"""`dlcli init`: a config to start from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from dlcli.config.config_file import load_config
from dlcli.pipeline.train_run import train

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture
def houses(folder):
    rows = "".join(f"{size},{3 * size + size % 7}\n" for size in range(50, 90))
    Path("houses.csv").write_text("size,price\n" + rows)


@pytest.mark.usefixtures("houses")
def test_the_config_is_printed_and_is_valid(dlcli):
    result = dlcli("init", "houses.csv", "--target", "price")
    assert (result.exit_code, result.stderr) == (
        0,
        snapshot("""\
data      houses.csv: 40 rows
target    price: numeric, 151 to 272
features  1 numeric
split     folds of all rows, no separate test rows
"""),
    )
    assert dlcli("init", "houses.csv", "--target", "price", "--quiet").stderr == ""
    Path("houses.yaml").write_text(result.stdout)
    assert dlcli("validate", "houses.yaml").exit_code == 0


@pytest.mark.usefixtures("houses")
def test_a_config_in_a_file_has_its_schema_next_to_it(dlcli):
    Path("sub").mkdir()
    for name in ("sub/one.yaml", "sub/two.yaml"):
        result = dlcli("init", "houses.csv", "--target", "price", "--output", name)
        shown = f"config: {name}\ntrain: dlcli train {name}\n"
        assert (result.exit_code, result.stdout) == (0, "")
        assert result.stderr.endswith(shown)
        first = Path(name).read_text().partition("\n")[0]
        assert first == "# yaml-language-server: $schema=./dlcli.schema.json"
    schema = Path("sub/dlcli.schema.json").read_text()
    assert schema == dlcli("schema").stdout
    printed = dlcli("init", "houses.csv", "--target", "price").stdout
    assert "$schema" not in printed, "the schema would be missing next to the config"


@pytest.mark.usefixtures("folder")
def test_what_was_found_is_printed_with_the_next_command(dlcli):
    lines = [f"r{at},{at % 7},x,{at % 3}.5,{'yes' if at % 4 else 'no'}" for at in range(60)]
    Path("t.csv").write_text("\n".join(["key,a,same,b,y", *lines, "r60,1,x,2,"]))
    result = dlcli("init", "t.csv", "--target", "y", "--ignore", "b", "--output", "t.yaml")
    assert result.stderr == snapshot("""\
data      t.csv: 60 rows, 1 without a target omitted
target    y: 2 classes: yes (45), no (15)
features  1 numeric
ignored   key: a different value in each row: an identifier
          same: the same value in all rows: x
          b: as --ignore sets
split     folds of all rows, no separate test rows
config: t.yaml
train: dlcli train t.yaml
""")


@pytest.mark.usefixtures("houses")
def test_quiet_suppresses_the_next_command(dlcli):
    result = dlcli("init", "houses.csv", "--target", "price", "--output", "a.yaml", "--quiet")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.usefixtures("houses")
def test_a_schema_that_is_there_is_kept(dlcli):
    Path("dlcli.schema.json").write_text("{}")
    assert dlcli("init", "houses.csv", "--target", "price", "--output", "a.yaml").exit_code == 0
    assert Path("dlcli.schema.json").read_text() == "{}"


@pytest.mark.usefixtures("folder")
def test_a_repeated_target_is_several_numbers(dlcli):
    rows = "".join(f"{at},{2 * at % 7},{at % 5}\n" for at in range(30))
    Path("robot.csv").write_text("x,left,right\n" + rows)
    targets = ["--target", "left", "--target", "right", "--target", "left"]
    result = dlcli("init", "robot.csv", *targets, "--preset", "simple", "--output", "robot.yaml")
    assert result.exit_code == 0
    config = load_config(Path("robot.yaml")).config
    assert config.data.target.columns == ("left", "right")
    assert [*(config.input.features or {})] == ["x"]
    assert dlcli("validate", "robot.yaml").exit_code == 0
    positive = dlcli("init", "robot.csv", *targets, "--positive-class", "3")
    assert positive.exit_code == 2
    assert positive.stderr == snapshot(
        "error: --positive-class: a target of several columns has no classes\n"
    )
    classes = dlcli("init", "robot.csv", *targets, "--type", "categorical")
    assert classes.exit_code == 2
    assert classes.stderr == snapshot("error: --type: a target of several columns has no classes\n")


@pytest.mark.usefixtures("houses")
def test_a_config_elsewhere_leads_to_its_data(dlcli):
    Path("configs").mkdir()
    result = dlcli("init", "houses.csv", "--target", "price", "--output", "configs/houses.yaml")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "../houses.csv" in Path("configs/houses.yaml").read_text()
    assert dlcli("validate", "configs/houses.yaml").exit_code == 0


@pytest.mark.usefixtures("houses")
def test_nothing_is_overwritten(dlcli):
    Path("houses.yaml").write_text("precious")
    result = dlcli("init", "houses.csv", "--target", "price", "--output", "houses.yaml")
    assert result.exit_code == 2
    assert Path("houses.yaml").read_text() == "precious"


@pytest.mark.usefixtures("houses")
@pytest.mark.parametrize(
    ("output", "reason"),
    [("houses.csv/a.yaml", "Not a directory"), ("none/a.yaml", "No such file or directory")],
)
def test_an_output_that_cannot_be_made_is_a_mistake(output, reason, dlcli):
    result = dlcli("init", "houses.csv", "--target", "price", "--output", output)
    assert result.exit_code == 2
    assert result.stderr == f"error: {output}: can't be written: {reason}\n"


@pytest.mark.usefixtures("houses")
def test_a_target_that_is_no_column_is_a_mistake(dlcli):
    result = dlcli("init", "houses.csv", "--target", "prize")
    assert result.exit_code == 2
    assert "did you mean 'price'?" in result.stderr


@pytest.fixture
def loans(folder):
    lines = [f"{i % 7},{i / 3:.3f},{i % 3},{i % 4},{'yes' if i % 2 else 'no'}" for i in range(40)]
    Path("loans.csv").write_text("\n".join(["age,income,after_a,after_b,paid", *lines]))


@pytest.mark.usefixtures("folder")
def test_columns_with_possible_leakage_are_also_printed(dlcli):
    rows = "".join(f"{at * 7 % 11},{2 * at},{at}\n" for at in range(80))
    Path("sales.csv").write_text("day,copy,y\n" + rows)
    result = dlcli("init", "sales.csv", "--target", "y", "--output", "sales.yaml", "--quiet")
    assert result.stderr == (
        "warning: sales.csv: column 'copy' alone predicts nearly all of the target (data leakage?)\n"
    )


@pytest.mark.usefixtures("loans")
def test_columns_are_ignored_on_request_by_name_or_pattern(dlcli):
    options = ["--ignore", "age", "--ignore", "after_*"]
    result = dlcli("init", "loans.csv", "--target", "paid", *options, "--output", "loans.yaml")
    assert result.exit_code == 0
    features = load_config(Path("loans.yaml")).config.input.features
    types = {name: feature.type for name, feature in features.items()}
    ignored = dict.fromkeys(("age", "after_a", "after_b"), "ignored")
    assert types == {**ignored, "income": "numeric"}


@pytest.mark.usefixtures("folder")
def test_columns_ignored_on_request_stay_so_among_many_of_all_types(dlcli):
    names = [f"{name} column" for name in map(chr, range(0x4E00, 0x4E00 + 100))]
    cells = [str(i) if i % 2 else f"{i % 3} a" for i in range(100)]
    lines = [",".join([str(row % 5), *(f"{cell}{row % 4}" for cell in cells)]) for row in range(9)]
    Path("wide.csv").write_text("\n".join([",".join(["y", *names]), *lines]), encoding="utf-8")
    options = ["--ignore", names[3], "--output", "wide.yaml"]
    assert dlcli("init", "wide.csv", "--target", "y", *options).exit_code == 0
    features = load_config(Path("wide.yaml")).config.input.features
    assert features["*"].type == "auto"
    assert features[names[3]].type == "ignored"


@pytest.mark.usefixtures("loans")
def test_the_positive_class_is_chosen(dlcli):
    options = ["--target", "paid", "--positive-class", "no", "--output", "loans.yaml"]
    assert dlcli("init", "loans.csv", *options).exit_code == 0
    assert load_config(Path("loans.yaml")).config.data.target.positive_class == "no"
    assert dlcli("validate", "loans.yaml").exit_code == 0


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("type", "comment"),
    [
        ("numeric", "numeric, 0 to 2"),
        ("count", "count, 0 to 2"),
        ("categorical", "3 classes: 0 (10), 1 (10), 2 (10)"),
    ],
)
def test_the_type_of_target_is_chosen(type, comment, dlcli):
    Path("codes.csv").write_text("x,y\n" + "".join(f"{at * 7 % 30},{at % 3}\n" for at in range(30)))
    options = ["--target", "y", "--type", type, "--output", "codes.yaml"]
    assert dlcli("init", "codes.csv", *options).exit_code == 0
    assert load_config(Path("codes.yaml")).config.data.target.type == type
    text = Path("codes.yaml").read_text()
    assert f"# {comment}\n" in text
    assert "if its 3 integers are classes" not in text
    checked = dlcli("validate", "codes.yaml")
    assert (checked.exit_code, "a few integers" in checked.stderr) == (0, False)
    message = snapshot("error: --positive-class: a target of type count has no classes\n")
    assert dlcli(
        "init", "codes.csv", *options[:2], "--type", "count", "--positive-class", "1"
    ).stderr == (message)


@pytest.mark.usefixtures("loans")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ignore", "aeg"], "loans.csv: no column 'aeg' to ignore; did you mean 'age'?"),
        (
            ["--ignore", "zz*"],
            "loans.csv: no column 'zz*' to ignore; there are 'age', 'income', 'after_a', 'after_b'",
        ),
        (["--ignore", "paid"], "loans.csv: 'paid' is a target and can't be ignored"),
        (
            ["--ignore", "*"],
            "input.features: ignores all columns; at least one feature is required",
        ),
        (
            ["--positive-class", "yess"],
            "loans.csv: --positive-class: no class 'yess' in the column 'paid'; did you mean 'yes'?",
        ),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest(options, message, dlcli):
    result = dlcli("init", "loans.csv", "--target", "paid", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"error: {message}\n"


@pytest.mark.usefixtures("folder")
def test_an_example_is_copied_with_its_data(dlcli):
    result = dlcli("init", "--example", "line")
    assert result.exit_code == 0
    written = result.stdout.splitlines()
    assert written[0] == "line.yaml"
    assert all(Path(name).is_file() for name in written)
    assert dlcli("validate", "line.yaml").exit_code == 0


@pytest.mark.usefixtures("folder")
def test_an_example_brings_the_scripts_of_its_table(dlcli):
    written = dlcli("init", "--example", "tictactoe").stdout.splitlines()

    assert {"generate_tictactoe.py", "play_tictactoe.py"} <= {*written}


@pytest.mark.usefixtures("folder")
def test_two_examples_with_the_same_table_share_it(dlcli):
    dlcli("init", "--example", "steering")

    assert dlcli("init", "--example", "steering_search").stdout == "steering_search.yaml\n"


@pytest.mark.usefixtures("folder")
def test_an_example_never_overwrites_a_file_that_differs(dlcli):
    Path("line.csv").write_text("x,y\n1,1\n")

    result = dlcli("init", "--example", "line")

    assert result.stderr == snapshot("error: line.csv: already exists; choose another folder\n")
    assert not Path("line.yaml").exists()


@pytest.mark.usefixtures("folder")
def test_an_unknown_example_lists_those_there_are(dlcli):
    result = dlcli("init", "--example", "lines")
    assert result.exit_code == 2
    assert "iris" in result.stderr
    assert "xor" in result.stderr


@pytest.mark.usefixtures("houses")
def test_a_table_needs_a_target_and_the_columns_are_named(dlcli):
    result = dlcli("init", "houses.csv")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        snapshot(
            "error: missing option '--target', the column to predict; choose one of 'size', 'price'\n"
            "see: dlcli init --help\n"
        )
    )


@pytest.mark.usefixtures("houses")
@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--target", "price"],
        ["houses.csv", "--target", "price", "--example", "line"],
        ["--example", "line", "--output", "a.yaml"],
        ["--example", "line", "--ignore", "x"],
        ["--example", "line", "--positive-class", "x"],
    ],
)
def test_a_table_needs_a_target_and_an_example_no_other_option(arguments, dlcli):
    result = dlcli("init", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "expected DATA and --target COLUMN, or --example NAME alone" in result.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("table", sorted(DATA.glob("*.csv")), ids=lambda path: path.stem)
def test_the_config_of_a_shipped_table_is_valid(table, dlcli):
    target = TARGETS[table.stem]
    assert dlcli("init", str(table), "--target", target, "--output", "a.yaml").exit_code == 0
    assert dlcli("validate", "a.yaml").exit_code == 0


TARGETS = {
    "bikes": "rentals",
    "breast_cancer": "diagnosis",
    "diabetes": "progression",
    "digits": "digit",
    "digits_png": "digit",
    "iris": "species",
    "line": "y",
    "penguins": "Species",
    "reviews": "sentiment",
    "shoppers": "purchase",
    "steering": "steering_angle",
    "tictactoe": "x_wins",
    "xor": "xor",
}
GOOD = {
    "diabetes": ("r2", 0.3),
    "digits_png": ("r2", 0.85),
    "penguins": ("accuracy", 0.95),
    "reviews": ("accuracy", 0.7),
}
"""For tables of numbers, images, categories and texts a metric of the simplest good model."""


@pytest.mark.release
@pytest.mark.usefixtures("folder", "compiled_once", "no_linear_baseline")
@pytest.mark.parametrize("name", GOOD)
def test_the_config_of_a_shipped_table_trains_well_as_it_is(name, dlcli):
    metric, least = GOOD[name]
    table = str(DATA / f"{name}.csv")
    options = ["--target", TARGETS[name], "--preset", "simple", "--output", "a.yaml"]
    written = dlcli("init", table, *options)
    assert written.exit_code == 0
    metrics = json.loads((train(load_config(Path("a.yaml"))).path / "metrics.json").read_text())
    assert metrics.get("test", metrics["train"])[metric] >= least
