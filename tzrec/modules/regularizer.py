"""Regularizer: penalties on large embeddings and large weights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Regularizer:
    """L1 and L2 penalties, each a loss of its own name; what has factor 0 is left out.

    With v over the embedding vectors that the B rows of a batch looked up, one per row, group and feature:
    `l2_reg_embedding * sum |v|^2 / B` and `l1_reg_embedding * sum |v|_1 / B`. So only rows of tables that a batch uses
    are drawn to zero, each as often as it is used; of several ids that were pooled, it is their pooled vector.

    With w over the values of the weight matrices of the dense part: `l2_reg_dnn * sum w^2` and `l1_reg_dnn * sum |w|`.
    Biases and norms, which have one dimension, are free.
    """

    l2_reg_embedding: float = 0.0
    l1_reg_embedding: float = 0.0
    l2_reg_dnn: float = 0.0
    l1_reg_dnn: float = 0.0

    def embeddings(self, vectors: Iterable[torch.Tensor], rows: int) -> dict[str, torch.Tensor]:
        """The penalties on vectors `(..., D)` of `rows` rows, 0-dimensional."""
        return _norms(vectors, "reg_embedding", self.l2_reg_embedding / rows, self.l1_reg_embedding / rows)

    def weights(self, parameters: Iterable[torch.Tensor]) -> dict[str, torch.Tensor]:
        """The penalties on those parameters that are matrices, 0-dimensional."""
        matrices = (each for each in parameters if each.dim() > 1)
        return _norms(matrices, "reg_dnn", self.l2_reg_dnn, self.l1_reg_dnn)


def _norms(tensors: Iterable[torch.Tensor], name: str, l2: float, l1: float) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    norms = {f"l2_{name}": (l2, torch.square), f"l1_{name}": (l1, torch.abs)}
    wanted = {key: norm for key, norm in norms.items() if norm[0]}
    for tensor in tensors if wanted else ():
        for key, (factor, norm) in wanted.items():
            found[key] = found.get(key, 0.0) + norm(tensor).sum() * factor
    return found
