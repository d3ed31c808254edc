"""WuKongLayer: a factorization machine beside a linear compression, stacked to reach high orders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from tzrec.modules.mlp import MLP


class WuKongLayer(nn.Module):
    """`layer_norm([FMB(X), W X] + residual(X))` on the vectors X of a row.

    Zhang et al., Wukong: Towards a Scaling Law for Large-Scale Recommendation, ICML 2024, section 3. The block of
    factorization machines is `FMB(X) = W_o MLP(layer_norm(X (X' Y)))`, its dot products taken with k combinations of
    the vectors instead of with all of them. The residual is X itself, or a linear map where the counts differ.

    Args:
        fields: vectors of a row.
        dim: width of each.
        lcb_feature_num: vectors from the linear compression.
        fmb_feature_num: vectors from the factorization machines.
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
        same = fields == self.out_fields
        self.residual = nn.Identity() if same else nn.Linear(fields, self.out_fields, bias=False)
        self.norm = nn.LayerNorm(dim)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """(B, fields, dim) -> (B, out_fields, dim)"""
        across = vectors.mT.contiguous()  # (B, D, F): linear maps of the fields are plain matrix products
        dots = torch.bmm(vectors, self.combine(across))  # (B, F, k)
        machines = self.fm_output(self.fm_mlp(self.fm_norm(dots.flatten(1))))  # (B, fmb * D)
        machines = machines.unflatten(1, (-1, vectors.shape[2]))  # (B, fmb, D)
        together = torch.cat([machines, self.compress(across).mT], 1)  # (B, out_fields, D)
        return self.norm(together + self.residual(across).mT)
