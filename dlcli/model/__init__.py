"""A network as a functional `tf.keras` model, and its weights by name."""

from dlcli.model.building import build_model, build_portable_model
from dlcli.model.weights import assign_weights, weights_of

__all__ = ["assign_weights", "build_model", "build_portable_model", "weights_of"]
