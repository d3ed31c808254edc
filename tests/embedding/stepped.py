"""Features of steps, a batch of them, and what groups make of it, written out step by step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from tzrec.data.batch import Batch
from tzrec.data.collate import collate
from tzrec.features.base import Feature, Table
from tzrec.features.column import Column
from tzrec.protos.model_pb2 import FeatureGroupConfig
from tzrec.tables.initialization import init_table

SEED = 1


def feature(name: str, table: Table | None = None, dim: int = 0, steps: bool = False) -> Feature:
    made = Feature()
    made.name, made.table, made.dim, made.is_sparse, made.is_sequence = name, table, dim, table is not None, steps
    return made


ITEM = Table("item_emb", 10, 4)
FEATURES = {
    "item": feature("item", ITEM),
    "tags": feature("tags", Table("tags_emb", 6, 8, pooling="mean")),
    "price": feature("price", dim=2),
    "user": feature("user", Table("user_emb", 5, 4)),
    "h__item": feature("h__item", ITEM, steps=True),
    "h__tags": feature("h__tags", Table("tags_emb", 6, 8, pooling="mean"), steps=True),
    "h__kinds": feature("h__kinds", Table("kinds_emb", 7, 4), steps=True),
    "h__price": feature("h__price", dim=2, steps=True),
    "other": feature("other", Table("other_emb", 9, 4), steps=True),
}
# per feature, per row: ids, or numbers; of sequences, per step
VALUES: dict[str, list] = {
    "item": [[3], [4], [5]],
    "tags": [[0, 5, 5], [3], []],
    "price": [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]],
    "user": [[1], [2], [4]],
    "h__item": [[[1], [2]], [], [[9], [9], [3]]],
    "h__tags": [[[1, 2], [5]], [], [[], [4, 4, 0], [3]]],
    "h__kinds": [[[6], [0, 1]], [], [[2], [], [3, 3]]],
    "h__price": [[[0.1, 1.0], [0.2, 2.0]], [], [[0.3, 3.0], [0.4, 4.0], [0.5, 5.0]]],
    "other": [[[8]], [[7], [6]], []],
}


def column(name: str) -> Column:
    values, made = VALUES[name], FEATURES[name]
    if not made.is_sequence:
        if made.table is None:
            return Column(np.array(values, np.float32), dim=made.dim)
        lengths = np.array([len(row) for row in values], np.int32)
        return Column(np.array([i for row in values for i in row]), lengths)
    steps = np.array([len(row) for row in values], np.int32)
    flat = [step for row in values for step in row]
    if made.table is None:
        return Column(np.array(flat, np.float32), dim=made.dim, sequence_lengths=steps)
    sizes = np.array([len(step) for step in flat], np.int32)
    ids = np.array([i for step in flat for i in step])
    return Column(ids, None if (sizes == 1).all() else sizes, sequence_lengths=steps)


def batch(*names: str) -> Batch:
    return collate({name: column(name) for name in names or FEATURES}, 3)


def group(name: str, *features: str, kind: str = "SEQUENCE", suffix: str = "") -> FeatureGroupConfig:
    made = FeatureGroupConfig(group_name=name, feature_names=features, group_type=kind)
    if suffix:
        made.embedding_name_suffix = suffix
    return made


def table_of(name: str, suffix: str = "") -> Tensor:
    asked = FEATURES[name].table
    assert asked is not None
    asked = replace(asked, name=asked.name + suffix)
    return init_table(torch.empty(asked.rows, asked.dim), asked, SEED)


def vector(name: str, what: list, suffix: str = "") -> Tensor:
    """What one row, or one step, of a feature comes to."""
    asked = FEATURES[name].table
    if asked is None:
        return torch.tensor(what)
    rows, total = table_of(name, suffix), torch.zeros(asked.dim)
    for i in what:
        total += rows[i]
    return total / len(what) if asked.pooling == "mean" and what else total


def width(name: str) -> int:
    return FEATURES[name].output_dim


def padded(names: list[str], longest: int, suffix: str = "") -> Tensor:
    """Features of steps side by side, `(3, longest, sum of widths)`."""
    rows = []
    for row in range(3):
        steps = []
        for t in range(longest):
            there = [VALUES[name][row][t] if t < len(VALUES[name][row]) else None for name in names]
            parts = [
                torch.zeros(width(name)) if what is None else vector(name, what, suffix)
                for name, what in zip(names, there, strict=True)
            ]
            steps.append(torch.cat(parts))
        rows.append(torch.stack(steps))
    return torch.stack(rows)


def queries(names: list[str], suffix: str = "") -> Tensor:
    """Features of the row side by side, `(3, sum of widths)`."""
    return torch.stack([torch.cat([vector(name, VALUES[name][row], suffix) for name in names]) for row in range(3)])
