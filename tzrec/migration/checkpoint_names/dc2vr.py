"""DC2VR in checkpoints of TorchEasyRec."""

from __future__ import annotations

from tzrec.migration.origin import Names
from tzrec.protos.models import multi_task_rank_pb2 as pb


def names(config: pb.DC2VR) -> Names:
    """Name the modules of the model: those of a tower are named by it, except its last layer."""
    shared = {"bottom.mlp": "bottom_mlp", "bottom.experts": "mmoe", "linears": "task_outputs"}
    for index, tower in enumerate(config.task_towers):
        shared |= {f"own.{index}": f"task_mlps.{tower.tower_name}"}
        shared |= {f"interventions.{index}": f"intervention.{tower.tower_name}"}
    return shared
