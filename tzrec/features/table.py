"""The embedding table a feature message asks for."""

from __future__ import annotations

from typing import Any

from tzrec.features.base import Table


def table_of(config: Any, rows: int) -> Table:
    """The table of a feature with `rows` ids; features with one embedding_name share it."""
    constraints = config.embedding_constraints
    return Table(
        name=config.embedding_name or f"{config.feature_name}_emb",
        rows=rows,
        dim=config.embedding_dim,
        pooling=config.pooling,
        data_type=config.data_type,
        init_fn=config.init_fn,
        trainable=config.trainable,
        sharding_types=tuple(constraints.sharding_types),
        compute_kernels=tuple(constraints.compute_kernels),
    )
