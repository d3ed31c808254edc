"""DLRM in checkpoints of TorchEasyRec."""

from __future__ import annotations

from tzrec.migration.origin import Names
from tzrec.protos.models import rank_model_pb2 as pb


def names(config: pb.DLRM) -> Names:
    """Name the modules of the model."""
    return {"dense_mlp": "dense_mlp", "final": "final_mlp", "output": "output_mlp"}
