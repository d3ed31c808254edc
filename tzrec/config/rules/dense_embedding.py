"""Embeddings of numbers: autodis, mlp and piecewise_linear."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.rules.feature_entry import FeatureEntry
from tzrec.config.schema import fields_of, is_set

MIN_EDGES = 2
"""Edges that a piecewise-linear embedding needs: those of one interval."""
_OF_TABLES = ("embedding_name", "pooling", "init_fn", "trainable", "data_type", "embedding_constraints")


def check_dense_embedding(checker: Checker, entry: FeatureEntry) -> None:
    """Check the embedding of the numbers of a feature, if it has one."""
    message = entry.message
    kind = "dense_emb" in message.DESCRIPTOR.oneofs_by_name and message.WhichOneof("dense_emb")
    if not kind or checker.has_parse_errors(entry.path):
        return
    path = f"{entry.path}.{kind}"
    if entry.has_table:
        checker.error(path, "applies to numbers, and the values of this feature become ids; choose one")
    else:
        _check_widths(checker, entry, kind)
        if kind == "piecewise_linear":
            _check_edges(checker, entry)
        for name in _OF_TABLES:
            known = fields_of(message)
            if name in known and is_set(message, name) and getattr(message, name) != known[name].default_value:
                checker.error(f"{entry.path}.{name}", f"applies to tables, and {kind} has none; leave it out")


def _check_edges(checker: Checker, entry: FeatureEntry) -> None:
    edges = entry.message.piecewise_linear.edges
    if len(edges) == 1:
        checker.error(f"{entry.path}.piecewise_linear.edges", f"needs at least {MIN_EDGES}; received 1")


def _check_widths(checker: Checker, entry: FeatureEntry, kind: str) -> None:
    value_dim = getattr(entry.message, "value_dim", 1)
    if kind != "mlp" and value_dim > 1:
        checker.error(f"{entry.path}.{kind}", f"embeds one number, and value_dim is {value_dim}; use mlp {{}}")
    if entry.message.embedding_dim == 0:
        checker.error(f"{entry.path}.embedding_dim", f"must be above 0: the width of the {kind} embedding")
