"""One encoder in a DEEP group, and the same module on steps that were put together by hand."""

from __future__ import annotations

import torch
from google.protobuf import text_format
from torch import Tensor

from tests.embedding.stepped import FEATURES, SEED, batch, group, padded, queries
from tzrec.embedding.group import EmbeddingGroup

QUERY, STEPS = ["item", "tags"], ["h__item", "h__tags", "h__price"]
LENGTHS = [2, 0, 3]


def outcome(encoder: str, query: list[str] = QUERY, steps: list[str] = STEPS) -> tuple[EmbeddingGroup, Tensor]:
    """A DEEP group of `user` and one sequence, and what its encoder yields, `(3, width)`."""
    deep = group("deep", "user", kind="DEEP")
    deep.sequence_groups.add(group_name="h", feature_names=[*steps[:1], *query, *steps[1:]])
    text_format.Parse(encoder, deep.sequence_encoders.add())
    torch.manual_seed(SEED)
    made = EmbeddingGroup(FEATURES, [deep]).eval()
    grouped = made(batch())
    assert list(grouped) == ["deep"]
    torch.testing.assert_close(grouped["deep"][:, :4], queries(["user"]))
    assert made.dims["deep"] == grouped["deep"].shape[1]
    assert made.dims.features("deep") == [4, grouped["deep"].shape[1] - 4]
    return made, grouped["deep"][:, 4:]


def again(made: EmbeddingGroup, limit: int, query: list[str] = QUERY, steps: list[str] = STEPS) -> Tensor:
    """The encoder's module on the first `limit` steps, which are cut off rather than left out of account."""
    (encoder,) = made.encoders["deep"]  # type: ignore[misc]
    lengths = torch.tensor(LENGTHS).clamp(max=limit)
    result: Tensor = encoder.encode(queries(query) if query else None, padded(steps, limit), lengths)
    return result
