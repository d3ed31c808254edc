"""Towers: what stands between a model's body and the logits of its tasks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence

import torch
from torch import nn

from tzrec.heads.head import Head
from tzrec.modules.mlp import MLP


class Towers(nn.Module):
    """For each task an optional MLP and a linear to its logits; the module of task `ctr` is named `tower_ctr`."""

    def __init__(self, heads: Iterable[Head], in_dim: int) -> None:
        super().__init__()
        self._names = {head.name: f"tower{head.suffix}" for head in heads}
        for head in heads:
            self.add_module(self._names[head.name], _tower(head, in_dim))

    def forward(self, inputs: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """One (B, in_dim) per task, in their order -> per task (B, num_class)"""
        return {task: self.get_submodule(name)(x) for (task, name), x in zip(self._names.items(), inputs, strict=True)}


def _tower(head: Head, in_dim: int) -> nn.Sequential:
    if head.tower is None:
        return nn.Sequential(OrderedDict(linear=nn.Linear(in_dim, head.out_dim)))
    mlp = MLP(in_dim, **head.tower)
    return nn.Sequential(OrderedDict(mlp=mlp, linear=nn.Linear(mlp.out_dim, head.out_dim)))
