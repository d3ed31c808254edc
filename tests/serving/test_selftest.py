from __future__ import annotations

import pytest
import torch

from tests.serving.small import small_encoder, small_ranker
from tzrec.data.batch import BASE
from tzrec.serving.selftest import difference, made_up_batch
from tzrec.serving.servable import Servable


class Wrong:
    """A servable with one output shifted."""

    def __init__(self, name: str, error: float) -> None:
        self.servable, self.name, self.error = Servable.of(small_ranker()), name, error
        self.signature = self.servable.signature

    def predict(self, inputs: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
        outputs = self.servable.predict(inputs)
        return outputs | {self.name: outputs[self.name] + self.error}


@pytest.mark.parametrize("name", ["probs_ctr", "probs_kind"])
def test_finds_the_difference(name: str) -> None:
    found = difference(Wrong(name, 0.01), small_ranker(), small_encoder().features)  # type: ignore[arg-type]
    assert found == pytest.approx(0.01, abs=1e-6)


def test_finds_none() -> None:
    assert difference(Wrong("probs_ctr", 0.0), small_ranker(), small_encoder().features) < 1e-6  # type: ignore[arg-type]


def test_not_a_number_is_a_difference() -> None:
    found = difference(Wrong("probs_ctr", float("nan")), small_ranker(), small_encoder().features)  # type: ignore[arg-type]
    assert not found <= 1e-6


def test_ids_lie_in_their_tables() -> None:
    features = small_encoder().features
    batch = made_up_batch(features, 50, torch.Generator().manual_seed(0))
    ids = batch.sparse[BASE].to_dict()
    for name, jagged in ids.items():
        assert int(jagged.values().max()) < features[name].table.rows  # type: ignore[union-attr]
        assert {0, 3} <= set(jagged.lengths().tolist())
    assert ids["item"].weights().eq(1).all()
    assert ids["scores"].weights().min() >= 0.5
