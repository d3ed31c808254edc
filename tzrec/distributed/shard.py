"""A model on all ranks: tables in pieces by plan, the rest replicated with averaged gradients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torchrec import EmbeddingBagCollection, KeyedJaggedTensor, KeyedTensor, PoolingType
from torchrec.distributed.embeddingbag import EmbeddingBagCollectionSharder, ShardedEmbeddingBagCollection
from torchrec.distributed.model_parallel import DistributedModelParallel
from torchrec.distributed.types import ParameterSharding, ShardingEnv

from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.tables.gloo import gather_uneven
from tzrec.tables.initialization import init_table
from tzrec.tables.lookup_kernel import SHARDED, lookup_kernels
from tzrec.tables.plan_summary import SavedPlan
from tzrec.tables.sharded_sequences import SequenceSharder, alone
from tzrec.tables.sharding_plan import TYPES, Collection, collections, configs, make_plan
from tzrec.tables.sparse_optimizer import frozen_params, fused_params


class LocalBags(ShardedEmbeddingBagCollection):
    """A sharded collection on the only rank: the kernels without the exchange of ids and vectors around them."""

    _has_uninitialized_input_dist: bool

    def forward(self, features: KeyedJaggedTensor) -> KeyedTensor:  # type: ignore[override]
        if self._has_uninitialized_input_dist:
            self._create_input_dist(features.keys())
            self._has_uninitialized_input_dist = False
        if self._has_features_permute:
            features = features.permute(self._features_order, self._features_order_tensor)
        values = self._lookups[0](features)  # (B, sum of widths)
        return KeyedTensor(self._embedding_names, self._embedding_dims, values)


class BagSharder(EmbeddingBagCollectionSharder):
    """torchrec's sharder of bags, which also offers row-wise bags and plain kernels on CPU."""

    def sharding_types(self, compute_device_type: str) -> list[str]:
        return list(TYPES) if compute_device_type == "cpu" else super().sharding_types(compute_device_type)

    def shard(
        self,
        module: EmbeddingBagCollection,
        params: dict[str, ParameterSharding],
        env: ShardingEnv,
        device: torch.device | None = None,
        module_fqn: str | None = None,
    ) -> ShardedEmbeddingBagCollection:
        kind = LocalBags if alone(params, env) else ShardedEmbeddingBagCollection
        made = kind(module, params, env, fused_params=self.fused_params, device=device, module_fqn=module_fqn)
        # torchrec divides the sums of row-wise mean-pooled tables afterwards, and by mistake those of all tables that
        # are not row-wise too, unless it takes them for row-wise sums
        others = [each for each in module.embedding_bag_configs() if params[each.name].sharding_type != "row_wise"]
        made._pooling_type_to_rs_features[PoolingType.SUM.value] += [f for each in others for f in each.feature_names]
        return made


def shard(
    model: nn.Module, config: EasyRecConfig, device: torch.device, saved: SavedPlan | None = None
) -> DistributedModelParallel:
    """Spread a model over the ranks of the process group.

    The tables get their first values here, whatever they held before; they depend on `train_config.seed` and the
    tables' names alone. Dense parameters keep theirs. With several ranks call the result, not what is in it: the
    wrapper averages gradients.

    Args:
        model: holds an EmbeddingGroup, best made on the `meta` device.
        config: for the sparse optimizer, the seed and the constraints of the planner.
        device: of this rank.
        saved: the plan of a checkpoint, kept to where it fits.

    Raises:
        ConfigError: see `make_plan`.
    """
    train = config.train_config
    fused = fused_params(train.sparse_optimizer)
    sharders = [BagSharder(fused_params=fused), SequenceSharder(fused_params=fused)]
    plan = make_plan(model, train, device, sharders, saved)
    for collection in collections(model):
        _prepare(collection)
    wrap = torch.distributed.get_world_size() > 1
    gather_uneven()
    sharded = DistributedModelParallel(model, device=device, plan=plan, sharders=sharders, init_data_parallel=wrap)
    fill_tables(sharded.module, train.seed)
    for kernel in lookup_kernels(sharded.module):
        for table, _ in kernel.pieces:
            planned = plan.plan[kernel.path][table.name].compute_kernel  # type: ignore[index]
            assert planned == table.compute_kernel.value == kernel.module.config.compute_kernel.value
    return sharded


def _prepare(collection: Collection) -> None:
    """Spare torchrec the first values, which it would make per shard; give frozen tables kernels of their own."""
    for config in configs(collection.module):
        config.init_fn = _keep
    for bag in collection.bags:
        if not bag.table.trainable:
            weight: Any = collection.weight(bag.table.name)
            weight._optimizer_classes, weight._optimizer_kwargs = [None], [frozen_params()]


def _keep(weight: Tensor) -> Tensor:
    return weight


def fill_tables(model: nn.Module, seed: int) -> None:
    """Write the first values of all tables into the pieces this rank holds."""
    for kernel in lookup_kernels(model):
        for table, weight in kernel.pieces:
            row, column = table.local_metadata.shard_offsets if table.local_metadata else (0, 0)
            init_table(weight, kernel.tables[table.name].table, seed, row, column)


def dense_parameters(model: DistributedModelParallel) -> Iterator[tuple[str, nn.Parameter]]:
    """Parameters that are not tables, by name: what the dense optimizer moves."""
    # by collection, not by kernel: a rank may hold no table of a collection, and then has empty parameters for all
    tables = [path for path, module in model.module.named_modules() if isinstance(module, SHARDED)]
    for name, parameter in model.named_parameters():
        if not any(name.startswith(f"{path}.") for path in tables):
            yield name, parameter
