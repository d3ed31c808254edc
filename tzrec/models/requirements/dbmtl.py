"""Requirements of DBMTL: those of MaskNet for its optional blocks."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.models.requirements.mask_net import check_mask_block
from tzrec.protos.models.multi_task_rank_pb2 import DBMTL


def check(checker: Checker, path: str, message: DBMTL) -> None:
    """Check the blocks."""
    if message.HasField("mask_net"):
        check_mask_block(checker, f"{path}.mask_net", message.mask_net)
