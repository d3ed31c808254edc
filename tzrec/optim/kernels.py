"""The kernels that hold a sharded model's tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor, nn
from torch.distributed import ProcessGroup
from torchrec.distributed.batched_embedding_kernel import BaseBatchedEmbeddingBag, BatchedDenseEmbeddingBag
from torchrec.distributed.embedding_types import ShardedEmbeddingTable
from torchrec.distributed.embeddingbag import ShardedEmbeddingBagCollection

from tzrec.embedding.group import EmbeddingGroup


@dataclass(frozen=True)
class Kernel:
    """One kernel of a sharded collection and the pieces of tables it holds on this rank.

    Attributes:
        path: of the collection, e.g. `embedding_group.emb_impls.__BASE__.ebc`.
        module: the kernel.
        frozen: whether its tables do not learn; a kernel holds only tables of one sort.
        replicated: whether every rank holds the same whole tables.
    """

    path: str
    module: BaseBatchedEmbeddingBag[Tensor]
    frozen: bool
    replicated: bool

    @property
    def fused(self) -> bool:
        return not isinstance(self.module, BatchedDenseEmbeddingBag)

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
        return f"{self.path}.embedding_bags.{table.name}.weight"

    def on_gradient(self, act: Callable[[Tensor], Tensor]) -> None:
        """Let the tables learn from what `act` makes of the gradient of the kernel's output, after earlier ones."""

        def hook(module: nn.Module, inputs: object, output: Tensor) -> None:
            if output.requires_grad:
                output.register_hook(act)

        self.module.register_forward_hook(hook)


def kernels(model: nn.Module) -> Iterator[Kernel]:
    """All kernels of this rank, in a fixed order. `model` is a sharded model without its wrappers."""
    trainable: dict[str, bool] = {}
    for path, module in model.named_modules():
        if isinstance(module, EmbeddingGroup):
            trainable = {name: bag.table.trainable for name, bag in module.layout.bags.items()}
        elif isinstance(module, ShardedEmbeddingBagCollection):
            for lookup in module._lookups:
                replicated = isinstance(lookup, nn.parallel.DistributedDataParallel)
                for kernel in (lookup.module if replicated else lookup)._emb_modules:
                    first = kernel.config.embedding_tables[0].name
                    yield Kernel(path, kernel, not trainable[first], replicated)
