"""Reports: results as views, shown as text on a terminal, as self-contained pages and as pictures.

Formatting and text are loaded with the package, as commands need them; what pages take is loaded
when it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from dlcli.reports.formatting import (
    format_count,
    format_difference,
    format_duration,
    format_interval,
    format_number,
    format_percent,
    join_names,
    shorten,
    shorten_middle,
)
from dlcli.reports.text_renderer import render_table, render_text
from dlcli.reports.views import Table, Text, View

if TYPE_CHECKING:
    from dlcli.reports.comparison_page import comparison_page
    from dlcli.reports.making import make, make_if_cheap
    from dlcli.reports.page import to_html
    from dlcli.reports.report import Rendered, render

__all__ = [
    "Rendered",
    "Table",
    "Text",
    "View",
    "comparison_page",
    "format_count",
    "format_difference",
    "format_duration",
    "format_interval",
    "format_number",
    "format_percent",
    "join_names",
    "make",
    "make_if_cheap",
    "render",
    "render_table",
    "render_text",
    "shorten",
    "shorten_middle",
    "to_html",
]

_LAZY = {
    "Rendered": "report",
    "comparison_page": "comparison_page",
    "make": "making",
    "make_if_cheap": "making",
    "render": "report",
    "to_html": "page",
}
"""Modules by the names that are loaded when they are used."""


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Stored here, as importing a module of the same name has put the module in its place.
    value = globals()[name] = getattr(import_module(f"dlcli.reports.{_LAZY[name]}"), name)
    return value
