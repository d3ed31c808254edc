"""fg.json: every type of feature, sequences, files, and bucketizers that are left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format

from tzrec.config.load import load_config
from tzrec.data.synthetic import make_data
from tzrec.features.fg_json import describe, without_bucketizers
from tzrec.protos import data_pb2
from tzrec.protos.feature_pb2 import FeatureConfig
from tzrec.tools import create_fg_json

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "configs" / "mmoe_all_features.config"

# text of a feature -> objects of fg.json
CASES: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "id": (
        'id_feature { expression: "user:a" hash_bucket_size: 9 weighted: true separator: "|" embedding_dim: 4 }',
        [
            {
                "feature_type": "id_feature", "feature_name": "f", "expression": "user:a", "default_value": "",
                "value_type": "string", "need_prefix": False, "value_dim": 0, "hash_bucket_size": 9, "weighted": True,
                "separator": "|",
            }
        ],
    ),
    "vocabulary": (
        'id_feature { expression: "user:a" vocab_list: ["x"] default_value: "y" value_dim: 1 embedding_dim: 4 }',
        [
            {
                "feature_type": "id_feature", "feature_name": "f", "expression": "user:a", "default_value": "y",
                "value_type": "string", "need_prefix": False, "value_dim": 1, "vocab_list": ["y", "<OOV>", "x"],
                "default_bucketize_value": 1,
            }
        ],
    ),
    "raw": (
        'raw_feature { expression: "item:a" boundaries: [0.1, 3] embedding_dim: 4 normalizer: "method=log10" }',
        [
            {
                "feature_type": "raw_feature", "feature_name": "f", "expression": "item:a", "default_value": "0",
                "value_type": "float", "value_dim": 1, "boundaries": [0.1, 3], "normalizer": "method=log10",
            }
        ],
    ),
    "combo": (
        'combo_feature { expression: ["user:a", "item:b"] vocab_dict { key: "x" value: 2 } embedding_dim: 4 }',
        [
            {
                "feature_type": "combo_feature", "feature_name": "f", "expression": ["user:a", "item:b"],
                "default_value": "", "value_type": "string", "need_prefix": False, "value_dim": 0,
                "vocab_dict": {"x": 2, "": 0}, "default_bucketize_value": 1,
            }
        ],
    ),
    "combine": (
        'combine_feature { expression: "user:a" value_map { key: "x" value: 0.1 } combiner: "max" num_buckets: 5 }',
        [
            {
                "feature_type": "combine_feature", "feature_name": "f", "expression": "user:a", "default_value": "",
                "combiner": "max", "value_map": {"x": 0.1}, "num_buckets": 5,
            }
        ],
    ),
    "lookup": (
        'lookup_feature { map: "user:a" key: "item:b" combiner: "mean" }',
        [
            {
                "feature_type": "lookup_feature", "feature_name": "f", "map": "user:a", "key": "item:b",
                "default_value": "0", "needKey": False, "needDiscrete": False, "combiner": "mean",
                "value_type": "float",
            }
        ],
    ),
    "lookup ids": (
        'lookup_feature { map: "user:a" key: "item:b" need_key: true hash_bucket_size: 7 embedding_dim: 4 }',
        [
            {
                "feature_type": "lookup_feature", "feature_name": "f", "map": "user:a", "key": "item:b",
                "default_value": "0", "needKey": True, "needDiscrete": True, "combiner": "", "value_type": "string",
                "hash_bucket_size": 7,
            }
        ],
    ),
    "lookup vectors": (
        'lookup_feature { map: "user:a" key: "item:b" value_dim: 3 normalizer: "method=log10" }',
        [
            {
                "feature_type": "lookup_feature", "feature_name": "f__lookup", "map": "user:a", "key": "item:b",
                "default_value": "", "needKey": False, "needDiscrete": True, "combiner": "", "value_type": "string",
                "value_dim": 1, "stub_type": True,
            },
            {
                "feature_type": "raw_feature", "feature_name": "f", "expression": "feature:f__lookup",
                "default_value": "0", "value_type": "float", "value_dim": 3, "separator": ",",
                "normalizer": "method=log10",
            },
        ],
    ),
    "match": (
        'match_feature { nested_map: "user:a" pkey: "item:b" skey: "ALL" num_buckets: 7 embedding_dim: 4 }',
        [
            {
                "feature_type": "match_feature", "feature_name": "f", "user": "user:a", "category": "item:b",
                "item": "ALL", "matchType": "multihit", "default_value": "0", "needDiscrete": True,
                "show_category": False, "show_item": False, "value_type": "string", "num_buckets": 7,
            }
        ],
    ),
    "expr": (
        'expr_feature { expression: "a+b" variables: ["user:a", "item:b"] fill_missing: 0.5 }',
        [
            {
                "feature_type": "expr_feature", "feature_name": "f", "expression": "a+b",
                "variables": ["user:a", "item:b"], "default_value": "0", "value_type": "float", "fill_missing": 0.5,
            }
        ],
    ),
    "overlap": (
        'overlap_feature { query: "user:a" title: "item:b" method: "is_contain" }',
        [
            {
                "feature_type": "overlap_feature", "feature_name": "f", "query": "user:a", "title": "item:b",
                "method": "is_contain",
            }
        ],
    ),
    "tokenize": (
        """tokenize_feature {
          expression: "user:a" vocab_file: "v.json" asset_dir: "d" embedding_dim: 4 stub_type: true
          text_normalizer { max_length: 9 norm_options: [TEXT_FILTER, TEXT_REMOVE_SPACE, TEXT_SBC2DBC] }
        }""",
        [
            {
                "feature_type": "text_normalizer", "feature_name": "f__text_norm", "expression": "user:a",
                "default_value": "", "stub_type": True, "max_length": 9, "parameter": 40, "remove_space": True,
            },
            {
                "feature_type": "tokenize_feature", "feature_name": "f", "expression": "feature:f__text_norm",
                "default_value": "", "tokenizer_type": "bpe", "vocab_file": "f|d/v.json", "output_type": "word_id",
                "output_delim": "\x03", "stub_type": True,
            },
        ],
    ),
    "kv_dot_product": (
        'kv_dot_product { query: "user:a" document: "item:b" separator: "," }',
        [
            {
                "feature_type": "kv_dot_product", "feature_name": "f", "query": "user:a", "document": "item:b",
                "default_value": "0", "separator": ",",
            }
        ],
    ),
    "bool_mask": (
        'bool_mask_feature { expression: ["user:a", "user:m"] num_buckets: 3 embedding_dim: 4 }',
        [
            {
                "feature_type": "bool_mask_feature", "feature_name": "f", "expression": ["user:a", "user:m"],
                "default_value": "", "value_dim": 0, "num_buckets": 3,
            }
        ],
    ),
    "custom": (
        """custom_feature {
          operator_name: "Edit" expression: "user:a" operator_params { fields { key: "n" value { number_value: 3 } } }
        }""",
        [
            {
                "feature_type": "custom_feature", "feature_name": "f", "operator_name": "Edit",
                "expression": ["user:a"],
                "default_value": "0", "value_type": "float", "value_dim": 0, "n": 3,
            }
        ],
    ),
    "sequence": (
        'sequence_id_feature { expression: "user:a" hash_bucket_size: 9 embedding_dim: 4 sequence_length: 5 }',
        [
            {
                "feature_type": "sequence_id_feature", "feature_name": "f", "expression": "user:a",
                "default_value": "0", "value_type": "string", "need_prefix": False, "value_dim": 1,
                "hash_bucket_size": 9, "sequence_delim": ";", "sequence_length": 5,
            }
        ],
    ),
    "group": (
        """sequence_feature {
          sequence_name: "click" sequence_length: 50 sequence_delim: "|"
          features { id_feature { feature_name: "a" expression: "item:a" num_buckets: 9 embedding_dim: 4 } }
          features { raw_feature { feature_name: "b" expression: "user:b" sequence_fields: "b" } }
        }""",
        [
            {
                "sequence_name": "click", "sequence_length": 50, "sequence_delim": "|", "sequence_pk": "user:click",
                "features": [
                    {
                        "feature_type": "id_feature", "feature_name": "a", "expression": "item:a",
                        "default_value": "0", "value_type": "string", "need_prefix": False, "value_dim": 1,
                        "num_buckets": 9,
                    },
                    {
                        "feature_type": "raw_feature", "feature_name": "b", "expression": "user:b",
                        "default_value": "0", "value_type": "float", "value_dim": 1, "sequence_fields": ["b"],
                    },
                ],
            }
        ],
    ),
}  # fmt: skip


def described(text: str) -> dict[str, Any]:
    named = text if "sequence_name" in text else text.replace("{", '{ feature_name: "f"', 1)
    config = text_format.Parse(named, FeatureConfig())
    return describe([config], data_pb2.DataConfig(), lambda path, feature: f"{feature}|{path}")


@pytest.mark.parametrize("name", CASES)
def test_describe_writes_each_type_of_feature(name: str) -> None:
    text, expected = CASES[name]
    assert described(text) == {"features": expected}


def test_without_bucketizers_removes_their_keys() -> None:
    group = without_bucketizers(described(CASES["group"][0]))["features"][0]
    assert "num_buckets" not in group["features"][0] and group["features"][0]["value_type"] == "string"
    for name, removed in (("vocabulary", {"vocab_list", "default_bucketize_value"}), ("raw", {"boundaries"})):
        text, (expected,) = CASES[name]
        assert without_bucketizers(described(text))["features"] == [
            {key: value for key, value in expected.items() if key not in removed}
        ]
    assert without_bucketizers(described(CASES["tokenize"][0])) == described(CASES["tokenize"][0])


def test_create_fg_json_writes_features_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    config = load_config(str(EXAMPLE))
    make_data(config, f"{tmp_path}/data", rows=50)
    edit = json.dumps({"train_input_path": f"{tmp_path}/data/*.parquet"})
    words = ["--pipeline_config_path", str(EXAMPLE), "--fg_output_dir", f"{tmp_path}/fg", "--edit_config_json", edit]
    assert create_fg_json.main([*words, "--reserves", "clk, buy", "--remove_bucketizer", "--debug"]) == 0
    assert "first 50 rows of" in capsys.readouterr().out
    content = json.loads((tmp_path / "fg" / "fg.json").read_text())
    assert content["reserves"] == ["clk", "buy"]
    assert len(content["features"]) == len(config.feature_configs)
    pieces = next(item for item in content["features"] if item.get("feature_name") == "title_pieces")
    copied = tmp_path / "fg" / pieces["vocab_file"]
    assert copied.read_bytes() == (ROOT / "examples" / "assets" / "letters.tokenizer.json").read_bytes()


def test_debug_checks_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    edit = json.dumps({"train_input_path": f"{tmp_path}/nothing.parquet"})
    words = ["--pipeline_config", str(EXAMPLE), "--fg_output_dir", str(tmp_path), "--edit_config_json", edit]
    assert create_fg_json.main([*words, "--debug"]) == 2
    assert "no file matches" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--odps_project_name", "--odps_schema_name", "--fg_resource_name"])
def test_maxcompute_flags_are_rejected(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert create_fg_json.main([flag, "x"]) == 2
    assert f"{flag}: MaxCompute is not supported" in capsys.readouterr().err
