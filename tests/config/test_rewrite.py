from __future__ import annotations

import pytest
from google.protobuf import text_format

from tzrec.config.edit import apply_edits
from tzrec.config.rewrite import rewrite
from tzrec.protos.pipeline_pb2 import EasyRecConfig

TEXT = """# mine
model_dir: "m"  # where
feature_configs {
  id_feature {
    # who
    feature_name: "user"
    expression: "user:id"  # the one of the log
  }
}
feature_configs { raw_feature { feature_name: "p" expression: "item:price" boundaries: 1 boundaries: [2, 3] } }
feature_configs { sequence_feature {
  sequence_name: "s"
  features { id_feature { feature_name: "a" expression: "user:a" } }
  features { id_feature { feature_name: "b" expression: "user:b"
    hash_bucket_size: 7 # few
  } } } }
"""


def test_rewrite_keeps_all_other_text() -> None:
    changes = {
        "feature_configs[0].id_feature.vocab_list": ["x", 'say "hé"\n'],
        "feature_configs[0].id_feature.embedding_dim": 8,
        "feature_configs[1].raw_feature.boundaries": [0.25, 4.0],
        "feature_configs[1].raw_feature.pooling": "mean",
        "feature_configs[2].sequence_feature.features[0].id_feature.hash_bucket_size": 9,
        "feature_configs[2].sequence_feature.features[1].id_feature.hash_bucket_size": 80,
        "feature_configs[2].sequence_feature.features[1].id_feature.embedding_dim": 4,
    }
    expected = r"""# mine
model_dir: "m"  # where
feature_configs {
  id_feature {
    # who
    feature_name: "user"
    expression: "user:id"  # the one of the log
    vocab_list: ["x", "say \"hé\"\n"]
    embedding_dim: 8
  }
}
feature_configs { raw_feature { feature_name: "p" expression: "item:price" boundaries: [0.25, 4]  pooling: "mean" } }
feature_configs { sequence_feature {
  sequence_name: "s"
  features { id_feature { feature_name: "a" expression: "user:a" hash_bucket_size: 9 } }
  features { id_feature { feature_name: "b" expression: "user:b"
    hash_bucket_size: 80 # few
    embedding_dim: 4
  } } } }
"""
    rewritten = rewrite(TEXT, changes)
    assert rewritten == expected
    message = text_format.Parse(TEXT, EasyRecConfig(), allow_unknown_field=False)
    apply_edits(message, changes)
    assert text_format.Parse(rewritten, EasyRecConfig()) == message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train_config {}", "train_config {num_epochs: 3 }"),
        ("train_config { }", "train_config { num_epochs: 3 }"),
        ("train_config <num_steps: 4,>", "train_config <num_steps: 4 num_epochs: 3,>"),
        ("train_config { num_epochs: 1 }", "train_config { num_epochs: 3 }"),
        ("train_config {\n num_steps: 4 # x\n}", "train_config {\n num_steps: 4 # x\n num_epochs: 3\n}"),
    ],
)
def test_new_field_is_inserted_after_the_last_entry(text: str, expected: str) -> None:
    assert rewrite(text, {"train_config.num_epochs": 3}) == expected


def test_missing_message_of_a_path_is_an_error() -> None:
    with pytest.raises(LookupError):
        rewrite(TEXT, {"feature_configs[3].id_feature.embedding_dim": 8})
    with pytest.raises(LookupError):
        rewrite(TEXT, {"train_config.num_epochs": 8})


def test_field_of_the_root_is_rewritten() -> None:
    assert rewrite('model_dir: "m"\n', {"eval_input_path": "x"}) == 'model_dir: "m"\neval_input_path: "x"\n'
