"""Requirements of ranking models: a valid config with one invalid value has one problem."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.checked_config import MMOE, field_problems_of
from tzrec.config.check import inspect
from tzrec.config.load import load_source

BASE = MMOE[: MMOE.index("model_config {")]
DENSE = """feature_configs { raw_feature { feature_name: "age" expression: "user:age" } }
feature_configs { raw_feature { feature_name: "both" expression: "user:both" value_dim: 2 } }
"""
HISTORY = """feature_configs { sequence_feature { sequence_name: "h" sequence_length: 9
features { id_feature { feature_name: "cate" expression: "item:cate" num_buckets: 9 embedding_dim: 16 } } } }
"""
TASK = "losses { binary_cross_entropy {} }"
MLP = "{ hidden_units: 16 }"


def group(name: str, kind: str = "DEEP", features: str = '"user_id", "cate_id", "price"') -> str:
    return f'feature_groups {{ group_name: "{name}" feature_names: [{features}] group_type: {kind} }}'


WIDE, DEEP, SPARSE = group("wide", "WIDE"), group("deep"), group("sparse")
PLAIN = group("deep", features='"user_id", "age"')
NUMBERS = group("dense", features='"age", "both"')
CLICKS = group("clicks", "SEQUENCE", '"cate_id", "h__cate"')
LAYER = "lcb_feature_num: 2 fmb_feature_num: 2"
GOOD = {
    "wide_and_deep": f"{WIDE} {DEEP} wide_and_deep {{ deep {MLP} }}",
    "deepfm": f"{WIDE} {DEEP} deepfm {{ deep {MLP} }}",
    "deepfm fm": f"{WIDE} {PLAIN} {group('fm')} deepfm {{ deep {MLP} }}",
    "xdeepfm": f"{WIDE} {DEEP} xdeepfm {{ cin {{ cin_layer_size: [4, 4] }} deep {MLP} final {MLP} }}",
    "dlrm": f"{NUMBERS} {SPARSE} dlrm {{ dense_mlp {MLP} final {MLP} }}",
    "dlrm sparse": f"{SPARSE} dlrm {{ final {MLP} }}",
    "dlrm, one group": f"{group('any')} dlrm {{ final {MLP} }}",
    "wukong, one group": f"{group('dense')} wukong {{ wukong_layers {{ {LAYER} feature_num_mlp {MLP} }} final {MLP} }}",
    "wukong": f"{SPARSE} wukong {{ wukong_layers {{ {LAYER} feature_num_mlp {MLP} }} final {MLP} }}",
    "dcn_v1": f"{group('any')} dcn_v1 {{ cross {{}} deep {MLP} final {MLP} }}",
    "dcn_v2": f"{group('any')} dcn_v2 {{ cross {{}} final {MLP} }}",
    "multi_tower": f'{group("user")} multi_tower {{ towers {{ input: "user" }} final {MLP} }}',
    "multi_tower_din": f"{group('user')} {CLICKS} multi_tower_din {{ "
    f'towers {{ input: "user" }} din_towers {{ input: "clicks" attn_mlp {MLP} }} }}',
    "multi_tower wide": f'{WIDE} multi_tower {{ towers {{ input: "wide" }} final {MLP} wide_embedding_dim: 2 }}',
    "multi_tower_din wide": f'{WIDE} {CLICKS} multi_tower_din {{ towers {{ input: "wide" mlp {MLP} }} '
    f'din_towers {{ input: "clicks" attn_mlp {MLP} }} wide_init_fn: "nn.init.zeros_" }}',
    "tdm": f"{group('user')} {CLICKS} tdm {{ multiwindow_din {{ windows_len: [1, 2] attn_mlp {MLP} }} final {MLP} }}",
    "autoint": f"{group('any')} autoint {{ attention {{}} }}",
    "fibinet": f"{group('any')} fibinet {{ deep {MLP} }}",
    "gdcn": f"{group('any')} gdcn {{ cross {{}} deep {MLP} }}",
    "finalmlp": f'{group("all")} {group("user")} finalmlp {{ first {{ gate_group: "user" mlp {MLP} }} '
    f"second {{ mlp {MLP} }} head_num: 4 }}",
    "rocket_launching": f"{group('any')} rocket_launching {{ feature_based_distillation: true "
    "booster_mlp { hidden_units: [8, 4] } light_mlp { hidden_units: [4, 2] } }",
    "mask_net": f"{group('any')} mask_net {{ mask_net_module {{ n_mask_blocks: 2 mask_block {{ hidden_dim: 4 }} "
    f"top_mlp {MLP} }} }}",
}


def problems_of_model(tmp_path: Path, model: str) -> list[str]:
    text = (
        BASE.replace("feature_configs {", DENSE + HISTORY + "feature_configs {", 1)
        + f"model_config {{ {TASK} {model} }}\n"
    )
    return field_problems_of(tmp_path, text)


@pytest.mark.parametrize("model", GOOD.values(), ids=GOOD)
def test_valid_ranking_model_has_no_problems(tmp_path: Path, model: str) -> None:
    assert problems_of_model(tmp_path, model) == []


CASES = [
    ("deepfm", '"deep"', '"depp"', 'groups[1].group_name: unknown group of deepfm "depp"; did you mean "deep"?'),
    ("deepfm fm", '"fm"', '"fmm"', 'groups[2].group_name: unknown group of deepfm "fmm"; did you mean "fm"?'),
    ("wide_and_deep", WIDE, "", 'feature_groups: wide_and_deep needs a group "wide"; the config has deep'),
    ("dlrm", '"sparse"', '"spars"', 'groups[1].group_name: unknown group of dlrm "spars"; did you mean "sparse"?'),
    (
        "deepfm",
        DEEP,
        group("deep", features='"user_id", "both"'),
        'groups[1].feature_names[1]: "both" is 2 wide and "user_id" 16; deepfm needs equal widths in group "deep"',
    ),
    ("xdeepfm", "WIDE", "DEEP", ""),
    (
        "xdeepfm",
        WIDE,
        group("wide", features='"user_id", "age"'),
        '"age" is 1 wide and "user_id" 16; xdeepfm needs equal widths in group "wide"',
    ),
    ("dlrm sparse", '"price"', '"price", "age"', '[3]: "age" is 1 wide and "user_id" 16; dlrm needs equal widths'),
    (
        "dlrm",
        "dense_mlp { hidden_units: 16 }",
        "dense_mlp { hidden_units: [16, 8] }",
        'dense_mlp.hidden_units: its last width is 8, that of the features in group "sparse" is 16; make them equal',
    ),
    ("dlrm", f"dense_mlp {MLP}", "", 'model_config.dlrm: has no dense_mlp, which the group "dense" needs'),
    ("wukong", f"wukong_layers {{ {LAYER} feature_num_mlp {MLP} }}", "", "wukong.wukong_layers: is empty; add a layer"),
    ("wukong", "lcb_feature_num: 2", "lcb_feature_num: 0", "wukong_layers[0].lcb_feature_num: 0 is below 1"),
    ("dcn_v1", "cross {}", "cross { cross_num: 0 }", "dcn_v1.cross.cross_num: 0 is below 1"),
    ("dcn_v2", "cross {}", "cross { low_rank: 0 }", "dcn_v2.cross.low_rank: 0 is below 1"),
    ("xdeepfm", "cin_layer_size: [4, 4]", "", "xdeepfm.cin.cin_layer_size: is empty; give the feature maps"),
    ("xdeepfm", "[4, 4]", "[4, 0]", "cin.cin_layer_size[1]: 0 is below 1; give the feature maps"),
    ("deepfm", "deepfm {", "deepfm { wide_embedding_dim: 0", "deepfm.wide_embedding_dim: 0 is below 1"),
    ("multi_tower", 'input: "user"', 'input: "usr"', 'towers[0].input: unknown group "usr"; did you mean "user"?'),
    (
        "rocket_launching",
        "light_mlp { hidden_units: [4, 2] }",
        "light_mlp { hidden_units: [3, 2] }",
        "feature_based_distillation: compares layers of equal width; light_mlp and booster_mlp have none",
    ),
    (
        "rocket_launching",
        "distillation: true",
        "distillation: true feature_distillation_function: INNER_PRODUCT",
        "feature_distillation_function: INNER_PRODUCT is not a distance; use COSINE or EUCLID",
    ),
    ("multi_tower", 'towers { input: "user" }', "", "multi_tower.towers: is empty; add a tower for each feature group"),
    (
        "multi_tower_din",
        'towers { input: "user" }',
        'towers { input: "user" } towers { input: "user" }',
        'multi_tower_din.towers[1].input: "user" already has a tower; a group can have one',
    ),
    (
        "multi_tower_din",
        'towers { input: "user" }',
        'towers { input: "clicks" }',
        'multi_tower_din.towers[0].input: "clicks" is a SEQUENCE group; list it in din_towers',
    ),
    (
        "multi_tower_din",
        'din_towers { input: "clicks"',
        'din_towers { input: "user"',
        'din_towers[0].input: "user" is a DEEP group; the elements of a SEQUENCE group are read here',
    ),
    ("multi_tower_din", 'input: "clicks"', 'input: "click"', 'din_towers[0].input: unknown group "click"; did you'),
    (
        "multi_tower_din",
        "SEQUENCE",
        "JAGGED_SEQUENCE",
        '"clicks" is a JAGGED_SEQUENCE group; the elements of a SEQUENC',
    ),
    (
        "multi_tower_din",
        '"cate_id", "h__cate"',
        '"h__cate"',
        'group "clicks": has nothing to compare its elements with',
    ),
    (
        "multi_tower_din",
        '"cate_id", "h__cate"',
        '"cate_id", "user_id", "h__cate"',
        'group "clicks": the features of the row are 32 wide and those of an element 16; leave some of the former out',
    ),
    (
        "multi_tower_din",
        f'towers {{ input: "user" }} din_towers {{ input: "clicks" attn_mlp {MLP} }}',
        "",
        "multi_tower_din: has neither towers nor din_towers; add a tower for each feature group",
    ),
    (
        "tdm",
        f"{CLICKS} ",
        "",
        "feature_groups: tdm reads one SEQUENCE group, of the history and the features of a node",
    ),
    ("tdm", f"{CLICKS} ", f"{CLICKS} {CLICKS.replace('clicks', 'carts')} ", "the config has clicks, carts"),
    ("tdm", "SEQUENCE", "JAGGED_SEQUENCE", '"clicks" is a JAGGED_SEQUENCE group; the elements of a SEQUENCE group'),
    ("tdm", '"cate_id", "h__cate"', '"h__cate"', 'group "clicks": has nothing to compare its elements with'),
    ("tdm", "windows_len: [1, 2]", "", "tdm.multiwindow_din.windows_len: is empty; give the elements of each window"),
    ("tdm", "windows_len: [1, 2]", "windows_len: [1, 0]", "tdm.multiwindow_din.windows_len[1]: 0 is below 1"),
    ("mask_net", f"top_mlp {MLP}", "", "mask_net_module: has no top_mlp, which the model mask_net needs"),
    ("mask_net", "hidden_dim: 4", "hidden_dim: 4 reduction_ratio: 0", "neither reduction_ratio nor aggregation_dim"),
    ("mask_net", "n_mask_blocks: 2", "n_mask_blocks: 0", "mask_net_module.n_mask_blocks: 0 is below 1"),
    ("autoint", '"price"', '"age"', 'groups[0].feature_names[2]: "age" is 1 wide and "user_id" 16; autoint needs'),
    ("fibinet", '"price"', '"age"', '"age" is 1 wide and "user_id" 16; fibinet needs equal widths in group "any"'),
    ("autoint", "attention {}", "attention { head_num: 0 }", "autoint.attention.head_num: 0 is below 1"),
    ("fibinet", "fibinet {", "fibinet { reduction_ratio: 0", "fibinet.reduction_ratio: 0 is below 1"),
    ("gdcn", "cross {}", "cross { cross_num: 0 }", "gdcn.cross.cross_num: 0 is below 1"),
    (
        "finalmlp",
        'group: "user"',
        'group: "usr"',
        'finalmlp.first.gate_group: unknown group "usr"; did you mean "user"?',
    ),
    ("finalmlp", "second {", f"second {{ gate_mlp {MLP}", "finalmlp.second.gate_mlp: has no gate_group to read"),
    ("finalmlp", "head_num: 4", "head_num: 0", "finalmlp.head_num: 0 is below 1"),
    (
        "finalmlp",
        "second { mlp { hidden_units: 16",
        "second { mlp { hidden_units: 18",
        "second.mlp.hidden_units: its last width is 18, not a multiple of head_num 4",
    ),
    ("multi_tower wide", "dim: 2", "dim: 0", "multi_tower.wide_embedding_dim: 0 is below 1"),
    ("dcn_v1", "DEEP", "WIDE", "dcn_v1 does not read WIDE groups; use DEEP"),
]


@pytest.mark.parametrize(("model", "old", "new", "expected"), CASES)
def test_invalid_ranking_model_is_one_problem(tmp_path: Path, model: str, old: str, new: str, expected: str) -> None:
    assert old in GOOD[model]
    problems = problems_of_model(tmp_path, GOOD[model].replace(old, new, 1))
    assert len(problems) == bool(expected), problems
    assert expected in " ".join(problems)


@pytest.mark.parametrize("model", ["wukong", "dlrm sparse", "dlrm, one group", "wukong, one group"])
def test_dense_mlp_without_a_dense_group_is_a_warning(tmp_path: Path, model: str) -> None:
    name = model.split()[0].rstrip(",")
    path = tmp_path / "my.config"
    text = GOOD[model].replace(f"{name} {{", f"{name} {{ dense_mlp {{ hidden_units: 4 }}", 1)
    path.write_text(BASE + f"model_config {{ {TASK} {text} }}\n")
    checker = inspect(load_source(str(path)))
    assert checker.problems == []
    expected = 'has no effect: there is no group "dense" that it could read'
    assert expected in [warning.message for warning in checker.warnings if warning.field.endswith("dense_mlp")]
