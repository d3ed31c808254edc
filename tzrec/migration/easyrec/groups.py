"""feature_groups with their sequences."""

from __future__ import annotations

from collections.abc import Sequence

from tzrec.migration.easyrec.data import expand_names
from tzrec.migration.easyrec.layers import convert_layers
from tzrec.migration.easyrec.source import Source
from tzrec.protos.model_pb2 import DEEP, SEQUENCE, WIDE, FeatureGroupConfig, ModelConfig

ATTENTION_UNITS = (128, 64, 32, 1)
"""Layers of an attention that has none of its own."""


def convert_groups(model: Source, target: ModelConfig, dense_names: Sequence[str]) -> None:
    """Convert the groups of features, and the sequences beside them.

    Args:
        model: model_config.
        target: receives the groups.
        dense_names: features that are numbers, which cannot be in a WIDE group.
    """
    for source in model.messages("feature_groups"):
        _convert_group(source, target, dense_names)
    deep = [group for group in target.feature_groups if group.group_type == DEEP]
    towers = {tower.text("input"): tower for tower in model.child("multi_tower").messages("bst_towers")}
    for index, source in enumerate(model.messages("seq_att_groups")):
        if source.text("group_name") in towers:
            _convert_transformer(source, towers[source.text("group_name")], target)
            continue
        if deep and not model.child("multi_tower").has("din_towers"):
            source.remark(f'is attended by an encoder of the group "{deep[0].group_name}"')
            _convert_sequence(source, deep[0], index)
            continue
        group = target.feature_groups.add(group_name=source.text("group_name"), group_type=SEQUENCE)
        group.feature_names.extend(_attended(source))


def _convert_group(source: Source, target: ModelConfig, dense_names: Sequence[str]) -> None:
    kind = source.text("wide_deep", "DEEP")
    names = list(expand_names(source.texts("feature_names")))
    is_wide = kind == "WIDE"
    group = target.feature_groups.add(group_name=source.text("group_name"), group_type=WIDE if is_wide else DEEP)
    group.feature_names.extend(names)
    if kind != "DEEP":
        wide = group if is_wide else target.feature_groups.add(group_name=f"{group.group_name}_wide", group_type=WIDE)
        dense = [name for name in names if name in dense_names]
        del wide.feature_names[:]
        wide.feature_names.extend(name for name in names if name not in dense_names)
        if dense:
            source.note("feature_names", f"a WIDE group has no numbers, which are left out: {', '.join(dense)}")
    source.note("negative_sampler", "groups have no mark of a sampler: its attr_fields decide")
    for index, sequence in enumerate(source.messages("sequence_features")):
        _convert_sequence(sequence, group, index)


def _attended(source: Source) -> list[str]:
    """List keys, histories and further histories of a sequence."""
    maps = source.messages("seq_att_map")
    for entry in maps:
        entry.note("aux_hist_seq", "takes part in the score here; EasyRec computes the score without it")
    return list(
        dict.fromkeys(
            name
            for field in ("key", "hist_seq", "aux_hist_seq")
            for entry in maps
            for name in expand_names(entry.texts(field))
        )
    )


def _convert_transformer(source: Source, tower: Source, target: ModelConfig) -> None:
    """Convert a sequence with a transformer to a group of its own."""
    name = tower.text("input")
    group = target.feature_groups.add(group_name=name, group_type=DEEP)
    group.sequence_groups.add(group_name=name).feature_names.extend(_attended(source))
    encoder = group.sequence_encoders.add().bst_encoder
    encoder.input, encoder.target_item_position = name, "tail"
    encoder.num_attention_heads = tower.integer("multi_head_size", 4)
    encoder.max_position_embeddings = tower.integer("seq_len", 5)  # the candidate is one of them
    encoder.use_position_embeddings = encoder.normalize_tokens = False
    encoder.hidden_act = "nn.ReLU"
    encoder.hidden_dropout_prob = encoder.attention_probs_dropout_prob = 0.0


def _convert_sequence(source: Source, group: FeatureGroupConfig, index: int) -> None:
    """Convert a sequence with target attention."""
    sequence = group.sequence_groups.add(group_name=source.text("group_name", f"seq_{index}"))
    sequence.feature_names.extend(_attended(source))
    encoder = group.sequence_encoders.add().din_encoder
    encoder.input = sequence.group_name
    convert_layers(source.message("seq_dnn"), encoder.attn_mlp, cut=1, default=ATTENTION_UNITS)
    if source.flag("need_key_feature", True):
        keys = [name for entry in source.messages("seq_att_map") for name in expand_names(entry.texts("key"))]
        group.feature_names.extend(name for name in keys if name not in group.feature_names)
    if source.flag("allow_key_transform"):
        source.note("allow_key_transform", "keys of another width are padded with zeros here, not transformed")
