"""Accuracy: share of rows whose class is predicted correctly."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from tzrec.metrics.base import MeanMetric


class Accuracy(MeanMetric):
    """With one logit, share of rows where `probs > threshold` equals `label > 0`; else where the label is among the
    `top_k` classes.

    Of classes with equal probability the one with the smaller number comes first.

    Args:
        num_class: classes of the task.
        threshold: cut of a task with one logit.
        top_k: number of classes that count as predicted, for a task with several.
    """

    def __init__(self, num_class: int, threshold: float = 0.5, top_k: int = 1) -> None:
        self.threshold = threshold
        self.top_k = top_k
        super().__init__(num_class)

    def score(self, predictions: Mapping[str, torch.Tensor], label: torch.Tensor) -> torch.Tensor:
        probs = predictions["probs"]
        if self.num_class == 1:
            return (probs > self.threshold) == (label > 0)
        order = torch.sort(probs, dim=1, descending=True, stable=True).indices  # (B, C)
        return (order[:, : self.top_k] == label[:, None]).any(dim=1)
