"""One YAML file in; a trained, explained and portable Dense network out."""

__version__ = "0.1.0"
