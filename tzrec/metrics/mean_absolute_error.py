"""MeanAbsoluteError of a regression task."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from tzrec.metrics.base import MeanMetric


class MeanAbsoluteError(MeanMetric):
    """`mean |y - label|`."""

    larger_is_better = False

    def score(self, predictions: Mapping[str, torch.Tensor], label: torch.Tensor) -> torch.Tensor:
        return (predictions["y"].double() - label).abs()
