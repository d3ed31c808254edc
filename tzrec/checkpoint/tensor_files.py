"""Files of tensors, as torch.distributed.checkpoint writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint import SavePlan, SavePlanner
from torch.distributed.checkpoint.storage import WriteResult
from torch.futures import Future

from tzrec.checkpoint.file_record import FileRecord
from tzrec.checkpoint.store_files import StoreFiles
from tzrec.errors import StoreError
from tzrec.storage.path import AnyPath, StorePath


class _Writer(dcp.FileSystemWriter):
    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        try:
            return super().write_data(plan, planner)
        except RuntimeError as error:  # raised by the archive of torch.save, which hides what the system said
            if isinstance(error.__context__, (OSError, StoreError)):
                raise error.__context__ from None
            raise


class _StoreWriter(_Writer):
    """Writer to a store."""

    def __init__(self, directory: StorePath) -> None:
        super().__init__("", sync_files=False, overwrite=False)
        self.fs = self.files = StoreFiles()
        self.path: Any = directory

    @property
    def checkpoint_id(self) -> str:
        return str(self.path)


def write_tensors(
    directory: AnyPath, tensors: Mapping[str, Tensor], group: dist.ProcessGroup | None
) -> Mapping[str, FileRecord]:
    """Write the tensors of all ranks of a group into a directory, each rank its own shards.

    Returns:
        Size and checksum of the files that this rank wrote to a store, by name; empty for a local directory.

    Raises:
        CheckpointException: a rank could not write; raised on all ranks. It is no subclass of Exception.
    """
    writer = _StoreWriter(directory) if isinstance(directory, StorePath) else _Writer(directory, overwrite=False)
    dcp.save(dict(tensors), storage_writer=writer, process_group=group, no_dist=group is None)
    return writer.files.records if isinstance(writer, _StoreWriter) else {}
