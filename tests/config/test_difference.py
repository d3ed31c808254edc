from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from google.protobuf import text_format

from tests.fixtures.random_messages import fill
from tzrec.config.difference import Difference, differences
from tzrec.diff import main
from tzrec.protos.pipeline_pb2 import EasyRecConfig

BASE = """
model_dir: "m" train_input_path: "t" eval_input_path: ""
train_config { num_epochs: 1 sparse_optimizer { adagrad_optimizer { lr: 0.1 } constant_learning_rate {} }
  dense_optimizer { adam_optimizer { lr: 0.001 } constant_learning_rate {} } }
data_config { dataset_type: CsvDataset fg_mode: FG_NONE label_fields: "y" }
feature_configs { raw_feature { feature_name: "price" expression: "item:price" boundaries: [1, 2] } }
feature_configs { id_feature { feature_name: "user" expression: "user:id" num_buckets: 10 embedding_dim: 4 } }
model_config {
  feature_groups { group_name: "all" feature_names: ["price", "user"] group_type: DEEP }
  multi_tower { towers { input: "all" mlp { hidden_units: 8 } } final { hidden_units: 4 } }
  losses { binary_cross_entropy {} }
  metrics { auc {} }
}
"""


def parsed(text: str) -> EasyRecConfig:
    return text_format.Parse(text, EasyRecConfig())


def changed(*replacements: tuple[str, str]) -> list[tuple[str, str, str]]:
    """Return path, left and right of the differences that replacements in the text of BASE make."""
    text = BASE
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    return [(found.path, found.left, found.right) for found in differences(parsed(BASE), parsed(text))]


def test_scalars_are_compared_by_value_and_unset_ones_by_default() -> None:
    assert changed(("num_epochs: 1", "num_epochs: 2")) == [("train_config.num_epochs", "1", "2")]
    assert changed(("num_epochs: 1", "num_epochs: 1 seed: 1")) == []  # the default
    assert changed(("num_epochs: 1", "num_epochs: 1 seed: 7")) == [("train_config.seed", "1 (default)", "7")]
    assert changed(("num_epochs: 1", "")) == [("train_config.num_epochs", "1", "not set")]
    assert changed(("num_epochs: 1", "num_epochs: 1 num_steps: 0"))[0] == ("train_config.num_steps", "not set", "0")
    assert changed(("FG_NONE", "FG_DAG")) == [("data_config.fg_mode", "FG_NONE", "FG_DAG")]
    assert changed(("lr: 0.001", "lr: 0.002")) == [("train_config.dense_optimizer.adam_optimizer.lr", "0.001", "0.002")]


def test_elements_are_matched_by_name() -> None:
    new = 'feature_configs { id_feature { feature_name: "n" embedding_dim: 4 } }\nfeature_configs { raw'
    assert changed(("feature_configs { raw", new)) == [
        ("feature_configs[n]", "not set", '{ id_feature { feature_name: "n" embedding_dim: 4 } }')
    ]
    assert changed(("num_buckets: 10", "num_buckets: 11")) == [
        ("feature_configs[user].id_feature.num_buckets", "10", "11")
    ]
    assert changed(("boundaries: [1, 2]", "boundaries: [1, 3]")) == [
        ("feature_configs[price].raw_feature.boundaries", "[1, 2]", "[1, 3]")
    ]


def test_chosen_member_of_a_oneof_is_one_difference() -> None:
    assert changed(("adam_optimizer { lr: 0.001 }", "sgd_optimizer { lr: 0.001 }")) == [
        ("train_config.dense_optimizer.optimizer", "adam_optimizer { lr: 0.001 }", "sgd_optimizer { lr: 0.001 }")
    ]
    assert changed(("auc {}", "accuracy {}")) == [
        ("model_config.metrics[auc]", "{ auc { } }", "not set"),
        ("model_config.metrics[accuracy]", "not set", "{ accuracy { } }"),
    ]


def test_order_of_elements_is_a_difference() -> None:
    first, second = BASE.splitlines()[5:7]
    assert changed((f"{first}\n{second}", f"{second}\n{first}")) == [
        ("feature_configs: order", "price, user", "user, price")
    ]


def test_long_lists_show_what_only_one_of_them_has() -> None:
    numbers = ", ".join(map(str, range(100)))
    config, longer = parsed(BASE), parsed(BASE.replace("[1, 2]", f"[{numbers}, 250, 251]"))
    config.feature_configs[0].raw_feature.boundaries[:] = range(100)
    (found,) = differences(config, longer)
    assert (found.left, found.right) == ("100 values", "102 values, of which only here: 250, 251")


@pytest.mark.parametrize("seed", range(40))
def test_random_configs_differ_only_where_they_do(seed: int) -> None:
    config, copy, other = EasyRecConfig(), EasyRecConfig(), EasyRecConfig()
    fill(config, random.Random(seed), depth=4)
    fill(other, random.Random(seed + 1000), depth=4)
    copy.CopyFrom(config)
    assert differences(config, copy) == []
    found, mirrored = differences(config, other), differences(other, config)
    assert found
    swapped = {Difference(item.path, item.right, item.left, item.right_path, item.left_path) for item in mirrored}
    assert {item.path for item in swapped} == {item.path for item in found}


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_command_prints_lines_and_returns_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left = write(tmp_path / "a.config", BASE)
    right = write(tmp_path / "b.config", "# mine\n" + BASE.replace("num_epochs: 1", "num_epochs: 2"))
    assert main([left, write(tmp_path / "c.config", "# other\n\n" + BASE)]) == 0
    assert "the configs mean the same" in capsys.readouterr().out
    assert main([left, right]) == 1
    expected = f"A  {left}\nB  {right}\n\ntrain_config.num_epochs\n  A :3     1\n  B :4     2\n\n1 difference\n"
    assert capsys.readouterr().out == expected
    assert main([left, right, "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["config"]
    assert (found["path"], found["left"], found["right"]) == ("train_config.num_epochs", "1", "2")


def test_command_compares_metrics_of_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, auc in (("a", 0.7), ("b", 0.7123)):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "pipeline.config", BASE)
        event = {"event": "evaluation", "time": 1.0, "step": 20, "metrics": {"auc": auc}}
        events = [{**event, "metrics": {"auc": 0.1}}, event]
        write(tmp_path / name / "metrics.jsonl", "\n".join(map(json.dumps, events)))
    assert main([str(tmp_path / "a"), str(tmp_path / "b/")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].split() == ["metric", "step", "20", "step", "20", "B", "-", "A"]
    assert lines[-1].split() == ["auc", "0.7000", "0.7123", "+0.0123"]


def test_command_with_a_broken_config_reports_its_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left = write(tmp_path / "a.config", BASE.replace("num_epochs", "num_epoch"))
    assert main([left, left]) == 2
    assert 'no such field; did you mean "num_epochs"?' in capsys.readouterr().err
