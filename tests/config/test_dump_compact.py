from __future__ import annotations

from google.protobuf import text_format

from tzrec.config.load import dump_compact
from tzrec.protos.pipeline_pb2 import EasyRecConfig

CONFIG = r"""
model_dir: "m"
feature_configs { id_feature { feature_name: "city" expression: "item:city" embedding_dim: 4
  vocab_list: "Rome: old" vocab_list: "say \"hi\"\n, twice" vocab_list: "größe" vocab_list: "" } }
feature_configs { id_feature { feature_name: "one" expression: "item:one" embedding_dim: 4 vocab_list: "x" } }
feature_configs { raw_feature { feature_name: "age" expression: "item:age" boundaries: 1.5 boundaries: 2 } }
"""


def test_dump_compact_writes_repeated_values_on_one_line_and_changes_nothing() -> None:
    config = text_format.Parse(CONFIG, EasyRecConfig())
    text = dump_compact(config)
    assert text_format.Parse(text, EasyRecConfig()) == config
    lines = [line.strip() for line in text.splitlines()]
    assert r'vocab_list: ["Rome: old", "say \"hi\"\n, twice", "größe", ""]' in lines
    assert 'vocab_list: "x"' in lines
    assert "boundaries: [1.5, 2.0]" in lines
