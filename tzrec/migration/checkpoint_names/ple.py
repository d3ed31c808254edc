"""PLE in checkpoints of TorchEasyRec."""

from __future__ import annotations

from tzrec.migration.origin import Names
from tzrec.protos.models import multi_task_rank_pb2 as pb


def names(config: pb.PLE) -> Names:
    """Name the modules of the model."""
    return {"levels": "_extraction_nets", "towers": "_task_tower"}
