"""A run told on one self-contained page, and its curves as a picture; without TensorFlow."""

from dlcli.reports.comparison_page import comparison_page
from dlcli.reports.making import make, make_if_cheap
from dlcli.reports.page import to_html
from dlcli.reports.report import Rendered, render

__all__ = [
    "Rendered",
    "comparison_page",
    "make",
    "make_if_cheap",
    "render",
    "to_html",
]
