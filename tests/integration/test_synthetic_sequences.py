"""A config with sequence features of every type trains on synthetic data: in every mode, grouped and ungrouped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format

from tests.fixtures.sequence_configs import grouped, tokenizer, ungrouped
from tzrec import train_eval
from tzrec.check import main as check_main
from tzrec.config.load import dump_config
from tzrec.config.sequences import feature_members
from tzrec.data.synthetic import make_data

__all__ = ["tokenizer"]  # a fixture

TRAIN = """
num_steps: 3
sparse_optimizer { adagrad_optimizer { lr: 0.1 } constant_learning_rate {} }
dense_optimizer { adam_optimizer { lr: 0.01 } constant_learning_rate {} }
"""
MODEL = """
feature_groups {
  group_name: "all" group_type: DEEP
  sequence_groups { group_name: "steps" NAMES } sequence_encoders { pooling_encoder { input: "steps" } }
}
multi_tower { towers { input: "all" mlp { hidden_units: [8] } } final { hidden_units: [8] } }
losses { binary_cross_entropy {} } metrics { auc {} }
"""
QUICK = [("FG_DAG", grouped), ("FG_NONE", ungrouped)]
CASES = [
    pytest.param(mode, make, marks=[] if (mode, make) in QUICK else [pytest.mark.slow])
    for mode in ("FG_NONE", "FG_BUCKETIZE", "FG_NORMAL", "FG_DAG")
    for make in (grouped, ungrouped)
]


@pytest.mark.parametrize(("mode", "make"), CASES)
def test_sequence_features_of_every_type_train(
    mode: str,
    make: Any,
    tokenizer: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = make(mode, tokenizer)
    config.data_config.batch_size = 64
    names = [member.message.feature_name for feature in config.feature_configs for member in feature_members(feature)]
    # the tokens of a text have lengths of their own
    sequences = " ".join(f'feature_names: "{name}"' for name in names if name != "letters")
    text_format.Parse(TRAIN, config.train_config)
    text_format.Parse(MODEL.replace("NAMES", sequences), config.model_config)
    config.train_input_path = config.eval_input_path = f"{tmp_path}/data/*.parquet"
    config.model_dir = str(tmp_path / "model")
    make_data(config, str(tmp_path / "data"), rows=300, seed=3)
    path = tmp_path / "my.config"
    path.write_text(dump_config(config))
    assert check_main(["--pipeline_config", str(path)]) == 0
    assert train_eval.main(["--pipeline_config", str(path)]) == 0  # bad rows would stop it
    assert "(300 rows," in capsys.readouterr().err
