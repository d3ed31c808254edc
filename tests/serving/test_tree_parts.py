"""Parts of an exported TDM equal the model: scores of nodes, and vectors of items."""

from __future__ import annotations

import pyarrow as pa
import pytest
import torch

from tests.fixtures import tdm_run
from tzrec.config.load import load_config
from tzrec.data.collate import collate
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.models.build import build_model
from tzrec.serving.compile import example_inputs
from tzrec.serving.parts import split
from tzrec.serving.predictor import Predictor
from tzrec.serving.servable import Servable
from tzrec.serving.trained_model import TrainedModel


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    config = load_config(str(tdm_run.write(tmp_path_factory.mktemp("tdm"), 8)))
    torch.manual_seed(0)
    encoder = FeatureEncoder.from_config(config.feature_configs, config.data_config)
    return TrainedModel(build_model(config, encoder.features).eval(), config, encoder.features, 0, "")


def test_embedding_part_returns_the_query_of_the_history(trained: TrainedModel) -> None:
    part = split(trained)["embedding"]
    assert list(part.features) == ["item_id"]
    assert part.config.data_config.WhichOneof("sampler") is None
    encoder = FeatureEncoder.from_config(part.config.feature_configs, part.config.data_config)
    predictor = Predictor(Servable.from_model(part.model), part.config, encoder)
    assert predictor.columns == ("item_id",)
    vectors = predictor.predict({"item_id": [3, 0, 39]})
    assert vectors.column_names == ["item_emb"]
    rows = tdm_run.users(3, 1).set_column(3, "item_id", pa.array([3, 0, 39]))
    whole = FeatureEncoder.from_config(trained.config.feature_configs, trained.config.data_config)
    columns, _ = whole.encode(rows.combine_chunks().to_batches()[0])
    with torch.no_grad():
        grouped = trained.model.embedding_group(collate(columns, 3))
    expected = grouped["history.query"]
    torch.testing.assert_close(torch.tensor(vectors["item_emb"].to_pylist()), expected, rtol=0, atol=0)
    assert expected.std() > 0


def test_model_part_is_the_whole_model_with_its_tree(trained: TrainedModel) -> None:
    part = split(trained)["model"]
    assert part is trained
    servable = Servable.from_model(part.model)
    (group,) = servable.signature.sequences.groups.values()
    assert (group.is_jagged, group.is_padded) == (True, False)
    assert len(servable.predict(example_inputs(servable.signature))["probs1"]) > 1
    assert part.config.data_config.WhichOneof("sampler") == "tdm_sampler"
