"""`dlcli init`, `inspect`, `validate`, `schema` and `doctor`: the commands before training."""

from __future__ import annotations

import json
import os
import shlex
import sys
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlcli.cli import console, options
from dlcli.cli.database_arguments import sql_option
from dlcli.cli.input_arguments import looks_like_missing_run, read_config, refuse_run_folder
from dlcli.cli.run_commands import print_export
from dlcli.cli.table_format_options import (
    FORMAT_OPTIONS,
    make_table_format,
    split_assignments,
    split_types,
    table_format_options,
)
from dlcli.errors import RunError, UsageError, listed

if TYPE_CHECKING:
    from dlcli.config.search_space import Dimension
    from dlcli.config.tune_section import Tune
    from dlcli.pipeline.events import Event
    from dlcli.tables.database_locations import DataLocation

EXPORT_DOCUMENT = "export.json"
"""The file that identifies the folder of an export, without loading `dlcli.exports`."""
EXPORT_SCRIPT = "train.py"
"""The file of an exported script."""


@click.command()
@click.argument("data", required=False, type=options.DATA, callback=refuse_run_folder)
@click.option(
    "--target",
    "targets",
    metavar="COLUMN",
    multiple=True,
    help="Column to predict. Repeat it for several numeric or yes/no targets.",
)
@click.option(
    "--ignore",
    metavar="COLUMN",
    multiple=True,
    help="Column to exclude from the features, or a pattern such as 'score_*'. Repeatable.",
)
@click.option(
    "--positive-class",
    metavar="CLASS",
    help="Positive class of a binary target. [default: yes or true, else the second in sort order]",
)
@click.option(
    "--type",
    "types",
    metavar="TYPE|COLUMN=TYPE",
    multiple=True,
    callback=split_types,
    help="Type of the target: numeric, count, or categorical if its integers are classes; or the "
    "type of a column: zip=categorical. Repeatable. [default: inferred from the values]",
)
@click.option(
    "--date-format",
    "date_formats",
    metavar="COLUMN=FORMAT",
    multiple=True,
    callback=split_assignments,
    help="Format of the dates of a column: 'day=%d/%m/%Y'. Repeatable.",
)
@click.option(
    "--missing",
    metavar="WORD",
    multiple=True,
    help="Word that means a missing value, such as 'unclear', in addition to usual words such as "
    "NA. Repeatable.",
)
@click.option(
    "--split",
    metavar="time:COLUMN|group:COLUMN|random",
    help="Split into training, validation and test rows: time:year,month tests on the latest rows, "
    "group:patient keeps the rows of a patient together. [default: by a time or a group if a "
    "random split would be too optimistic]",
)
@click.option(
    "--preset",
    type=click.Choice(["simple", "good", "best"]),
    help="simple: one small network, fast. good: ensemble of eight networks, more accurate and "
    "slower. best: ensemble of 32 networks with different settings; it takes two to four times as "
    "long as good, and its error is about 2 % smaller. [default: good]",
)
@table_format_options
@sql_option
@options.output_file("the config")
@click.option(
    "--example",
    metavar="NAME",
    help="Instead of creating a config, copy an example config and its table to the current "
    "folder: bikes, shoppers, line, xor, iris, breast_cancer, diabetes, digits, digits_png, "
    "penguins, reviews, steering, steering_search or tictactoe.",
)
def init(
    data: DataLocation | None,
    targets: tuple[str, ...],
    output: Path | None,
    example: str | None,
    **others: Any,  # noqa: ANN401
) -> None:
    """Create a config for a table, or copy an example.

    The config for the table DATA has a comment on each column and setting. It can be trained
    without changes. A summary of the table is printed to standard error. With --output, the command
    also writes dlcli.schema.json to the same folder, so editors such as VS Code can complete and
    check the config.

    \b
      dlcli init data/bikes.csv --target rentals --output bikes.yaml
      dlcli init data/shoppers.csv --target purchase --positive-class no --ignore 'account_*'
      dlcli init data/bikes.csv --target rentals --preset simple
      dlcli init data/digits.csv --target digit --type categorical
      dlcli init data/steering.csv --target steering_angle --target speed
      dlcli init data/bikes.csv --target rentals --type weather=categorical --missing '**'
      dlcli init data/penguins.csv --target Species --split "time:Date Egg"
      dlcli init adult.data --header none --names age,work,income --target income
      dlcli init sqlite:///sales.db/orders --target price --output orders.yaml
      dlcli init --example iris
    """  # noqa: D301  (Click does not wrap the lines after it)
    from dlcli.cli.event_log import READING, showing_progress
    from dlcli.starter.config_writing import starter_config
    from dlcli.starter.examples import add_schema, write_example
    from dlcli.tables.database_locations import rows_of

    layout = {name: others.pop(name) for name in FORMAT_OPTIONS}
    target_type, types = others.pop("types")
    dates = {
        name: {"type": "datetime", "format": form}
        for name, form in others.pop("date_formats").items()
    }
    sql = others.pop("sql")
    others |= {"type": target_type, "types": {**types, **dates}}
    chosen = {name: value for name, value in others.items() if value}
    given = [name for name, value in {**layout, "sql": sql}.items() if value]
    if example is not None and not (data or targets or output or chosen or given):
        written = write_example(example, Path())
        for top in dict.fromkeys(path.parts[0] for path in written):  # name a folder only once
            click.echo(top)
    elif example is None and data is not None and targets:
        folder = output.parent if output is not None else Path()
        settings, found = {"preset": "good", **chosen}, list[str]()
        if output is not None or not sys.stdout.isatty():  # else comments of the config show it
            settings["warn"] = partial(console.print_message, "warning")
            settings["report"] = found.append
        source = rows_of(data, sql, targets)
        form = make_table_format(source, layout)
        with showing_progress(READING):
            text = starter_config(source, targets, config_folder=folder, form=form, **settings)
        with console.open_output(output) as stream:
            stream.write((text if output is None else add_schema(text, folder)).encode())
        console.print_summary(found)
        if output is not None:
            console.print_next(
                config=str(output), train=shlex.join(["dlcli", "train", str(output)])
            )
    elif example is None and data is not None:
        from dlcli.tables.table_files import read_header

        source = rows_of(data, sql)
        named = listed(read_header(source, make_table_format(source, layout)), most=12)
        raise click.UsageError(
            f"missing option '--target', the column to predict; choose one of {named}"
        )
    else:
        raise click.UsageError("expected DATA and --target COLUMN, or --example NAME alone")


