"""Tracking of trainings with TensorBoard and MLflow, as a listener to the pipeline's events."""
