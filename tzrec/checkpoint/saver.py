"""Saves checkpoints: the loop waits for one copy in memory, a thread does the rest.

Tensors go through torch.distributed.checkpoint into `model.ckpt-N.tmp`; every rank sums up the files it wrote,
rank 0 writes the manifest with all sums, syncs, and publishes the checkpoint by one rename.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

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
    """What a save cost: seconds the loop stood still, and bytes all ranks together have to write."""

    path: Path
    waited: float
    size: int


class Saver:
    """Writes checkpoints of one run, one at a time.

    Args:
        model_dir: where they go.
        keep: how many of the newest to keep, 0 for all.
        protected: names those of the others that must not be deleted (the best ones).
    """

    def __init__(self, model_dir: Path, keep: int, protected: store.Protected) -> None:
        self._model_dir = model_dir
        self._keep = keep
        self._protected = protected
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None
        # a group of its own: the thread's messages must not mix with those of the training loop
        self._group = dist.new_group(backend="gloo") if dist.is_initialized() else None
        self._rank = dist.get_rank() if dist.is_initialized() else 0

    def save(
        self, manifest: CheckpointManifest, parts: Mapping[str, Tensors], plan: str, frozen: bool = False
    ) -> SaveResult:
        """Copy the tensors and return; a thread writes them. All ranks call this together.

        Where a copy would take more than half of the memory that is left, the loop waits for the writing instead.

        Args:
            manifest: everything but the checksums, with this rank's own random state.
            parts: tensors by directory of the checkpoint, `model`, `optimizer` ...; all ranks name the same ones.
            plan: how tables were sharded, as JSON.
            frozen: nothing will change the tensors before `wait` returns, so that no copy is needed.

        Raises:
            CheckpointError: the save before this one has failed.
        """
        began = time.perf_counter()
        self.wait()
        size = sum(_local_bytes(value) for tensors in parts.values() for value in tensors.values())
        copied = not frozen and size < available_memory() / 2
        kept = {
            part: {name: map_shards(value, _copy_tensor) if copied else value for name, value in tensors.items()}
            for part, tensors in parts.items()
        }
        size = sum(_bytes(value) for tensors in kept.values() for value in tensors.values())
        self._thread = threading.Thread(target=self._run, args=(manifest, kept, plan), name="save")
        self._thread.start()
        if not (copied or frozen):
            self.wait()
        return SaveResult(store.path_of(self._model_dir, manifest.position.step), time.perf_counter() - began, size)

    def wait(self) -> None:
        """Wait until the save under way has been published.

        Raises:
            CheckpointError: it has failed.
        """
        if self._thread:
            self._thread.join()
            self._thread = None
        if self._error:
            error, self._error = self._error, None
            raise CheckpointError(f"saving a checkpoint failed: {error}") from error

    def _run(self, manifest: CheckpointManifest, parts: dict[str, Tensors], plan: str) -> None:
        path = store.path_of(self._model_dir, manifest.position.step)
        directory = AtomicDirectory(path, f"{path}.tmp", is_synced=True, is_replacing=True)
        temporary = Path(directory.temporary)
        try:
            for part in list(parts):
                _write(temporary / part, parts.pop(part), self._group)
            if self._rank == 0:
                write_synced(temporary / "plan", plan)
            manifests = self._gather(_mine(manifest, temporary, self._rank))
            self._agree(lambda: _publish(manifests, directory))
            if self._rank == 0:
                store.prune(self._model_dir, self._keep, self._protected)
        except Exception as error:  # whatever it is must reach the loop, which raises it in wait()
            self._error = error
            logger.error("saving %s failed: %s", path.name, error)
            directory.discard()

    def _gather(self, mine: CheckpointManifest) -> list[CheckpointManifest]:
        if self._group is None:
            return [mine]
        everyone: list[Any] = [None] * dist.get_world_size(self._group)
        dist.all_gather_object(everyone, mine, group=self._group)
        return everyone

    def _agree(self, act: Callable[[], None]) -> None:
        """Let rank 0 act; all ranks learn whether it worked."""
        outcome: list[Any] = [None]
        if self._rank == 0:
            try:
                act()
            except OSError as error:
                outcome = [str(error)]
        if self._group is not None:
            dist.broadcast_object_list(outcome, src=0, group=self._group)
        if outcome[0]:
            raise OSError(outcome[0])


def available_memory() -> float:
    """Bytes that can still be taken without swapping, as Linux estimates it; infinite where nothing says."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return math.inf
    return next((float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), math.inf)


def _copy_tensor(value: torch.Tensor) -> torch.Tensor:
    """Copy a tensor into main memory, where training no longer changes it."""
    value = value.detach().cpu().contiguous()
    if not value.numel():
        return value
    # numpy asks for huge pages, which makes new memory four times cheaper; and one thread copies as fast as two
    memory = value.view(-1).view(torch.uint8).numpy().copy()
    return torch.from_numpy(memory).view(value.dtype).view(value.shape)


def _bytes(value: torch.Tensor) -> int:
    """Of the whole tensor, on whatever ranks its shards are."""
    return value.size().numel() * value.dtype.itemsize


def _local_bytes(value: torch.Tensor) -> int:
    """Bytes of a tensor that this rank holds."""
    return sum(shard.nbytes for shard in local_shards(value))


def _write(directory: Path, tensors: Tensors, group: dist.ProcessGroup | None) -> None:
    import torch.distributed.checkpoint as dcp  # half a second that the first step need not wait for

    writer = dcp.FileSystemWriter(directory, overwrite=False)
    dcp.save(dict(tensors), storage_writer=writer, process_group=group, no_dist=group is None)


def _mine(manifest: CheckpointManifest, directory: Path, rank: int) -> CheckpointManifest:
    """The manifest with the checksums of the files that this rank wrote."""
    found = sorted(path for path in directory.rglob("*") if path.is_file())
    written = [path for path in found if _writer(path.name) == rank]
    return replace(manifest, files={path.relative_to(directory).as_posix(): FileRecord.of(path) for path in written})


def _writer(name: str) -> int:
    """The rank that wrote a file: `__<rank>_<n>.distcp`; rank 0 for what belongs to all."""
    return int(name.split("_")[2]) if name.startswith("__") else 0


def _publish(manifests: list[CheckpointManifest], directory: AtomicDirectory) -> None:
    """Write the manifest of all ranks and publish; replaces a damaged checkpoint of the same step."""
    files = {name: file for each in manifests for name, file in each.files.items()}
    rng = {rank: state for each in manifests for rank, state in each.rng.items()}
    replace(manifests[0], files=files, rng=rng).write(Path(directory.temporary))
    directory.publish()
