"""A model of your own, as examples/configs/custom_taobao.config names it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from tzrec.embedding.group import Dims
from tzrec.heads.heads import Heads
from tzrec.models.base import Grouped, Model, ModelOutput


class ResidualTower(Model):
    """Blocks `x = x + W_2 tanh(W_1 x + b_1) + b_2` on the first feature group, then a tower for each task."""

    def build(self, config: Mapping[str, Any], dims: Dims, heads: Heads) -> None:
        self.group, width = dims.only()
        hidden = config["hidden"]
        blocks = [
            nn.Sequential(nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, width))
            for _ in range(config.get("blocks", 1))
        ]
        self.blocks, self.num_task = nn.ModuleList(blocks), len(heads)
        self.towers = heads.towers(width)

    def forward(self, grouped: Grouped) -> ModelOutput:
        x = grouped[self.group]  # (B, D)
        for block in self.blocks:
            x = x + block(x)
        return ModelOutput(self.towers([x] * self.num_task))
