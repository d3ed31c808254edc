"""Advice for tables that do not fit into the memory of the ranks."""

from __future__ import annotations

import math

from torch import nn

from tzrec.config.options import optimizer_bytes, table_optimizer
from tzrec.formatting import format_bytes
from tzrec.protos.train_pb2 import TrainConfig
from tzrec.tables.cluster import Cluster
from tzrec.tables.plan_summary import table_bytes
from tzrec.tables.sharding_plan import collections
from tzrec.tables.sparse_optimizer import optimizer_descriptor
from tzrec.tables.torchrec_planner import RESERVED


def capacity_advice(model: nn.Module, config: TrainConfig, cluster: Cluster, other: int) -> str:
    """Explain why the tables of a model do not fit, and list the changes that help.

    Args:
        model: unsharded.
        config: for the sparse optimizer.
        cluster: the ranks.
        other: bytes on each rank besides those of tables.
    """
    tables = [shared.table for collection in collections(model) for shared in collection.tables]
    descriptor = optimizer_descriptor(config.sparse_optimizer)
    weights = sum(map(table_bytes, tables))
    state = sum(optimizer_bytes(descriptor, table.rows, table.dim) for table in tables if table.trainable)
    usable = cluster.memory * (1 - RESERVED if cluster.device == "cuda" else 1) - other
    largest = max(tables, key=table_bytes)
    problem = (
        f"tables of {format_bytes(weights)} with {format_bytes(state)} of optimizer state on {cluster.num_ranks} ranks "
        f"with {format_bytes(max(usable, 0))} each for them; the largest is {largest.name} with "
        f"{format_bytes(table_bytes(largest))}"
    )
    helps = []
    num_ranks = math.ceil((weights + state) / usable) if usable > 0 else 0
    if usable <= 0:
        helps.append(
            f"lower data_config.batch_size or the widths of layers, which take {format_bytes(other)} on each rank"
        )
    if num_ranks > cluster.num_ranks:
        helps.append(f"use at least {num_ranks} ranks")
    allowed = largest.sharding_types or tuple(config.global_embedding_constraints.sharding_types)
    if allowed and not {"row_wise", "table_row_wise", "grid_shard"} & set(allowed):
        helps.append(f"allow row_wise in embedding_constraints.sharding_types of {largest.name}")
    if table_optimizer(descriptor).state_per_value:
        rows = sum(table.rows for table in tables if table.trainable)
        helps.append(f"use rowwise_adagrad_optimizer, which stores {format_bytes(4 * rows)}")
    if any(table.data_type != "FP16" for table in tables):
        half = sum(2 * table.rows * table.dim for table in tables)
        helps.append(f"set data_type: FP16, which makes {format_bytes(half)} of the tables")
    return f"{problem}. What helps: {'; '.join(helps)}"
