"""MMoE: shared experts, a gate and a tower per task."""

from __future__ import annotations

from tzrec.config.kwargs import kwargs
from tzrec.embedding.group import Dims
from tzrec.heads.heads import Heads
from tzrec.models.base import Grouped, Model, ModelOutput
from tzrec.modules.experts import MixtureOfExperts
from tzrec.protos.models import multi_task_rank_pb2 as pb


class MMoE(Model):
    """Multi-gate mixture of experts (Ma et al., KDD 2018) on the first feature group."""

    def build(self, config: pb.MMoE, dims: Dims, heads: Heads) -> None:
        self.group, in_dim = dims.only()
        gate = kwargs(config.gate_mlp) if config.HasField("gate_mlp") else None
        self.experts = MixtureOfExperts(in_dim, config.num_expert, kwargs(config.expert_mlp), len(heads), gate)
        self.towers = heads.towers(self.experts.out_dim)

    def forward(self, grouped: Grouped) -> ModelOutput:
        mixed = self.experts(grouped[self.group])  # one (B, D) per task
        return ModelOutput(self.towers(mixed))
