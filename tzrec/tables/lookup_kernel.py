"""The kernels that hold a sharded model's tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.distributed import ProcessGroup
from torchrec.distributed.batched_embedding_kernel import (
    BaseBatchedEmbedding,
    BaseBatchedEmbeddingBag,
    BatchedDenseEmbedding,
    BatchedDenseEmbeddingBag,
)
from torchrec.distributed.embedding import ShardedEmbeddingCollection
from torchrec.distributed.embedding_types import ShardedEmbeddingTable
from torchrec.distributed.embeddingbag import ShardedEmbeddingBagCollection

from tzrec.embedding.group import EmbeddingGroup
from tzrec.tables.shared_table import SharedTable

SHARDED = (ShardedEmbeddingBagCollection, ShardedEmbeddingCollection)
"""What collections are once they are sharded: bags, and sequences."""


@dataclass(frozen=True)
class LookupKernel:
    """One kernel of a sharded collection and the pieces of tables it holds on this rank.

    Attributes:
        path: of the collection, e.g. `embedding_group.emb_impls.__BASE__.ebc`.
        module: the kernel.
        tables: by name, those of its collection and more.
        replicated: whether every rank holds the same whole tables.
    """

    path: str
    module: BaseBatchedEmbeddingBag[Tensor] | BaseBatchedEmbedding[Tensor]
    tables: Mapping[str, SharedTable]
    replicated: bool

    @property
    def frozen(self) -> bool:
        """Whether its tables do not learn; a kernel holds only tables of one sort."""
        return not self.tables[self.module.config.embedding_tables[0].name].table.trainable

    @property
    def fused(self) -> bool:
        return not isinstance(self.module, (BatchedDenseEmbeddingBag, BatchedDenseEmbedding))

    @property
    def pieces(self) -> list[tuple[ShardedEmbeddingTable, Tensor]]:
        """Each piece of a table with its live values `(rows, columns)`."""
        return list(zip(self.module.config.embedding_tables, self.module.split_embedding_weights(), strict=True))

    @property
    def group(self) -> ProcessGroup | None:
        """The ranks that share the collection."""
        return self.module._pg

    def name(self, table: ShardedEmbeddingTable) -> str:
        """The table's parameter."""
        kind = "embedding_bags" if isinstance(self.module, BaseBatchedEmbeddingBag) else "embeddings"
        return f"{self.path}.{kind}.{table.name}.weight"

    def on_gradient(self, act: Callable[[Tensor], Tensor]) -> None:
        """Let the tables learn from what `act` makes of the gradient of the kernel's output, after earlier ones."""

        def hook(module: nn.Module, inputs: object, output: Tensor) -> None:
            if output.requires_grad:
                output.register_hook(act)

        self.module.register_forward_hook(hook)


def lookup_kernels(model: nn.Module) -> Iterator[LookupKernel]:
    """All kernels of this rank, in a fixed order. `model` is a sharded model without its wrappers."""
    for prefix, group in model.named_modules():
        if isinstance(group, EmbeddingGroup):
            for path, module in group.named_modules():
                if isinstance(module, SHARDED):
                    yield from _kernels(f"{prefix}.{path}".lstrip("."), module, group.tables_at(path))


def _kernels(path: str, collection: nn.Module, tables: Mapping[str, SharedTable]) -> Iterator[LookupKernel]:
    for lookup in collection._lookups:  # type: ignore[union-attr]
        replicated = isinstance(lookup, nn.parallel.DistributedDataParallel)
        for kernel in (lookup.module if replicated else lookup)._emb_modules:  # type: ignore[union-attr]
            yield LookupKernel(path, kernel, tables, replicated)
