"""Checks of a table: each finds one kind of problem and gives advice."""
