"""Reports: results as views, shown as text on a terminal, as self-contained pages and as pictures.

Formatting is loaded with the package, as most commands need it; views and reports are loaded when
they are used.
"""
