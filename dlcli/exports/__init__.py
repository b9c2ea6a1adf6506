"""Trained runs as models and files that work without dlcli."""

from dlcli.exports.export_folder import Export, check_export_options, export_model, validate_export
from dlcli.exports.model_card import model_card
from dlcli.exports.python_script import export_script
