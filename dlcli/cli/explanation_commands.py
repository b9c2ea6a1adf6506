"""`dlcli explain`: why a trained network predicts a value for a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dlcli.cli import console, options
from dlcli.cli.database_arguments import sql_option
from dlcli.cli.input_arguments import RunAndData, run_and_data
from dlcli.errors import plural

if TYPE_CHECKING:
    from dlcli.pipeline.table_explanation import ExplainedTable
    from dlcli.schema.urls import Location

FIRST_ROWS = 5
"""Number of rows that are explained if none are chosen."""
MOST_CHOSEN = 10_000
MOST_CHANGES = 5
"""Maximum number of changes that are listed for a row."""


def _parse_rows(
    ctx: click.Context, parameter: click.Parameter, text: str | None
) -> tuple[int, ...] | None:
    """Return the row numbers of a list such as `3,17`."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and 0 < len(part) < 16 for part in parts):
        raise click.BadParameter(f"expected row numbers such as 3,17, got {text}")
    if len(parts) > MOST_CHOSEN:
        raise click.BadParameter(f"expected at most {MOST_CHOSEN:,} rows, got {len(parts):,}")
    return tuple(dict.fromkeys(map(int, parts)))


def _parse_names(
    ctx: click.Context, parameter: click.Parameter, text: str | None
) -> tuple[str, ...]:
    """Return the names of a list such as `age,sex`."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


@click.command()
@run_and_data
@click.option(
    "--rows",
    metavar="N,N,...",
    callback=_parse_rows,
    help="Numbers of the rows to explain, counted from 1. "
    f"[default: the first {FIRST_ROWS}; with --output, all]",
)
@click.option(
    "--top",
    type=options.integer(1, 1000),
    default=5,
    show_default=True,
    metavar="N",
    help="Number of columns to print for each row.",
)
@click.option(
    "--of",
    "name",
    metavar="NAME",
    help="Class, label or target column to explain. [default: of two classes the positive one, of "
    "more classes the one that is predicted, of several labels the most probable one, of several "
    "target columns the first one]",
)
@click.option(
    "--unit",
    type=click.Choice(["auto", "probability", "log-odds"]),
    default="auto",
    show_default=True,
    help="Unit of the contributions. auto: the unit of the target or, for classes and labels, "
    "probability. log-odds: ln(p / (1 − p)), for two classes.",
)
@click.option(
    "--background",
    type=options.DATA,
    metavar="FILE",
    help="Table whose mean prediction the contributions start from, such as the training file. "
    "[default: training rows that the run folder contains]",
)
@click.option(
    "--change",
    metavar="RESULT",
    help="Instead of contributions, list the smallest changes of one to three columns that lead to "
    "this result: a class such as 'approved=yes', or a range of numbers such as 'price>250000'. "
    "The new values are within the ranges and categories of the training rows.",
)
@click.option(
    "--fixed",
    metavar="COLUMN,...",
    callback=_parse_names,
    help="Columns that --change keeps as they are.",
)
@sql_option
@options.output("FILE", "New CSV, Parquet or JSON lines file for the contributions of all columns.")
@options.json_object
def explain(
    paths: RunAndData,
    rows: tuple[int, ...] | None,
    top: int,
    output: Location | None,
    as_json: bool,
    **others: Any,  # noqa: ANN401
) -> None:
    """Explain the predictions for rows of a table.

    RUN is a run folder of `dlcli train` or its URL. DATA is a table, its URL, a database, or `-`
    for standard input. It need not contain the target.

    \b
      dlcli explain runs/bikes data/bikes.csv --rows 3,17
      dlcli explain runs/bikes data/bikes.csv --top 10 --json
      dlcli explain runs/bikes data/bikes.csv --output explanations.csv
      dlcli explain runs/bikes data/bikes.csv --rows 3 --change 'rentals>100' --fixed hour

    For each row, the command prints the prediction, the mean prediction for background rows (see
    --background), and how much each column contributes to the difference (Shapley values). The
    contributions of all columns add up to this difference.
    """  # noqa: D301  (Click does not wrap the lines after it)
    from dlcli.explanation.shapley import ShapleyExplainer, check_output
    from dlcli.pipeline.table_explanation import background_from, explain_table, stored_background
    from dlcli.pipeline.table_prediction import BadRows
    from dlcli.prediction.prediction_tables import choose_format, write_rows
    from dlcli.reports.shapley_views import shapley_view
    from dlcli.runs.run_folder import opened_network
    from dlcli.tables.database_locations import rows_of

    if others["change"] is not None:
        _list_changes(paths, rows, output, others, as_json=as_json)
        return
    if others["fixed"]:
        raise click.UsageError("--fixed applies to --change")
    run, data = paths
    name: str | None = others["name"]
    form = choose_format(None, output)
    with opened_network(run, with_background=True) as opened:
        predictor = opened.predictor
        if others["background"] is None:
            matrix = stored_background(opened)
        else:
            matrix = background_from(predictor, rows_of(others["background"]), BadRows())
    explainer = ShapleyExplainer(predictor, matrix, others["unit"])
    if name is not None:
        check_output(name, explainer.outputs)
    most = FIRST_ROWS if output is None else None
    found = explain_table(
        explainer, rows_of(data, others["sql"]), console.print_message, BadRows(), rows, most
    )
    values = found.values.of(name)
    for warning in found.differences.warnings(found.table.file, predictor.encoding):
        console.print_message("warning", warning)
    if output is not None:
        with console.open_output(output) as stream:
            write_rows(values.to_arrow(found.rows), form, stream)
    if as_json:
        console.print_json(_document(str(run), found, name))
    elif output is None:
        target = ", ".join(predictor.task.columns)
        view = shapley_view(values, found.texts(), found.rows.tolist(), target, top)
        console.print_view(view)
    else:
        console.print_next(explanations=f"{output}, {plural(len(values), 'row')}")


def _document(run: str, found: ExplainedTable, name: str | None) -> dict[str, object]:
    """Return the result as JSON."""
    from dlcli.pipeline.table_explanation import explanation_json, explanations_json

    values, texts = found.values.of(name), found.texts()
    rows = [
        {"row": row, **explanation_json(values, at, texts)}
        for at, row in enumerate(found.rows.tolist())
    ]
    return {"run": run, **explanations_json(values, rows)}


def _list_changes(
    paths: RunAndData,
    rows: tuple[int, ...] | None,
    output: Location | None,
    others: dict[str, Any],
    *,
    as_json: bool,
) -> None:
    """Print the smallest changes that lead to a wanted prediction."""
    from dlcli.pipeline.table_explanation import choose_rows
    from dlcli.pipeline.wanted_changes import Wish, changes_json, search_changes
    from dlcli.reports.shapley_views import changes_view
    from dlcli.runs.run_folder import opened_network
    from dlcli.tables.database_locations import rows_of

    names = {"name": "--of", "background": "--background"}
    refused = [option for key, option in names.items() if others[key] is not None]
    refused += ["--output"] if output is not None else []
    if refused:
        raise click.UsageError(f"{refused[0]} can't be combined with --change")
    run, data = paths
    with opened_network(run, with_background=True) as opened:
        predictor = opened.predictor
        wish = Wish.parse(others["change"], predictor.task)
        table = predictor.read(rows_of(data, others["sql"]), others=())
        chosen = choose_rows(table, console.print_message, rows, FIRST_ROWS)
        some, numbers = table.take(chosen), (chosen + 1).tolist()
        found = search_changes(opened, predictor, some, wish, others["fixed"], MOST_CHANGES)
    if as_json:
        each = [{"row": row, **changes_json(one)} for row, one in zip(numbers, found, strict=True)]
        console.print_json({"run": str(run), "change": others["change"], "rows": each})
    else:
        console.print_view(changes_view(found, some, numbers))