@click.command()
@click.argument("data", type=options.DATA, callback=refuse_run_folder)
@click.option(
    "--target",
    "targets",
    metavar="COLUMN",
    multiple=True,
    help="Column to predict; repeatable. Without it, data leakage is not checked.",
)
@table_format_options
@sql_option
@options.json_object
def inspect(
    data: DataLocation,
    targets: tuple[str, ...],
    sql: str | None,
    as_json: bool,
    **layout: Any,  # noqa: ANN401
) -> None:
    """Check a table before training.

    DATA is a table, its URL, a database, or `-` for standard input. The output lists each column
    with its inferred type and the reason. In tables with more than 40 columns, numbered columns
    (x1, x2, ...) of the same type are summarized in one line. Possible problems follow, each with
    advice: duplicate rows, data leakage, codes for missing values, rare classes and more.

    \b
      dlcli inspect data/bikes.csv --target rentals
      dlcli inspect data/bikes.csv --json
      dlcli inspect sales.db --sql "SELECT * FROM orders WHERE year = 2024" --target price
    """  # noqa: D301  (Click does not wrap the lines after it)
    from dataclasses import asdict

    from dlcli.cli.event_log import READING, print_file_notes, showing_progress
    from dlcli.data_checks.inspection import inspect_table, read_for_inspection
    from dlcli.reports.command_views import inspection_view
    from dlcli.tables.database_locations import rows_of

    source = rows_of(data, sql, targets)
    form = make_table_format(source, layout)
    with showing_progress(READING):
        table, found = read_for_inspection(source, targets or None, form)
        print_file_notes(table.file_notes)
        inspection = inspect_table(table, found)
    if as_json:
        console.print_json(asdict(inspection))
    else:
        console.print_view(inspection_view(inspection))


