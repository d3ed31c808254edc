"""Dependence of the nodes of a traced program on users and on items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

aten = torch.ops.aten

_INDEX_ARGUMENTS: Mapping[Any, tuple[int, ...]] = {
    aten.index_select.default: (2,),
    aten.gather.default: (2,),
    aten.index.Tensor: (1,),
    aten.index_add.default: (2,),
    aten.index_copy.default: (2,),
    aten.index_put.default: (1,),
    aten.scatter.src: (2,),
    aten.scatter.value: (2,),
    aten.scatter_add.default: (2,),
    aten.scatter_reduce.two: (2,),
    aten.repeat_interleave.self_Tensor: (1,),
}
"""Positions of the arguments that say where values are, by operation: their numbers do not reach the result."""
_ARRANGING = ("int_nbit_split_embedding_codegen_lookup_function", "segment_sum_csr")
"""Operations of fbgemm of which all whole numbers say where values are."""
_ORDERING = ("arange", "asynchronous_complete_cumsum", "cumsum", "nonzero", "sort", "argsort", "topk")
"""Operations whose results are positions of rows or elements, where they work along these."""


class InseparableError(Exception):
    """An item would need an input of users that has no row for each user; the message is its name."""


@dataclass(frozen=True)
class SeparationInput:
    """One input of the program to separate.

    Attributes:
        name: of the input.
        shape: of the input; dimensions with a name are free.
        is_of_users: it has the rows of users.
        item_version: name of the index that items read in its place; "" for none.
    """

    name: str
    shape: Sequence[object]
    is_of_users: bool
    item_version: str = ""


@dataclass(frozen=True)
class Separation:
    """The inputs of a program and how the rows of users become rows of items.

    Attributes:
        inputs: of the traced program, in order.
        indices: names of the inputs that the separated program has in addition, in order.
        index_by_dimension: the one of them that leads from items to users or their elements, by name of a dimension.
        shared_dimensions: names of the dimensions of users that are the same for items, such as the length of padding.
        row_index: the one that leads from items to users.
    """

    inputs: Sequence[SeparationInput]
    indices: Sequence[str]
    index_by_dimension: Mapping[str, str]
    shared_dimensions: frozenset[str]
    row_index: str


class Dependence:
    """Facts about the nodes of a traced program; dimensions are told apart by their symbols.

    Args:
        graph: traced.
        separation: of its inputs.

    Attributes:
        index_by_symbol: `Separation.index_by_dimension`, by symbol.
        shared: `Separation.shared_dimensions`, as symbols.
    """

    def __init__(self, graph: fx.Graph, separation: Separation) -> None:
        placeholders = [node for node in graph.nodes if node.op == "placeholder"]
        self._inputs = dict(zip(placeholders, separation.inputs, strict=True))
        symbols: dict[str, Any] = {}
        of_items: set[Any] = set()
        for node, spec in self._inputs.items():
            for name, size in zip(spec.shape, node.meta["val"].shape, strict=True):
                if isinstance(name, str):
                    symbols[name] = size.node.expr
                    of_items |= set() if spec.is_of_users else {size.node.expr}
        indices = separation.index_by_dimension.items()
        self.index_by_symbol = {symbols[name]: index for name, index in indices if name in symbols}
        self.shared = {symbols[name] for name in separation.shared_dimensions}
        self._of_items = of_items - set(self.index_by_symbol)
        self._kinds: dict[fx.Node, str] = {}
        self._positional: set[fx.Node] = set()
        for node in graph.nodes:
            self._kinds[node] = self._kind(node)
            if self._is_positional(node):
                self._positional.add(node)

    def kind(self, node: fx.Node) -> str:
        """Return what a node depends on: "items" (and users), "users" alone, or "" for constants and sizes."""
        return self._kinds[node]

    def name_of(self, node: fx.Node) -> str:
        """Name of the input of a placeholder."""
        return self._inputs[node].name

    def is_common(self, node: fx.Node) -> bool:
        """True if users and items need the same: it depends on constants, and no size is one of rows or elements."""
        return not self.kind(node) and not any(
            self._rows_of(part) for value in (node, *node.all_input_nodes) for part in _parts(value.meta.get("val"))
        )

    def expansion(self, node: fx.Node) -> tuple[int, str] | None:
        """The dimension and the index that make the rows of items from those of users; the index is "" for a tensor
        without rows. None if there is none."""
        value = node.meta.get("val")
        if self.kind(node) != "users" or not isinstance(value, Tensor) or node in self._positional:
            return None
        by_row = [(dimension, size) for dimension, size in enumerate(value.shape) if self._rows_of(size)]
        if not by_row:
            return 0, ""
        (dimension, size), *further = by_row
        assert isinstance(size, torch.SymInt)
        index = self.index_by_symbol.get(size.node.expr)
        return (dimension, index) if index and not further else None

    def size_symbol(self, node: fx.Node) -> Any:
        """The symbol of a node that is the size of a dimension of an input; None for other nodes."""
        value = node.meta.get("val")
        if node.target is not aten.sym_size.int or not isinstance(value, torch.SymInt):
            return None
        expression = value.node.expr
        is_known = expression in self._of_items | self.shared | set(self.index_by_symbol)
        return expression if is_known else None

    def _kind(self, node: fx.Node) -> str:
        if node.op == "placeholder":
            return "users" if self._inputs[node].is_of_users else "items"
        if isinstance(node.meta.get("val"), torch.SymInt | torch.SymBool | int):
            return "items" if symbols_of(node.meta["val"]) & self._of_items else ""
        kinds = {self._kinds[source] for source in node.all_input_nodes}
        return "items" if "items" in kinds else "users" if "users" in kinds else ""

    def _rows_of(self, size: Any) -> set[Any]:
        """Symbols of a size, or of the sizes of a tensor, that differ between users and items."""
        sizes = size.shape if isinstance(size, Tensor) else (size,)
        return {symbol for one in sizes for symbol in symbols_of(one)} - self.shared

    def _is_positional(self, node: fx.Node) -> bool:
        """True if numbers of a node are positions of rows or elements, which differ between users and items."""
        if node.op == "placeholder":
            return bool(self._inputs[node].item_version)
        name = getattr(node.target, "__name__", "").partition(".")[0]
        if name in _ARRANGING or not any(isinstance(part, Tensor) for part in _parts(node.meta.get("val"))):
            return False
        if name in _ORDERING and any(self._rows_of(part) for part in _parts(node.meta["val"])):
            return True
        indices = _INDEX_ARGUMENTS.get(node.target, ())
        values = [argument for position, argument in enumerate(node.args) if position not in indices]
        sources = [*_nodes(values), *_nodes(list(node.kwargs.values()))]
        return any(source in self._positional for source in sources)


def symbols_of(size: Any) -> set[Any]:
    """Symbols of a size; empty for a number."""
    return set(size.node.expr.free_symbols) if isinstance(size, torch.SymInt | torch.SymBool) else set()


def _parts(value: Any) -> Sequence[Any]:
    """The values of a node with several outputs, or its only one."""
    return value if isinstance(value, list | tuple) else (value,)


def _nodes(arguments: Any) -> list[fx.Node]:
    nodes: list[fx.Node] = []
    fx.map_arg(arguments, nodes.append)
    return nodes
