"""What happens in a training, told to TensorBoard and MLflow as well: see `events.py`.

A tracker is one more listener of the experiment's events. It never ends a training: one that fails
is told of in a warning and left out from then on.
"""

from dlcli.tracking.events import tracked
from dlcli.tracking.packages import check_installed

__all__ = [
    "check_installed",
    "tracked",
]
