"""MMoE: shared experts, a gate and a tower per task."""

from __future__ import annotations

from tzrec.config.kwargs import kwargs
from tzrec.embedding.group import Dims
from tzrec.heads.build import Tasks
from tzrec.models.base import Grouped, Logits, Model
from tzrec.modules.experts import MixtureOfExperts
from tzrec.protos.models import multi_task_rank_pb2 as pb


class MMoE(Model):
    """Multi-gate mixture of experts (Ma et al., KDD 2018) on the first feature group."""

    def build(self, config: pb.MMoE, dims: Dims, tasks: Tasks) -> None:
        self.group, in_dim = dims.only()
        gate = kwargs(config.gate_mlp) if config.HasField("gate_mlp") else None
        self.experts = MixtureOfExperts(in_dim, config.num_expert, kwargs(config.expert_mlp), len(tasks), gate)
        self.towers = tasks.towers(self.experts.out_dim)

    def body(self, grouped: Grouped) -> Logits:
        mixed = self.experts(grouped[self.group])  # one (B, D) per task
        return self.towers(mixed)
