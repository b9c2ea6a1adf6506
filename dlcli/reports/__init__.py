"""Reports: results as views, shown as terminal output, self-contained pages and pictures.

Formatting is loaded with the package, as most commands need it; views and reports are loaded on
use.
"""
