"""Encoded rows to trained weights: the engines, and what they share."""

from dlcli.training.device import Device, prepare_device
from dlcli.training.engines import train_job
from dlcli.training.job import Job, Trained

__all__ = ["Device", "Job", "Trained", "prepare_device", "train_job"]
