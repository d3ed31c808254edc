"""NegativeSampler: see `ItemSampler`."""

from __future__ import annotations

from tzrec.data.samplers.base import Stage
from tzrec.data.samplers.item_sampler import ItemSampler
from tzrec.protos import sampler_pb2
from tzrec.protos.data_pb2 import DataConfig


class NegativeSampler(ItemSampler):
    """Sampler of negatives by weight, none of them an item of the batch."""

    def __init__(self, config: sampler_pb2.NegativeSampler, data: DataConfig, stage: Stage) -> None:
        super().__init__(config, data, stage, config.input_path)
