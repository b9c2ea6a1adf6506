"""The outputs of a network for sums of the products of columns with its first kernel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dlcli.arrays import Floats, Indices, Matrix
from dlcli.network.layers import DenseLayer, Network, Weights
from dlcli.tasks.task import Outputs

_SMALL_PRODUCT = 2**18
"""OpenBLAS computes products of at most so many multiplications in the calling thread."""
_FEWEST_STACKED = 8
"""Minimum number of rows of such a product; with fewer, it is slow."""


class ColumnProducts:
    """Computes a network's outputs from the product of each column's inputs with the first kernel.

    Args:
        network: the network.
        weights: its weights.
        columns: the columns of the table.
    """

    def __init__(self, network: Network, weights: Weights, columns: Sequence[str]) -> None:
        self.network, self.weights = network, weights
        kernel = weights[network.first_kernel]
        names = [*dict.fromkeys(block.column for block in network.layout.blocks)]
        at = {name: index for index, name in enumerate(names)}
        read = network.columns_of_inputs
        self._sources = [np.flatnonzero(read == at.get(column, -1)) for column in columns]
        self._kernels = [kernel[indices] for indices in self._sources]

    @property
    def units(self) -> int:
        """The units of the first Dense layer."""
        return self.network.layers[0].units

    @property
    def read(self) -> NDArray[np.bool_]:
        """Whether the network reads each column, except the exposure, (columns,)."""
        return np.array([bool(kernel.any()) for kernel in self._kernels])

    def products(self, matrix: Matrix) -> Matrix:
        """Return the product of each column's inputs and kernel, (rows, columns, units)."""
        front = self.network.front.forward(matrix, self.weights)
        found = np.zeros((len(matrix), len(self._sources), self.units), np.float32)
        for at, (indices, kernel) in enumerate(zip(self._sources, self._kernels, strict=True)):
            if len(indices):
                np.matmul(front[:, indices], kernel, out=found[:, at])
        return found

    def outputs(self, products: Outputs, exposures: Floats | None) -> Outputs:
        """Return the outputs of sums of the columns' products, (rows, units of the output).

        Args:
            products: the sums, which are overwritten, (rows, units).
            exposures: the exposures that multiply the outputs, (rows,), if there are any.
        """
        layers = self.network.layers
        x = products
        for at, layer in enumerate(layers):
            if isinstance(layer, DenseLayer):
                # The activation of the output in float64: 1 − p is accurate if p is almost 1.
                products = x if at == 0 else multiply(x, self.weights[f"{layer.name}/kernel"])
                is_last = at == len(layers) - 1
                x = layer.finish(products.astype(np.float64) if is_last else products, self.weights)
            else:
                x = layer.forward(x, self.weights)
        return x if exposures is None else x * exposures[:, np.newaxis]


def multiply(x: Matrix, kernel: Matrix) -> Matrix:
    """Return x·kernel, (rows, units), computed in the calling thread if the kernel is small.

    OpenBLAS divides a larger product among threads that wait for each other: here, this gains
    little on idle cores, and takes up to 20 times as long on busy ones.
    """
    rows = _SMALL_PRODUCT // kernel.size
    if rows < _FEWEST_STACKED or len(x) <= rows:
        return np.asarray(x @ kernel)
    whole = len(x) // rows * rows
    found = np.empty((len(x), kernel.shape[1]), np.result_type(x, kernel))
    stacked, width = x[:whole].reshape(-1, rows, x.shape[1]), kernel.shape[1]
    np.matmul(stacked, kernel, out=found[:whole].reshape(-1, rows, width))
    np.matmul(x[whole:], kernel, out=found[whole:])
    return found


def sums_of_backgrounds(masks: Matrix, products: Matrix, owners: Indices) -> Matrix:
    """Return the sums of background rows' products over sets of columns, (sets, units).

    Args:
        masks: the sets, (sets, columns).
        products: the products of the background rows, (background rows, columns, units).
        owners: the background row of each set, ascending, (sets,).
    """
    sums = np.empty((len(masks), products.shape[2]), np.float32)
    starts = np.searchsorted(owners, np.arange(len(products) + 1))
    for row, (start, stop) in enumerate(zip(starts[:-1], starts[1:], strict=True)):
        sums[start:stop] = multiply(masks[start:stop], products[row])
    return sums
