"""Train, cross-validate and search: what is made of one fit of given rows.

Each name is loaded when it is used: training needs no search, and reports need only the results.
"""
