from __future__ import annotations

import pytest
import torch

from tests.fixtures.small_model import small_encoder, small_model
from tzrec.data.batch import BASE
from tzrec.serving.selftest import difference, synthetic_batch
from tzrec.serving.servable import Servable


class ShiftedServable:
    """A servable with an error added to one output."""

    def __init__(self, name: str, error: float) -> None:
        self.servable, self.name, self.error = Servable.from_model(small_model()), name, error
        self.signature = self.servable.signature

    def predict(self, inputs: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
        outputs = self.servable.predict(inputs)
        return outputs | {self.name: outputs[self.name] + self.error}


@pytest.mark.parametrize("name", ["probs_ctr", "probs_kind"])
def test_difference_of_shifted_output_equals_shift(name: str) -> None:
    measured = difference(ShiftedServable(name, 0.01), small_model(), small_encoder().features)  # type: ignore[arg-type]
    assert measured == pytest.approx(0.01, abs=1e-6)


def test_difference_of_equal_outputs_is_small() -> None:
    assert difference(ShiftedServable("probs_ctr", 0.0), small_model(), small_encoder().features) < 1e-6  # type: ignore[arg-type]


def test_difference_of_nan_exceeds_tolerance() -> None:
    measured = difference(ShiftedServable("probs_ctr", float("nan")), small_model(), small_encoder().features)  # type: ignore[arg-type]
    assert not measured <= 1e-6


def test_difference_is_relative_to_greatest_value_of_output() -> None:
    model = small_model()
    with torch.no_grad():
        for parameter in model.model.parameters():
            parameter.mul_(3)
    shifted = ShiftedServable("logits_ctr", 0.01)
    shifted.servable = Servable.from_model(model)
    features = small_encoder().features
    generator = torch.Generator().manual_seed(0)
    batches = [synthetic_batch(features, rows, generator) for rows in (1, 7, 256)]
    with torch.inference_mode():
        greatest = max(float(model.predict(model(batch))["logits_ctr"].abs().max()) for batch in batches)
    assert greatest > 2
    assert difference(shifted, model, features) == pytest.approx(0.01 / greatest, rel=1e-3)  # type: ignore[arg-type]


def test_synthetic_batch_has_ids_in_range_and_weights() -> None:
    features = small_encoder().features
    batch = synthetic_batch(features, 50, torch.Generator().manual_seed(0))
    ids = batch.sparse[BASE].to_dict()
    for name, jagged in ids.items():
        assert int(jagged.values().max()) < features[name].table.rows  # type: ignore[union-attr]
        assert {0, 3} <= set(jagged.lengths().tolist())
    assert ids["item"].weights().eq(1).all()
    assert ids["scores"].weights().min() >= 0.5
