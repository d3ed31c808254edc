"""Restore tensors of a checkpoint in place, independent of the number of ranks that wrote it. Unpickles no code."""

from __future__ import annotations

import io
import pickle
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint import (
    DefaultLoadPlanner,
    FileSystemReader,
    LoadPlan,
    LoadPlanner,
    Metadata,
    ReadItem,
)
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.planner import LoadItemType
from torch.futures import Future

from tzrec.checkpoint.columns import ColumnMap, copy_columns, describe, find_maps, is_ambiguous
from tzrec.checkpoint.saver import Tensors
from tzrec.checkpoint.store_files import StoreFiles
from tzrec.errors import CheckpointError, StoreError
from tzrec.storage.path import AnyPath, StorePath
from tzrec.torchrec_adapter import CHECKPOINT_CLASSES, checkpoint_metadata_path, stored_tensor


class _PlainUnpickler(pickle.Unpickler):
    """Unpickler of torch's description of a checkpoint that accepts only plain data."""

    def find_class(self, module: str, name: str) -> Any:
        is_dtype = module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
        if is_dtype or (module, name) in CHECKPOINT_CLASSES:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it contains {module}.{name}, which no checkpoint needs")


class _CheckpointReader(FileSystemReader):
    """Reader that puts the numbers of a file where they belong, without a copy of them in memory."""

    path: Any  # local or in a store

    def __init__(self, directory: AnyPath) -> None:
        super().__init__("")
        self.path = directory
        if isinstance(directory, StorePath):
            self.fs = StoreFiles()

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        # of a whole file in memory, so that a length in it cannot ask for more than the file has
        data = checkpoint_metadata_path(self).read_bytes()
        metadata = _PlainUnpickler(io.BytesIO(data)).load()
        if not isinstance(metadata, Metadata):
            raise pickle.UnpicklingError("it is not the description of a checkpoint")
        for info in metadata.storage_data.values():
            if Path(info.relative_path).name != info.relative_path:
                raise pickle.UnpicklingError(f"it names a file outside its directory: {info.relative_path}")
        return metadata

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> Future[None]:
        with ExitStack() as stack:
            files: dict[str, io.RawIOBase] = {}
            remaining = []
            for item in plan.items:
                name = self.storage_data[item.storage_index].relative_path
                if name not in files:
                    files[name] = stack.enter_context((self.path / name).open("rb", buffering=0))
                if not self._fill(item, planner, files[name]):
                    remaining.append(item)
        return super().read_data(replace(plan, items=remaining), planner)

    def _fill(self, item: ReadItem, planner: LoadPlanner, file: io.RawIOBase) -> bool:
        """Read rows of a stored tensor into the memory of a tensor; return False where their layouts differ."""
        info = self.storage_data[item.storage_index]
        target = planner.resolve_tensor(item).detach() if item.type == LoadItemType.TENSOR else None
        if target is None or info.transform_descriptors or not _is_plain(target):
            return False
        stored, offset = stored_tensor(self, file, info)
        is_whole_rows = stored.dim() == 0 or (
            item.lengths[1:] == stored.shape[1:] and not any(item.storage_offsets[1:]) and target.size() == item.lengths
        )
        if stored.dtype != target.dtype or not stored.is_contiguous() or stored.storage_offset() or not is_whole_rows:
            return False
        first = item.storage_offsets[0] if stored.dim() else 0
        file.seek(info.offset + offset + first * (stored[0].numel() if stored.dim() else 1) * stored.itemsize)
        memory = target.view(-1).view(torch.uint8).numpy().data
        while memory:
            num_bytes = file.readinto(memory)
            if not num_bytes:
                raise EOFError(f"{info.relative_path} ends too early")
            memory = memory[num_bytes:]
        planner.commit_tensor(item, target)
        return True


def _is_plain(tensor: torch.Tensor) -> bool:
    return tensor.device.type == "cpu" and tensor.is_contiguous() and tensor.numel() > 0


Size = tuple[int, ...]


@dataclass(frozen=True)
class LoadResult:
    """Differences between the tensors of a model and those of a checkpoint.

    Attributes:
        missing: in the model only.
        unexpected: in the checkpoint only.
        mismatched: in both with different sizes; name -> (size in the checkpoint, size in the model).
        settings: changes of the config that make the tensors of the checkpoint useless.
        ambiguous: in both with the same size, which is that of a group whose columns have changed.
        remapped: in both with different sizes, restored by the names of the features; name -> description.
    """

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: Mapping[str, tuple[Size, Size]]
    settings: tuple[str, ...] = ()
    ambiguous: tuple[str, ...] = ()
    remapped: Mapping[str, str] = field(default_factory=dict)

    @property
    def problems(self) -> list[str]:
        """One line for each change of the config and for each tensor of the model that was not loaded."""
        missing = [f"{name}: not in the checkpoint" for name in self.missing]
        ambiguous = [f"{name}: a feature group has other columns of the same width" for name in self.ambiguous]
        sizes = self.mismatched.items()
        return [*self.settings, *missing, *ambiguous] + [
            f"{name}: {list(stored)} in the checkpoint, {list(size)} in the model" for name, (stored, size) in sizes
        ]

    def ensure_complete(self, message: str, fix: str = "") -> None:
        """Raise a CheckpointError unless every tensor of the model was loaded and no setting has changed.

        Args:
            message: first line of the error, without a colon at its end.
            fix: last line of the error.
        """
        if self.problems:
            raise CheckpointError("\n  ".join([f"{message}:", *self.problems]) + (f"\n{fix}" if fix else ""))


