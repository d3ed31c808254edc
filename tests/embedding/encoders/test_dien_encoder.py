from __future__ import annotations

import pytest
import torch
from google.protobuf import text_format

from tests.fixtures.feature_groups import make_group
from tests.fixtures.padded_sequences import from_padded
from tests.fixtures.sequence_batch import FEATURES, SEED, batch, padded, queries
from tests.fixtures.single_encoder import LENGTHS, encode, expected_output
from tzrec.embedding.group import EmbeddingGroup
from tzrec.modules.dien import DIEN, Steps
from tzrec.serving.signature import Signature

LOSS = "loss.dien_aux_loss"


def build(fields: str) -> EmbeddingGroup:
    """A DEEP group of `user` with the items of a history and, as negatives, its kinds, which are as wide."""
    deep = make_group("deep", "user")
    deep.sequence_groups.add(group_name="h", feature_names=["item", "h__item"])
    if "negative_input" in fields:
        deep.sequence_groups.add(group_name="n", feature_names=["h__kinds"])
    text_format.Parse(f'dien_encoder {{ input: "h" {fields} }}', deep.sequence_encoders.add())
    torch.manual_seed(SEED)
    return EmbeddingGroup(FEATURES, [deep])


@pytest.mark.parametrize(("newest_first", "hidden_dim"), [(False, 0), (True, 3)])
def test_encoder_reads_first_elements_up_to_limit(newest_first: bool, hidden_dim: int) -> None:
    fields = f'negatives: "none" max_seq_length: 2 newest_first: {str(newest_first).lower()} hidden_dim: {hidden_dim}'
    module, received = encode(f'dien_encoder {{ input: "h" {fields} }}')
    (encoder,) = module.encoders["deep"]
    assert isinstance(encoder.encode, DIEN)
    assert (encoder.encode.newest_first, received.shape[1]) == (newest_first, hidden_dim or 14)
    torch.testing.assert_close(received, expected_output(module, 2))
    assert not torch.allclose(received, expected_output(module, 3))
    assert received[1].eq(0).all()


@pytest.mark.parametrize("limit", [0, 2])
def test_loss_of_negative_group_is_weighted_and_computed_in_training_only(limit: int) -> None:
    module = build(
        f'negatives: "group" negative_input: "n" auxiliary_weight: 0.5 auxiliary_score: "dot" max_seq_length: {limit}'
    )
    trained, scored = module(batch()), module.eval()(batch())
    (encoder,) = module.encoders["deep"]
    lengths = torch.tensor(LENGTHS).clamp(max=limit or 9)
    items, kinds = (from_padded(padded([name], limit or 3), lengths) for name in ("h__item", "h__kinds"))
    steps = Steps.of(items, False)
    expected = 0.5 * encoder.loss(encoder.encode.extract(items, steps), items, steps, kinds)
    assert list(trained) == ["deep", LOSS]
    torch.testing.assert_close(trained[LOSS], expected)
    assert list(scored) == ["deep"]
    torch.testing.assert_close(trained["deep"], scored["deep"])
    torch.testing.assert_close(scored["deep"][:, 4:], encoder.encode(queries(["item"]), items))


def test_losses_of_several_encoders_are_added() -> None:
    module = build('negatives: "group" negative_input: "n"')
    (encoder,) = module.encoders["deep"]
    once = module(batch())[LOSS]
    module.encoders["deep"].append(encoder)
    module._plans.clear()
    torch.testing.assert_close(module(batch())[LOSS], 2 * once)


def test_loss_without_auxiliary_loss_is_absent() -> None:
    module = build('negatives: "none"')
    assert list(module(batch())) == ["deep"]
    assert not any("loss" in name for name, _ in module.named_parameters())


def test_negatives_are_no_input_of_a_package() -> None:
    layout = build('negatives: "group" negative_input: "n"').layout
    assert "h__kinds.values" in Signature.from_layout(layout).names
    names = Signature.from_layout(layout.without_training()).names
    assert "h__item.values" in names
    assert not [name for name in names if name.startswith(("h__kinds", "n."))]


def test_scorer_of_authors_has_two_layers_of_sigmoids() -> None:
    module = build('negatives: "batch"')
    (encoder,) = module.encoders["deep"]
    assert [tuple(parameter.shape) for name, parameter in encoder.loss.named_parameters() if "weight" in name] == [
        (100, 8),
        (50, 100),
        (1, 50),
    ]
    assert type(encoder.loss.scorer[0].layers[0].activation) is torch.nn.Sigmoid
    assert module(batch())[LOSS].item() == pytest.approx(2 * 0.69, rel=0.2)  # of scores near 0
