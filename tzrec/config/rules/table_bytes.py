"""Memory of the embedding tables: bytes of weights and optimizer state, known before any of them is allocated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tzrec import env
from tzrec.config.checker import Checker
from tzrec.config.options import member_messages, optimizer_bytes, value_bytes
from tzrec.config.rules.bucketizer import num_table_rows
from tzrec.config.rules.feature_entry import FeatureEntry, entries_by_name
from tzrec.config.schema import oneof_of
from tzrec.config.vocabulary import read_vocabulary, vocabulary_path
from tzrec.formatting import format_bytes
from tzrec.protos.model_pb2 import DEEP, WIDE

_LARGEST = 3


@dataclass(frozen=True)
class TableSize:
    """Size of one embedding table.

    Attributes:
        name: of the table.
        path: of the first feature that reads it.
        rows: number of rows.
        dim: values per row.
        weights: bytes of its values.
        state: bytes that the optimizer stores for them.
    """

    name: str
    path: str
    rows: int
    dim: int
    weights: int
    state: int

    def __str__(self) -> str:
        state = f" + {format_bytes(self.state)} of the optimizer" if self.state else ""
        return f"{self.name} {self.rows:,} x {self.dim} = {format_bytes(self.weights)}{state}"


def table_sizes(checker: Checker) -> list[TableSize]:
    """Compute the size of every table of the groups of a config, the largest first."""
    known = entries_by_name(checker)
    sizes: dict[str, TableSize] = {}
    for scope, suffix, wide_dim, names in _groups(checker):
        for name in names:
            if name in known and known[name].has_table:
                size = _table_size(checker, known[name], scope, suffix, wide_dim)
                sizes.setdefault(size.name, size)
    return sorted(sizes.values(), key=lambda size: size.weights + size.state, reverse=True)


def _groups(checker: Checker) -> Iterator[tuple[str, str, int, Iterable[str]]]:
    """Iterate over the groups: scope and suffix of their tables, width if it is not that of the feature, features."""
    model = checker.config.model_config
    kind = model.WhichOneof("model")
    wide_dim = getattr(getattr(model, kind), "wide_embedding_dim", 0) if kind else 0
    for group in model.feature_groups:
        scope = "" if group.group_type in (DEEP, WIDE) else "sequence."
        yield scope, group.embedding_name_suffix, wide_dim if group.group_type == WIDE else 0, group.feature_names
        for inner in group.sequence_groups:
            yield "sequence.", inner.embedding_name_suffix, 0, inner.feature_names


def _table_size(checker: Checker, entry: FeatureEntry, scope: str, suffix: str, wide_dim: int) -> TableSize:
    rows, dim = _num_rows(entry), wide_dim or int(entry.message.embedding_dim)
    weights = rows * dim * value_bytes(entry.message.data_type)
    sparse = checker.config.train_config.sparse_optimizer
    kind = sparse.WhichOneof("optimizer")
    is_trained = kind is not None and entry.message.trainable
    state = optimizer_bytes(member_messages(oneof_of(sparse, "optimizer"))[kind], rows, dim) if is_trained else 0
    name = "_".join(filter(None, (f"{scope}{entry.table}{'_wide' if wide_dim else ''}", suffix)))
    return TableSize(name, entry.path, rows, dim, weights, state)


def _num_rows(entry: FeatureEntry) -> int:
    message = entry.message
    if getattr(message, "vocab_file", ""):
        file = vocabulary_path(message)
        return max(read_vocabulary(file).values(), default=-1) + 1 if file.is_file() else 0
    return num_table_rows(message)


def check_table_bytes(checker: Checker, has_state: bool = True) -> None:
    """Report tables that need more memory than there is; on a GPU they may be spread over its memory and are not.

    Args:
        checker: a config without other problems.
        has_state: the optimizer stores its state too, in training and evaluation.
    """
    sizes = table_sizes(checker) if checker.is_cpu else []
    needed = sum(size.weights + (size.state if has_state else 0) for size in sizes)
    ranks = env.rank_info()
    machines = max(1, ranks.world_size // ranks.local_world_size)
    available = env.available_memory() * machines
    if needed <= available:
        return
    state = sum(size.state for size in sizes) if has_state else 0
    optimizer = checker.config.train_config.sparse_optimizer.WhichOneof("optimizer")
    parts = f" (weights {format_bytes(needed - state)}, {optimizer} {format_bytes(state)})" if state else ""
    place = f"{machines} machines have" if machines > 1 else "this machine has"
    more = f" and {len(sizes) - _LARGEST} more" if len(sizes) > _LARGEST else ""
    checker.error(
        sizes[0].path,
        f"the embedding tables need {format_bytes(needed)}{parts}, and {place} {format_bytes(available)} free. The "
        f"largest: {'; '.join(map(str, sizes[:_LARGEST]))}{more}. Lower the rows or embedding_dim, choose an optimizer "
        "with less state (rowwise_adagrad_optimizer), or train on more machines",
    )
