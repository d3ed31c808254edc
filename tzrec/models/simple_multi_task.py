"""SimpleMultiTask: a shared bottom, and a tower per task."""

from __future__ import annotations

from tzrec.config.kwargs import kwargs
from tzrec.embedding.group import Dims
from tzrec.heads.heads import Heads
from tzrec.models.base import Grouped, Model, ModelOutput
from tzrec.modules.bottom import Bottom
from tzrec.protos.models import multi_task_rank_pb2 as pb


class SimpleMultiTask(Model):
    """Shared bottom (Caruana, Multitask Learning, 1997) on the first feature group."""

    def build(self, config: pb.SimpleMultiTask, dims: Dims, heads: Heads) -> None:
        self.group, in_dim = dims.only()
        self.bottom = Bottom(in_dim, len(heads), kwargs(config).get("bottom_mlp"))
        self.towers = heads.towers(self.bottom.out_dim)

    def forward(self, grouped: Grouped) -> ModelOutput:
        return ModelOutput(self.towers(self.bottom(grouped[self.group])))
