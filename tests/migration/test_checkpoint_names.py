"""Weights of every model under the names of TorchEasyRec: our logits equal those of a naive model with its names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from google.protobuf import text_format
from torch import nn

from tests.fixtures.padded_sequences import from_padded
from tests.migration import original_models as original
from tests.migration.conftest import save_original
from tzrec.errors import ConfigError
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.migration.import_checkpoint import load_original
from tzrec.models.base import RecModel
from tzrec.models.build import build_model
from tzrec.models.two_towers import TwoTowers
from tzrec.protos.pipeline_pb2 import EasyRecConfig

TASK = "losses { binary_cross_entropy {} }"
TOWERS = (
    'task_towers { tower_name: "ctr" label_name: "clk" mlp { hidden_units: 3 } losses { binary_cross_entropy {} } }'
    'task_towers { tower_name: "cvr" label_name: "buy" losses { binary_cross_entropy {} } }'
)
MASK_NET = "n_mask_blocks: 2 mask_block { hidden_dim: 5 } top_mlp { hidden_units: 4 }"
TOWERS_OF_TWO = (
    'user_tower { input: "user" mlp { hidden_units: 5 } } item_tower { input: "item" mlp { hidden_units: 5 } } '
    "output_dim: 4 similarity: COSINE in_batch_negative: true"
)
BOTTOM = "bottom_mlp { hidden_units: 6 } expert_mlp { hidden_units: [5, 4] } num_expert: 3"
NET = (
    "extraction_networks { network_name: '%s' expert_num_per_task: 2 share_num: 1 task_expert_net { hidden_units: 4 } }"
)

# widths of features by group, and the model of each twin
DEEP = {"deep": [4, 4]}
WIDE = {"wide": [4], "deep": [4, 4]}
SPARSE = {"dense": [3], "sparse": [4, 4]}
SEQUENCE = {"deep": [4, 4], "seq": [3, 4]}  # "seq" has a query of width 3, and elements of width 4
CASES: list[tuple[type[nn.Module], Mapping[str, list[int]], str]] = [
    (
        original.WideAndDeep,
        WIDE,
        'wide_and_deep { deep { hidden_units: [5, 4] activation: "Dice" } final { hidden_units: 3 use_bn: true } }',
    ),
    (original.DeepFM, WIDE, "deepfm { deep { hidden_units: [5, 4] use_ln: true } }"),
    (
        original.MultiTower,
        {"small": [4], "deep": [4, 4]},
        'multi_tower { towers { input: "deep" mlp { hidden_units: [5, 4] use_bn: true activation: "nn.PReLU" } } '
        'towers { input: "small" mlp { hidden_units: 3 activation: "nn.PReLU" } } final { hidden_units: 4 } }',
    ),
    (original.DLRM, SPARSE, "dlrm { dense_mlp { hidden_units: [5, 4] } final { hidden_units: 4 } }"),
    (
        original.WuKong,
        SPARSE,
        "wukong { dense_mlp { hidden_units: 4 } wukong_layers { lcb_feature_num: 1 fmb_feature_num: 3 "
        "compressed_feature_num: 2 feature_num_mlp { hidden_units: 5 } } final { hidden_units: 4 } }",
    ),
    (original.DCNV1, DEEP, "dcn_v1 { cross { cross_num: 2 } deep { hidden_units: 5 } final { hidden_units: 4 } }"),
    (
        original.DCNV2,
        DEEP,
        "dcn_v2 { backbone { hidden_units: 6 } cross { cross_num: 2 low_rank: 3 } deep { hidden_units: 5 } "
        "final { hidden_units: 4 } }",
    ),
    (
        original.XDeepFM,
        {"wide": [2, 2], "deep": [4, 4]},
        "xdeepfm { cin { cin_layer_size: [3, 2] } deep { hidden_units: 5 } final { hidden_units: 4 } "
        "wide_embedding_dim: 2 }",
    ),
    (original.MaskNet, DEEP, f"mask_net {{ mask_net_module {{ {MASK_NET} }} }}"),
    (
        original.MMoE,
        DEEP,
        f"mmoe {{ expert_mlp {{ hidden_units: [5, 4] }} num_expert: 3 gate_mlp {{ hidden_units: 4 }} {TOWERS} }}",
    ),
    (original.SimpleMultiTask, DEEP, f"simple_multi_task {{ {TOWERS} }}"),
    (
        original.DBMTL,
        DEEP,
        f"dbmtl {{ mask_net {{ {MASK_NET} }} {BOTTOM} "
        + TOWERS.replace('"buy"', '"buy" relation_tower_names: "ctr" relation_mlp { hidden_units: 5 }')
        + "}",
    ),
    (
        original.DC2VR,
        DEEP,
        f"dc2vr {{ {BOTTOM} "
        + TOWERS.replace('"buy"', '"buy" intervention_tower_names: "ctr" low_rank_dim: 2 mlp { hidden_units: 4 }')
        + "}",
    ),
    (
        original.PLE,
        DEEP,
        f"ple {{ {NET % 'a'} {NET % 'b'} {TOWERS} }}",
    ),
    (
        original.PEPNet,
        {"all": [4, 4], "domain": [3], "uia": [4]},
        "pepnet { epnet_hidden_unit: 5 ppnet_hidden_units: [6, 4] ppnet_activation: 'nn.PReLU' "
        f"domain_input_name: 'domain_id' task_domain_num: 2 {TOWERS} }}",
    ),
    (
        original.RocketLaunching,
        DEEP,
        "rocket_launching { share_mlp { hidden_units: 6 } booster_mlp { hidden_units: [5, 4] } "
        "light_mlp { hidden_units: 4 } }",
    ),
    (
        original.MultiTowerDIN,
        SEQUENCE,
        'multi_tower_din { towers { input: "deep" mlp { hidden_units: 5 } } final { hidden_units: 4 } '
        'din_towers { input: "seq" attn_mlp { hidden_units: [5, 3] use_bn: true activation: "nn.PReLU" } } }',
    ),
    (
        original.TDM,
        SEQUENCE,
        "tdm { multiwindow_din { windows_len: [1, 3] attn_mlp { hidden_units: 4 } } final { hidden_units: 4 } }",
    ),
    (original.DSSM, {"user": [4, 4], "item": [4]}, f"dssm {{ {TOWERS_OF_TWO} }}"),
    (original.DSSMV2, {"user": [4, 4], "item": [4]}, f"dssm_v2 {{ {TOWERS_OF_TWO} }}"),
    (
        original.DAT,
        {"user": [4, 4], "item": [4], "ua": [4], "ia": [4]},
        "dat { "
        + TOWERS_OF_TWO.replace('"user"', '"user" augment_input: "ua"').replace('"item"', '"item" augment_input: "ia"')
        + " amm_i_weight: 1 amm_u_weight: 1 }",
    ),
    (
        original.MIND,
        {"user": [4, 4], "seq": [3, 4], "item": [4]},
        'mind { user_tower { input: "user" history_input: "seq" user_mlp { hidden_units: [5, 3] } '
        "hist_seq_mlp { hidden_units: [5, 4] use_bn: true } "
        'capsule_config { max_k: 2 max_seq_len: 4 high_dim: 6 num_iters: 1 routing_init_method: "zeros" } '
        'concat_mlp { hidden_units: 5 use_bn: true activation: "nn.PReLU" } } '
        'item_tower { input: "item" mlp { hidden_units: 5 } } output_dim: 4 similarity: COSINE '
        "in_batch_negative: true }",
    ),
]


def build(widths: Mapping[str, list[int]], model: str) -> tuple[RecModel, EasyRecConfig]:
    """Build a model on groups of id features, raw ones in "dense", and in "seq" a sequence, of these widths."""
    config = EasyRecConfig()
    config.data_config.label_fields.extend(["clk", "buy"])
    for group, features in widths.items():
        kind = {"wide": "WIDE", "seq": "SEQUENCE"}.get(group, "DEEP")
        entry = config.model_config.feature_groups.add(group_name=group, group_type=kind)
        for index, width in enumerate(features):
            name, feature = f"{group}{index}", config.feature_configs.add()
            if group == "dense":
                feature.raw_feature.value_dim = width
                feature.raw_feature.feature_name, feature.raw_feature.expression = name, f"user:{name}"
            else:
                ids = feature.sequence_id_feature if name == "seq1" else feature.id_feature
                ids.embedding_dim, ids.num_buckets = width, 3
                ids.feature_name, ids.expression = name, f"user:{name}"
            entry.feature_names.append(name)
    task = "" if "task_towers" in model else TASK
    task = "losses { softmax_cross_entropy {} }" if "item_tower" in model else task
    text_format.Merge(f"num_class: 1 {task} {model}", config.model_config)
    features_by_name = FeatureEncoder.from_config(config.feature_configs, config.data_config).features
    return build_model(config, features_by_name).eval(), config


def random_groups(widths: Mapping[str, list[int]]) -> dict[str, torch.Tensor]:
    """Random embeddings of six rows, with sequences of 1 to 4 elements."""
    grouped = {name: torch.randn(6, sum(row)) for name, row in widths.items() if name != "seq"}
    if "seq" in widths:
        lengths = torch.tensor([1, 2, 3, 4, 1, 3])
        elements = torch.randn(6, 4, 4) * (torch.arange(4) < lengths.unsqueeze(1)).unsqueeze(2)
        grouped |= {"seq.query": torch.randn(6, 3), "seq.sequence": elements, "seq.sequence_length": lengths}
    return grouped


def randomize(module: nn.Module) -> None:
    """Give all parameters and running statistics random values, so that a wrong use of them shows."""
    with torch.no_grad():
        for name, value in [*module.named_parameters(), *module.named_buffers()]:
            if value.is_floating_point() and "parametrizations" not in name:
                value.add_(torch.rand_like(value) * 0.5)


def outputs(model: RecModel, grouped: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """Logits, or the vectors of both towers, from groups with padded sequences."""
    if any(group.jagged for layout in model.embedding_group.layouts.values() for group in layout.sequences.values()):
        sequence = from_padded(grouped["seq.sequence"], grouped["seq.sequence_length"])
        grouped = grouped | {"seq.sequence": sequence.values, "seq.rows": sequence.rows}
        grouped["seq.positions"] = sequence.positions
    if isinstance(model.model, TwoTowers):
        return [*model.model.user_vectors(grouped).values(), *model.model.item_vectors(grouped).values()]
    return list(model.model(grouped).logits.values())


def _table_name(name: str) -> str:
    """Name of a table there: the embeddings of a tower are part of the tower."""
    parts = name.split(".")
    return ".".join(["model", parts[1], "embedding_group", *parts[2:]] if "tower" in parts[1] else ["model", *parts])


@pytest.mark.parametrize(("twin_class", "widths", "text"), CASES, ids=[case[0].__name__ for case in CASES])
def test_model_with_weights_of_original_computes_its_logits(
    twin_class: type[nn.Module], widths: Mapping[str, list[int]], text: str, tmp_path: Path
) -> None:
    torch.manual_seed(3)
    model, config = build(widths, text)
    twin = twin_class().eval()
    randomize(twin)
    tables = {
        _table_name(name): torch.rand_like(value) for name, value in model.state_dict().items() if "emb_impls" in name
    }
    tensors = {f"model.{name}": value for name, value in twin.state_dict().items()}
    result = load_original(model, config, save_original(tmp_path, tensors | tables))
    assert result.lines() == [f"loaded      {len(result.loaded)} of {len(result.loaded)} tensors of the model"]
    state = model.state_dict()
    assert all(torch.equal(state[name], tables[_table_name(name)]) for name in state if _table_name(name) in tables)
    assert tables

    grouped = random_groups(widths)
    expected = twin(grouped)
    logits = outputs(model, grouped)
    correct = expected if isinstance(expected, list) else [expected]
    for ours, theirs in zip(logits, correct, strict=True):
        assert theirs.std() > 1e-3, "rows that are all alike prove nothing"
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_model_that_only_this_project_has_raises(tmp_path: Path) -> None:
    model, config = build(DEEP, "gdcn { cross { cross_num: 1 } deep { hidden_units: 2 } }")
    with pytest.raises(ConfigError, match=r"model_config\.gdcn: TorchEasyRec has no such model"):
        load_original(model, config, tmp_path)
