"""Trained runs as models and files that work without dlcli."""
