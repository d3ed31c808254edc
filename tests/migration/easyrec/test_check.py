"""Converted configs of each model pass `tzrec check`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.migration.easyrec.test_convert import DNN, convert
from tzrec.config.check import check
from tzrec.config.load import dump_config, load_source

FEATURES = """
feature_configs { input_names: "a" feature_type: IdFeature embedding_dim: 4 hash_bucket_size: 9 }
feature_configs { input_names: "b" feature_type: IdFeature embedding_dim: 4 num_buckets: 9 }
feature_configs { input_names: "i" feature_type: IdFeature embedding_dim: 4 num_buckets: 9 }
feature_configs { input_names: "n" feature_type: RawFeature }
feature_configs {
  input_names: "s" feature_type: SequenceFeature embedding_dim: 4 num_buckets: 9 max_seq_len: 5
}
feature_configs { input_names: "z" feature_type: SequenceFeature embedding_dim: 4 num_buckets: 9 separator: ";" }
"""
BASE = """
train_input_path: "train.csv" eval_input_path: "eval.csv" model_dir: "model"
train_config {
  optimizer_config { adam_optimizer { learning_rate { exponential_decay_learning_rate { decay_steps: 10 } } } }
  num_steps: 10
}
eval_config { metrics_set { %s {} } }
data_config {
  input_type: CSVInput label_fields: ["clk", "buy"]
  input_fields { input_name: "clk" input_type: INT32 } input_fields { input_name: "buy" input_type: INT32 }
  input_fields { input_name: "a" } input_fields { input_name: "b" input_type: INT64 }
  input_fields { input_name: "i" input_type: INT64 } input_fields { input_name: "n" input_type: FLOAT }
  input_fields { input_name: "s" } input_fields { input_name: "z" }
}
"""


def group(name: str, features: str, more: str = "") -> str:
    names = " ".join(f'feature_names: "{feature}"' for feature in features)
    return f'feature_groups {{ group_name: "{name}" {names} {more} }}'


ALL = group("all", "abin")
WIDE = group("wide", "ab", "wide_deep: WIDE") + group("deep", "abi")
TOWERS = group("user", "ab") + group("item", "i")
LAST = "hidden_units: [8, 4] use_bn: false"
TASKS = (
    f'task_towers {{ tower_name: "t" dnn {{ {DNN} }} metrics_set {{ auc {{}} }} }} '
    'task_towers { tower_name: "v" label_name: "buy" metrics_set { auc {} } loss_type: CLASSIFICATION }'
)
MODELS = {
    "WideAndDeep": WIDE + f"wide_and_deep {{ dnn {{ {DNN} }} final_dnn {{ {DNN} }} wide_output_dim: 4 }}",
    "DeepFM": WIDE + f"deepfm {{ dnn {{ {DNN} }} wide_output_dim: 4 }}",
    "MultiTower": ALL + f'multi_tower {{ towers {{ input: "all" dnn {{ {DNN} }} }} final_dnn {{ {DNN} }} }}',
    "MultiTowerBST": ALL
    + 'seq_att_groups { group_name: "h" seq_att_map { key: "i" hist_seq: "s" } } '
    + f'multi_tower {{ towers {{ input: "all" dnn {{ {DNN} }} }} bst_towers {{ input: "h" }} final_dnn {{ {DNN} }} }}',
    "MultiTowerDIN": ALL
    + 'seq_att_groups { group_name: "h" seq_att_map { key: "i" hist_seq: "s" } } '
    + f'multi_tower {{ towers {{ input: "all" dnn {{ {DNN} }} }} din_towers {{ input: "h" dnn {{ {LAST} }} }} '
    + f"final_dnn {{ {DNN} }} }}",
    "DCN": ALL
    + f'dcn {{ cross_tower {{ input: "all" cross_num: 2 }} deep_tower {{ input: "all" dnn {{ {DNN} }} }} '
    + f"final_dnn {{ {DNN} }} }}",
    "DLRM": group("dense", "n") + group("sparse", "ab") + f"dlrm {{ bot_dnn {{ {DNN} }} top_dnn {{ {DNN} }} }}",
    "AutoInt": group("all", "abi") + "autoint { multi_head_num: 2 multi_head_size: 4 interacting_layer_num: 2 }",
    "MMoE": ALL + f"mmoe {{ expert_dnn {{ {DNN} }} num_expert: 3 {TASKS} }}",
    "SimpleMultiTask": ALL + f"simple_multi_task {{ {TASKS} }}",
    "DBMTL": ALL
    + 'seq_att_groups { group_name: "h" seq_att_map { key: ["i", "b"] hist_seq: ["s", "z"] } }'
    + f"dbmtl {{ bottom_dnn {{ {DNN} }} expert_dnn {{ {DNN} }} num_expert: 2 "
    + TASKS.replace('"buy"', f'"buy" relation_tower_names: "t" relation_dnn {{ {DNN} }}')
    + "}",
    "PLE": ALL
    + 'ple { extraction_networks { network_name: "n" expert_num_per_task: 2 share_num: 1 '
    + f"task_expert_net {{ {DNN} }} share_expert_net {{ {DNN} }} }} {TASKS} }}",
    "ESMM": ALL
    + f'esmm {{ ctr_tower {{ tower_name: "ctr" dnn {{ {DNN} }} }} cvr_tower {{ tower_name: "ctcvr" label_name: "buy" '
    + f"dnn {{ {DNN} }} }} }}",
    "RocketLaunching": ALL
    + f"rocket_launching {{ share_dnn {{ {DNN} }} booster_dnn {{ {DNN} }} light_dnn {{ {DNN} }} }}",
    "DSSM": TOWERS
    + f'loss_type: SOFTMAX_CROSS_ENTROPY dssm {{ user_tower {{ id: "a" dnn {{ {LAST} }} }} '
    + f'item_tower {{ id: "i" dnn {{ {LAST} }} }} }}',
    "DAT": TOWERS
    + group("user_id_augment", "b")
    + group("item_id_augment", "i")
    + f'dat {{ user_tower {{ id: "a" dnn {{ {LAST} }} }} item_tower {{ id: "i" dnn {{ {LAST} }} }} }}',
    "MIND": TOWERS
    + group("hist", "s")
    + f"mind {{ pre_capsule_dnn {{ {DNN} }} user_dnn {{ {DNN} }} concat_dnn {{ {LAST} }} item_dnn {{ {LAST} }} "
    + "capsule_config { max_k: 3 max_seq_len: 5 high_dim: 4 } }",
}


@pytest.mark.parametrize("name", MODELS)
def test_converted_config_of_model_passes_check(name: str, tmp_path: Path) -> None:
    metric = "recall_at_topk" if name in ("DSSM", "DAT", "MIND") else "auc"
    text = BASE % metric + FEATURES + f'model_config {{ model_class: "{name}" {MODELS[name]} }}'
    conversion = convert(tmp_path, text)
    (tmp_path / "new.config").write_text(dump_config(conversion.config))
    problems = check(load_source(str(tmp_path / "new.config")))
    assert [f"{problem.field}: {problem.message}" for problem in problems] == []
