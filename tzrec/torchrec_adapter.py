"""Private names of torch, torchrec and fbgemm: this file has all that the package uses.

`RELEASES` are those it was checked against; `tests/test_torchrec_adapter.py` fails if one no longer exists. A new
release of one of the libraries needs edits here and nowhere else. The libraries are imported inside the functions, so
that a module without torch can import this one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.distributed import ProcessGroup
    from torch.export import ExportedProgram
    from torchrec import JaggedTensor, KeyedJaggedTensor, KeyedTensor

RELEASES = {"2.13": "1.8", "2.14": "1.9"}
"""Release of torch -> release of torchrec and fbgemm that belongs to it: those that this file was checked against."""

TORCH_FX_LOGGER = "torch.fx._symbolic_trace"
"""Logger of warnings that no user of this package can act on."""

CHECKPOINT_CLASSES = {
    ("torch", "Size"),
    ("torch.serialization", "_get_layout"),
    ("collections", "OrderedDict"),
    *(("pathlib", name) for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")),
    *(("pathlib._local", name) for name in ("PosixPath", "WindowsPath")),
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
    *(
        ("torch.distributed.checkpoint.metadata", name)
        for name in (
            "Metadata",
            "MetadataIndex",
            "TensorStorageMetadata",
            "BytesStorageMetadata",
            "ChunkStorageMetadata",
            "TensorProperties",
            "StorageMeta",
            "_MEM_FORMAT_ENCODING",
        )
    ),
}
"""(module, name) of the classes in torch's description of a checkpoint; all of them hold plain data."""


class CppCompilerError(Exception):
    """No C++ compiler was found, or it failed."""


class ProgramFormatError(Exception):
    """An exported program is of a format that this release of torch cannot read."""


# Sharded collections of torchrec


def local_bag_forward(collection: Any, features: KeyedJaggedTensor) -> KeyedTensor:
    """Forward pass of a `ShardedEmbeddingBagCollection` whose tables are all whole on this rank.

    It runs the kernels without the exchange of ids and vectors around them.
    """
    from torchrec import KeyedTensor

    _ensure_input_order(collection, features)
    if collection._has_features_permute:
        features = features.permute(collection._features_order, collection._features_order_tensor)
    values = collection._lookups[0](features)  # (B, sum of widths)
    return KeyedTensor(collection._embedding_names, collection._embedding_dims, values)


def local_sequence_forward(collection: Any, features: KeyedJaggedTensor) -> dict[str, JaggedTensor]:
    """Forward pass of a `ShardedEmbeddingCollection` whose tables are all whole on this rank."""
    from torchrec import JaggedTensor

    _ensure_input_order(collection, features)
    if collection._features_order:
        features = features.permute(collection._features_order, collection._features_order_tensor)
    features = features.split(collection._feature_splits)[0]  # without the last ones, which other collections look up
    values = collection._lookups[0](features).view(-1, collection._embedding_dim)  # (N, width)
    lengths = features.lengths().view(len(features.keys()), -1)  # (F, B)
    parts = values.split(features.length_per_key())
    names = collection._embedding_names_per_sharding[0]
    return {name: JaggedTensor(part, lengths=row) for name, part, row in zip(names, parts, lengths, strict=True)}


def _ensure_input_order(collection: Any, features: KeyedJaggedTensor) -> None:
    """Compute the order of features that the kernels expect, at the first forward pass."""
    if collection._has_uninitialized_input_dist:
        collection._create_input_dist(features.keys())
        collection._has_uninitialized_input_dist = False


def skip_mean_division(collection: Any, features: Iterable[str]) -> None:
    """Exclude features from the division of row-wise mean pooling in a `ShardedEmbeddingBagCollection`.

    torchrec divides the sums of row-wise mean-pooled tables after their exchange, and by mistake also those of tables
    that are not row-wise, unless the features are listed as row-wise sums.
    """
    from torchrec import PoolingType

    collection._pooling_type_to_rs_features[PoolingType.SUM.value] += features


def collection_lookups(collection: Any) -> Sequence[nn.Module]:
    """Lookups of a sharded collection, one for each sharding type; replicated ones are wrapped in DDP."""
    return collection._lookups  # type: ignore[no-any-return]


def collection_kernels(collection: Any) -> Iterator[tuple[Any, bool]]:
    """Kernels of a sharded collection, each with True where its tables are replicated on every rank."""
    from torch.nn.parallel import DistributedDataParallel

    for lookup in collection_lookups(collection):
        replicated = isinstance(lookup, DistributedDataParallel)
        for kernel in (lookup.module if replicated else lookup)._emb_modules:  # type: ignore[union-attr]
            yield kernel, replicated


