"""MultiTower in checkpoints of TorchEasyRec."""

from __future__ import annotations

from tzrec.migration.origin import Names
from tzrec.protos.models import rank_model_pb2 as pb


def names(config: pb.MultiTower | pb.MultiTowerDIN) -> Names:
    """Name the modules of the model: its towers are named by their groups."""
    towers = {f"towers.{index}": f"towers.{tower.input}" for index, tower in enumerate(config.towers)}
    return towers | {"final": "final_mlp", "output": "output_mlp"}
