"""Separation of a traced program: what depends on users alone is computed once for each user.

The program is traced with a row for each pair of a user and an item. Every operation whose inputs all come from users
gets a version with a row for each user. The first operation that reads items too reads the rows of the users of its
items: through an index, where the tensor has one dimension of rows or of elements, or else it is computed for each
item after all. A linear layer on columns of both is divided: the product of the users' columns is computed for each
user.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from tzrec.serving.dependence import Dependence, InseparableError, Separation, symbols_of

aten = torch.ops.aten
_LINEAR = aten.linear.default
TABLES = "tables"


def separate(program: fx.GraphModule, separation: Separation) -> fx.GraphModule:
    """Build the separated program.

    Args:
        program: traced and without side effects; a constant `tables` becomes its first input.
        separation: of its inputs.

    Returns:
        a program of `tables`, the inputs of the separation, and its indices in their order, with the same outputs.

    Raises:
        InseparableError: an item would need an input of users that has no row for each user.
    """
    separated = _SeparatedGraph(Dependence(program.graph, separation), separation)
    graph = separated.build(program.graph)
    graph.lint()
    return fx.GraphModule(program, graph)


@dataclass(frozen=True)
class _Columns:
    """Columns of the input of a linear layer.

    Attributes:
        sources: nodes that are concatenated.
        spans: start and end of each of them.
    """

    sources: list[fx.Node]
    spans: list[tuple[int, int]]


class _SeparatedGraph:
    """State of `separate`: the graph that is built, with two versions of each node, for users and for items."""

    def __init__(self, dependence: Dependence, separation: Separation) -> None:
        self._dependence, self._separation = dependence, separation
        self._graph = fx.Graph()
        self._versions: dict[tuple[fx.Node, bool], fx.Node] = {}
        """By traced node, and true for the version of items."""
        self._needed: set[tuple[fx.Node, bool]] = set()
        self._sizes: dict[tuple[Any, bool], tuple[fx.Node, int]] = {}
        """Input and its dimension that have a size, by its symbol, and true for the version of items."""
        self._size_nodes: dict[tuple[Any, bool], fx.Node] = {}
        self._indices: dict[str, fx.Node] = {}
        self._columns: dict[tuple[fx.Node, bool], fx.Node] = {}

    def build(self, traced: fx.Graph) -> fx.Graph:
        """Build the new graph from the traced one."""
        nodes = list(traced.nodes)
        for node in reversed(nodes):
            self._need_inputs(node)
        self._tables = self._graph.placeholder(TABLES)
        self._add_inputs([node for node in nodes if node.op == "placeholder"])
        for node in nodes:
            for is_item in (False, True):
                if (node, is_item) in self._needed and (node, is_item) not in self._versions:
                    self._versions[node, is_item] = self._emit(node, is_item)
        output = nodes[-1]
        self._graph.output(fx.map_arg(output.args[0], lambda node: self._versions[node, True]))
        return self._graph

    # What is needed, from the outputs to the inputs

    def _need_inputs(self, node: fx.Node) -> None:
        if node.op == "output":
            self._needed |= {(source, True) for source in node.all_input_nodes}
        if (node, True) in self._needed:
            if self._dependence.is_common(node) or self._dependence.expansion(node) is not None:
                self._needed.add((node, False))
            elif node.op != "placeholder":
                self._needed |= set(self._sources(node, True))
        if (node, False) in self._needed and node.op != "placeholder":
            self._needed |= set(self._sources(node, False))

    def _sources(self, node: fx.Node, is_item: bool) -> Iterator[tuple[fx.Node, bool]]:
        """The versions of other nodes that one of a node is computed from."""
        if self._dependence.size_symbol(node) is not None:
            return
        columns = self._divisible(node) if is_item else None
        if columns is None:
            yield from ((source, is_item) for source in node.all_input_nodes)
            return
        for source in columns.sources:
            yield source, not self._is_by_user(source)
        yield from ((source, True) for source in node.all_input_nodes if source is not node.args[0])

    # The new graph

    def _add_inputs(self, placeholders: Sequence[fx.Node]) -> None:
        by_name: dict[str, fx.Node] = {}
        for node, spec in zip(placeholders, self._separation.inputs, strict=True):
            new = by_name[spec.name] = self._graph.placeholder(_identifier(spec.name))
            self._versions[node, not spec.is_of_users] = new
            for dimension, size in enumerate(node.meta["val"].shape):
                for symbol in symbols_of(size):
                    self._sizes.setdefault((symbol, not spec.is_of_users), (new, dimension))
        for name in self._separation.indices:
            by_name[name] = self._indices[name] = self._graph.placeholder(_identifier(name))
        for symbol, index in self._dependence.index_by_symbol.items():
            self._sizes[symbol, True] = (self._indices[index], 0)
        for symbol in self._dependence.shared:
            self._sizes[symbol, True] = self._sizes[symbol, False]
        for node, spec in zip(placeholders, self._separation.inputs, strict=True):
            if spec.item_version:
                self._versions[node, True] = self._indices[spec.item_version]

    def _emit(self, node: fx.Node, is_item: bool) -> fx.Node:
        if is_item and self._dependence.is_common(node):
            return self._versions[node, False]
        if is_item and (expansion := self._dependence.expansion(node)) is not None:
            return self._expanded(self._versions[node, False], *expansion)
        if node.op == "placeholder":
            raise InseparableError(self._dependence.name_of(node))
        if node.op == "get_attr":
            return self._tables if node.target == TABLES else self._graph.get_attr(str(node.target))
        symbol = self._dependence.size_symbol(node)
        if symbol is not None:
            return self._size(symbol, is_item)
        columns = self._divisible(node) if is_item else None
        if columns is not None:
            return self._divided_linear(node, columns)
        return self._graph.node_copy(node, lambda source: self._versions[source, is_item])

    def _expanded(self, node: fx.Node, dimension: int, index: str) -> fx.Node:
        """The rows of the users of all items; of a tensor without rows, the tensor."""
        if not index:
            return node
        return self._graph.call_function(aten.index_select.default, (node, dimension, self._indices[index]))

    def _size(self, symbol: Any, is_item: bool) -> fx.Node:
        key = symbol, is_item
        if key not in self._size_nodes:
            if key not in self._sizes:
                raise InseparableError(str(symbol))
            self._size_nodes[key] = self._graph.call_function(aten.sym_size.int, self._sizes[key])
        return self._size_nodes[key]

    # Linear layers on columns of users and of items

    def _divisible(self, node: fx.Node) -> _Columns | None:
        """The columns of the input of a linear layer, if some of them are of users and some of items."""
        if node.target is not _LINEAR or self._dependence.kind(node) != "items":
            return None
        columns = _concatenated(_node(node.args[0]))
        is_by_user = [self._is_by_user(source) for source in columns.sources]
        return columns if any(is_by_user) and not all(is_by_user) else None

    def _is_by_user(self, node: fx.Node) -> bool:
        expansion = self._dependence.expansion(node)
        return expansion is not None and expansion == (0, self._separation.row_index)

    def _divided_linear(self, node: fx.Node, columns: _Columns) -> fx.Node:
        """`x W' + b` from the users' columns of x once for each user, and the items' columns for each item."""
        weight = self._versions[_node(node.args[1]), True]
        parts = []
        for is_item in (False, True):
            chosen = [index for index, source in enumerate(columns.sources) if self._is_by_user(source) != is_item]
            x = self._concatenation(_node(node.args[0]), [columns.sources[index] for index in chosen], is_item)
            spans = _joined([columns.spans[index] for index in chosen])
            slices = [self._graph.call_function(aten.slice.Tensor, (weight, 1, *span)) for span in spans]
            own = slices[0] if len(slices) == 1 else self._graph.call_function(aten.cat.default, (slices, 1))
            bias = (
                tuple(self._versions[_node(one), True] for one in node.args[2:] if one is not None) if is_item else ()
            )
            parts.append(self._graph.call_function(_LINEAR, (x, own, *(bias if is_item else ()))))
        by_item = self._expanded(parts[0], 0, self._separation.row_index)
        return self._graph.call_function(aten.add.Tensor, (parts[1], by_item))

    def _concatenation(self, x: fx.Node, sources: Sequence[fx.Node], is_item: bool) -> fx.Node:
        if (x, is_item) not in self._columns:
            parts = [self._versions[source, is_item] for source in sources]
            joined = parts[0] if len(parts) == 1 else self._graph.call_function(aten.cat.default, (parts, 1))
            self._columns[x, is_item] = joined
        return self._columns[x, is_item]


def _concatenated(x: fx.Node) -> _Columns:
    """The nodes that a matrix is concatenated from, nested concatenations resolved."""
    sources = _column_sources(x)
    ends = [0]
    for source in sources:
        ends.append(ends[-1] + source.meta["val"].shape[1] if source.meta["val"].dim() == 2 else ends[-1])
    return _Columns(sources, list(zip(ends[:-1], ends[1:], strict=True)))


def _column_sources(x: fx.Node) -> list[fx.Node]:
    value = x.meta["val"]
    is_matrix = isinstance(value, Tensor) and value.dim() == 2
    if is_matrix and x.target is aten.cat.default and x.args[1:] in ((1,), (-1,)):
        parts = x.args[0]
        assert isinstance(parts, list | tuple)
        return [source for part in parts for source in _column_sources(_node(part))]
    return [x]


def _joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join spans that follow each other."""
    joined: list[tuple[int, int]] = []
    for start, stop in spans:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return joined


def _node(argument: Any) -> fx.Node:
    assert isinstance(argument, fx.Node)
    return argument


def _identifier(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)
