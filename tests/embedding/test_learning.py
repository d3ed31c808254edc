"""Attention finds what only one step can tell: how the item in question was liked."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from google.protobuf import text_format
from torch import nn

from tests.embedding.stepped import SEED, feature, group
from tzrec.data.batch import Batch
from tzrec.data.collate import collate
from tzrec.embedding.group import EmbeddingGroup
from tzrec.features.base import Table
from tzrec.features.column import Column

ITEMS, ROWS = 10, 128


def history(seed: int) -> tuple[Batch, torch.Tensor]:
    """Two to five steps of a row, each an item that was liked or not; and whether one of them, the row's, was."""
    rng = np.random.default_rng(seed)
    steps = [rng.choice(ITEMS, rng.integers(2, 6), replace=False) for _ in range(ROWS)]
    liked = [rng.integers(0, 2, len(row)) for row in steps]
    chosen = [rng.integers(len(row)) for row in steps]
    lengths = np.array([len(row) for row in steps], np.int32)
    columns = {
        "item": Column(np.array([row[at] for row, at in zip(steps, chosen, strict=True)])),
        "h": Column(np.concatenate(steps), sequence_lengths=lengths),
        "liked": Column(np.concatenate(liked)[:, None].astype(np.float32), dim=1, sequence_lengths=lengths),
    }
    labels = [float(row[at]) for row, at in zip(liked, chosen, strict=True)]
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
def test_attention_compares_the_item_with_the_steps(encoder: str, learns: bool) -> None:
    """Behind a pooling only the share of liked steps is left."""
    table = Table("t", ITEMS, 8, init_fn="nn.init.normal_,std=0.5")
    deep = group("g", "item", kind="DEEP")
    deep.sequence_groups.add(feature_names=["item", "h", "liked"])
    text_format.Parse(encoder, deep.sequence_encoders.add())
    torch.manual_seed(SEED)
    features = {"item": feature("item", table), "h": feature("h", table, steps=True)}
    made = EmbeddingGroup(features | {"liked": feature("liked", dim=1, steps=True)}, [deep])
    model = nn.Linear(made.dims["g"], 1)
    optimizer = torch.optim.Adam([*made.parameters(), *model.parameters()], 0.02)
    for step in range(120):
        batch, labels = history(step)
        loss = nn.functional.binary_cross_entropy_with_logits(model(made(batch)["g"]).squeeze(1), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        batch, labels = history(10_000)
        right = ((model(made(batch)["g"]).squeeze(1) > 0) == labels.bool()).float().mean().item()
    assert right > 0.9 if learns else right < 0.8
