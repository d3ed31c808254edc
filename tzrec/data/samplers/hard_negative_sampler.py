"""HardNegativeSampler: see `ItemSampler`."""

from __future__ import annotations

from tzrec.data.samplers.base import Stage
from tzrec.data.samplers.item_sampler import ItemSampler
from tzrec.protos import sampler_pb2
from tzrec.protos.data_pb2 import DataConfig


class HardNegativeSampler(ItemSampler):
    """Sampler of negatives as those of NegativeSampler, and hard negatives from the edges of each row's user."""

    def __init__(self, config: sampler_pb2.HardNegativeSampler, data: DataConfig, stage: Stage) -> None:
        super().__init__(config, data, stage, config.item_input_path, hard_edges=config.hard_neg_edge_input_path)
