"""Training: from encoded rows to trained weights, by the compiled or the Keras engine."""

from dlcli.training.device import Device, prepare_device
from dlcli.training.divergence import measure_magnitudes
from dlcli.training.job import (
    NO_CHECKPOINTS,
    Checkpointer,
    Job,
    Snapshot,
    TrainingResult,
)
from dlcli.training.objectives import gradient_norms, keras_loss
from dlcli.training.program_cache import ProgramCache
from dlcli.training.train_job import train_job
