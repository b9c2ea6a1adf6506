"""Tracking of trainings with TensorBoard and MLflow, as a listener to the pipeline's events."""

from dlcli.tracking.tracked_events import tracked
