"""MaskNet in checkpoints of TorchEasyRec."""

from __future__ import annotations

from tzrec.migration.origin import Names
from tzrec.protos.models import rank_model_pb2 as pb


def names(config: pb.MaskNet) -> Names:
    """Name the modules of the model."""
    renamed = {"output": "output_linear"}
    renamed["mask_net"] = "mask_net_layer"
    return renamed
