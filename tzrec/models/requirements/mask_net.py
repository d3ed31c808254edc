"""Requirements of MaskNet: an MLP on top of its blocks, and a width of their masks."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.protos.models.rank_model_pb2 import MaskNet
from tzrec.protos.module_pb2 import MaskNetModule


def check(checker: Checker, path: str, message: MaskNet) -> None:
    """Check the blocks and the MLP."""
    if not message.mask_net_module.HasField("top_mlp"):
        checker.error(f"{path}.mask_net_module", "has no top_mlp, which the model mask_net needs")
    check_mask_block(checker, f"{path}.mask_net_module", message.mask_net_module)


def check_mask_block(checker: Checker, path: str, message: MaskNetModule) -> None:
    """Check that the width of the masks is given."""
    block = message.mask_block
    if not block.reduction_ratio > 0 and not block.aggregation_dim:
        problem = "neither reduction_ratio nor aggregation_dim is above 0; set one"
        checker.error(f"{path}.mask_block.reduction_ratio", problem)
