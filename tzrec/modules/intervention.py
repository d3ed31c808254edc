"""Intervention: replace a low-rank subspace of the representation of a task by one from other tasks."""

from __future__ import annotations

import torch
from torch import nn

from tzrec.errors import ConfigError, Problem
from tzrec.modules.dropout import Dropout


class Subspace(nn.Module):
    """`rank` learned orthonormal directions: the Q of a QR decomposition of the weights.

    The signs of Q are chosen so that R has a positive diagonal: the decomposition is then unique and equal to that of
    Gram-Schmidt.
    """

    def __init__(self, dim: int, rank: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(dim, rank))
        nn.init.orthogonal_(self.weight)

    def forward(self) -> torch.Tensor:
        """(dim, rank)"""
        directions, upper = torch.linalg.qr(self.weight)
        return directions * torch.where(upper.diagonal() < 0, -1.0, 1.0).to(directions.dtype)


class Intervention(nn.Module):
    """`y = dropout(b + (b R_b - s R_s) R_b')`, with orthonormal columns of R_b and R_s; s gets no gradient.

    A low-rank intervention like that of Wu et al., ReFT: Representation Finetuning for Language Models, NeurIPS 2024,
    section 3.2, but with the opposite sign of the difference, which existing trained models expect.

    Args:
        base_dim: width of b.
        source_dim: width of s.
        rank: number of directions.
        dropout_ratio: of the result.

    Raises:
        ConfigError: the rank is not below the width of the base, or greater than that of the source.
    """

    def __init__(self, base_dim: int, source_dim: int, rank: int, dropout_ratio: float) -> None:
        super().__init__()
        if not 0 < rank < base_dim or rank > source_dim:
            message = f"{rank} is not in [1, {min(base_dim - 1, source_dim)}]; the tower has {base_dim} columns and "
            raise ConfigError([Problem("low_rank_dim", f"{message}those that it reads {source_dim}")])
        self.base, self.source = Subspace(base_dim, rank), Subspace(source_dim, rank)
        self.dropout = Dropout(dropout_ratio)

    def forward(self, base: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        """(B, base_dim) and (B, source_dim) -> (B, base_dim)"""
        directions = self.base()  # (base_dim, rank)
        change = base @ directions - source.detach() @ self.source()  # (B, rank)
        return self.dropout(base + change @ directions.T)
