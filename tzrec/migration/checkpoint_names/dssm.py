"""DSSM in checkpoints of TorchEasyRec."""

from __future__ import annotations

from tzrec.migration.origin import Names
from tzrec.protos.models import match_model_pb2 as pb


def names(config: pb.DSSM) -> Names:
    """Name the modules of the model: its towers have the same names."""
    return {name: name for name in ("user_tower", "item_tower")}
