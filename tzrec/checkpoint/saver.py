"""Background saving of checkpoints: training waits for a copy in memory, which a thread writes.

torch.distributed.checkpoint writes the tensors into `model.ckpt-N.tmp`. Every rank computes the checksums of its files,
rank 0 writes the manifest with all of them, flushes to the disk, and publishes the checkpoint by one rename. In a store
the files have their final names at once, and the manifest, written last, publishes them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from tzrec.checkpoint import store
from tzrec.checkpoint.copy_memory import CopyMemory
from tzrec.checkpoint.file_record import FileRecord
from tzrec.checkpoint.manifest import NAME, CheckpointManifest
from tzrec.data.atomic import AtomicDirectory, write_synced
from tzrec.data.store_directory import StoreDirectory
from tzrec.distributed import group
from tzrec.errors import CheckpointError, StoreError
from tzrec.log import logger
from tzrec.storage.path import AnyPath
from tzrec.torchrec_adapter import local_shards, map_shards

_PLAN = "plan"

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

    path: AnyPath
    waited: float
    size: int


class Saver:
    """Writer of the checkpoints of a run, one at a time.

    Args:
        model_dir: directory of the checkpoints.
        keep: number of the newest checkpoints to keep, 0 for all.
        protected: selects the older checkpoints that must not be deleted (the best ones).
        max_failed: failed saves in a row after which the run stops.
        ensure_locked: raises an error if another run has taken over the directory.
    """

    def __init__(
        self,
        model_dir: AnyPath,
        keep: int,
        protected: store.Protected,
        max_failed: int = 1,
        ensure_locked: Callable[[], None] | None = None,
    ) -> None:
        self._model_dir = model_dir
        self._ensure_locked = ensure_locked
        self._keep = keep
        self._protected = protected
        self._max_failed = max_failed
        self._verified = store.VerifiedCheckpoints()
        self._memory = CopyMemory()
        self._thread: threading.Thread | None = None
        self._path: AnyPath | None = None  # checkpoint of the last save
        self._num_failed = 0  # in a row
        self._error: BaseException | None = None  # of the last save
        # a separate group, because collective operations of the thread must not mix with those of the training loop
        self._group = group.new_group() if dist.is_initialized() else None
        self._rank = dist.get_rank() if dist.is_initialized() else 0

    @property
    def has_given_up(self) -> bool:
        """True once `max_failed` saves in a row have failed; `wait` raises then."""
        return self._num_failed >= self._max_failed

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
            CheckpointError: too many saves before this one failed.
        """
        start = time.perf_counter()
        self.wait()
        self._path = store.checkpoint_path(self._model_dir, manifest.position.step)
        copies = None if is_frozen else self._copy(parts)
        saved = _map_tensors(parts, _own_storage) if copies is None else copies
        size = sum(_bytes(value) for tensors in saved.values() for value in tensors.values())
        self._thread = threading.Thread(target=self._run, args=(self._path, manifest, saved, plan), name="save")
        self._thread.start()
        if copies is None and not is_frozen:
            self._join()
        return SaveResult(self._path, time.perf_counter() - start, size)

    def wait(self) -> None:
        """Wait for the save in progress.

        Raises:
            CheckpointError: `max_failed` saves in a row have failed.
        """
        self._join()
        if self.has_given_up:
            times = f"{self._num_failed} times in a row" if self._num_failed > 1 else "once"
            raise CheckpointError(
                f"saving a checkpoint failed {times} (train_config.max_failed_saves), {self._failure()}"
            ) from self._error

    def finish(self) -> None:
        """Wait for the last save and read its checkpoint back. All ranks call this together, at the end of a run.

        Raises:
            CheckpointError: the last save failed, or its checkpoint is damaged.
        """
        self.wait()
        if self._error:
            raise CheckpointError(f"the last checkpoint could not be saved, {self._failure()}") from self._error
        path = self._path
        if path is not None:
            self._run_on_main(lambda: CheckpointManifest.read(path).verify(path))

    def _copy(self, parts: Mapping[str, Tensors]) -> dict[str, Tensors] | None:
        """Copy the tensors of this rank into main memory; None if there is too little of it."""
        shards = (local_shards(value) for tensors in parts.values() for value in tensors.values())
        copies = self._memory.copy(list(chain.from_iterable(shards)))
        if copies is None:
            return None
        unused = iter(copies)
        return _map_tensors(parts, lambda shard: next(unused))

    def _join(self) -> None:
        if self._thread:
            self._thread.join()
            self._thread = None

    def _failure(self) -> str:
        assert self._error is not None and self._path is not None
        try:
            newest = next(iter(reversed(store.list_checkpoints(self._model_dir))), None)
            left = f"the newest checkpoint is {newest.name}" if newest else "there is no checkpoint"
        except StoreError:
            left = "the store does not tell which checkpoints it has"
        return f"{self._path.name} with: {describe(self._error)}; {left}"

    def _run(self, path: AnyPath, manifest: CheckpointManifest, parts: dict[str, Tensors], plan: str) -> None:
        """Thread: write and publish a checkpoint, then delete old ones; keep the error."""
        try:
            self._write(path, manifest, parts, plan)
        except BaseException as error:  # of any kind: torch's CheckpointException is no Exception
            self._error = error
            self._num_failed += 1
            if self._rank == 0 and not self.has_given_up:
                logger.warning(
                    "%s was not saved: %s; training goes on (failure %d in a row, train_config.max_failed_saves: %d)",
                    *(path.name, describe(error), self._num_failed, self._max_failed),
                )
        else:
            self._error, self._num_failed = None, 0
            if self._rank == 0:
                self._prune(path)

    def _write(self, path: AnyPath, manifest: CheckpointManifest, parts: dict[str, Tensors], plan: str) -> None:
        """Write and publish a checkpoint, or raise on all ranks and leave nothing behind."""
        directory = _draft(path)
        from tzrec.checkpoint.tensor_files import write_tensors  # half a second, which the first step does not need

        try:
            self._run_on_main(directory.create)
            uploaded: dict[str, FileRecord] = {}
            for part in list(parts):
                written = write_tensors(directory.draft / part, parts.pop(part), self._group)  # raises on all ranks
                uploaded |= {f"{part}/{name}": file for name, file in written.items()}
            self._run_on_main(lambda: write_synced(directory.draft / _PLAN, plan))
            if self._rank == 0:
                uploaded[_PLAN] = FileRecord.of_data(plan.encode())
            manifests = self._gather(lambda: _with_local_files(manifest, directory.draft, self._rank, uploaded))
            self._run_on_main(lambda: self._publish_locked(manifests, directory))
        except BaseException:
            directory.discard()
            raise

    def _publish_locked(self, manifests: list[CheckpointManifest], directory: AtomicDirectory | StoreDirectory) -> None:
        if self._ensure_locked:
            self._ensure_locked()
        _publish(manifests, directory)

    def _prune(self, path: AnyPath) -> None:
        """Delete old checkpoints; this may fail without harm to the new one."""
        try:
            self._verified.add(path)
            store.prune(self._model_dir, self._keep, self._protected, self._verified)
        except Exception as error:
            logger.warning("old checkpoints of %s were not deleted: %s", self._model_dir, error)

    def _gather(self, describe_local: Callable[[], CheckpointManifest]) -> list[CheckpointManifest]:
        """Collect the manifest of each rank; raise the first error of any rank on all of them."""
        outcome: CheckpointManifest | str
        try:
            outcome = describe_local()
        except Exception as error:
            outcome = f"rank {self._rank}: {describe(error)}" if self._group else describe(error)
        outcomes: list[Any] = [outcome]
        if self._group is not None:
            outcomes = [None] * dist.get_world_size(self._group)
            dist.all_gather_object(outcomes, outcome, group=self._group)
        for outcome in outcomes:
            if isinstance(outcome, str):
                raise CheckpointError(outcome)
        return outcomes

    def _run_on_main(self, action: Callable[[], None]) -> None:
        """Run an action on rank 0; raise its error on all ranks."""
        text: list[Any] = [None]
        if self._rank == 0:
            try:
                action()
            except Exception as error:
                text = [describe(error)]
        if self._group is not None:
            dist.broadcast_object_list(text, src=0, group=self._group)
        if text[0] is not None:
            raise CheckpointError(text[0])


