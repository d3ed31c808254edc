"""Regularizer: penalties on large embeddings and large weights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Regularizer:
    """L1 and L2 penalties, each an auxiliary loss; those with factor 0 are left out.

    With v over the embedding vectors of the B rows of a batch, one per row, group and feature:
    `l2_reg_embedding * sum |v|^2 / B` and `l1_reg_embedding * sum |v|_1 / B`. Only table rows that a batch uses are
    penalized, each as often as it is used; where several ids are pooled, v is the pooled vector.

    With w over the values of the weight matrices of the dense part: `l2_reg_dnn * sum w^2` and `l1_reg_dnn * sum |w|`.
    Biases and norms, which have one dimension, are not penalized.
    """

    l2_reg_embedding: float = 0.0
    l1_reg_embedding: float = 0.0
    l2_reg_dnn: float = 0.0
    l1_reg_dnn: float = 0.0

    def embeddings(self, vectors: Iterable[torch.Tensor], num_rows: int) -> dict[str, torch.Tensor]:
        """Penalties on vectors `(..., D)` of `num_rows` rows, 0-dimensional."""
        return _norms(vectors, "reg_embedding", self.l2_reg_embedding / num_rows, self.l1_reg_embedding / num_rows)

    def weights(self, parameters: Iterable[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Penalties on the parameters that are matrices, 0-dimensional."""
        matrices = (parameter for parameter in parameters if parameter.dim() > 1)
        return _norms(matrices, "reg_dnn", self.l2_reg_dnn, self.l1_reg_dnn)


def _norms(tensors: Iterable[torch.Tensor], name: str, l2: float, l1: float) -> dict[str, torch.Tensor]:
    penalties: dict[str, torch.Tensor] = {}
    norms = {f"l2_{name}": (l2, torch.square), f"l1_{name}": (l1, torch.abs)}
    active = {key: norm for key, norm in norms.items() if norm[0]}
    for tensor in tensors if active else ():
        for key, (factor, norm) in active.items():
            penalties[key] = penalties.get(key, 0.0) + norm(tensor).sum() * factor
    return penalties
