"""What variational dropout has learned about features, and the config that keeps the useful ones."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from tzrec.checkpoint.restore import restore
from tzrec.checkpoint.store import Checkpoint
from tzrec.config.selection import keep_features
from tzrec.errors import CheckpointError
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.models.base import RecModel
from tzrec.models.build import build_model
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.report.bars import bar_chart
from tzrec.report.page import page


@dataclass(frozen=True)
class Ranked:
    """One feature of one group, and how likely it is to be dropped."""

    group: str
    feature: str
    dropout_probability: float


def rank(config: EasyRecConfig, checkpoint: Checkpoint) -> list[Ranked]:
    """The features of all groups that have a choice, group after group; within one by rising probability.

    What the sequence_encoders of a group yield is ranked with its features.

    Args:
        config: has variational_dropout.
        checkpoint: of this config.

    Raises:
        CheckpointError: it holds no probabilities, or those of other groups.
    """
    features = FeatureEncoder.from_config(config.feature_configs, config.data_config).features
    ranker = build_model(config, features, torch.device("meta"))
    assert ranker.feature_dropout is not None
    state = ranker.feature_dropout.to_empty(device="cpu").state_dict()
    lines = restore(
        checkpoint.path / "model", {f"feature_dropout.{name}": each for name, each in state.items()}
    ).lines()
    if lines:
        text = "\n  ".join(lines)
        raise CheckpointError(f"{checkpoint.path} was trained without this variational_dropout:\n  {text}")
    return list(_ranked(ranker))


def _ranked(ranker: RecModel) -> Iterator[Ranked]:
    assert ranker.feature_dropout is not None
    embedding = ranker.embedding_group
    for group, row in ranker.feature_dropout.probabilities().items():
        listed, widths = [entry.feature for entry in embedding.layout.groups[group]], embedding.dims.features(group)
        names = listed + [f"sequence_encoders[{index}]" for index in range(len(widths) - len(listed))]
        parts = row.split(widths if len(row) > len(widths) else 1)  # one for each column, or for each feature
        found = [Ranked(group, name, part.mean().item()) for name, part in zip(names, parts, strict=True)]
        yield from sorted(found, key=lambda each: each.dropout_probability)


def select(config: EasyRecConfig, ranking: Sequence[Ranked], topk: int) -> EasyRecConfig:
    """The config with the first `topk` features of each ranked group."""
    listed = {group.group_name: group.feature_names for group in config.model_config.feature_groups}
    kept: dict[str, list[str]] = {each.group: [] for each in ranking}
    for each in ranking:
        if each.feature in listed[each.group] and len(kept[each.group]) < topk:
            kept[each.group].append(each.feature)
    return keep_features(config, kept)


def write_ranking(path: Path, ranking: Sequence[Ranked]) -> None:
    """As CSV with a head."""
    with path.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["group", "feature", "dropout_probability"])
        rows.writerows([each.group, each.feature, f"{each.dropout_probability:.6f}"] for each in ranking)


def draw_ranking(path: Path, ranking: Sequence[Ranked]) -> None:
    """As a page with a chart for each group."""
    groups: dict[str, dict[str, float]] = {}
    for each in ranking:
        groups.setdefault(f"group {each.group}", {})[each.feature] = each.dropout_probability
    charts = {heading: bar_chart(values) for heading, values in groups.items()}
    path.write_text(page("How likely features are to be dropped", charts))
