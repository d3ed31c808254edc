"""Feature selection by variational dropout: rank features by learned dropout probability and keep the best."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from tzrec.checkpoint import store
from tzrec.checkpoint.restore import restore
from tzrec.checkpoint.store import Checkpoint
from tzrec.config.selection import keep_features
from tzrec.data.atomic import write_text
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.models.base import RecModel
from tzrec.models.build import build_model
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.report.bars import bar_chart
from tzrec.report.page import page
from tzrec.storage.path import AnyPath, to_path


@dataclass(frozen=True)
class RankedFeature:
    """Dropout probability of a feature in a group."""

    group: str
    feature: str
    dropout_probability: float


@dataclass(frozen=True)
class FeatureSelection:
    """Result of a feature selection.

    Attributes:
        ranking: features group by group, within a group by rising dropout probability.
        config: config with the features that were kept.
    """

    ranking: Sequence[RankedFeature]
    config: EasyRecConfig


def select_features(
    config: EasyRecConfig, checkpoint_path: str | None = None, topk: int = 100, clear_variational_dropout: bool = False
) -> FeatureSelection:
    """Rank the features of a model trained with variational_dropout and keep the first `topk` of each group.

    Args:
        config: config of the trained model.
        checkpoint_path: a checkpoint, or a model directory for its newest valid checkpoint. Default: `model_dir`.
        topk: features to keep in each group.
        clear_variational_dropout: remove variational_dropout from the new config.

    Raises:
        CheckpointError: there is no checkpoint, or it was trained without this variational_dropout.
    """
    ranking = rank_features(config, store.find(to_path(checkpoint_path or config.model_dir)))
    selected = keep_ranked(config, ranking, topk)
    if clear_variational_dropout:
        selected.model_config.ClearField("variational_dropout")
    return FeatureSelection(ranking, selected)


def rank_features(config: EasyRecConfig, checkpoint: Checkpoint) -> list[RankedFeature]:
    """Rank the features of all groups with variational dropout; outputs of sequence_encoders are ranked as well.

    Raises:
        CheckpointError: the checkpoint has no dropout probabilities, or those of other groups.
    """
    features = FeatureEncoder.from_config(config.feature_configs, config.data_config).features
    rec_model = build_model(config, features, torch.device("meta"))
    assert rec_model.feature_dropout is not None
    state = rec_model.feature_dropout.to_empty(device="cpu").state_dict()
    tensors = {f"feature_dropout.{name}": tensor for name, tensor in state.items()}
    message = f"{checkpoint.path} was trained without this variational_dropout"
    restore(checkpoint.path / "model", tensors).ensure_complete(message)
    return list(_ranking(rec_model))


def _ranking(rec_model: RecModel) -> Iterator[RankedFeature]:
    assert rec_model.feature_dropout is not None
    embedding = rec_model.embedding_group
    for group, row in rec_model.feature_dropout.probabilities().items():
        layout = next(layout for layout in embedding.layouts.values() if group in layout.groups)
        entries, widths = [entry.feature for entry in layout.groups[group]], embedding.dims.features(group)
        names = entries + [f"sequence_encoders[{index}]" for index in range(len(widths) - len(entries))]
        parts = row.split(widths if len(row) > len(widths) else 1)  # one for each column, or for each feature
        ranked = [RankedFeature(group, name, part.mean().item()) for name, part in zip(names, parts, strict=True)]
        yield from sorted(ranked, key=lambda feature: feature.dropout_probability)


def keep_ranked(config: EasyRecConfig, ranking: Sequence[RankedFeature], topk: int) -> EasyRecConfig:
    """Copy a config with only the first `topk` features of each ranked group."""
    names_by_group = {group.group_name: group.feature_names for group in config.model_config.feature_groups}
    kept: dict[str, list[str]] = {ranked.group: [] for ranked in ranking}
    for ranked in ranking:
        if ranked.feature in names_by_group[ranked.group] and len(kept[ranked.group]) < topk:
            kept[ranked.group].append(ranked.feature)
    return keep_features(config, kept)


def write_ranking(path: AnyPath, ranking: Sequence[RankedFeature]) -> None:
    """Write a ranking as CSV with a header."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(["group", "feature", "dropout_probability"])
    writer.writerows([ranked.group, ranked.feature, f"{ranked.dropout_probability:.6f}"] for ranked in ranking)
    write_text(path, stream.getvalue())


def draw_ranking(path: AnyPath, ranking: Sequence[RankedFeature]) -> None:
    """Write a ranking as an HTML report with a chart for each group."""
    groups: dict[str, dict[str, float]] = {}
    for ranked in ranking:
        groups.setdefault(f"group {ranked.group}", {})[ranked.feature] = ranked.dropout_probability
    charts = {heading: bar_chart(values) for heading, values in groups.items()}
    write_text(path, page("Dropout probability of features", charts))
