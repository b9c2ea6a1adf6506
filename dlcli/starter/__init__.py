"""Starter configs: written for a table, or copied from the shipped examples."""
