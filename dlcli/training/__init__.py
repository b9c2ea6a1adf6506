"""Training: from encoded rows to trained weights, by the compiled or the Keras engine."""

from dlcli.training.collectives import Collectives
from dlcli.training.compiled_engine import ProgramCache
from dlcli.training.linear_engine import LinearEngine
from dlcli.training.objectives import gradient_norms, keras_loss
from dlcli.training.training import prepare_device, train_job
