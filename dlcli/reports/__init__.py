"""Reports: results as views, shown as text on a terminal, as self-contained pages and as pictures.

Formatting is loaded with the package, as most commands need it; views and reports are loaded when
they are used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

import dlcli.reports.formatting as fmt

if TYPE_CHECKING:
    from dlcli.reports.comparison_report import comparison_view
    from dlcli.reports.cross_validation_report import cross_validation_view
    from dlcli.reports.diagnosis_report import diagnosis_document, diagnosis_view
    from dlcli.reports.metric_tables import evaluation_view, layer_table
    from dlcli.reports.report_files import (
        Report,
        render_report,
        to_html,
        write_report,
        write_report_if_cheap,
    )
    from dlcli.reports.run_report import run_view
    from dlcli.reports.search_report import search_view
    from dlcli.reports.text_renderer import render_table, render_text
    from dlcli.reports.views import Table, Text, View


_MODULES = {
    "Report": "report_files",
    "Table": "views",
    "Text": "views",
    "View": "views",
    "comparison_view": "comparison_report",
    "cross_validation_view": "cross_validation_report",
    "diagnosis_document": "diagnosis_report",
    "diagnosis_view": "diagnosis_report",
    "evaluation_view": "metric_tables",
    "layer_table": "metric_tables",
    "render_report": "report_files",
    "render_table": "text_renderer",
    "render_text": "text_renderer",
    "run_view": "run_report",
    "search_view": "search_report",
    "to_html": "report_files",
    "write_report": "report_files",
    "write_report_if_cheap": "report_files",
}
"""The modules of names that are loaded when they are used."""


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"dlcli.reports.{_MODULES[name]}"), name)
