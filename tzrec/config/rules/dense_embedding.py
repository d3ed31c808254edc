"""Embeddings of numbers: autodis and mlp."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.rules.feature_entry import FeatureEntry
from tzrec.config.schema import fields_of, is_set
from tzrec.protos.feature_pb2 import AutoDisEmbedding

_OF_TABLES = ("embedding_name", "pooling", "init_fn", "trainable", "data_type", "embedding_constraints")


def check_dense(checker: Checker, entry: FeatureEntry) -> None:
    """The embedding of a feature's numbers, if it has one: what can have one, and what it needs."""
    message = entry.message
    kind = "dense_emb" in message.DESCRIPTOR.oneofs_by_name and message.WhichOneof("dense_emb")
    if not kind or checker.has_parse_errors(entry.path):
        return
    path = f"{entry.path}.{kind}"
    if entry.steps is not None:
        checker.error(path, "is for features that are no sequence; leave it out, or use boundaries for an embedding")
    elif entry.has_table:
        checker.error(path, "is for numbers, and the values of this feature become ids; choose one")
    else:
        _check_widths(checker, entry, kind)
        for name in _OF_TABLES:
            known = fields_of(message)
            if name in known and is_set(message, name) and getattr(message, name) != known[name].default_value:
                checker.error(f"{entry.path}.{name}", f"is for tables, and with {kind} there is none; leave it out")
    if kind == "autodis":
        _check_autodis(checker, path, message.autodis)


def _check_widths(checker: Checker, entry: FeatureEntry, kind: str) -> None:
    numbers = getattr(entry.message, "value_dim", 1)
    if kind == "autodis" and numbers > 1:
        checker.error(f"{entry.path}.autodis", f"embeds one number, and value_dim is {numbers}; use mlp {{}}")
    if entry.message.embedding_dim == 0:
        checker.error(f"{entry.path}.embedding_dim", f"must be above 0: the width of the {kind} embedding")


def _check_autodis(checker: Checker, path: str, message: AutoDisEmbedding) -> None:
    if message.num_channels < 2:
        said = f"{message.num_channels}; it is at least 2: what is mixed of one vector is the same for every number"
        checker.error(f"{path}.num_channels", said)
    if not message.temperature > 0:
        checker.error(f"{path}.temperature", f"{message.temperature:g} is not above 0")
