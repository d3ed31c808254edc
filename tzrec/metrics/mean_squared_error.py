"""MeanSquaredError of a regression task."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from tzrec.metrics.base import MeanMetric


class MeanSquaredError(MeanMetric):
    """`mean (y - label)^2`."""

    larger_is_better = False

    def score(self, predictions: Mapping[str, torch.Tensor], label: torch.Tensor) -> torch.Tensor:
        return (predictions["y"].double() - label).square()
