"""Towers: the layers between the body of a model and the logits of its heads."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn

from tzrec.heads.head import Head
from tzrec.modules.mlp import MLP


class Towers(nn.Module):
    """An optional MLP and a linear layer per head; the module of head `ctr` is named `tower_ctr`.

    Args:
        heads: heads whose logits are computed.
        in_dim: width of the input of each tower.
    """

    def __init__(self, heads: Sequence[Head], in_dim: int) -> None:
        super().__init__()
        self._module_names = {head.name: f"tower{head.suffix}" for head in heads}
        for head in heads:
            self.add_module(self._module_names[head.name], _build_tower(head, in_dim))

    def forward(self, inputs: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Map one input `(B, in_dim)` per head, in their order, to logits `(B, num_class)` by head."""
        names = self._module_names.items()
        return {head: self.get_submodule(name)(x) for (head, name), x in zip(names, inputs, strict=True)}


def _build_tower(head: Head, in_dim: int) -> nn.Sequential:
    if head.tower is None:
        return nn.Sequential(OrderedDict(linear=nn.Linear(in_dim, head.out_dim)))
    mlp = MLP(in_dim, **head.tower)
    return nn.Sequential(OrderedDict(mlp=mlp, linear=nn.Linear(mlp.out_dim, head.out_dim)))
