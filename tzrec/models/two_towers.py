"""TwoTowers: base class of the models that compare a vector of the user with vectors of items."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tzrec.config.kwargs import kwargs
from tzrec.config.match_towers import TOWERS, groups_of
from tzrec.data.batch import Batch
from tzrec.embedding.group import Dims
from tzrec.heads.heads import Heads
from tzrec.models.base import GatherTensors, Grouped, Model, ModelOutput, ModelPart
from tzrec.modules.candidates import ABSENT, Candidates
from tzrec.modules.item_frequency import ItemFrequency
from tzrec.modules.match_tower import MatchTower
from tzrec.protos.model_pb2 import ModelConfig
from tzrec.protos.models import match_model_pb2 as pb
from tzrec.protos.simi_pb2 import COSINE

USER, ITEM = "user_tower_emb", "item_tower_emb"
"""Names of the vectors of the towers."""
_MIN_FREQUENCY = 1e-9


class TwoTowers(Model):
    """A user tower and an item tower; the logits are the scores of candidate items.

    The negatives of a row are sampled items, with `in_batch_negative` also the items of the other rows. Each tower is
    exported as a package of its own, `user` and `item`.

    Attributes:
        shares_tables: True if both towers read the tables of one EmbeddingGroup.
        frequency: estimate of the frequency of items; None without streaming_frequency.
    """

    part_names = ("user", "item")
    shares_tables: ClassVar[bool] = False

    @classmethod
    def tower_groups(cls, config: Any) -> Mapping[str, Sequence[str]]:
        return {} if cls.shares_tables else {tower: groups_of(config, tower) for tower in TOWERS}

    def build(self, config: Any, dims: Dims, heads: Heads) -> None:
        self.user_groups, self.item_groups = (groups_of(config, tower) for tower in TOWERS)
        self.user_tower = self.build_user_tower(config, dims)
        self.item_tower = self.build_tower(config, dims, config.item_tower, self.item_groups)
        self._is_in_batch, self._temperature = config.in_batch_negative, config.temperature
        self._correction: pb.CandidateCorrection = config.candidate_correction
        has_frequency = self._correction.HasField("streaming_frequency")
        self.frequency = ItemFrequency(**kwargs(self._correction.streaming_frequency)) if has_frequency else None

    def build_user_tower(self, config: Any, dims: Dims) -> nn.Module:
        """Build the user tower."""
        return self.build_tower(config, dims, config.user_tower, self.user_groups)

    @staticmethod
    def build_tower(config: Any, dims: Dims, tower: Any, groups: Sequence[str]) -> MatchTower:
        """Build a tower on the concatenation of groups."""
        mlp = kwargs(tower.mlp) if tower.HasField("mlp") else None
        return MatchTower(sum(dims[name] for name in groups), mlp, config.output_dim, config.similarity == COSINE)

    def forward(self, grouped: Grouped) -> ModelOutput:
        return ModelOutput({}, embeddings=self.user_vectors(grouped) | self.item_vectors(grouped))

    def user_vectors(self, grouped: Grouped) -> dict[str, Tensor]:
        """Compute the vectors of users that are exported, `(B, D)` or `(B, K, D)`, by the name of the output."""
        return {USER: self.user_tower(concatenated(grouped, self.user_groups))}

    def item_vectors(self, grouped: Grouped) -> dict[str, Tensor]:
        """Compute the vectors of items, `(R, D)`, by the name of the output."""
        return {ITEM: self.item_tower(concatenated(grouped, self.item_groups))}

    def parts(self, config: ModelConfig) -> Mapping[str, ModelPart]:
        groups = {group.group_name: group for group in config.feature_groups}
        user, item = TowerPart(self.user_tower, self.user_vectors), TowerPart(self.item_tower, self.item_vectors)
        return {
            "user": ModelPart([groups[name] for name in self.user_groups], user),
            "item": ModelPart([groups[name] for name in self.item_groups], item),
        }

    def select_rows(self, grouped: Grouped, batch: Batch) -> Grouped:
        """Cut the groups of the user to the rows of the samples: with force_base_data_group they have R rows."""
        if batch.negatives is None:
            return grouped
        num_queries = len(batch.negatives.positive_ids)
        names = {f"{name}{suffix}" for name in self.user_groups for suffix in _SUFFIXES}
        return {name: rows[:num_queries] if name in names else rows for name, rows in grouped.items()}

    def score(self, output: ModelOutput, batch: Batch) -> ModelOutput:
        """Compute the logits `(B, C)`: scores of the candidates of each row, divided by the temperature."""
        user, items = output.embeddings[USER], output.embeddings[ITEM]
        hard_index = batch.negatives.hard_index if batch.negatives is not None and batch.negatives.num_hard else None
        candidates = Candidates(user.shape[0], self._is_in_batch, hard_index)
        with torch.autocast(user.device.type, enabled=False):  # in half precision, close scores would become equal
            scores = candidates.scores(user / self._temperature, items)
        if self._correction.mask_positive_items:
            scores = scores.masked_fill(candidates.equal_positive(self._item_ids(batch)), ABSENT)
        output = output._replace(logits={"": scores}, embeddings={})
        if not (self.training and self._is_corrected):
            return output
        log_expected = candidates.spread(self._log_expected(batch, items))
        return output._replace(loss_logits={"": scores - log_expected})

    @property
    def _is_corrected(self) -> bool:
        correction = self._correction
        return self.frequency is not None or correction.correct_sampled or bool(correction.frequency_feature)

    def _log_expected(self, batch: Batch, items: Tensor) -> Tensor:
        """Log of the expected number of times that the item of each row is among the candidates, `(R,)`."""
        log_expected, negatives = torch.zeros(len(items), device=items.device), batch.negatives
        num_queries = len(items) - (0 if negatives is None else negatives.num_sampled + negatives.num_hard)
        if self.frequency is not None:
            log_expected[:num_queries] = self.frequency.log_probability(self._item_ids(batch)[:num_queries])
        elif self._correction.frequency_feature:
            values = _numbers(batch, self._correction.frequency_feature)[:num_queries]
            log_expected[:num_queries] = values.clamp(min=_MIN_FREQUENCY).log()
        if self._correction.correct_sampled and negatives is not None and negatives.num_sampled:
            sampled = negatives.log_probability + math.log(negatives.num_sampled)
            log_expected[num_queries : num_queries + negatives.num_sampled] = sampled
        return log_expected

    def _item_ids(self, batch: Batch) -> Tensor:
        """Ids of the item rows `(R,)`: those of the sampler if there is one, else of the feature."""
        if batch.negatives is not None:
            return torch.cat([batch.negatives.positive_ids, batch.negatives.sampled_ids])
        return batch.first_ids(self._correction.item_id_feature)

    def after_step(self, batch: Batch, gather: GatherTensors) -> None:
        if self.frequency is None:
            return
        ids = self._item_ids(batch)[: batch.rows]
        all_ids = torch.cat([tensors["ids"] for tensors in gather({"ids": ids})])
        self.frequency.observe(all_ids.to(ids.device))


_SUFFIXES = ("", ".query", ".sequence", ".sequence_length", ".rows", ".positions")
"""Endings of the keys of a group, see `EmbeddingGroup.forward`."""


class TowerPart(nn.Module):
    """Exported function of one tower.

    Args:
        tower: its module.
        vectors: function from the groups of the tower to its vectors by the name of the output.
    """

    def __init__(self, tower: nn.Module, vectors: Callable[[Grouped], dict[str, Tensor]]) -> None:
        super().__init__()
        self.tower, self._vectors = tower, vectors

    def forward(self, grouped: Grouped) -> dict[str, Tensor]:
        return self._vectors(grouped)


def concatenated(grouped: Grouped, groups: Sequence[str]) -> Tensor:
    """Concatenate groups, `(B, sum of widths)`."""
    return grouped[groups[0]] if len(groups) == 1 else torch.cat([grouped[name] for name in groups], 1)


def _numbers(batch: Batch, feature: str) -> Tensor:
    """Values of a dense feature of one number, `(R,)`."""
    return next(tensor[feature] for tensor in batch.dense.values() if feature in tensor.keys()).squeeze(1)  # noqa: SIM118
