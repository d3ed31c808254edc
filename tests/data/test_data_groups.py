"""Data groups: which features have rows of sampled negatives."""

from __future__ import annotations

import numpy as np
from google.protobuf import text_format

from tzrec.data.batch import BASE, CNEG, NEG
from tzrec.data.collate import collate
from tzrec.features.column import Column
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.protos.pipeline_pb2 import EasyRecConfig

FEATURES = """
feature_configs { id_feature { feature_name: "user" expression: "user:user_id" num_buckets: 9 embedding_dim: 2 } }
feature_configs { id_feature { feature_name: "item" expression: "item:item_id" num_buckets: 9 embedding_dim: 2 } }
feature_configs { raw_feature { feature_name: "price" expression: "item:price" } }
feature_configs { combo_feature { feature_name: "pair" expression: "item:item_id" expression: "user:user_id"
  hash_bucket_size: 9 embedding_dim: 2 } }
feature_configs { raw_feature { feature_name: "cost" expression: "feature:price" } }
feature_configs { raw_feature { feature_name: "hour" expression: "context:hour" } }
"""
SAMPLER = (
    'negative_sampler { input_path: "x" num_sample: 4 item_id_field: "item_id" attr_fields: ["item_id", "price"] }'
)


def groups(data: str) -> dict[str, str]:
    config = text_format.Parse(
        f"data_config {{ fg_mode: FG_DAG {data} }} {FEATURES}", EasyRecConfig(), allow_unknown_extension=False
    )
    encoder = FeatureEncoder.from_config(config.feature_configs, config.data_config)
    return {name: feature.data_group for name, feature in encoder.features.items()}


def test_data_groups_follow_the_sampled_inputs() -> None:
    expected = {"user": BASE, "item": NEG, "price": NEG, "pair": CNEG, "cost": NEG, "hour": BASE}
    assert groups(SAMPLER) == expected


def test_data_groups_without_sampler_are_base() -> None:
    assert set(groups("").values()) == {BASE}


def test_data_groups_with_force_base_are_base() -> None:
    assert set(groups(f"force_base_data_group: true {SAMPLER}").values()) == {BASE}


def test_data_groups_of_tdm_are_base() -> None:
    sampler = SAMPLER.replace("negative_sampler", "tdm_sampler").replace("input_path", "item_input_path")
    sampler = sampler.replace("num_sample: 4", 'edge_input_path: "y" predict_edge_input_path: "z"')
    assert set(groups(sampler).values()) == {BASE}


def test_collate_separates_data_groups() -> None:
    columns = {
        "user": Column(np.array([1, 2])),
        "item": Column(np.array([3, 4, 5, 6])),
        "price": Column(np.arange(4, dtype=np.float32)[:, None], dim=1),
        "history": Column(np.array([7, 8]), sequence_lengths=np.array([1, 0, 1, 0], np.int32)),
    }
    batch = collate(columns, 2, {"user": BASE, "item": NEG, "price": NEG, "history": NEG})
    assert batch.rows_by_data_group == {NEG: 4}
    assert batch.num_rows(BASE) == 2
    assert batch.sparse[BASE].to_dict()["user"].values().tolist() == [1, 2]
    assert batch.sparse[NEG].to_dict()["item"].values().tolist() == [3, 4, 5, 6]
    assert batch.dense[NEG].values().tolist() == [[0.0], [1.0], [2.0], [3.0]]
    assert batch.sequences[NEG].lengths().tolist() == [1, 0, 1, 0]
    assert BASE not in batch.dense


def test_padded_column_has_empty_rows() -> None:
    one = Column(np.array([5, 6])).pad(4)
    assert one.lengths is not None
    assert (one.values.tolist(), one.lengths.tolist()) == ([5, 6], [1, 1, 0, 0])
    dense = Column(np.ones((1, 2), np.float32), dim=2).pad(3)
    assert dense.values.tolist() == [[1, 1], [0, 0], [0, 0]]
    steps = Column(np.ones((2, 1), np.float32), dim=1, sequence_lengths=np.array([2], np.int32)).pad(2)
    assert steps.sequence_lengths is not None
    assert (steps.values.shape, steps.sequence_lengths.tolist()) == ((2, 1), [2, 0])
    assert steps.num_rows == 2
    assert one.pad(4) is one
