"""Rows spread over ranks, some of which have none, as evaluation does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from tzrec.metrics.base import Metric


def score(metric: Metric, predictions: Mapping[str, torch.Tensor], label: torch.Tensor, batches: int = 1) -> float:
    """The metric of rows that come in batches."""
    parts = {name: value.chunk(batches) for name, value in predictions.items()}
    for index, labels in enumerate(label.chunk(batches)):
        metric.update({name: value[index] for name, value in parts.items()}, labels)
    return metric.compute()


def merged(make: Callable[[], Metric], predictions: Mapping[str, torch.Tensor], label: torch.Tensor) -> list[float]:
    """The metric on three ranks with 0.3 of the rows, none, and the others, after they have exchanged their states."""
    cut, ranks = int(0.3 * len(label)), [make() for _ in range(3)]
    for rank, rows in ((0, slice(0, cut)), (2, slice(cut, len(label)))):
        ranks[rank].update({name: value[rows] for name, value in predictions.items()}, label[rows])
    states = [rank.state() for rank in ranks]
    for rank in ranks:
        rank.merge(states)
    return [rank.compute() for rank in ranks]
