"""Encoded rows to trained weights: the engines, and what they share."""

from dlcli.training.device import Device, prepare_device
from dlcli.training.engines import train_job
from dlcli.training.job import Job, Trained
from dlcli.training.programs import Programs
from dlcli.training.snapshots import Keeper, Snapshot

__all__ = [
    "Device",
    "Job",
    "Keeper",
    "Programs",
    "Snapshot",
    "Trained",
    "prepare_device",
    "train_job",
]
