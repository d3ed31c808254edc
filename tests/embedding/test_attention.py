"""Attention learns a label that depends on one element: whether the item of the row was liked."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from google.protobuf import text_format
from torch import nn

from tests.fixtures.feature_groups import make_feature, make_group
from tests.fixtures.sequence_batch import SEED
from tzrec.data.batch import Batch
from tzrec.data.collate import collate
from tzrec.embedding.group import EmbeddingGroup
from tzrec.features.base import Table
from tzrec.features.column import Column

ITEMS, ROWS = 10, 128


def history(seed: int) -> tuple[Batch, torch.Tensor]:
    """Rows of two to five items, each liked or not; the label is whether the item of the row was liked."""
    rng = np.random.default_rng(seed)
    items = [rng.choice(ITEMS, rng.integers(2, 6), replace=False) for _ in range(ROWS)]
    liked = [rng.integers(0, 2, len(row)) for row in items]
    positions = [rng.integers(len(row)) for row in items]
    lengths = np.array([len(row) for row in items], np.int32)
    columns = {
        "item": Column(np.array([row[at] for row, at in zip(items, positions, strict=True)])),
        "h": Column(np.concatenate(items), sequence_lengths=lengths),
        "liked": Column(np.concatenate(liked)[:, None].astype(np.float32), dim=1, sequence_lengths=lengths),
    }
    labels = [float(row[at]) for row, at in zip(liked, positions, strict=True)]
    return collate(columns, ROWS), torch.tensor(labels)


@pytest.mark.parametrize(
    ("encoder", "learns"),
    [
        ('din_encoder { input: "g" attn_mlp { hidden_units: [16] } }', True),
        ('multi_window_din_encoder { input: "g" attn_mlp { hidden_units: [16] } windows_len: [2, 3] }', True),
        ('pooling_encoder { input: "g" }', False),
    ],
    ids=["din", "multi_window", "pooling"],
)
def test_attention_learns_match_of_item_and_elements(encoder: str, learns: bool) -> None:
    """After pooling only the share of liked elements is known."""
    table = Table("t", ITEMS, 8, init_fn="nn.init.normal_,std=0.5")
    deep = make_group("g", "item")
    deep.sequence_groups.add(feature_names=["item", "h", "liked"])
    text_format.Parse(encoder, deep.sequence_encoders.add())
    torch.manual_seed(SEED)
    features = {"item": make_feature("item", table), "h": make_feature("h", table, is_sequence=True)}
    module = EmbeddingGroup(features | {"liked": make_feature("liked", dim=1, is_sequence=True)}, [deep])
    model = nn.Linear(module.dims["g"], 1)
    optimizer = torch.optim.Adam([*module.parameters(), *model.parameters()], 0.02)
    for step in range(120):
        batch, labels = history(step)
        loss = nn.functional.binary_cross_entropy_with_logits(model(module(batch)["g"]).squeeze(1), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        batch, labels = history(10_000)
        accuracy = ((model(module(batch)["g"]).squeeze(1) > 0) == labels.bool()).float().mean().item()
    assert accuracy > 0.9 if learns else accuracy < 0.8
