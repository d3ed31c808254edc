"""Bilinear forms: pairs of vectors of a row multiplied through matrices, and two vectors fused into logits."""

from __future__ import annotations

import torch
from torch import nn


class SqueezeExcitation(nn.Module):
    """`x_i a_i` with `a = relu(W_2 relu(W_1 z))` and z_i the mean of x_i: how much each vector of a row counts.

    Huang et al., FiBiNET: Combining Feature Importance and Bilinear Feature Interaction for Click-Through Rate
    Prediction, RecSys 2019, equations 2 to 4.

    Args:
        fields: vectors of a row.
        reduction_ratio: fields over the width of the hidden layer.
    """

    def __init__(self, fields: int, reduction_ratio: int = 3) -> None:
        super().__init__()
        hidden = max(fields // reduction_ratio, 1)
        self.squeeze = nn.Linear(fields, hidden, bias=False)
        self.excite = nn.Linear(hidden, fields, bias=False)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """(B, F, D) -> (B, F, D)"""
        share = torch.relu(self.excite(torch.relu(self.squeeze(vectors.mean(2)))))  # (B, F)
        return vectors * share.unsqueeze(2)


class BilinearPairs(nn.Module):
    """`(x_i W) * x_j` for every pair i < j, in the order (0, 1), (0, 2) ... (1, 2) ...

    Huang et al., RecSys 2019, equations 5 to 7. The pairs of one i are one product and one multiplication of columns
    that lie side by side; all pairs at once, gathered by index, take up to four times as long (docs/why.md).

    Args:
        fields: vectors of a row.
        dim: width of each.
        kind: whose W it is: FIELD_ALL for one, FIELD_EACH for one per i, FIELD_INTERACTION for one per pair.
    """

    def __init__(self, fields: int, dim: int, kind: str = "FIELD_EACH") -> None:
        super().__init__()
        pairs = fields * (fields - 1) // 2
        self.out_dim = pairs * dim
        self.kind = kind
        count = {"FIELD_ALL": 1, "FIELD_EACH": fields, "FIELD_INTERACTION": pairs}[kind]
        self.weight = nn.Parameter(torch.empty(count, dim, dim).normal_(0, dim**-0.5))

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """(B, F, D) -> (B, pairs * D)"""
        fields, dim = vectors.shape[1:]
        columns = vectors.flatten(1)  # (B, F * D)
        pairs = [columns[:, :0]]
        for i, x in enumerate(vectors.unbind(1)[:-1]):  # (B, D)
            later = fields - 1 - i
            turned = self._turn(x, i, later)  # (B, later * D)
            pairs.append(turned * columns[:, (i + 1) * dim :])
        return torch.cat(pairs, 1)

    def _turn(self, x: torch.Tensor, i: int, later: int) -> torch.Tensor:
        """`x_i W` for each of the vectors behind it, (B, later * D)."""
        if self.kind == "FIELD_INTERACTION":
            fields = i + 1 + later
            before = i * (2 * fields - i - 1) // 2  # pairs of the vectors before it
            return x @ self.weight[before : before + later].transpose(0, 1).flatten(1)  # (D, later * D)
        return (x @ self.weight[i if self.kind == "FIELD_EACH" else 0]).repeat(1, later)


class BilinearFusion(nn.Module):
    """`y = w . [a, b] + c + sum_h a_h' W_h b_h`, with a and b cut into heads.

    Mao et al., FinalMLP: An Enhanced Two-Stream MLP Model for CTR Prediction, AAAI 2023, equations 8 and 11.

    Args:
        first_dim: width of a, a multiple of head_num.
        second_dim: width of b, a multiple of head_num.
        out_dim: width of the output.
        head_num: heads.
    """

    def __init__(self, first_dim: int, second_dim: int, out_dim: int, head_num: int = 1) -> None:
        super().__init__()
        self.head_num, self.out_dim = head_num, out_dim
        self.linear = nn.Linear(first_dim + second_dim, out_dim)
        shape = (head_num, first_dim // head_num, out_dim * (second_dim // head_num))
        self.weight = nn.Parameter(torch.empty(shape).normal_(0, (first_dim * second_dim / head_num) ** -0.5))

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """(B, first_dim), (B, second_dim) -> (B, out_dim)"""
        heads = first.unflatten(1, (self.head_num, -1)).transpose(0, 1)  # (heads, B, d1)
        turned = torch.bmm(heads, self.weight).unflatten(2, (self.out_dim, -1))  # (heads, B, out, d2)
        others = second.unflatten(1, (self.head_num, 1, -1)).transpose(0, 1)  # (heads, B, 1, d2)
        return self.linear(torch.cat([first, second], 1)) + (turned * others).sum((0, 3))
