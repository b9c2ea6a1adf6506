"""A run told on one self-contained page, and its curves as a picture; without TensorFlow."""

from dlcli.report.making import make, make_if_cheap
from dlcli.report.report import Rendered, render

__all__ = ["Rendered", "make", "make_if_cheap", "render"]
