"""Tracking of trainings with TensorBoard and MLflow, as listeners to pipeline events."""
