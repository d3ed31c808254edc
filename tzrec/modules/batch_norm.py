"""BatchNorm: batch norm that is defined for every number of rows."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class BatchNorm(nn.BatchNorm1d):
    """Batch norm of `(B, D)`, whose statistics need at least two rows.

    Fewer rows, as in the last batch of an epoch, have no variance: in training they are normalized with the running
    statistics, which they leave unchanged.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if self.training and len(input) < 2:
            return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(input)
