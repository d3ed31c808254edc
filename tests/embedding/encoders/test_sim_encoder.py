from __future__ import annotations

import numpy as np
import pytest
import torch
from google.protobuf import text_format
from torch import Tensor

from tests.fixtures.feature_groups import make_feature, make_group
from tests.fixtures.sequence_batch import SEED
from tzrec.data.batch import Batch
from tzrec.data.collate import collate
from tzrec.embedding.group import EmbeddingGroup
from tzrec.features.base import Table
from tzrec.features.column import Column
from tzrec.modules.jagged_sequence import JaggedSequence

CATEGORY, ITEM = Table("category", 9, 4), Table("item", 9, 3)
FEATURES = {
    "category": make_feature("category", CATEGORY),
    "item": make_feature("item", ITEM),
    "h__item": make_feature("h__item", ITEM, is_sequence=True),
    "h__gap": make_feature("h__gap", dim=1, is_sequence=True),
    "h__category": make_feature("h__category", CATEGORY, is_sequence=True),
}
# rows: two matches; no elements; the first of two ids counts; no category
CANDIDATES = [[3], [3], [5, 2], []]
HISTORY = [[[3], [4], [3]], [], [[2], [], [5, 2], [2, 5], [5]], [[3], [0]]]


def batch() -> Batch:
    lengths = np.array([len(row) for row in HISTORY], np.int32)
    elements = [element for row in HISTORY for element in row]
    sizes = np.array([len(element) for element in elements], np.int32)
    ids = np.array([i for element in elements for i in element])
    columns = {
        "category": Column(np.array([3, 3, 5, 2]), np.array([len(row) for row in CANDIDATES], np.int32)),
        "item": Column(np.array([1, 2, 3, 4])),
        "h__item": Column(np.arange(10) % 9, sequence_lengths=lengths),
        "h__gap": Column(np.arange(10, dtype=np.float32)[:, None], dim=1, sequence_lengths=lengths),
        "h__category": Column(ids, sizes, sequence_lengths=lengths),
    }
    return collate(columns, 4)


def encode(fields: str, other: str = "") -> tuple[EmbeddingGroup, Tensor]:
    deep = make_group("deep")
    deep.sequence_groups.add(group_name="h", feature_names=list(FEATURES))
    text = f'sim_encoder {{ input: "h" category: "category" sequence_category: "h__category" {fields} }}'
    text_format.Parse(text, deep.sequence_encoders.add())
    if other:
        text_format.Parse(other, deep.sequence_encoders.add())
    torch.manual_seed(SEED)
    module = EmbeddingGroup(FEATURES, [deep]).eval()
    received: Tensor = module(batch())["deep"]
    return module, received


@pytest.mark.parametrize(
    ("fields", "matches"),
    [
        ("", [(0, 0), (0, 2), (2, 2), (2, 4)]),
        ("max_matches: 1", [(0, 0), (2, 2)]),
        ("max_seq_length: 2", [(0, 0)]),
        ("max_seq_length: 3", [(0, 0), (0, 2), (2, 2)]),
        ('time_gap: "h__gap" num_time_gaps: 3 time_gap_dim: 5', [(0, 0), (0, 2), (2, 2), (2, 4)]),
    ],
)
@pytest.mark.parametrize("is_alone", [True, False])
def test_encoder_attends_to_first_elements_with_the_category_of_the_row(
    fields: str, matches: list[tuple[int, int]], is_alone: bool
) -> None:
    """Rows and positions of matches; the first id of an element is its category. Another encoder may read more."""
    module, received = encode(fields, "" if is_alone else 'pooling_encoder { input: "h" }')
    encoder = module.encoders["deep"][0]
    received = received[:, : encoder.out_dim]
    seen = {}
    encoder.encode.register_forward_pre_hook(lambda _, args: seen.update(query=args[0], sequence=args[1]))
    assert torch.equal(module(batch())["deep"][:, : encoder.out_dim], received)
    sequence: JaggedSequence = seen["sequence"]
    places = zip(sequence.rows.tolist(), sequence.positions.tolist(), strict=True)
    chosen = torch.tensor([place in matches for place in places])
    every = torch.ones(len(matches), dtype=torch.bool)
    torch.testing.assert_close(received, encoder.encode(seen["query"], sequence.select(chosen), every))
    assert received.shape == (4, 2 * (8 + (4 if "time_gap" in fields else 0)))
    assert received[[1, 3]].eq(0).all()
    assert received[0].ne(0).any()


def test_gap_column_is_replaced_by_its_embedding() -> None:
    module, _ = encode('time_gap: "h__gap" num_time_gaps: 3 time_gap_dim: 5')
    (encoder,) = module.encoders["deep"]
    assert encoder.encode.gap_column == 3  # after the item
    assert encoder.encode.gap.table.weight.shape == (3, 5)
    assert encoder.encode.key.weight.shape == (2 * 16, 3 + 4 + 5)
