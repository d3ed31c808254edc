"""TableOwner: base class of modules that hold the embedding tables of a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping

from torch import nn

from tzrec.tables.shared_table import SharedTable


class TableOwner(nn.Module, ABC):
    """Module that contains collections of tables, sharded or not."""

    @abstractmethod
    def tables_at(self, path: str) -> Mapping[str, SharedTable]:
        """Tables by name, among them those of the collection at `path` below this module."""


def find_collections(
    model: nn.Module, kinds: tuple[type[nn.Module], ...]
) -> Iterator[tuple[str, nn.Module, Mapping[str, SharedTable]]]:
    """Collections of the given classes below the table owners of a model, in a fixed order.

    Yields:
        Path in the model, the collection, and tables by name: those of the collection and more.
    """
    for prefix, owner in model.named_modules():
        if isinstance(owner, TableOwner):
            for path, module in owner.named_modules():
                if isinstance(module, kinds):
                    yield f"{prefix}.{path}".lstrip("."), module, owner.tables_at(path)
