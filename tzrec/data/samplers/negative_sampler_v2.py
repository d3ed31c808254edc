"""NegativeSamplerV2: see `ItemSampler`."""

from __future__ import annotations

from tzrec.data.samplers.base import Stage
from tzrec.data.samplers.item_sampler import ItemSampler
from tzrec.protos import sampler_pb2
from tzrec.protos.data_pb2 import DataConfig


class NegativeSamplerV2(ItemSampler):
    """Sampler of negatives by weight among the targets of positive edges.

    Neither the items of the batch are drawn, nor those to which the positive edges of its users lead.
    """

    def __init__(self, config: sampler_pb2.NegativeSamplerV2, data: DataConfig, stage: Stage) -> None:
        super().__init__(config, data, stage, config.item_input_path, edges=config.pos_edge_input_path)
