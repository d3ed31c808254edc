"""WuKongLayer: a factorization machine and a linear compression, stacked to model high-order interactions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from tzrec.modules.mlp import MLP


class WuKongLayer(nn.Module):
    """`layer_norm([FMB(X), W X] + residual(X))` on the vectors X of a row.

    Zhang et al., Wukong: Towards a Scaling Law for Large-Scale Recommendation, ICML 2024, section 3. The block of
    factorization machines is `FMB(X) = W_o MLP(layer_norm(X (X' Y)))`, with dot products between the vectors and
    k combinations of them instead of all pairs. The residual is X itself, or a linear map where the sizes differ.

    Args:
        fields: number of vectors of a row.
        dim: width of each.
        lcb_feature_num: number of vectors from the linear compression.
        fmb_feature_num: number of vectors from the factorization machines.
        compressed_feature_num: k.
        feature_num_mlp: arguments of the MLP.
    """

    def __init__(
        self,
        fields: int,
        dim: int,
        lcb_feature_num: int,
        fmb_feature_num: int,
        feature_num_mlp: Mapping[str, Any],
        compressed_feature_num: int = 16,
    ) -> None:
        super().__init__()
        self.out_fields = fmb_feature_num + lcb_feature_num
        self.combine = nn.Linear(fields, compressed_feature_num, bias=False)
        self.fm_norm = nn.LayerNorm(fields * compressed_feature_num)
        self.fm_mlp = MLP(fields * compressed_feature_num, **feature_num_mlp)
        self.fm_output = nn.Linear(self.fm_mlp.out_dim, fmb_feature_num * dim)
        self.compress = nn.Linear(fields, lcb_feature_num, bias=False)
        has_same_size = fields == self.out_fields
        self.residual = nn.Identity() if has_same_size else nn.Linear(fields, self.out_fields, bias=False)
        self.norm = nn.LayerNorm(dim)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """(B, fields, dim) -> (B, out_fields, dim)"""
        transposed = vectors.mT.contiguous()  # (B, D, F): linear maps of the fields are matrix products
        dots = torch.bmm(vectors, self.combine(transposed))  # (B, F, k)
        interactions = self.fm_output(self.fm_mlp(self.fm_norm(dots.flatten(1))))  # (B, fmb * D)
        interactions = interactions.unflatten(1, (-1, vectors.shape[2]))  # (B, fmb, D)
        outputs = torch.cat([interactions, self.compress(transposed).mT], 1)  # (B, out_fields, D)
        return self.norm(outputs + self.residual(transposed).mT)
