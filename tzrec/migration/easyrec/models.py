"""model_config: models for ranking and for several tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tzrec.migration.easyrec.groups import ATTENTION_UNITS
from tzrec.migration.easyrec.layers import convert_layers
from tzrec.migration.easyrec.losses import convert_losses, convert_metrics
from tzrec.migration.easyrec.source import Rows, Source
from tzrec.protos.model_pb2 import ModelConfig


@dataclass(frozen=True)
class ModelContext:
    """Facts about the rest of the config that the conversion of models needs.

    Attributes:
        labels: data_config.label_fields.
        weights: data_config.sample_weight_fields.
        has_sampler: negatives are sampled.
    """

    labels: Sequence[str]
    weights: Sequence[str]
    has_sampler: bool


Convert = Callable[[Source, ModelConfig, ModelContext], None]


def convert_stacks(source: Source, target: Any, rows: Mapping[str, str]) -> None:
    """Convert stacks of layers that are set: name there -> name here."""
    for name, target_name in rows.items():
        dnn = source.message(name)
        if dnn is not None and any(width > 0 for width in dnn.numbers("hidden_units")):
            convert_layers(dnn, getattr(target, target_name))


def _wide_and_deep(model: Source, config: ModelConfig, context: ModelContext) -> None:
    _wide(model.child("wide_and_deep"), config.wide_and_deep)


def _deepfm(model: Source, config: ModelConfig, context: ModelContext) -> None:
    _wide(model.child("deepfm"), config.deepfm)


def _wide(source: Source, target: Any) -> None:
    target.SetInParent()
    convert_stacks(source, target, {"dnn": "deep", "final_dnn": "final"})
    source.copy(target, {"wide_output_dim": "wide_embedding_dim"})


def _multi_tower(model: Source, config: ModelConfig, context: ModelContext) -> None:
    source = model.child("multi_tower")
    source.note("towers", "EasyRec normalizes the input of each tower by a batch norm, which has no counterpart")
    block = "EasyRec's block has one linear layer after the attention, whose products it does not scale"
    source.note("bst_towers", f"are encoders of groups; {block}")
    target: Any = config.multi_tower_din if source.has("din_towers") else config.multi_tower
    target.SetInParent()
    for tower in source.messages("towers"):
        converted = target.towers.add(input=tower.text("input"))
        convert_stacks(tower, converted, {"dnn": "mlp"})
    for tower in source.messages("bst_towers"):
        target.towers.add(input=tower.text("input"))  # the group has the encoder
    for tower in source.messages("din_towers"):
        converted = target.din_towers.add(input=tower.text("input"))
        convert_layers(tower.message("dnn"), converted.attn_mlp, cut=1, default=ATTENTION_UNITS)
    convert_stacks(source, target, {"final_dnn": "final"})


def _dcn(model: Source, config: ModelConfig, context: ModelContext) -> None:
    source = model.child("dcn")
    target = config.dcn_v1
    cross, deep = source.message("cross_tower"), source.message("deep_tower")
    target.cross.cross_num = cross.integer("cross_num", 3) if cross is not None else 3
    for tower in (cross, deep):
        if tower is not None and tower.text("input") not in ("", config.feature_groups[0].group_name):
            tower.note("input", "the model reads the first group")
    if deep is not None:
        convert_stacks(deep, target, {"dnn": "deep"})
    convert_stacks(source, target, {"final_dnn": "final"})


def _dlrm(model: Source, config: ModelConfig, context: ModelContext) -> None:
    source = model.child("dlrm")
    convert_stacks(source, config.dlrm, {"bot_dnn": "dense_mlp", "top_dnn": "final"})
    config.dlrm.arch_with_sparse = True
    for name in ("arch_with_dense_feature", "arch_interaction_itself"):
        if source.flag(name):
            source.note(name, "has no counterpart")
    if source.text("arch_interaction_op", "dot") != "dot":
        source.note("arch_interaction_op", "vectors interact by dot products here")


def _autoint(model: Source, config: ModelConfig, context: ModelContext) -> None:
    rows: Rows = {
        "multi_head_num": ("head_num", 1),
        "multi_head_size": "head_dim",
        "interacting_layer_num": ("layer_num", 1),
    }
    model.child("autoint").copy(config.autoint.attention, rows)


_TASK_ROWS: Rows = {
    "tower_name": "tower_name",
    "label_name": "label_name",
    "num_class": "num_class",
    "weight": "weight",
    "task_space_indicator_label": "task_space_indicator_label",
    "in_task_space_weight": "in_task_space_weight",
    "out_task_space_weight": "out_task_space_weight",
}


def convert_task(source: Source, target: Any, index: int, context: ModelContext) -> None:
    """Convert the tower of a task; its label is the one at its place unless it names one."""
    source.copy(target, _TASK_ROWS)
    if not target.label_name and index < len(context.labels):
        target.label_name = context.labels[index]
    convert_stacks(source, target, {"dnn": "mlp"})
    if context.weights and source.flag("use_sample_weight", True):
        target.sample_weight_name = context.weights[0]
    convert_losses(source, target, target.num_class)
    convert_metrics(source, target)


def _tasks(source: Source, target: Any, context: ModelContext) -> list[tuple[Source, Any]]:
    pairs = [(tower, target.task_towers.add()) for tower in source.messages("task_towers")]
    for index, (tower, converted) in enumerate(pairs):
        convert_task(tower, converted, index, context)
    return pairs


def _mmoe(model: Source, config: ModelConfig, context: ModelContext) -> None:
    source = model.child("mmoe")
    target, experts = config.mmoe, source.messages("experts")
    if experts:
        convert_stacks(experts[0], target, {"dnn": "expert_mlp"})
        source.note("experts", "all experts have the layers of the first one")
    convert_stacks(source, target, {"expert_dnn": "expert_mlp"})
    target.num_expert = len(experts) or max(source.integer("num_expert"), 1)
    _tasks(source, target, context)


def _simple_multi_task(model: Source, config: ModelConfig, context: ModelContext) -> None:
    source = model.child("simple_multi_task")
    config.simple_multi_task.SetInParent()
    _tasks(source, config.simple_multi_task, context)


def _dbmtl(model: Source, config: ModelConfig, context: ModelContext) -> None:
    source = model.child("dbmtl")
    target = config.dbmtl
    convert_stacks(source, target, {"bottom_dnn": "bottom_mlp", "expert_dnn": "expert_mlp"})
    if target.HasField("expert_mlp"):
        target.num_expert = max(source.integer("num_expert"), 1)
    for tower, converted in _tasks(source, target, context):
        converted.relation_tower_names.extend(tower.texts("relation_tower_names"))
        convert_stacks(tower, converted, {"relation_dnn": "relation_mlp"})


def _ple(model: Source, config: ModelConfig, context: ModelContext) -> None:
    source = model.child("ple")
    target = config.ple
    for network in source.messages("extraction_networks"):
        level = target.extraction_networks.add()
        names = ("network_name", "expert_num_per_task", "share_num")
        network.copy(level, {name: name for name in names})
        convert_stacks(network, level, {name: name for name in ("task_expert_net", "share_expert_net")})
    _tasks(source, target, context)


def _esmm(model: Source, config: ModelConfig, context: ModelContext) -> None:
    source = model.child("esmm")
    source.note("groups", "the towers read the first group, without layers of each group")
    source.remark("losses are means over the rows here, EasyRec sums them")
    target = config.esmm
    for index, name in enumerate(("ctr_tower", "cvr_tower")):
        tower = source.message(name)
        if tower is not None:
            convert_task(tower, target.task_towers.add(), index, context)


def _rocket_launching(model: Source, config: ModelConfig, context: ModelContext) -> None:
    source = model.child("rocket_launching")
    target = config.rocket_launching
    convert_stacks(source, target, {f"{name}_dnn": f"{name}_mlp" for name in ("share", "booster", "light")})
    names = ("feature_based_distillation", "feature_distillation_function")
    source.copy(target, {name: name for name in names})


RANKING: Mapping[str, Convert] = {
    "WideAndDeep": _wide_and_deep,
    "DeepFM": _deepfm,
    "MultiTower": _multi_tower,
    "MultiTowerDIN": _multi_tower,
    "MultiTowerBST": _multi_tower,
    "DCN": _dcn,
    "DLRM": _dlrm,
    "AutoInt": _autoint,
    "MMoE": _mmoe,
    "ESMM": _esmm,
    "DBMTL": _dbmtl,
    "SimpleMultiTask": _simple_multi_task,
    "PLE": _ple,
    "RocketLaunching": _rocket_launching,
}
"""Function by model_class."""