@click.command()
@click.argument("config", type=options.PATH, metavar="CONFIG|RUN|EXPORT")
@options.settings
@click.option("--data", is_flag=True, help="Read all rows even if data files exceed 20 MB.")
@options.json_object
def validate(config: Path, settings: tuple[str, ...], data: bool, as_json: bool) -> None:
    """Check a config, a run folder or an export.

    Config: all problems are reported at once. If there are none, the network is printed and, if the
    config sets tune.space, the search space. From large data files, only the header is read; values
    that depend on the rows are printed as `?`.

    Run folder: the files are compared with the checksums in manifest.json.

    Export: the files are compared with the checksums in export.json, and the model must
    again give the predictions that are stored with it for synthetic rows. Do this only for exports
    from a trusted source, because a model can run code.

    \b
      dlcli validate bikes.yaml
      dlcli validate bikes.yaml --set epochs=50 --json
      dlcli validate runs/bikes
      dlcli validate bikes-onnx
    """  # noqa: D301  (Click does not wrap the lines after it)
    is_folder = os.path.isdir(config)  # raises no error, unlike `is_dir`
    if is_folder and (settings or data):
        raise click.UsageError(f"{config} is a folder; --set and --data apply to configs only")
    if is_folder and (config / EXPORT_DOCUMENT).is_file():
        from dlcli.exports.export_folder import validate_export

        print_export(validate_export(config), as_json, validated=True)
        return
    if is_folder or looks_like_missing_run(config):
        _validate_run(config, as_json)
        return
    if as_json:
        _validate_as_json(config, settings, data)
        return
    file = read_config(config, settings)  # before the slow imports

    from dlcli.cli.event_log import event_listener
    from dlcli.pipeline.preflight import check
    from dlcli.reports.command_views import layer_table
    from dlcli.reports.views import render_table

    with event_listener(as_json=False, quiet=console.is_quiet()) as listener:
        checked = check(file, read_rows=data, listener=listener)
    if not checked.rows_read:
        note = "data files are large, so only their headers were read; --data reads all rows"
        console.print_message("note", note)
    for line in render_table(layer_table(checked.layers)):
        click.echo(line)
    if checked.tune and checked.tune.space:
        click.echo("")
        for line in search_space_lines(checked.tune, file.config.adjective("validation")):
            click.echo(line)
    unchecked = "" if checked.rows_read else "; the rows of its data were not checked"
    click.echo(f"{config}: the config is valid{unchecked}")


def _validate_run(folder: Path, as_json: bool) -> None:
    """Compare the files of a run folder with its manifest."""
    from dlcli.runs.run_folder import open_run

    try:
        run = open_run(folder)
    except RunError as error:
        if (folder / EXPORT_SCRIPT).is_file():
            raise UsageError(
                f"{folder}: is an exported script, which can't be validated; run its "
                f"{EXPORT_SCRIPT} instead"
            ) from error
        raise
    run.verify()
    count = len(run.manifest.files)
    if as_json:
        console.print_json({"run": str(folder), "files": count})
    else:
        click.echo(f"{folder}: all {count} files are intact")


def _validate_as_json(config: Path, settings: tuple[str, ...], read_rows: bool) -> None:
    """Print the problems of a config as JSON, or the events of its check if there are none.

    Raises:
        ConfigError: after printing the problems.
    """
    from dataclasses import asdict

    from dlcli.errors import ConfigError
    from dlcli.pipeline.events import WarningEvent

    result: dict[str, object] = {"config": str(config), "problems": []}
    warnings: list[str] = []

    def add(event: Event) -> None:
        if isinstance(event, WarningEvent):
            warnings.append(event.message)
        else:
            result[event.kind] = event.to_json()

    try:
        file = read_config(config, settings)

        from dlcli.pipeline.preflight import check

        checked = check(file, read_rows=read_rows, listener=add)
    except ConfigError as error:
        problems = [{**asdict(each), "position": str(each.position)} for each in error.problems]
        console.print_json({**result, "problems": problems})
        raise
    result.setdefault("network", {"layers": [asdict(layer) for layer in checked.layers]})
    result |= {"rows_read": checked.rows_read, "warnings": warnings}
    console.print_json(result)


