"""MultiTowerDIN in checkpoints of TorchEasyRec."""

from __future__ import annotations

from tzrec.migration.checkpoint_names import multi_tower
from tzrec.migration.origin import Names
from tzrec.protos.models import rank_model_pb2 as pb


def names(config: pb.MultiTowerDIN) -> Names:
    """Name the modules of the model: those of MultiTower, and numbered attention towers."""
    return {**multi_tower.names(config), "din_towers": "din_towers"}
