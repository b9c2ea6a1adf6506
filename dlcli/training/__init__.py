"""Encoded rows to trained weights: the engines, and what they share."""

from dlcli.training.device import Device, prepare_device
from dlcli.training.engines import train_job
from dlcli.training.job import Job, Trained
from dlcli.training.snapshots import Snapshot

__all__ = ["Device", "Job", "Snapshot", "Trained", "prepare_device", "train_job"]
