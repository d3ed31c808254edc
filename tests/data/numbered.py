"""Small data sets: every row carries its number, so that tests can tell what came out."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from google.protobuf import text_format

from tzrec.data.loader import DataLoader
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.protos.pipeline_pb2 import EasyRecConfig

CONFIG = """
train_input_path: "" eval_input_path: "" model_dir: ""
data_config {
  dataset_type: ParquetDataset fg_mode: FG_DAG batch_size: 4 num_workers: 1 with_header: true
  label_fields: ["clk"] sample_weight_fields: ["w"]
}
feature_configs { id_feature { feature_name: "uid" expression: "user:uid" num_buckets: 1000000 embedding_dim: 4 } }
feature_configs { raw_feature { feature_name: "price" expression: "item:price" } }
"""


def make_config(data: str = "", text: str = CONFIG) -> EasyRecConfig:
    """The test config, with more text for its data_config."""
    config = text_format.Parse(text, EasyRecConfig())
    text_format.Merge(data, config.data_config)
    return config


def table(rows: int, first: int = 0) -> pa.Table:
    """Rows whose uid is their number over all files."""
    uid = np.arange(first, first + rows)
    return pa.table({"uid": uid, "price": uid * 0.5, "clk": uid % 2, "w": uid * 0.25})


def open_loader(config: EasyRecConfig, path: str, mode: str = "train", **settings: object) -> DataLoader:
    """A loader with the encoder of the config."""
    encoder = FeatureEncoder.from_config(config.feature_configs, config.data_config)
    return DataLoader(config, encoder, path, mode, **settings)  # type: ignore[arg-type]
