"""Files of tensors, as torch.distributed.checkpoint writes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint import SavePlan, SavePlanner
from torch.distributed.checkpoint.storage import WriteResult
from torch.futures import Future


class _Writer(dcp.FileSystemWriter):
    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        try:
            return super().write_data(plan, planner)
        except RuntimeError as error:  # raised by the archive of torch.save, which hides what the system said
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def write_tensors(directory: Path, tensors: Mapping[str, Tensor], group: dist.ProcessGroup | None) -> None:
    """Write the tensors of all ranks of a group into a directory, each rank its own shards.

    Raises:
        CheckpointException: a rank could not write; raised on all ranks. It is no subclass of Exception.
    """
    dcp.save(
        dict(tensors), storage_writer=_Writer(directory, overwrite=False), process_group=group, no_dist=group is None
    )