def describe(error: BaseException) -> str:
    """Describe an error of a save in a few words, with the ranks that failed and what the system said."""
    if isinstance(error, StoreError):
        return str(error)
    failures = getattr(error, "failures", None)  # of torch's CheckpointException
    if failures:
        texts = {describe(failure): rank for rank, (failure, _) in reversed(list(failures.items()))}
        return "; ".join(f"rank {rank}: {text}" if rank else text for text, rank in reversed(list(texts.items())))
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, OSError) and cause.strerror:
        return f"{cause.strerror}: {cause.filename}" if cause.filename else cause.strerror
    return str(error) or type(error).__name__


def _map_tensors(parts: Mapping[str, Tensors], function: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, Tensors]:
    return {
        part: {name: map_shards(value, function) for name, value in tensors.items()} for part, tensors in parts.items()
    }


def _own_storage(value: torch.Tensor) -> torch.Tensor:
    """View a tensor as one with a storage of its own; torch copies a part of a larger storage before it writes it."""
    value = value.detach()
    if value.device.type != "cpu" or not value.numel() or not value.is_contiguous():
        return value
    memory = value.view(-1).view(torch.uint8).numpy()
    return torch.from_numpy(memory).view(value.dtype).view(value.shape)


def _bytes(value: torch.Tensor) -> int:
    """Bytes of a tensor with its shards on all ranks."""
    return value.size().numel() * value.dtype.itemsize


def _draft(path: AnyPath) -> AtomicDirectory | StoreDirectory:
    """Return the directory in which a checkpoint is written before it is published."""
    if isinstance(path, Path):
        return AtomicDirectory(path, f"{path}.tmp", is_synced=True, is_replacing=True)
    return StoreDirectory(path, NAME)


def _with_local_files(
    manifest: CheckpointManifest, directory: AnyPath, rank: int, uploaded: dict[str, FileRecord]
) -> CheckpointManifest:
    """Return the manifest with the checksums of the files that this rank wrote; uploaded ones were computed before."""
    if not isinstance(directory, Path):
        return replace(manifest, files=uploaded)
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    written = [path for path in paths if _writer_rank(path.name) == rank]
    return replace(manifest, files={path.relative_to(directory).as_posix(): FileRecord.of(path) for path in written})


def _writer_rank(name: str) -> int:
    """Return the rank that wrote a file `__<rank>_<n>.distcp`; 0 for other files."""
    return int(name.split("_")[2]) if name.startswith("__") else 0


def _publish(manifests: list[CheckpointManifest], directory: AtomicDirectory | StoreDirectory) -> None:
    """Write the manifest of all ranks and publish; replaces a damaged checkpoint of the same step."""
    files = {name: file for manifest in manifests for name, file in manifest.files.items()}
    rng = {rank: state for manifest in manifests for rank, state in manifest.rng.items()}
    replace(manifests[0], files=files, rng=rng).write(directory.draft)
    directory.publish()
