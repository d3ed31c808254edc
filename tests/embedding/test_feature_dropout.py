"""Variational dropout between the embeddings and the body of a model."""

from __future__ import annotations

import pytest
import torch
from google.protobuf import text_format

from tests.fixtures.two_task_model import CONFIG, FEATURES, batch
from tzrec.models.base import RecModel
from tzrec.models.build import build_model
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.serving.servable import Servable

ONE = 'feature_groups { group_name: "one" feature_names: "price" group_type: DEEP }'


def build(text: str = "") -> RecModel:
    torch.manual_seed(1)
    config = EasyRecConfig()
    text_format.Parse(CONFIG % "nn.ReLU", config)
    text_format.Parse(f"{ONE} variational_dropout {{ {text} }}", config.model_config)
    model = build_model(config, FEATURES)
    assert model.feature_dropout is not None
    with torch.no_grad():
        for dropout in model.feature_dropout.dropouts:
            dropout.logits.copy_(torch.linspace(-1, 1, len(dropout.logits)))
    return model


def test_features_of_groups_with_several_are_scaled() -> None:
    """ "all" holds user, 3 wide, and price, 2 wide; "one" has a single feature."""
    model = build().eval()
    assert model.feature_dropout.groups == ["all"]
    keep = 1 - torch.sigmoid(torch.tensor([-1.0, -1, -1, 1, 1]))
    grouped = model.embedding_group(batch())
    expected = model.model({"all": grouped["all"] * keep, "one": grouped["one"]}).logits
    received = model(batch())
    assert received.auxiliary_losses == {}
    for task, logits in expected.items():
        assert torch.equal(received.logits[task], logits)


def test_dropout_penalty_is_part_of_losses() -> None:
    model, inputs = build("regularization_lambda: 0.6"), batch(6)
    losses = model.compute_losses(model(inputs), inputs)
    keep = 2 - torch.sigmoid(torch.tensor([-1.0, 1.0])).sum().item()
    assert losses["all_feature_p_loss"].item() == pytest.approx(0.6 / 6 * keep)
    assert [name for name in losses if "feature_p" in name] == ["all_feature_p_loss"]
    sum(losses.values()).backward()
    (dropout,) = model.feature_dropout.dropouts
    assert (dropout.logits.grad != 0).all()


def test_embedding_wise_dropout_scales_columns() -> None:
    model, inputs = build("embedding_wise_variational_dropout: true"), batch(6)
    (dropout,) = model.feature_dropout.dropouts
    assert dropout.logits.shape == (5,)
    keep = 1 - torch.sigmoid(torch.linspace(-1, 1, 5))
    losses = model.compute_losses(model(inputs), inputs)
    assert losses["all_feature_p_loss"].item() == pytest.approx(0.01 / 6 * keep.sum().item())
    grouped = model.embedding_group(inputs)
    scaled, _ = model.eval().feature_dropout(grouped)
    torch.testing.assert_close(scaled["all"], grouped["all"] * keep)


def test_servable_scales_features() -> None:
    model = build().eval()
    servable = Servable.from_model(model)
    received = servable.predict(servable.signature.from_batch(batch()))
    for name, value in model.predict(model(batch())).items():
        torch.testing.assert_close(received[name], value)
