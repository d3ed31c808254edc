"""Variational dropout between the embeddings of a config and its model."""

from __future__ import annotations

import pytest
import torch
from google.protobuf import text_format

from tests.models.test_build import CONFIG, FEATURES, batch
from tzrec.models.base import RecModel
from tzrec.models.build import build_model
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.serving.servable import Servable

ONE = 'feature_groups { group_name: "one" feature_names: "price" group_type: DEEP }'


def ranker(text: str = "") -> RecModel:
    torch.manual_seed(1)
    config = EasyRecConfig()
    text_format.Parse(CONFIG % "nn.ReLU", config)
    text_format.Parse(f"{ONE} variational_dropout {{ {text} }}", config.model_config)
    made = build_model(config, FEATURES)
    assert made.feature_dropout is not None
    with torch.no_grad():
        for dropout in made.feature_dropout.dropouts:
            dropout.logits.copy_(torch.linspace(-1, 1, len(dropout.logits)))
    return made


def test_groups_of_several_features_are_scaled() -> None:
    """ "all" holds user, 3 wide, and price, 2 wide; "one" has nothing to choose from."""
    made = ranker().eval()
    assert made.feature_dropout.groups == ["all"]
    keep = 1 - torch.sigmoid(torch.tensor([-1.0, -1, -1, 1, 1]))
    grouped = made.embedding_group(batch())
    expected = made.model({"all": grouped["all"] * keep, "one": grouped["one"]}).logits
    received = made(batch())
    assert received.auxiliary_losses == {}
    for task, logits in expected.items():
        assert torch.equal(received.logits[task], logits)


def test_its_loss_is_one_of_those_that_are_minimised() -> None:
    made, given = ranker("regularization_lambda: 0.6"), batch(6)
    losses = made.compute_losses(made(given), given)
    keep = 2 - torch.sigmoid(torch.tensor([-1.0, 1.0])).sum().item()
    assert losses["all_feature_p_loss"].item() == pytest.approx(0.6 / 6 * keep)
    assert [name for name in losses if "feature_p" in name] == ["all_feature_p_loss"]
    sum(losses.values()).backward()
    (dropout,) = made.feature_dropout.dropouts
    assert (dropout.logits.grad != 0).all()


def test_every_column_by_itself() -> None:
    made, given = ranker("embedding_wise_variational_dropout: true"), batch(6)
    (dropout,) = made.feature_dropout.dropouts
    assert dropout.logits.shape == (5,)
    keep = 1 - torch.sigmoid(torch.linspace(-1, 1, 5))
    losses = made.compute_losses(made(given), given)
    assert losses["all_feature_p_loss"].item() == pytest.approx(0.01 / 6 * keep.sum().item())
    grouped = made.embedding_group(given)
    scaled, _ = made.eval().feature_dropout(grouped)
    torch.testing.assert_close(scaled["all"], grouped["all"] * keep)


def test_a_servable_scales_too() -> None:
    made = ranker().eval()
    servable = Servable.from_model(made)
    received = servable.predict(servable.signature.from_batch(batch()))
    for name, value in made.predict(made(batch())).items():
        torch.testing.assert_close(received[name], value)