_SAMPLERS = {
    "tpe": "combinations chosen by TPE",
    "random": "combinations drawn at random",
    "grid": "each combination once",
}
"""How candidates are chosen, by sampler; `dlcli help tpe` explains the method."""


def search_space_lines(tune: Tune, held_out: str) -> list[str]:
    """Describe a search: its budget and sampler, and the range of each setting.

    Args:
        tune: the section of the search.
        held_out: name of the rows that evaluate candidates if there are no folds.
    """
    from dlcli.config.search_space import count_combinations, dimensions_of
    from dlcli.errors import plural
    from dlcli.reports import formatting as fmt
    from dlcli.reports.views import TableBlock, render_table

    dimensions = dimensions_of(tune.space)
    budget = [plural(tune.most_trials, "trial")] if tune.most_trials is not None else []
    budget += [f"{fmt.number(tune.time)} seconds"] if tune.time is not None else []
    combinations = count_combinations(dimensions)
    choice = _SAMPLERS[tune.sampler.name]
    if combinations:
        choice += f" ({combinations:,} in all)"
    rows = f"the {held_out} rows" if tune.folds is None else plural(tune.folds, "fold")
    search = ", ".join([*budget, choice, f"{tune.metric} of {rows}"])
    ranges = tuple((each.path, _range_text(each)) for each in dimensions)
    return render_table(TableBlock(("tune", search), ranges, text_columns=(0, 1)))


def _range_text(dimension: Dimension) -> str:
    from dlcli.reports import formatting as fmt

    if dimension.kind == "choice":
        labels = (each if isinstance(each, str) else json.dumps(each) for each in dimension.labels)
        return fmt.join_names(list(labels), most=8)
    text = f"{fmt.number(dimension.low)} to {fmt.number(dimension.high)}"
    if dimension.log:
        return f"{text}, log"
    is_default = dimension.step is None or (dimension.kind == "integer" and dimension.step == 1)
    return text if is_default else f"{text} by {fmt.number(dimension.step)}"


@click.command()
@options.output_file("the schema")
def schema(output: Path | None) -> None:
    """Print the JSON Schema of the config, for editors.

    The schema lists all keys of a config with their meanings and defaults. Editors with a YAML
    language server, such as VS Code, use it to complete keys and to underline mistakes. Write it to
    the folder of the config:

    \b
      dlcli schema --output dlcli.schema.json

    and begin the config with this line:

    \b
      # yaml-language-server: $schema=dlcli.schema.json
    """  # noqa: D301  (Click does not wrap the lines after it)
    from dlcli.config.config_schema import json_schema

    with console.open_output(output) as stream:
        stream.write(json_schema().encode())


@click.command()
@options.json_object
def doctor(as_json: bool) -> None:
    """Show versions, devices, trackers and missing packages.

    The last line is a summary to paste into a report of a problem. TensorFlow is loaded to find
    GPUs, which takes some seconds.

    \b
      dlcli doctor
      dlcli doctor --json
    """  # noqa: D301  (Click does not wrap the lines after it)
    from dlcli.reports.command_views import installation_view
    from dlcli.runs.installation import inspect_installation
    from dlcli.tracking.installed_trackers import tracker_packages

    found = inspect_installation(_gpus(), tracker_packages())
    if as_json:
        console.print_json(asdict(found))
    else:
        console.print_view(installation_view(found))


def _gpus() -> list[str] | None:
    """Return the names of the GPUs that TensorFlow finds; `None` without TensorFlow."""
    if find_spec("tensorflow") is None:
        return None
    from dlcli.pipeline.fit import quiet_tensorflow

    with quiet_tensorflow():
        import tensorflow as tf

        devices = tf.config.list_physical_devices("GPU")
        details = (tf.config.experimental.get_device_details(each) for each in devices)
        return [str(each.get("device_name", "GPU")) for each in details]
