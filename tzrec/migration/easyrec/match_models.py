"""model_config: models of two towers.

The last hidden unit of a tower is a linear layer there; here it is `output_dim`, after the layers of the tower.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tzrec.migration.easyrec.layers import convert_layers
from tzrec.migration.easyrec.models import Convert, ModelContext
from tzrec.migration.easyrec.source import Rows, Source
from tzrec.protos.model_pb2 import SEQUENCE, ModelConfig

_USER, _ITEM, _HISTORY = "user", "item", "hist"
"""Names of the groups that the towers of EasyRec read."""


def _settings(source: Source, target: Any, context: ModelContext, always_cosine: bool = False) -> None:
    """Convert similarity and temperature, and choose the negatives."""
    source.copy(target, {"simi_func": ("similarity", "COSINE")} if not always_cosine else {})
    if always_cosine:
        source.text("simi_func")
        target.similarity = "COSINE"
    source.copy(target, {"temperature": "temperature"})
    if not context.has_sampler:
        target.in_batch_negative = True
    if source.flag("scale_simi", True) and source.has("scale_simi"):
        source.note("scale_simi", "the similarity has no learned scale here; set temperature")
    source.note("item_id", "names a column only; the sampler's item_id_field does so here")
    source.note("ignore_in_batch_neg_sam", "with a sampler only its rows are negatives here")


def _tower(source: Source, target: Any, group: str) -> int:
    """Convert a tower on a group; return the width of its output."""
    target.input = group
    source.note("id", f'names a column only; the tower reads the group "{group}"')
    return convert_layers(source.message("dnn"), target.mlp, cut=1)


def _set_output(source: Source, target: Any, widths: tuple[int, int]) -> None:
    if widths[0] != widths[1]:
        source.remark(f"the towers end with widths {widths[0]} and {widths[1]}; the first one is output_dim of both")
    target.output_dim = widths[0]


def _dssm(model: Source, config: ModelConfig, context: ModelContext) -> None:
    source, target = model.child("dssm"), config.dssm
    users = _tower(source.child("user_tower"), target.user_tower, _USER)
    items = _tower(source.child("item_tower"), target.item_tower, _ITEM)
    _set_output(source, target, (users, items))
    _settings(source, target, context)


def _dat(model: Source, config: ModelConfig, context: ModelContext) -> None:
    source, target = model.child("dat"), config.dat
    towers = [(source.child("user_tower"), target.user_tower, _USER)]
    towers.append((source.child("item_tower"), target.item_tower, _ITEM))
    widths = [_tower(*tower) for tower in towers]
    for _, tower, group in towers:
        tower.augment_input = f"{group}_id_augment"
    _set_output(source, target, (widths[0], widths[1]))
    _settings(source, target, context, always_cosine=True)
    source.copy(target, {"amm_u_weight": "amm_u_weight", "amm_i_weight": "amm_i_weight"})


_CAPSULE_NAMES = ("max_k", "max_seq_len", "high_dim", "num_iters", "routing_logits_scale", "routing_logits_stddev")
_CAPSULE: Rows = {name: name for name in (*_CAPSULE_NAMES, "squash_pow", "const_caps_num", "routing_init_method")}


def _mind(model: Source, config: ModelConfig, context: ModelContext) -> None:
    source, target = model.child("mind"), config.mind
    source.remark("EasyRec normalizes the group user by a batch norm first, which has no counterpart")
    user = target.user_tower
    user.input, user.history_input = _USER, _HISTORY
    for group in config.feature_groups:
        if group.group_name == _HISTORY:
            group.group_type = SEQUENCE
    if source.has("pre_capsule_dnn"):
        convert_layers(source.message("pre_capsule_dnn"), user.hist_seq_mlp)
    convert_layers(source.message("user_dnn"), user.user_mlp)
    users = convert_layers(source.message("concat_dnn"), user.concat_mlp, cut=1)
    target.item_tower.input = _ITEM
    items = convert_layers(source.message("item_dnn"), target.item_tower.mlp, cut=1)
    source.child("capsule_config").copy(user.capsule_config, _CAPSULE)
    source.child("capsule_config").note("scale_ratio", "has no counterpart")
    source.copy(target, {"simi_pow": ("simi_pow", 10.0)})
    _set_output(source, target, (users, items))
    _settings(source, target, context)
    combine = source.text("user_seq_combine", "SUM")
    if combine == "SUM":
        source.note("user_seq_combine", "sequences are concatenated here")
    source.note("time_id_fea", "has no counterpart")


MATCHING: Mapping[str, Convert] = {"DSSM": _dssm, "DAT": _dat, "MIND": _mind}
"""Function by model_class."""
