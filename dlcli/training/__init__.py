"""Encoded rows to trained weights: the engines, and what they share."""

from dlcli.training.device import Device, prepare_device
from dlcli.training.divergence import measure_magnitudes
from dlcli.training.engines import train_job
from dlcli.training.gradients import gradient_norms
from dlcli.training.job import Job, TrainingResult
from dlcli.training.objectives import keras_loss
from dlcli.training.programs import Programs
from dlcli.training.rows import labels_for
from dlcli.training.snapshots import Checkpointer, Snapshot

__all__ = [
    "Device",
    "Job",
    "Checkpointer",
    "Programs",
    "Snapshot",
    "TrainingResult",
    "gradient_norms",
    "keras_loss",
    "labels_for",
    "measure_magnitudes",
    "prepare_device",
    "train_job",
]