def kernel_process_group(kernel: Any) -> ProcessGroup | None:
    """Ranks that share the tables of a kernel."""
    return kernel._pg  # type: ignore[no-any-return]


def set_fused_params(weight: Any, params: Mapping[str, Any]) -> None:
    """Give the table that holds `weight` a kernel with arguments of its own; call it before the model is sharded."""
    weight._optimizer_classes, weight._optimizer_kwargs = [None], [params]


# Distributed training in torch


def forget_earlier_runs() -> None:
    """Make torchrec exchange a setting of the ranks again, which it does once for each process.

    A rank that has taken part in a run before would leave the exchange out, and the others would wait for it.
    """
    from torchrec.distributed import collective_utils

    collective_utils._INITIALIZED = False


@contextmanager
def without_ddp_reduction(wrappers: Sequence[Any]) -> Iterator[None]:
    """Run backward passes without DDP taking them for that of the step: it plans its exchange after the first one."""
    enqueued = [wrapper._static_graph_delay_allreduce_enqueued for wrapper in wrappers]
    for wrapper in wrappers:
        wrapper._static_graph_delay_allreduce_enqueued = True
    yield
    for wrapper, before in zip(wrappers, enqueued, strict=True):
        wrapper._static_graph_delay_allreduce_enqueued = before


def local_shards(tensor: Tensor) -> list[Tensor]:
    """Shards of a `ShardedTensor` that this rank holds; any other tensor is its own only shard."""
    from torch.distributed._shard.sharded_tensor import ShardedTensor

    if isinstance(tensor, ShardedTensor):
        return [shard.tensor for shard in tensor.local_shards()]
    return [tensor]


