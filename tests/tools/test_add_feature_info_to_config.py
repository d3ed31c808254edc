"""A table changes, adds and removes features of a template."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from google.protobuf import text_format

from tzrec.config.load import load_config
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.tools import add_feature_info_to_config as tool

TEMPLATE = """
train_input_path: "a" eval_input_path: "b" model_dir: "c"
feature_configs { id_feature { feature_name: "user" expression: "user:user" num_buckets: 10 } }
feature_configs { raw_feature { feature_name: "price" expression: "item:price" embedding_dim: 4 boundaries: [1, 2] } }
feature_configs { id_feature { feature_name: "city" expression: "user:city" hash_bucket_size: 10 embedding_dim: 4 } }
feature_configs {
  sequence_feature {
    sequence_name: "click" sequence_length: 50 sequence_delim: ";"
    features { id_feature { feature_name: "item" expression: "item:item" hash_bucket_size: 10 } }
    features { raw_feature { feature_name: "price" expression: "item:price" } }
  }
}
model_config {
  feature_groups {
    group_name: "all" feature_names: ["user", "city", "price"] group_type: DEEP
    sequence_groups { group_name: "click" feature_names: ["city", "click__item", "click__price"] }
  }
  mmoe { num_expert: 3 expert_mlp { hidden_units: [8] } }
}
"""
SET = {"hash_bucket_size": 1000, "embedding_dim": 16}
CITY = {"id_feature": {"feature_name": "city", "expression": "user:town", "vocab_list": ["x"], "embedding_dim": 2}}
NEW = {"raw_feature": {"feature_name": "age", "expression": "user:age", "normalizer": "method=log10"}}
ITEM = {"id_feature": {"feature_name": "item", "expression": "item:id", "num_buckets": 5, "embedding_dim": 2}}


def run(tmp_path: Path, rows: list[tuple[str, Any, Any]], kind: str = "csv", template: str = TEMPLATE) -> int:
    names, infos, drops = zip(*rows)
    cells = [None if info is None else info if isinstance(info, str) else json.dumps(info) for info in infos]
    table = pa.table({"feature_name": names, "feature_info": pa.array(cells, pa.string()), "drop": drops})
    if kind == "csv":
        pacsv.write_csv(table, tmp_path / "table.csv")
    else:
        pq.write_table(table, tmp_path / "table.parquet")
    (tmp_path / "template.config").write_text(template)
    words = ["--template_model_config_path", f"{tmp_path}/template.config"]
    words += ["--model_config_path", f"{tmp_path}/new.config", "--config_table_path", f"{tmp_path}/table.{kind}"]
    return tool.main(words)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_table_changes_adds_and_drops_features(tmp_path: Path, kind: str) -> None:
    rows = [
        ("user", SET, False),
        ("price", {"boundary": [0.5, 1.5, 2.5]}, False),
        ("city", CITY, False),
        ("click__item", SET, False),
        ("click__price", None, True),
        ("age", NEW, False),
    ]
    assert run(tmp_path, rows, kind) == 0
    expected = TEMPLATE
    for old, new in (
        ("num_buckets: 10", "hash_bucket_size: 1000 embedding_dim: 16"),
        ("boundaries: [1, 2]", "boundaries: [0.5, 1.5, 2.5]"),
        ('"user:city" hash_bucket_size: 10 embedding_dim: 4', '"user:town" vocab_list: "x" embedding_dim: 2'),
        ('"item:item" hash_bucket_size: 10', '"item:item" hash_bucket_size: 1000 embedding_dim: 16'),
        ('    features { raw_feature { feature_name: "price" expression: "item:price" } }\n', ""),
        (', "click__price"', ""),
        (
            "model_config {",
            """feature_configs {
              raw_feature { feature_name: "age" expression: "user:age" normalizer: "method=log10" }
            }
            model_config {""",
        ),
    ):
        assert expected.count(old) == 1
        expected = expected.replace(old, new)
    config = load_config(f"{tmp_path}/new.config")
    config.data_config.Clear()
    config.ClearField("data_config")
    assert config == text_format.Parse(expected, EasyRecConfig())


def test_table_changes_and_drops_sequence_groups(tmp_path: Path) -> None:
    """A sequence_feature has a name of its own in the table, and is removed when it becomes empty."""
    template = TEMPLATE.replace("num_buckets: 10", "num_buckets: 10 embedding_dim: 4")
    template = template.replace('"item:item"', '"item:item" embedding_dim: 4')
    assert (
        run(tmp_path, [("click", {"sequence_length": 7}, False), ("click__item", ITEM, False)], template=template) == 0
    )
    group = load_config(f"{tmp_path}/new.config").feature_configs[3].sequence_feature
    assert group.sequence_length == 7
    assert (group.features[0].id_feature.num_buckets, len(group.features)) == (5, 2)
    for dropped in (["click"], ["click__item", "click__price"]):
        assert run(tmp_path, [(name, None, True) for name in dropped], template=template) == 0
        config = load_config(f"{tmp_path}/new.config")
        assert len(config.feature_configs) == 3
        assert list(config.model_config.feature_groups[0].sequence_groups[0].feature_names) == ["city"]


@pytest.mark.parametrize(
    ("row", "message", "status"),
    [
        (("usr", SET, False), 'row 1: the template has no feature "usr"; did you mean "user"?', 1),
        (("user", {"hash_size": 3}, False), 'row 1: IdFeature has no field "hash_size"', 1),
        (("user", {"hash_bucket_size": "many"}, False), "row 1: Failed to parse hash_bucket_size field", 1),
        (("user", "{", False), "feature_info is not valid JSON", 1),
        (("user", "[1]", False), "feature_name is required, and feature_info must be a JSON object", 1),
        (("town", CITY, False), 'feature_name is "town", but feature_info describes "city"', 1),
        (("city", {"value_dim": 1}, False), "embedding_dim: is required, and missing in template and table", 2),
    ],
)
def test_invalid_row_is_rejected(
    tmp_path: Path, row: tuple[str, Any, bool], message: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, [row]) == status
    assert message in capsys.readouterr().err
    assert not (tmp_path / "new.config").exists()


def test_maxcompute_flag_is_rejected(capsys: pytest.CaptureFixture[str]) -> None:
    assert tool.main(["--odps_data_quota_name", "x"]) == 2
    assert "--odps_data_quota_name: MaxCompute is not supported" in capsys.readouterr().err
