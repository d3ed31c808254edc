from __future__ import annotations

import torch

from tests.fixtures.single_encoder import encode, expected_output
from tzrec.modules.bst import BST

PLAIN = "num_attention_heads: 2 hidden_act: 'nn.LeakyReLU' use_position_embeddings: false normalize_tokens: false"


def test_encoder_of_the_paper_has_an_output_for_each_token() -> None:
    module, received = encode(f'bst_encoder {{ input: "h" {PLAIN} max_position_embeddings: 3 }}')
    (encoder,) = module.encoders["deep"]
    assert isinstance(encoder.encode, BST)
    assert encoder.encode.shape.num_elements == 2
    assert isinstance(encoder.encode.blocks[0].forward_layers[1], torch.nn.LeakyReLU)
    assert received.shape == (3, 3 * 14)
    torch.testing.assert_close(received, expected_output(module, 2))
    assert received[1].eq(0).all()


def test_fields_reach_the_module() -> None:
    fields = (
        "hidden_size: 6 num_hidden_layers: 2 num_attention_heads: 3 intermediate_size: 5 max_position_embeddings: 4 "
        'target_item_position: "tail" reserve_target_position: false output_all_token_embeddings: false '
        "hidden_dropout_prob: 0.3 attention_probs_dropout_prob: 0.4 initializer_range: 0.5 max_seq_length: 3"
    )
    module, received = encode(f'bst_encoder {{ input: "h" {fields} }}')
    (encoder,) = module.encoders["deep"]
    bst = encoder.encode
    assert (bst.shape.num_elements, bst.shape.num_tokens, received.shape[1]) == (3, 4, 6)
    assert [block.forward_layers[0].out_features for block in bst.blocks] == [5, 5]
    assert (bst.blocks[0].dropout.ratio, bst.blocks[0]._attention_dropout, bst.input_norm[1].ratio) == (0.3, 0.4, 0.3)
    assert bst.positions.abs().max() > 0.1
    assert type(bst.blocks[0].forward_layers[1]) is torch.nn.GELU
    torch.testing.assert_close(received, expected_output(module, 3))


def test_ignored_candidate_needs_no_query() -> None:
    fields = 'num_attention_heads: 2 max_position_embeddings: 4 target_item_position: "ignore"'
    _, received = encode(f'bst_encoder {{ input: "h" {fields} }}', query=[])
    assert received.shape == (3, 4 * 14)