def stored_sizes(directory: AnyPath) -> dict[str, tuple[int, ...]]:
    """Return name -> size of every tensor in one part (`model` or `optimizer`) of a checkpoint."""
    return _sizes(_metadata(_CheckpointReader(directory)))


def stored_types(directory: AnyPath) -> dict[str, tuple[Size, torch.dtype]]:
    """Return name -> size and type of every tensor in one part of a checkpoint."""
    stored = _metadata(_CheckpointReader(directory)).state_dict_metadata.items()
    return {
        name: (tuple(entry.size), entry.properties.dtype)
        for name, entry in stored
        if isinstance(entry, TensorStorageMetadata)
    }


def restore(
    directory: AnyPath,
    tensors: Tensors,
    names: Mapping[str, str] | None = None,
    column_maps: Sequence[ColumnMap] = (),
    zero_if_absent: Collection[str] = (),
) -> LoadResult:
    """Fill tensors in place from one part (`model` or `optimizer`) of a checkpoint, each rank its own shards.

    A tensor that is missing or has another size keeps its values and is reported.

    Args:
        directory: the part's directory.
        tensors: tensors to fill, by name.
        names: name in the model -> name in the checkpoint, where they differ.
        column_maps: groups with other columns than in the checkpoint: layers that read them are restored by column.
        zero_if_absent: tensors that earlier versions did not have: one that is missing becomes zero.

    Raises:
        CheckpointError: the part cannot be read.
    """
    names = names or {}
    reader = _CheckpointReader(directory)
    metadata = _metadata(reader)
    sizes = _sizes(metadata)
    source = {name: names.get(name, name) for name in tensors}
    absent = [name for name in tensors if source[name] not in sizes]
    for name in set(absent).intersection(zero_if_absent):
        tensors[name].zero_()
    missing = tuple(name for name in absent if name not in zero_if_absent)
    mismatched = {
        name: (sizes[source[name]], tuple(value.size()))
        for name, value in tensors.items()
        if source[name] in sizes and sizes[source[name]] != tuple(value.size())
    }
    remapped = _remap(reader, metadata, {name: (source[name], tensors[name]) for name in mismatched}, column_maps)
    mismatched = {name: pair for name, pair in mismatched.items() if name not in remapped}
    present = {name: value for name, value in tensors.items() if name not in (*absent, *mismatched, *remapped)}
    ambiguous = tuple(name for name in present if _is_dense(name) and is_ambiguous(column_maps, present[name].size()))
    fitting = {name: value for name, value in present.items() if name not in ambiguous}
    for wave in _waves({name: source[name] for name in fitting}):
        _read(reader, metadata, {stored: fitting[name] for name, stored in wave.items()})
    used = {source[name] for name in tensors}
    unexpected = tuple(name for name in sizes if name not in used)
    return LoadResult(missing, unexpected, mismatched, ambiguous=ambiguous, remapped=remapped)


def _is_dense(name: str) -> bool:
    """True for the parameters behind the embeddings, and for their optimizer state."""
    return not name.startswith("embedding_group.")


def _remap(
    reader: _CheckpointReader,
    metadata: Metadata,
    tensors: Mapping[str, tuple[str, Any]],
    column_maps: Sequence[ColumnMap],
) -> dict[str, str]:
    """Restore tensors whose sizes have changed with the columns of groups; return a description of each.

    Args:
        tensors: name -> (name in the checkpoint, tensor).
    """
    remapped = {}
    sizes = _sizes(metadata)
    for name, (stored_name, value) in tensors.items():
        maps = find_maps(column_maps, sizes[stored_name], tuple(value.size())) if _is_dense(name) else None
        if maps is not None and isinstance(value, torch.Tensor):
            stored = torch.empty(sizes[stored_name], dtype=value.dtype)
            _read(reader, metadata, {stored_name: stored})
            copy_columns(stored, value, maps)
            remapped[name] = describe(maps)
    return remapped


def _metadata(reader: _CheckpointReader) -> Metadata:
    try:
        return reader.read_metadata()
    except StoreError:
        raise
    except Exception as error:  # a hostile pickle raises what it likes
        raise CheckpointError(f"{reader.path}/.metadata cannot be read: {error}") from None


def _sizes(metadata: Metadata) -> dict[str, tuple[int, ...]]:
    stored = metadata.state_dict_metadata.items()
    return {name: tuple(entry.size) for name, entry in stored if isinstance(entry, TensorStorageMetadata)}


def _waves(source: Mapping[str, str]) -> list[dict[str, str]]:
    """Split into parts that read each stored tensor at most once: one stored tensor may fill several."""
    waves: list[dict[str, str]] = []
    times: Counter[str] = Counter()
    for name, stored in source.items():
        if times[stored] == len(waves):
            waves.append({})
        waves[times[stored]][name] = stored
        times[stored] += 1
    return waves


def _read(reader: _CheckpointReader, metadata: Metadata, tensors: dict[str, Any]) -> None:
    """Read tensors without collective operations, so that no rank waits for one that fails."""
    planner = DefaultLoadPlanner()
    try:
        planner.set_up_planner(tensors, metadata, is_coordinator=True)
        reader.set_up_storage_reader(metadata, is_coordinator=True)
        plan = planner.finish_plan(planner.create_local_plan())
        with torch.no_grad():
            reader.read_data(plan, planner).wait()
    except StoreError:
        raise
    except Exception as error:  # of whatever the description and the files of a checkpoint make torch raise
        raise CheckpointError(f"{reader.path} is damaged: {error}") from None
