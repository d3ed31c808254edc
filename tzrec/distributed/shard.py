"""Sharded model: tables placed on the ranks by plan, dense parameters replicated with averaged gradients."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torchrec.distributed.model_parallel import DistributedModelParallel
from torchrec.distributed.planner.types import PlannerError

from tzrec.errors import ConfigError, Problem, first_line
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.tables.capacity_advice import capacity_advice
from tzrec.tables.cluster import Cluster
from tzrec.tables.gloo import allow_uneven_gather
from tzrec.tables.initialization import init_table
from tzrec.tables.lookup_kernel import SHARDED, lookup_kernels
from tzrec.tables.plan_summary import SavedPlan
from tzrec.tables.sharders import make_sharders
from tzrec.tables.sharding_plan import Collection, collections, configs, plan_sharding
from tzrec.tables.sparse_optimizer import frozen_params
from tzrec.torchrec_adapter import forget_earlier_runs, set_fused_params


def shard(
    model: nn.Module, config: EasyRecConfig, device: torch.device, saved: SavedPlan | None = None
) -> DistributedModelParallel:
    """Distribute a model over the ranks of the process group.

    The tables are initialized here, whatever values they held before; the values depend on `train_config.seed` and the
    tables' names alone. Dense parameters keep their values. With several ranks call the result and not the module in
    it: the wrapper averages gradients.

    Args:
        model: holds a TableOwner, best built on the `meta` device.
        config: for the sparse optimizer, the seed and the constraints of the planner.
        device: of this rank.
        saved: the plan of a checkpoint, followed where the config allows it.

    Raises:
        ConfigError: see `plan_sharding`; or with CUDA, the tables do not fit into the memory of the ranks.
    """
    train = config.train_config
    sharders = make_sharders(train.sparse_optimizer)
    cluster = Cluster.current(device, config.data_config.batch_size)
    try:
        plan = plan_sharding(model, train, cluster, sharders, saved)
    except PlannerError as error:
        reason = f"{capacity_advice(model, train, cluster, other=0)}. torchrec: {first_line(error)}"
        raise ConfigError([Problem("", f"the tables do not fit: {reason}")]) from error
    for collection in collections(model):
        _prepare(collection)
    wrap = torch.distributed.get_world_size() > 1
    allow_uneven_gather()
    forget_earlier_runs()
    sharded = DistributedModelParallel(model, device=device, plan=plan, sharders=sharders, init_data_parallel=wrap)
    init_tables(sharded.module, train.seed)
    for kernel in lookup_kernels(sharded.module):
        for table, _ in kernel.shards:
            planned = plan.plan[kernel.path][table.name].compute_kernel  # type: ignore[index]
            assert planned == table.compute_kernel.value == kernel.module.config.compute_kernel.value
    return sharded


def _prepare(collection: Collection) -> None:
    """Skip torchrec's per-shard initialization and give frozen tables a kernel with learning rate 0."""
    for config in configs(collection.module):
        config.init_fn = _identity
    for shared in collection.tables:
        if not shared.table.trainable:
            set_fused_params(collection.weight(shared.table.name), frozen_params())


def _identity(weight: Tensor) -> Tensor:
    return weight


def init_tables(model: nn.Module, seed: int) -> None:
    """Initialize the shards of all tables that this rank holds."""
    for kernel in lookup_kernels(model):
        for table, weight in kernel.shards:
            row, column = table.local_metadata.shard_offsets if table.local_metadata else (0, 0)
            init_table(weight, kernel.tables[table.name].table, seed, row, column)


def dense_parameters(model: DistributedModelParallel) -> Iterator[tuple[str, nn.Parameter]]:
    """Parameters that are not tables, by name: those of the dense optimizer."""
    # by collection, not by kernel: a rank may hold no table of a collection, and then has empty parameters for all
    collection_paths = [path for path, module in model.module.named_modules() if isinstance(module, SHARDED)]
    for name, parameter in model.named_parameters():
        if not any(name.startswith(f"{path}.") for path in collection_paths):
            yield name, parameter
