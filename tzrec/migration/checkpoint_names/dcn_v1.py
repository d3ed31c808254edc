"""DCNV1 in checkpoints of TorchEasyRec."""

from __future__ import annotations

from tzrec.migration.origin import Names
from tzrec.protos.models import rank_model_pb2 as pb


def names(config: pb.DCNV1) -> Names:
    """Name the modules of the model."""
    return {"cross": "cross", "deep": "deep", "final": "final_dnn", "output": "output_linear"}
