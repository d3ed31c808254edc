from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.fixtures.padded_sequences import double
from tests.fixtures.reference import weights
from tests.fixtures.transformer import naive_block
from tzrec.modules.transformer import TransformerBlock


@pytest.mark.parametrize("heads", [1, 2])
def test_block_equals_loop(heads: int) -> None:
    module = double(TransformerBlock(4, heads, 3, "nn.ReLU", 0.5, 0.5, 0.5)).eval()
    x = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 0, 1, 0, 0], [0, 0, 0, 1, 0]]).bool()
    received = module(x, mask).detach().numpy()
    for row in range(3):
        expected = naive_block(
            weights(module), "", x[row].numpy(), mask[row].numpy(), heads, lambda h: np.maximum(h, 0)
        )
        np.testing.assert_allclose(received[row], expected, rtol=0, atol=1e-12)


def test_block_equals_the_layer_of_torch() -> None:
    """`nn.TransformerEncoderLayer` with the same weights, after the norm."""
    module = double(TransformerBlock(4, 2, 3, "nn.ReLU", 0.0, 0.0)).eval()
    layer = torch.nn.TransformerEncoderLayer(4, 2, 3, 0.0, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        for name in ("weight", "bias"):
            parts = [getattr(linear, name) for linear in (module.query, module.key, module.value)]
            getattr(layer.self_attn, f"in_proj_{name}").copy_(torch.cat(parts))
            pairs = [
                (layer.self_attn.out_proj, module.mix),
                (layer.norm1, module.attention_norm),
                (layer.norm2, module.norm),
                (layer.linear1, module.forward_layers[0]),
                (layer.linear2, module.forward_layers[3]),
            ]
            for target, source in pairs:
                getattr(target, name).copy_(getattr(source, name))
    x = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 0, 1, 1, 1]]).bool()
    torch.testing.assert_close(module(x, mask), layer(x, src_key_padding_mask=~mask))


def test_block_drops_in_training_only() -> None:
    module = double(TransformerBlock(4, 2, 3, "nn.ReLU", 0.5, 0.0))
    x, mask = torch.ones(1, 3, 4, dtype=torch.float64), torch.ones(1, 3).bool()
    assert not torch.equal(module(x, mask), module(x, mask))
    assert torch.equal(module.eval()(x, mask), module(x, mask))
