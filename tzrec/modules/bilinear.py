"""Bilinear interactions of the vectors of a row, and bilinear fusion of two vectors into logits."""

from __future__ import annotations

import torch
from torch import nn


class SqueezeExcitation(nn.Module):
    """`x_i a_i` with `a = relu(W_2 relu(W_1 z))` and z_i the mean of x_i: a weight for each vector of a row.

    Huang et al., FiBiNET: Combining Feature Importance and Bilinear Feature Interaction for Click-Through Rate
    Prediction, RecSys 2019, equations 2 to 4.

    Args:
        fields: number of vectors of a row, F.
        reduction_ratio: F divided by the width of the hidden layer.
    """

    def __init__(self, fields: int, reduction_ratio: int = 3) -> None:
        super().__init__()
        hidden = max(fields // reduction_ratio, 1)
        self.squeeze = nn.Linear(fields, hidden, bias=False)
        self.excite = nn.Linear(hidden, fields, bias=False)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """(B, F, D) -> (B, F, D)"""
        weights = torch.relu(self.excite(torch.relu(self.squeeze(vectors.mean(2)))))  # (B, F)
        return vectors * weights.unsqueeze(2)


class BilinearPairs(nn.Module):
    """`(x_i W) * x_j` for every pair i < j, in the order (0, 1), (0, 2) ... (1, 2) ...

    Huang et al., RecSys 2019, equations 5 to 7. The pairs of one i are one matrix product and one multiplication
    of adjacent columns; all pairs at once, gathered by index, take up to four times as long (docs/why.md).

    Args:
        fields: number of vectors of a row, F.
        dim: width of each.
        kind: sharing of W: FIELD_ALL (one for all), FIELD_EACH (one per i) or FIELD_INTERACTION (one per pair).
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
            num_later = fields - 1 - i
            projected = self._project(x, i, num_later)  # (B, num_later * D)
            pairs.append(projected * columns[:, (i + 1) * dim :])
        return torch.cat(pairs, 1)

    def _project(self, x: torch.Tensor, i: int, num_later: int) -> torch.Tensor:
        """`x_i W` for each of the vectors after x_i, (B, num_later * D)."""
        if self.kind == "FIELD_INTERACTION":
            fields = i + 1 + num_later
            first_pair = i * (2 * fields - i - 1) // 2
            weights = self.weight[first_pair : first_pair + num_later]  # (num_later, D, D)
            return x @ weights.transpose(0, 1).flatten(1)
        return (x @ self.weight[i if self.kind == "FIELD_EACH" else 0]).repeat(1, num_later)


class BilinearFusion(nn.Module):
    """`y = w . [a, b] + c + sum_h a_h' W_h b_h`, with a and b split into heads.

    Mao et al., FinalMLP: An Enhanced Two-Stream MLP Model for CTR Prediction, AAAI 2023, equations 8 and 11.

    Args:
        first_dim: width of a, a multiple of head_num.
        second_dim: width of b, a multiple of head_num.
        out_dim: width of the output.
        head_num: number of heads.
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
        projected = torch.bmm(heads, self.weight).unflatten(2, (self.out_dim, -1))  # (heads, B, out, d2)
        second_heads = second.unflatten(1, (self.head_num, 1, -1)).transpose(0, 1)  # (heads, B, 1, d2)
        return self.linear(torch.cat([first, second], 1)) + (projected * second_heads).sum((0, 3))
