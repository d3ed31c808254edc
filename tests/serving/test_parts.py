"""Parts of trained models: their configs, and their outputs compared with those of the whole model."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
import torch
from google.protobuf import text_format

from tzrec.data.batch import Batch
from tzrec.data.collate import collate
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.models.base import RecModel
from tzrec.models.build import build_model
from tzrec.models.two_towers import TwoTowers
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.serving.parts import split
from tzrec.serving.predictor import Predictor, to_arrow
from tzrec.serving.servable import Servable
from tzrec.serving.trained_model import TrainedModel

FEATURES = """
feature_configs { id_feature { feature_name: "user" expression: "user:user" num_buckets: 20 embedding_dim: 4 } }
feature_configs { id_feature { feature_name: "tags" expression: "user:tags" hash_bucket_size: 9 embedding_dim: 4
  embedding_name: "shared" weighted: true } }
feature_configs { raw_feature { feature_name: "age" expression: "user:age" embedding_dim: 3 autodis { num_channels: 2
  temperature: 0.1 keep_prob: 0.8 } } }
feature_configs { raw_feature { feature_name: "days" expression: "user:days" } }
feature_configs { expr_feature { feature_name: "double_days" expression: "days * 2" variables: "feature:days" } }
feature_configs { sequence_id_feature { feature_name: "clicks" expression: "user:clicks" sequence_length: 5
  num_buckets: 30 embedding_dim: 4 embedding_name: "item_emb" } }
feature_configs { id_feature { feature_name: "item" expression: "item:item" num_buckets: 30 embedding_dim: 4
  embedding_name: "item_emb" } }
feature_configs { id_feature { feature_name: "kind" expression: "item:kind" hash_bucket_size: 9 embedding_dim: 4
  embedding_name: "shared" } }
feature_configs { raw_feature { feature_name: "price" expression: "item:price" embedding_dim: 3 autodis {
  num_channels: 2 temperature: 0.1 keep_prob: 0.8 } } }
feature_configs { raw_feature { feature_name: "count" expression: "item:count" } }
feature_configs { id_feature { feature_name: "user_aug" expression: "user:user" num_buckets: 20 embedding_dim: 4 } }
feature_configs { id_feature { feature_name: "item_aug" expression: "item:item" num_buckets: 30 embedding_dim: 4 } }
"""
GROUPS = """
feature_groups { group_name: "user" feature_names: ["user", "tags", "age", "double_days"] group_type: DEEP
  sequence_groups { group_name: "seen" feature_names: "clicks" }
  sequence_encoders { pooling_encoder { input: "seen" } } }
