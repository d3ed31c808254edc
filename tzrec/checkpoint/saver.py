"""Background saving of checkpoints: training waits for a copy in memory, which a thread writes.

torch.distributed.checkpoint writes the tensors into `model.ckpt-N.tmp`. Every rank computes the checksums of its files,
rank 0 writes the manifest with all of them, flushes to the disk, and publishes the checkpoint by one rename.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from tzrec import env
from tzrec.checkpoint import store
from tzrec.checkpoint.manifest import CheckpointManifest, FileRecord
from tzrec.data.atomic import AtomicDirectory, write_synced
from tzrec.errors import CheckpointError
from tzrec.log import logger
from tzrec.torchrec_adapter import local_shards, map_shards

Tensors = Mapping[str, torch.Tensor]
"""Tensors by name, each whole or a `ShardedTensor` with this rank's shards."""


@dataclass(frozen=True)
class SaveResult:
    """Cost of a save.

    Attributes:
        path: directory of the checkpoint.
        waited: seconds for which training waited.
        size: bytes that all ranks write.
    """

    path: Path
    waited: float
    size: int


class Saver:
    """Writer of the checkpoints of a run, one at a time.

    Args:
        model_dir: directory of the checkpoints.
        keep: number of the newest checkpoints to keep, 0 for all.
        protected: selects the older checkpoints that must not be deleted (the best ones).
    """

    def __init__(self, model_dir: Path, keep: int, protected: store.Protected) -> None:
        self._model_dir = model_dir
        self._keep = keep
        self._protected = protected
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None
        # a separate group, because collective operations of the thread must not mix with those of the training loop
        self._group = dist.new_group(backend="gloo") if dist.is_initialized() else None
        self._rank = dist.get_rank() if dist.is_initialized() else 0

    def save(
        self, manifest: CheckpointManifest, parts: Mapping[str, Tensors], plan: str, is_frozen: bool = False
    ) -> SaveResult:
        """Copy the tensors and return; a thread writes them. All ranks call this together.

        If a copy would take more than half of the available memory, training waits for the writing instead.

        Args:
            manifest: everything but the checksums, with this rank's own random state.
            parts: tensors by directory of the checkpoint, `model`, `optimizer` ...; all ranks name the same ones.
            plan: sharding plan as JSON.
            is_frozen: the tensors do not change before `wait` returns, so that no copy is needed.

        Raises:
            CheckpointError: the previous save failed.
        """
        start = time.perf_counter()
        self.wait()
        size = sum(_local_bytes(value) for tensors in parts.values() for value in tensors.values())
        is_copied = not is_frozen and size < env.available_memory() / 2
        saved = {
            part: {name: map_shards(value, _copy_tensor) if is_copied else value for name, value in tensors.items()}
            for part, tensors in parts.items()
        }
        size = sum(_bytes(value) for tensors in saved.values() for value in tensors.values())
        self._thread = threading.Thread(target=self._run, args=(manifest, saved, plan), name="save")
        self._thread.start()
        if not (is_copied or is_frozen):
            self.wait()
        return SaveResult(
            store.checkpoint_path(self._model_dir, manifest.position.step), time.perf_counter() - start, size
        )

    def wait(self) -> None:
        """Wait for the save in progress.

        Raises:
            CheckpointError: it failed.
        """
        if self._thread:
            self._thread.join()
            self._thread = None
        if self._error:
            error, self._error = self._error, None
            raise CheckpointError(f"saving a checkpoint failed: {error}") from error

    def _run(self, manifest: CheckpointManifest, parts: dict[str, Tensors], plan: str) -> None:
        path = store.checkpoint_path(self._model_dir, manifest.position.step)
        directory = AtomicDirectory(path, f"{path}.tmp", is_synced=True, is_replacing=True)
        temporary = Path(directory.temporary)
        try:
            for part in list(parts):
                _write(temporary / part, parts.pop(part), self._group)
            if self._rank == 0:
                write_synced(temporary / "plan", plan)
            manifests = self._gather(_with_local_files(manifest, temporary, self._rank))
            self._run_on_main(lambda: _publish(manifests, directory))
            if self._rank == 0:
                store.prune(self._model_dir, self._keep, self._protected)
        except Exception as error:  # any error is raised in wait()
            self._error = error
            logger.error("saving %s failed: %s", path.name, error)
            directory.discard()

    def _gather(self, manifest: CheckpointManifest) -> list[CheckpointManifest]:
        if self._group is None:
            return [manifest]
        manifests: list[Any] = [None] * dist.get_world_size(self._group)
        dist.all_gather_object(manifests, manifest, group=self._group)
        return manifests

    def _run_on_main(self, action: Callable[[], None]) -> None:
        """Run an action on rank 0; raise its error on all ranks."""
        error_text: list[Any] = [None]
        if self._rank == 0:
            try:
                action()
            except OSError as error:
                error_text = [str(error)]
        if self._group is not None:
            dist.broadcast_object_list(error_text, src=0, group=self._group)
        if error_text[0]:
            raise OSError(error_text[0])


def _copy_tensor(value: torch.Tensor) -> torch.Tensor:
    """Copy a tensor into main memory, where training no longer changes it."""
    value = value.detach().cpu().contiguous()
    if not value.numel():
        return value
    # numpy requests huge pages, which makes new memory four times cheaper; one thread copies as fast as two
    memory = value.view(-1).view(torch.uint8).numpy().copy()
    return torch.from_numpy(memory).view(value.dtype).view(value.shape)


def _bytes(value: torch.Tensor) -> int:
    """Bytes of a tensor with its shards on all ranks."""
    return value.size().numel() * value.dtype.itemsize


def _local_bytes(value: torch.Tensor) -> int:
    """Bytes of a tensor that this rank holds."""
    return sum(shard.nbytes for shard in local_shards(value))


def _write(directory: Path, tensors: Tensors, group: dist.ProcessGroup | None) -> None:
    import torch.distributed.checkpoint as dcp  # takes half a second, which the first step does not need

    writer = dcp.FileSystemWriter(directory, overwrite=False)
    dcp.save(dict(tensors), storage_writer=writer, process_group=group, no_dist=group is None)


def _with_local_files(manifest: CheckpointManifest, directory: Path, rank: int) -> CheckpointManifest:
    """Return the manifest with the checksums of the files that this rank wrote."""
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    written = [path for path in paths if _writer_rank(path.name) == rank]
    return replace(manifest, files={path.relative_to(directory).as_posix(): FileRecord.of(path) for path in written})


def _writer_rank(name: str) -> int:
    """Return the rank that wrote a file `__<rank>_<n>.distcp`; 0 for other files."""
    return int(name.split("_")[2]) if name.startswith("__") else 0


def _publish(manifests: list[CheckpointManifest], directory: AtomicDirectory) -> None:
    """Write the manifest of all ranks and publish; replaces a damaged checkpoint of the same step."""
    files = {name: file for manifest in manifests for name, file in manifest.files.items()}
    rng = {rank: state for manifest in manifests for rank, state in manifest.rng.items()}
    replace(manifests[0], files=files, rng=rng).write(Path(directory.temporary))
    directory.publish()
