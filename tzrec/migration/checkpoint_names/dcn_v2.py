"""DCNV2 in checkpoints of TorchEasyRec."""

from __future__ import annotations

from tzrec.migration.origin import Names
from tzrec.protos.models import rank_model_pb2 as pb


def names(config: pb.DCNV2) -> Names:
    """Name the modules of the model."""
    return {name: name for name in ("backbone", "cross", "deep", "final")} | {"output": "output_mlp"}
