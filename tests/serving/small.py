"""A small trained model with every kind of input a servable has to know, and its package, made once per test run."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from google.protobuf import text_format
from torch import Tensor

from tzrec import export
from tzrec.checkpoint.manifest import CheckpointManifest
from tzrec.checkpoint.position import Position
from tzrec.checkpoint.saver import Saver
from tzrec.config.load import dump_config
from tzrec.data.batch import Batch
from tzrec.data.collate import collate
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.models.base import RecModel
from tzrec.models.build import build_model
from tzrec.protos.pipeline_pb2 import EasyRecConfig

STEP = 7

# Tables of different widths and types, shared, pooled by sum and mean, weighted and not; dense values; a feature of
# each kind that no group uses. Groups list them in another order than the config.
CONFIG = """
train_input_path: "none" eval_input_path: "none" model_dir: "none"
train_config {
  sparse_optimizer { adagrad_optimizer { lr: 0.1 } constant_learning_rate {} }
  dense_optimizer { adam_optimizer { lr: 0.1 } constant_learning_rate {} }
  num_steps: 1 num_threads: 1 cpu_matmul: MATMUL_DEFAULT
}
data_config {
  dataset_type: ParquetDataset fg_mode: FG_DAG batch_size: 16 num_workers: 1
  label_fields: ["clk", "kind", "pay"]
}
feature_configs { id_feature { feature_name: "unused" expression: "item:item" num_buckets: 40 embedding_dim: 4 } }
feature_configs { id_feature { feature_name: "item" expression: "item:item" num_buckets: 40 embedding_dim: 6 } }
feature_configs { id_feature { feature_name: "user" expression: "user:user" hash_bucket_size: 50 embedding_dim: 4 } }
feature_configs {
  id_feature {
    feature_name: "friend" expression: "user:friend" embedding_name: "user_emb" hash_bucket_size: 50 embedding_dim: 4
  }
}
feature_configs {
  id_feature { feature_name: "tags" expression: "item:tags" num_buckets: 30 embedding_dim: 3 pooling: "mean" }
}
feature_configs {
  id_feature { feature_name: "scores" expression: "user:scores" num_buckets: 20 embedding_dim: 5 weighted: true }
}
feature_configs {
  id_feature {
    feature_name: "history" expression: "user:scores" num_buckets: 20 embedding_dim: 2 weighted: true pooling: "mean"
  }
}
feature_configs {
  id_feature { feature_name: "half" expression: "item:tags" num_buckets: 30 embedding_dim: 7 data_type: "FP16" }
}
feature_configs {
  sequence_feature {
    sequence_name: "clicks" sequence_length: 5 sequence_delim: ";"
    features { id_feature { feature_name: "item" expression: "item:item" num_buckets: 40 embedding_dim: 6
                            embedding_name: "item_emb" } }
    features { id_feature { feature_name: "tags" expression: "item:tags" num_buckets: 30 embedding_dim: 3 value_dim: 0
                            pooling: "mean" } }
    features { id_feature { feature_name: "half" expression: "item:item" num_buckets: 40 embedding_dim: 7
                            data_type: "FP16" } }
    features { raw_feature { feature_name: "price" expression: "item:price" } }
  }
}
feature_configs { raw_feature { feature_name: "unused_price" expression: "item:price" } }
feature_configs { raw_feature { feature_name: "place" expression: "user:place" value_dim: 2 } }
feature_configs { raw_feature { feature_name: "price" expression: "item:price" } }
model_config {
  feature_groups {
    group_name: "all" group_type: DEEP
    feature_names: ["user", "price", "tags", "item", "scores", "history", "half", "friend", "place"]
    sequence_groups {
      group_name: "clicks"
      feature_names: ["clicks__half", "item", "clicks__item", "price", "clicks__tags", "clicks__price"]
    }
    sequence_groups { group_name: "tags" feature_names: ["item", "clicks__item"] embedding_name_suffix: "own" }
    sequence_encoders { din_encoder { input: "clicks" attn_mlp { hidden_units: [8] } max_seq_length: 3 } }
    sequence_encoders { pooling_encoder { input: "clicks" max_seq_length: 4 } }
    sequence_encoders { self_attention_encoder { input: "tags" multihead_attn_dim: 8 num_heads: 2 } }
  }
  mmoe {
    num_expert: 2
    expert_mlp { hidden_units: [8, 4] }
    task_towers {
      tower_name: "ctr" label_name: "clk" mlp { hidden_units: [4] }
      losses { binary_cross_entropy {} } metrics { auc {} }
    }
    task_towers { tower_name: "kind" label_name: "kind" num_class: 3 losses { softmax_cross_entropy {} } }
    task_towers { tower_name: "ltv" label_name: "pay" losses { l2_loss {} } }
  }
}
"""
OUTPUTS = ["logits_ctr", "logits_kind", "probs_ctr", "probs_kind", "y_ltv"]


def small_config() -> EasyRecConfig:
    return text_format.Parse(CONFIG, EasyRecConfig())


def without_sequences() -> EasyRecConfig:
    config = small_config()
    config.model_config.feature_groups[0].ClearField("sequence_groups")
    config.model_config.feature_groups[0].ClearField("sequence_encoders")
    return config


def small_encoder() -> FeatureEncoder:
    config = small_config()
    return FeatureEncoder.from_config(config.feature_configs, config.data_config)


def small_ranker() -> RecModel:
    """The same weights each time, large enough that differences show."""
    generator = torch.Generator().manual_seed(5)
    ranker = build_model(small_config(), small_encoder().features).eval()
    with torch.no_grad():
        for name, parameter in ranker.named_parameters():
            scale = 0.1 if ".encoders." in name else 0.4  # what they make of steps is added up
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    return ranker


def small_rows(rows: int) -> pa.Table:
    """Raw rows: none to three tags and scores in each, none to six clicks, missing values among them."""
    rng = np.random.default_rng(rows)
    lists = [rng.integers(0, 20, rng.integers(0, 4)).tolist() for _ in range(rows)]
    items = [rng.integers(0, 40, rng.integers(0, 7)).tolist() for _ in range(rows)]
    return pa.table(
        {
            "row": np.arange(rows),
            "user": [None if i % 5 == 4 else f"u{i}" for i in range(rows)],
            "friend": [f"u{i + 1}" for i in range(rows)],
            "item": rng.integers(0, 40, rows),
            "tags": pa.array(lists, pa.list_(pa.int64())),
            "scores": ["\x1d".join(f"{each}:{0.5 + each / 10}" for each in each_row) for each_row in lists],
            "price": rng.random(rows),
            "clicks__item": pa.array(items, pa.list_(pa.int64())),
            "clicks__tags": pa.array([[lists[i % rows] for i in row] for row in items], pa.list_(pa.list_(pa.int64()))),
            "clicks__price": pa.array([rng.random(len(row)).tolist() for row in items], pa.list_(pa.float64())),
            "place": pa.array(rng.random((rows, 2)).astype(np.float32).tolist(), pa.list_(pa.float32())),
        }
    )


def small_batch(rows: pa.Table) -> Batch:
    columns, bad = small_encoder().encode(rows.combine_chunks())
    assert not bad
    return collate(columns, rows.num_rows)


def expected(rows: pa.Table) -> dict[str, Tensor]:
    """What the trained model says, through torchrec; FP16 rows are added up in FP32, as in training."""
    ranker = small_ranker().float()
    with torch.inference_mode():
        return ranker.predict(ranker(small_batch(rows)))


@functools.cache
def saved() -> Path:
    """A model directory with a checkpoint of `small_ranker` and its config."""
    model_dir = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, model_dir, ignore_errors=True)
    config = small_config()
    config.model_dir = str(model_dir)
    (model_dir / "pipeline.config").write_text(dump_config(config))
    saver = Saver(model_dir, keep=0, protected=lambda older: ())
    saver.save(CheckpointManifest(Position(step=STEP)), {"model": small_ranker().state_dict()}, plan="{}")
    saver.wait()
    return model_dir


@functools.cache
def exported() -> Path:
    """The package of `saved`. Compiling takes 15 s: once for all tests, which must not change it."""
    asset = saved() / "extra.txt"
    asset.write_text("an asset")
    package = saved() / "export"
    words = ["--pipeline_config", str(saved() / "pipeline.config"), "--export_dir", str(package)]
    assert export.main([*words, "--asset_files", str(asset)]) == 0
    return package