def map_shards(tensor: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply a function to every local shard of a `ShardedTensor`, or to a tensor that is not sharded."""
    from torch.distributed._shard.sharded_tensor import Shard, ShardedTensor

    if not isinstance(tensor, ShardedTensor):
        return function(tensor)
    return ShardedTensor._init_from_local_shards_and_global_metadata(
        [Shard(function(shard.tensor), shard.metadata) for shard in tensor.local_shards()],
        sharded_tensor_metadata=tensor.metadata(),
        process_group=tensor._process_group,
    )


def shard_like_tables(shards: Sequence[tuple[Any, Tensor]], group: ProcessGroup | None) -> Tensor:
    """Combine the local parts of optimizer state into one `ShardedTensor`.

    Args:
        shards: for each shard of one table on this rank its `ShardedEmbeddingTable` and the state that belongs to it,
            `(rows, columns)` or `(rows,)`: the leading dimensions of the table.
        group: ranks that share the table.
    """
    from dataclasses import replace

    import torch
    from torch.distributed._shard.sharded_tensor import Shard, ShardedTensor, ShardedTensorMetadata
    from torch.distributed._shard.sharding_spec import ShardMetadata

    table, state = shards[0]
    dim = state.dim()

    def leading(shard: ShardMetadata) -> ShardMetadata:
        return ShardMetadata(list(shard.shard_offsets[:dim]), list(shard.shard_sizes[:dim]), shard.placement)

    table_metadata = table.global_metadata
    metadata = ShardedTensorMetadata(
        [leading(shard) for shard in table_metadata.shards_metadata],
        torch.Size(table_metadata.size[:dim]),
        replace(table_metadata.tensor_properties, dtype=state.dtype, requires_grad=False),
    )
    local = [Shard(value, leading(table.local_metadata)) for table, value in shards]
    return ShardedTensor._init_from_local_shards_and_global_metadata(local, metadata, process_group=group)


def checkpoint_metadata_path(reader: Any) -> Any:
    """Path of the description of a checkpoint that a `FileSystemReader` reads."""
    return reader._get_metadata_path()


def stored_tensor(reader: Any, file: Any, info: Any) -> tuple[Tensor, int]:
    """Read the description of a tensor that torch.save wrote into a part of a file, without its numbers.

    Args:
        reader: a `FileSystemReader`.
        file: the opened file.
        info: the part, an entry of `Metadata.storage_data`.

    Returns:
        A tensor on the device "meta", and the byte in the part at which its storage begins.
    """
    import torch

    tensor = torch.load(reader._slice_file(file, info), map_location="meta", weights_only=True)
    return tensor, tensor.untyped_storage()._checkpoint_offset


# Compilation and CPU kernels


def require_cpp_compiler() -> None:
    """Raise CppCompilerError if TorchInductor finds no C++ compiler."""
    from torch._inductor import cpp_builder, exc

    try:
        cpp_builder.get_cpp_compiler()
    except exc.InvalidCxxCompiler as error:
        raise CppCompilerError(str(error)) from None


def cpp_compiler() -> str:
    """Return the C++ compiler that `require_cpp_compiler` finds."""
    from torch._inductor import cpp_builder

    return str(cpp_builder.get_cpp_compiler())


def compiler_cache() -> Path:
    """Return the directory in which TorchInductor keeps what it has compiled."""
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    return Path(cache_dir())


def compile_package(program: ExportedProgram, path: str, options: Mapping[str, Any]) -> None:
    """Compile a program with AOTInductor into the package `path` (`*.pt2`).

    Raises:
        CppCompilerError: the C++ compiler failed.
    """
    import torch
    from torch._inductor import exc

    try:
        torch._inductor.aoti_compile_and_package(program, package_path=path, inductor_configs=dict(options))
    except exc.InductorError as error:
        if isinstance(error.inner_exception, exc.CppCompileError):
            raise CppCompilerError(str(error.inner_exception)) from None
        raise


def load_package(path: str) -> Any:
    """Load a package of AOTInductor without its weights.

    It uses the loader itself and not `torch._inductor.aoti_load_package`, which may unpickle weights of a package.
    """
    import torch

    return torch._C._aoti.AOTIModelPackageLoader(path, "model", False, 1, -1)  # type: ignore[attr-defined]


def program_to_json(program: ExportedProgram) -> bytes:
    """Write an exported program as JSON, without weights, constants and example inputs.

    Raises:
        ProgramFormatError: torch cannot write it, as one with autocast inside of a loop.
    """
    from torch._export.serde.serialize import SerializeError, serialize

    parts = {"serialize_state_dict": False, "serialize_constants": False, "serialize_example_inputs": False}
    try:
        return serialize(program, **parts).exported_program  # type: ignore[arg-type]
    except (SerializeError, AssertionError) as error:
        raise ProgramFormatError(str(error)) from None


def program_from_json(data: bytes, weights: Mapping[str, Tensor]) -> Callable[..., Sequence[Tensor]]:
    """Read a program of `program_to_json`; returns its forward pass, for inputs of any size.

    Args:
        data: the JSON.
        weights: by name; used, not copied.

    Raises:
        ProgramFormatError: this release of torch cannot read it.
    """
    from torch import nn
    from torch._export.serde.serialize import SerializedArtifact, SerializeError, deserialize

    parameters: dict[str, Any] = {name: nn.Parameter(tensor, requires_grad=False) for name, tensor in weights.items()}
    try:
        program = deserialize(SerializedArtifact(data, parameters, {}, None))  # type: ignore[arg-type]
    except SerializeError as error:
        raise ProgramFormatError(str(error)) from None
    # Without guards, which refuse a single row. `forward` itself leaves out hooks that change global state.
    return program.module(check_guards=False).forward  # type: ignore[no-any-return]


def traced_loop(
    condition: Callable[..., Tensor], step: Callable[..., tuple[Tensor, ...]], state: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    """Apply `step` to the state while `condition` of it is true; torch.export traces it as a loop of the program."""
    from torch._higher_order_ops.while_loop import while_loop

    result: tuple[Tensor, ...] = while_loop(condition, step, state)
    return result


def linear_relu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Compute `relu(x W' + b)` in one kernel of oneDNN: `(B, D0) -> (B, D1)`."""
    import torch

    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "relu", [], "")  # type: ignore[no-any-return]


@contextmanager
def planned_optimizer(weights: Iterable[nn.Parameter], state_per_value: int, state_per_row: int) -> Iterator[None]:
    """Context manager in which torchrec's planner counts optimizer state; it cannot see that of fbgemm's kernels.

    Args:
        weights: tables, unsharded.
        state_per_value: numbers for each value of a table, 0 to 2.
        state_per_row: numbers for each row; they count only where there are none for each value.
    """
    from torch import optim
    from torchrec.optim.rowwise_adagrad import RowWiseAdagrad

    stands_for = {0: RowWiseAdagrad if state_per_row else optim.SGD, 1: optim.Adagrad, 2: optim.Adam}[state_per_value]
    weights = list(weights)
    for weight in weights:
        weight._optimizer_classes = [stands_for]  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for weight in weights:
            del weight._optimizer_classes  # type: ignore[attr-defined]