feature_groups { group_name: "item" feature_names: ["item", "kind", "price"] group_type: DEEP }
"""
TOWERS = 'user_tower { input: "user" mlp { hidden_units: 6 } } item_tower { input: "item" mlp { hidden_units: 5 } }'
COMMON = "output_dim: 4 similarity: COSINE"
MODELS = {
    "dssm": f"dssm {{ {TOWERS} {COMMON} }}",
    "dssm_v2": f"dssm_v2 {{ {TOWERS} {COMMON} }}",
    "dat": 'feature_groups { group_name: "ua" feature_names: "user_aug" group_type: DEEP } feature_groups { '
    'group_name: "ia" feature_names: "item_aug" group_type: DEEP } dat { user_tower { input: "user" '
    'augment_input: "ua" mlp { hidden_units: 6 } } item_tower { input: "item" augment_input: "ia" mlp { '
    f"hidden_units: 5 }} }} {COMMON} }}",
    "mind": 'feature_groups { group_name: "clicks" feature_names: "clicks" group_type: SEQUENCE } mind { user_tower { '
    'input: "user" history_input: "clicks" user_mlp { hidden_units: 6 } capsule_config { max_k: 3 max_seq_len: 4 '
    'high_dim: 4 } concat_mlp { hidden_units: 5 } } item_tower { input: "item" mlp { hidden_units: 5 } } '
    f"{COMMON} }}",
}
SAMPLER = (
    'negative_sampler { input_path: "items.txt" num_sample: 4 attr_fields: ["item", "kind", "price", "count"] '
    'item_id_field: "item" }'
)
ROWS = pa.table(
    {
        "user": [1, 5, 7],
        "tags": ["a:0.5\x1db:2", "", "c:1"],
        "age": [0.3, 1.5, -2.0],
        "days": [1.0, 2.0, 3.0],
        "clicks": ["3;4;9", "", "1;2;3;4;5"],
        "item": [4, 9, 2],
        "kind": ["a", "c", "z"],
        "price": [0.1, 5.0, 2.0],
        "count": [3.0, 1.0, 2.0],
    }
)


def make_config(model: str, sampler: str) -> EasyRecConfig:
    more = "variational_dropout { } losses { softmax_cross_entropy {} } metrics { recall_at_k {} }"
    correction = 'candidate_correction { item_id_feature: "item" frequency_feature: "count" } in_batch_negative: true'
    text = MODELS[model].replace(COMMON, f"{COMMON} {correction}")
    data = f'dataset_type: ParquetDataset fg_mode: FG_DAG label_fields: "clk" {sampler}'
    config = f"data_config {{ {data} }} {FEATURES} model_config {{ {GROUPS} {text} {more} }}"
    return text_format.Parse(config, EasyRecConfig())


def train(config: EasyRecConfig) -> tuple[TrainedModel, FeatureEncoder]:
    """Model whose parameters and buffers are all random."""
    encoder = FeatureEncoder.from_config(config.feature_configs, config.data_config)
    model = build_model(config, encoder.features).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return TrainedModel(model, config, encoder.features, 3), encoder


def batch_of(encoder: FeatureEncoder) -> Batch:
    columns, _ = encoder.encode(ROWS)
    return collate(columns, ROWS.num_rows, {name: encoder.features[name].data_group for name in columns})


def expected_vectors(model: RecModel, encoder: FeatureEncoder) -> dict[str, torch.Tensor]:
    """Vectors of both towers of the whole model."""
    grouped = model.embedding_group(batch_of(encoder))
    assert model.feature_dropout is not None
    grouped, _ = model.feature_dropout(grouped)
    assert isinstance(model.model, TwoTowers)
    return model.model.user_vectors(grouped) | model.model.item_vectors(grouped)


CASES = [
    pytest.param(name, sampler, id=f"{name}-{'sampled' if sampler else 'in_batch'}")
    for name in MODELS
    for sampler in ("", SAMPLER + (" force_base_data_group: true" if name == "dssm_v2" else ""))
]


@pytest.mark.parametrize(("name", "sampler"), CASES)
def test_parts_equal_the_towers_of_the_model(name: str, sampler: str) -> None:
    """Each part is served from raw rows with only its own columns."""
    trained, encoder = train(make_config(name, sampler))
    expected = expected_vectors(trained.model, encoder)
    columns = {"user": ["user", "tags", "age", "days", "clicks"], "item": ["item", "kind", "price"]}
    parts = split(trained)
    assert list(parts) == ["user", "item"]
    for side, part in parts.items():
        predictor = Predictor(Servable.from_model(part.model), part.config, part_encoder(part))
        assert sorted(predictor.columns) == sorted(columns[side])
        received = predictor.predict(ROWS.select(columns[side]))
        assert received.column_names == [f"{side}_tower_emb"]
        values = torch.tensor(received.column(0).to_pylist())
        torch.testing.assert_close(values, expected[f"{side}_tower_emb"].detach(), rtol=0, atol=2e-6)


def part_encoder(part: TrainedModel) -> FeatureEncoder:
    return FeatureEncoder.from_config(part.config.feature_configs, part.config.data_config)


def test_config_of_a_part_has_only_what_the_part_needs() -> None:
    trained, _ = train(make_config("dssm", SAMPLER))
    parts = split(trained)
    names = {side: list(part.features) for side, part in parts.items()}
    assert names["user"] == ["user", "tags", "age", "days", "double_days", "clicks"]
    assert names["item"] == ["item", "kind", "price"]
    for part in parts.values():
        assert part.config.data_config.WhichOneof("sampler") is None
        assert not part.config.model_config.losses
        assert part.step == 3


def test_parts_share_the_memory_of_the_tables() -> None:
    trained, _ = train(make_config("dssm_v2", ""))
    addresses = {p.data_ptr() for p in trained.model.embedding_group.parameters()}
    table: Any = split(trained)["item"].model.embedding_group
    weights = [p for name, p in table.named_parameters() if "embedding_bags" in name]
    assert weights
    assert all(weight.data_ptr() in addresses for weight in weights)


def test_vectors_of_interests_are_nested_lists() -> None:
    values = torch.arange(12.0).view(2, 3, 2)
    assert to_arrow({"v": values}).column(0).to_pylist() == values.tolist()
