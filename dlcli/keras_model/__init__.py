"""A network as a functional `tf.keras` model, and its weights by name."""

from dlcli.keras_model.model_building import (
    assign_weights,
    build_model,
    build_portable_model,
    parameters_of,
    plain_regularizer,
    weights_of,
)
