"""Which engine trains a network: a function of config and shapes, never of a timing."""

from __future__ import annotations

from dlcli.config import CompiledEngine, Config, Engine, KerasEngine
from dlcli.network.network import Network

SECONDS_SAVED_A_STEP = 90e-6
"""What XLA saves over a graph at each step, however small: the graph's cost of starting kernels."""
SECONDS_SAVED_A_FLOP = 2e-12
"""What XLA saves for each floating-point operation of a step."""
SECONDS_SAVED_AN_IMAGE_LAYER = 60e-6
"""What XLA saves at each step that varies images."""
SECONDS_SAVED_A_PIXEL = 10e-9
"""What it saves for each pixel of these."""
SECONDS_TO_COMPILE = 1.0
"""What XLA must save over a whole training to be worth its longer compiling."""


def choose_engine(config: Config, network: Network, rows: int, trainings: int = 1) -> Engine:
    """Settles what `engine` leaves open.

    The figures were measured on two CPU cores; being off costs a second at most, and no bit:
    the choice stands in the resolved config.

    Args:
        config: reads `engine`, `epochs`, `batch_size` and `precision`.
        network: the layers.
        rows: how many train.
        trainings: how many share one program, and so the time to compile it.
    """
    if isinstance(config.engine, KerasEngine):
        return config.engine
    if isinstance(config.engine, CompiledEngine) and config.engine.jit_compile != "auto":
        return config.engine
    # XLA keeps more bits than a mixed policy asks for, where it fuses operations: only the graph
    # rounds as Keras does.
    is_exact = config.precision == "float32"
    return CompiledEngine(jit_compile=is_exact and _pays(config, network, rows, trainings))


def _pays(config: Config, network: Network, rows: int, trainings: int) -> bool:
    batch = min(config.batch_size, rows)
    steps = config.epochs * -(-rows // batch)
    operations = 6 * batch * network.parameters  # forward 2, backward 4 for each weight and row
    saved = SECONDS_SAVED_A_STEP + SECONDS_SAVED_A_FLOP * operations
    for layer in network.front.augments:
        pixels = batch * (layer.stop - layer.start)
        saved += SECONDS_SAVED_AN_IMAGE_LAYER + SECONDS_SAVED_A_PIXEL * pixels
    return trainings * steps * saved > SECONDS_TO_COMPILE
