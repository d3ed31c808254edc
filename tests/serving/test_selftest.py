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


def test_differences_count_relative_to_the_size_of_an_output() -> None:
    ranker = small_ranker()
    with torch.no_grad():
        for parameter in ranker.model.parameters():
            parameter.mul_(3)
    wrong = Wrong("logits_ctr", 0.01)
    wrong.servable = Servable.of(ranker)
    features = small_encoder().features
    generator = torch.Generator().manual_seed(0)
    batches = [made_up_batch(features, rows, generator) for rows in (1, 7, 256)]
    with torch.inference_mode():
        greatest = max(float(ranker.predict(ranker(batch))["logits_ctr"].abs().max()) for batch in batches)
    assert greatest > 2
    assert difference(wrong, ranker, features) == pytest.approx(0.01 / greatest, rel=1e-3)  # type: ignore[arg-type]


def test_ids_lie_in_their_tables() -> None:
    features = small_encoder().features
    batch = made_up_batch(features, 50, torch.Generator().manual_seed(0))
    ids = batch.sparse[BASE].to_dict()
    for name, jagged in ids.items():
        assert int(jagged.values().max()) < features[name].table.rows  # type: ignore[union-attr]
        assert {0, 3} <= set(jagged.lengths().tolist())
    assert ids["item"].weights().eq(1).all()
    assert ids["scores"].weights().min() >= 0.5
