"""LookupKernel: one fbgemm kernel of a sharded model with the table shards it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn
from torch.distributed import ProcessGroup
from torch.utils.hooks import RemovableHandle
from torchrec import KeyedJaggedTensor
from torchrec.distributed.batched_embedding_kernel import (
    BaseBatchedEmbedding,
    BaseBatchedEmbeddingBag,
    BatchedDenseEmbedding,
    BatchedDenseEmbeddingBag,
)
from torchrec.distributed.embedding import ShardedEmbeddingCollection
from torchrec.distributed.embedding_types import ShardedEmbeddingTable
from torchrec.distributed.embeddingbag import ShardedEmbeddingBagCollection

from tzrec.tables.owner import find_collections
from tzrec.tables.shared_table import SharedTable
from tzrec.torchrec_adapter import collection_kernels, kernel_process_group

SHARDED = (ShardedEmbeddingBagCollection, ShardedEmbeddingCollection)
"""Classes of sharded collections: of bags, and of sequences."""


class LookupObserver(Protocol):
    """Receiver of the rows that are looked up, e.g. for delta dumps, fill statistics or tiered storage."""

    def on_lookup(self, table: str, rows: Tensor) -> None:
        """Handle one lookup.

        Args:
            table: full name of the table.
            rows: int64 `(N,)`, rows of the whole table that were looked up in the shard of this rank, with repetitions.
        """


@dataclass(frozen=True)
class LookupKernel:
    """One kernel of a sharded collection and the table shards it holds on this rank.

    Attributes:
        path: of the collection, e.g. `embedding_group.emb_impls.__BASE__.ebc`.
        module: the kernel.
        tables: by name, those of its collection and more.
        replicated: True if every rank holds the same whole tables.
    """

    path: str
    module: BaseBatchedEmbeddingBag[Tensor] | BaseBatchedEmbedding[Tensor]
    tables: Mapping[str, SharedTable]
    replicated: bool

    @property
    def frozen(self) -> bool:
        """True if its tables are not trained; a kernel holds either trained or frozen tables."""
        return not self.tables[self.module.config.embedding_tables[0].name].table.trainable

    @property
    def fused(self) -> bool:
        """True if the optimizer runs inside the backward pass of the kernel."""
        return not isinstance(self.module, (BatchedDenseEmbeddingBag, BatchedDenseEmbedding))

    @property
    def shards(self) -> list[tuple[ShardedEmbeddingTable, Tensor]]:
        """Each table shard with its live values `(rows, columns)`."""
        return list(zip(self.module.config.embedding_tables, self.module.split_embedding_weights(), strict=True))

    @property
    def group(self) -> ProcessGroup | None:
        """Ranks that share the collection."""
        return kernel_process_group(self.module)

    def parameter_name(self, table: ShardedEmbeddingTable) -> str:
        """Name of a table's parameter in the model."""
        kind = "embedding_bags" if isinstance(self.module, BaseBatchedEmbeddingBag) else "embeddings"
        return f"{self.path}.{kind}.{table.name}.weight"

    def on_gradient(self, function: Callable[[Tensor], Tensor]) -> None:
        """Apply a function to the gradient of the kernel's output, after functions that were added earlier."""

        def hook(module: nn.Module, inputs: object, output: Tensor) -> None:
            if output.requires_grad:
                output.register_hook(function)

        self.module.register_forward_hook(hook)

    def add_observer(self, observer: LookupObserver) -> RemovableHandle:
        """Call an observer at every lookup, with the rows of one table at a time."""

        def hook(module: nn.Module, inputs: tuple[KeyedJaggedTensor, ...]) -> None:
            (ids,) = inputs
            parts = iter(ids.values().split(ids.length_per_key()))
            for table in self.module.config.embedding_tables:
                first_row = table.local_metadata.shard_offsets[0] if table.local_metadata else 0
                for _ in table.feature_names:
                    observer.on_lookup(self.tables[table.name].full_name, next(parts) + first_row)

        return self.module.register_forward_pre_hook(hook)


def lookup_kernels(model: nn.Module) -> Iterator[LookupKernel]:
    """All kernels of this rank, in a fixed order. `model` is a sharded model without its wrappers."""
    for path, collection, tables in find_collections(model, SHARDED):
        for kernel, replicated in collection_kernels(collection):
            yield LookupKernel(path, kernel, tables, replicated)


def observe_lookups(model: nn.Module, observer: LookupObserver) -> list[RemovableHandle]:
    """Call an observer at every lookup in a table of a sharded model.

    Observers are forward hooks of the kernels: lookups that nobody observes cost nothing.

    Returns:
        Handles, the `remove()` of which ends the observation.
    """
    return [kernel.add_observer(observer) for kernel in lookup_kernels(model)]
