"""PyTorch: a plain loop over batches, without a `DataLoader`, which would be slower."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.timing import EpochEnd, Stopwatch
from benchmarks.workloads import EncodedData, Workload


def train(workload: Workload, data: EncodedData, epochs: int) -> list[EpochEnd]:
    """Train in a plain loop."""
    stopwatch = Stopwatch()
    matrix, target = torch.from_numpy(data.matrix), torch.from_numpy(data.target)
    model = _model(workload)
    loss_of: nn.Module = nn.CrossEntropyLoss() if workload.classes else nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(1, epochs + 1):
        for index in torch.randperm(workload.rows).split(workload.batch_size):
            optimizer.zero_grad()
            loss = loss_of(model(matrix[index]), target[index])
            loss.backward()
            optimizer.step()
        stopwatch.record(epoch)
    return stopwatch.ends


def _model(workload: Workload) -> nn.Module:
    *hidden, last = workload.layers
    modules: list[nn.Module] = []
    for inputs, units in hidden:
        modules += [nn.Linear(inputs, units), nn.ReLU()]
        if workload.dropout:
            modules.append(nn.Dropout(workload.dropout))
    return nn.Sequential(*modules, nn.Linear(*last))
