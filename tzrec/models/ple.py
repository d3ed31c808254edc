"""PLE: levels of shared and task-specific experts, and a tower per task."""

from __future__ import annotations

from torch import nn

from tzrec.config.kwargs import kwargs
from tzrec.embedding.group import Dims
from tzrec.heads.heads import Heads
from tzrec.models.base import Grouped, Model, ModelOutput
from tzrec.modules.extraction import Extraction
from tzrec.ops.autocast import compute_type
from tzrec.protos.models import multi_task_rank_pb2 as pb


class PLE(Model):
    """Progressive layered extraction (Tang et al., RecSys 2020) on the first feature group."""

    def build(self, config: pb.PLE, dims: Dims, heads: Heads) -> None:
        self.group, width = dims.only()
        self.num_task = len(heads)
        levels = []
        for level, has_reader in zip(config.extraction_networks, _read_above(config)):
            expert = kwargs(level.task_expert_net)
            shared = kwargs(level.share_expert_net) if level.HasField("share_expert_net") else expert
            levels.append(
                Extraction(width, len(heads), level.expert_num_per_task, expert, level.share_num, shared, has_reader)
            )
            width = levels[-1].out_dim
        self.levels = nn.ModuleList(levels)
        self.towers = heads.towers(width)

    def forward(self, grouped: Grouped) -> ModelOutput:
        x = grouped[self.group]  # (B, D)
        x = x.to(compute_type(x))  # once, not once per expert and gate
        mixed, shared = [x] * self.num_task, x
        for level in self.levels:
            mixed, shared = level(mixed, shared)
        return ModelOutput(self.towers(mixed))


def _read_above(config: pb.PLE) -> list[bool]:
    """Per level, True if a level above reads its shared mixture: with shared experts, or to mix it once more."""
    read = [False]
    for level in reversed(config.extraction_networks[1:]):
        read.insert(0, level.share_num > 0 or read[0])
    return read
