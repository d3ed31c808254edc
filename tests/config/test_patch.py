"""Changes of the text of a config: values change, comments and order stay."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.test_api import SMALL
from tzrec.config.edit import apply_edits
from tzrec.config.load import ConfigText, dump_config, load_source
from tzrec.config.patch import patch
from tzrec.protos.pipeline_pb2 import EasyRecConfig

TEXT = """# my model
model_dir: "a"  # where it goes
train_config {
  num_epochs: 3
  dense_optimizer { adam_optimizer { lr: 0.01 } constant_learning_rate {} }  # tried sgd
}
model_config {
  mmoe {
    expert_mlp {
      hidden_units: 8  # first
      hidden_units: 4  # second
    }
    task_towers { tower_name: "a" }
    task_towers { tower_name: "b" }  # the second task
  }
}
"""
ADAM = "train_config.dense_optimizer.adam_optimizer"
MLP = "model_config.mmoe.expert_mlp"


def patched(text: str, edits: dict[str, Any]) -> str:
    """Apply edits to a text by way of its message; the result must have the message of the edited config."""
    old = load_source(ConfigText(text)).config
    new = EasyRecConfig()
    new.CopyFrom(old)
    apply_edits(new, edits)
    result = patch(text, old, new)
    assert load_source(ConfigText(result)).config == new
    return result


@pytest.mark.parametrize(
    ("edits", "line"),
    [
        ({"model_dir": "b"}, 'model_dir: "b"  # where'),
        ({f"{ADAM}.lr": 0.02}, "adam_optimizer { lr: 0.02 } constant"),
        ({f"{ADAM}.weight_decay": 0.5}, "adam_optimizer { lr: 0.01 weight_decay: 0.5 } constant"),
        ({"train_config.seed": 7}, "# tried sgd\n  seed: 7\n}"),
        ({f"{MLP}.hidden_units": [16]}, "hidden_units: [16]  # first\n"),
        ({f"{MLP}.dropout_ratio": [0.5]}, "hidden_units: 4  # second\n      dropout_ratio: [0.5]\n    }"),
        ({f"{MLP}.hidden_units": [16], f"{MLP}.use_bn": True}, "hidden_units: [16]  # first\n      use_bn: true\n"),
        ({"model_config.mmoe.task_towers[1].tower_name": "c"}, 'tower_name: "c" }  # the second'),
        (
            {"train_config.dense_optimizer": "sgd_optimizer { lr: 0.1 } constant_learning_rate {}"},
            "dense_optimizer { constant_learning_rate {} sgd_optimizer { lr: 0.1 } }",
        ),
        ({"export_config.exporter_type": "best"}, '  }\n}\nexport_config {\n  exporter_type: "best"\n}\n'),
    ],
)
def test_patch_changes_only_the_edited_fields(edits: dict[str, Any], line: str) -> None:
    result = patched(TEXT, edits)
    for comment in ("# my model", "# where it goes", "# tried sgd", "# the second task"):
        assert comment in result
    assert line in result


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            ["train_config.seed", "train_config.num_steps", "data_config.batch_size", "model_config.mmoe.num_expert"]
        ),
        st.integers(1, 1000),
    ),
    st.lists(st.integers(1, 64), min_size=1, max_size=3),
    st.booleans(),
)
def test_patched_text_has_the_message_of_the_edits(numbers: dict[str, int], units: list[int], is_dumped: bool) -> None:
    text = dump_config(load_source(ConfigText(SMALL)).config) if is_dumped else SMALL
    patched(text, {**numbers, f"{MLP}.hidden_units": units, f"{MLP}.dropout_ratio": [0.1]})


def test_patch_without_differences_returns_the_text() -> None:
    assert patched(TEXT, {}) == TEXT
