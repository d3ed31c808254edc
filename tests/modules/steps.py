"""Random padded sequences of rows with 0, 1, some and L steps, and their steps taken apart, in float64."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LENGTHS = [0, 1, 3, 5]


def sample(query_dim: int, dim: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """A query `(4, query_dim)`, steps `(4, 5, dim)`, zero behind the end, and lengths `(4,)`."""
    generator = torch.Generator().manual_seed(seed)
    query = torch.randn(len(LENGTHS), query_dim, generator=generator, dtype=torch.float64)
    sequence = torch.randn(len(LENGTHS), max(LENGTHS), dim, generator=generator, dtype=torch.float64)
    for row, length in enumerate(LENGTHS):
        sequence[row, length:] = 0
    return query, sequence, torch.tensor(LENGTHS)


def rows(sequence: Tensor) -> list[list[Tensor]]:
    """The steps of each row."""
    return [[sequence[row, t] for t in range(length)] for row, length in enumerate(LENGTHS)]


def double(module: nn.Module, seed: int = 1) -> nn.Module:
    """With random weights in float64."""
    generator = torch.Generator().manual_seed(seed)
    module = module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.7)
    return module


def softmax(scores: list[float]) -> list[float]:
    shares = [torch.tensor(score, dtype=torch.float64).exp().item() for score in scores]
    return [share / sum(shares) for share in shares]


def mlp(x: Tensor, module: nn.Module) -> Tensor:
    """Layers of linear + ReLU on one vector, then a last linear to one number."""
    for layer in module.get_submodule("mlp").get_submodule("layers"):
        x = torch.clamp(layer.linear.weight @ x + layer.linear.bias, min=0)  # type: ignore[union-attr,operator]
    last = module.get_submodule("linear")
    return (last.weight @ x + last.bias).squeeze().detach()  # type: ignore[operator]
