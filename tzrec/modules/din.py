"""Attention of a candidate over the steps of a history, with scores from an MLP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tzrec.modules.mlp import MLP
from tzrec.modules.steps import attend, existing


class DIN(nn.Module):
    """`sum_t softmax_t(w . MLP([q, s_t, q - s_t, q * s_t]) + b) s_t` over the steps that exist.

    Zhou et al., Deep Interest Network for Click-Through Rate Prediction, KDD 2018, section 4.3; there the scores are
    not normalised. A query narrower than the steps is filled up with zeros at its end.

    Args:
        query_dim: width of the query, at most that of a step.
        dim: width of a step.
        attn_mlp: arguments of the MLP.
    """

    def __init__(self, query_dim: int, dim: int, attn_mlp: Mapping[str, Any]) -> None:
        super().__init__()
        self.out_dim = dim
        self._missing = dim - query_dim
        self.mlp = MLP(4 * dim, **attn_mlp)
        self.linear = nn.Linear(self.mlp.out_dim, 1)

    def forward(self, query: Tensor, sequence: Tensor, lengths: Tensor) -> Tensor:
        """(B, query_dim), (B, L, dim), (B,) -> (B, dim)"""
        q = functional.pad(query, (0, self._missing)).unsqueeze(1).expand_as(sequence)  # (B, L, dim)
        pairs = torch.cat([q, sequence, q - sequence, q * sequence], 2)
        return attend(_scores(pairs, self.mlp, self.linear), sequence, lengths)


class MultiWindowDIN(nn.Module):
    """`[1/n_w sum_(t in w) PReLU(v . MLP([s_t, q * s_t, q]) + b) s_t for windows w, q]`, n_w steps of w that exist.

    Zhu et al., Learning Tree-based Deep Model for Recommender Systems, KDD 2018, section 3.3 and figure 2: the network
    that scores nodes, with the behaviours of time windows averaged by attention. A query narrower than the steps is
    filled up with zeros at its end.

    Args:
        query_dim: width of the query, at most that of a step.
        dim: width of a step.
        windows: steps of each window; the first step of a sequence is the first of the first window. Steps behind the
            last window are not read.
        attn_mlp: arguments of the MLP.
    """

    def __init__(self, query_dim: int, dim: int, windows: Sequence[int], attn_mlp: Mapping[str, Any]) -> None:
        super().__init__()
        self.out_dim = dim * (len(windows) + 1)
        self._missing = dim - query_dim
        self._ends = list(accumulate(windows))
        self.mlp = MLP(3 * dim, **attn_mlp)
        self.linear = nn.Linear(self.mlp.out_dim, 1)
        self.activation = nn.PReLU()

    def forward(self, query: Tensor, sequence: Tensor, lengths: Tensor) -> Tensor:
        """(B, query_dim), (B, L, dim), (B,) -> (B, dim * (windows + 1))"""
        query = functional.pad(query, (0, self._missing))
        q = query.unsqueeze(1).expand_as(sequence)  # (B, L, dim)
        scores = self.activation(_scores(torch.cat([sequence, q * sequence, q], 2), self.mlp, self.linear))  # (B, L)
        inside = self._inside(sequence) & existing(sequence, lengths).unsqueeze(1)  # (B, windows, L)
        sums = torch.bmm(inside * scores.unsqueeze(1), sequence.to(scores.dtype))  # (B, windows, dim)
        means = sums / inside.sum(2, keepdim=True).clamp(min=1)
        return torch.cat([means.flatten(1), query], 1)

    def _inside(self, sequence: Tensor) -> Tensor:
        """Whether each step is in each window, `(windows, L)`."""
        at = torch.arange(sequence.shape[1], device=sequence.device)
        begins = [0, *self._ends[:-1]]
        return torch.stack([(begin <= at) & (at < end) for begin, end in zip(begins, self._ends, strict=True)])


def _scores(pairs: Tensor, mlp: MLP, linear: nn.Linear) -> Tensor:
    """(B, L, D) -> (B, L), all steps as rows of one batch"""
    scores: Tensor = linear(mlp(pairs.flatten(0, 1))).view(pairs.shape[0], pairs.shape[1])
    return scores
