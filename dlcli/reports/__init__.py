"""Reports: results as views, shown as text on a terminal, as self-contained pages and as pictures.

Formatting is loaded with the package, as most commands need it; views and reports are loaded when
they are used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

import dlcli.reports.formatting as fmt

if TYPE_CHECKING:
    from dlcli.reports.charts import style_variables
    from dlcli.reports.comparison_report import comparison_view
    from dlcli.reports.diagnosis_report import diagnosis_document, diagnosis_view
    from dlcli.reports.explanation_sections import format_of
    from dlcli.reports.progress import (
        EpochCount,
        epoch_line,
        member_line,
        metric_names,
        progress_line,
    )
    from dlcli.reports.report_files import (
        policy,
        render_report,
        render_template,
        template_text,
        to_card,
        to_html,
        training_curves,
        view_of,
        write_report,
        write_report_if_cheap,
    )
    from dlcli.reports.report_parts import (
        evaluation_view,
        inspection_view,
        layer_table,
        reproduction_view,
    )
    from dlcli.reports.search_charts import settings_text
    from dlcli.reports.views import Table, View, render_table, render_text


_NAMES = {
    "charts": ("style_variables",),
    "comparison_report": ("comparison_view",),
    "diagnosis_report": ("diagnosis_document", "diagnosis_view"),
    "explanation_sections": ("format_of",),
    "progress": ("EpochCount", "epoch_line", "member_line", "metric_names", "progress_line"),
    "report_files": (
        *("policy", "render_report", "render_template", "template_text", "to_card"),
        *("to_html", "training_curves", "view_of", "write_report", "write_report_if_cheap"),
    ),
    "report_parts": ("evaluation_view", "inspection_view", "layer_table", "reproduction_view"),
    "search_charts": ("settings_text",),
    "views": ("Table", "View", "render_table", "render_text"),
}
"""The names of each module."""
_MODULES = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"dlcli.reports.{_MODULES[name]}"), name)
