"""Memory on long sequences: proportional to the number of elements, not to rows times the longest row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from google.protobuf import text_format
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tzrec.data.collate import collate
from tzrec.features.column import Column
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.models.build import build_model
from tzrec.modules.din import DIN, MultiWindowDIN
from tzrec.modules.eta import ETA
from tzrec.modules.jagged_sequence import JaggedSequence
from tzrec.modules.sdim import SDIM
from tzrec.modules.self_attention import SelfAttention
from tzrec.modules.sequence_pooling import DotAttention, Pooling
from tzrec.modules.sim import SIM
from tzrec.protos.pipeline_pb2 import EasyRecConfig

DIM, ROWS, LONGEST = 8, 500, 10_000
ENCODERS: dict[str, Callable[[], Any]] = {
    "din": lambda: DIN(DIM, DIM, {"hidden_units": [16, 8]}),
    "multi_window_din": lambda: MultiWindowDIN(DIM, DIM, [10, 100, 10_000], {"hidden_units": [16]}),
    "mean": lambda: Pooling(DIM, True),
    "dot": lambda: DotAttention(DIM),
    "sim": lambda: SIM(DIM, DIM, 200, 8, 2),
    "eta": lambda: ETA(DIM, DIM, 48, 16, 16, 2),
    "sdim": lambda: SDIM(DIM, DIM, 16, 2),
}


class LargestTensor(TorchDispatchMode):
    """Record the number of values of the largest tensor that is computed, and the number of operations."""

    def __init__(self) -> None:
        super().__init__()
        self.size = self.num_operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.num_operations += 1
        sizes = [x.untyped_storage().nbytes() // 4 for x in tree_leaves(result) if isinstance(x, Tensor)]
        self.size = max([self.size, *sizes])
        return result


def train_step(name: str, lengths: Tensor) -> LargestTensor:
    """Run one step forward and backward."""
    torch.manual_seed(0)
    module, query = ENCODERS[name](), torch.randn(len(lengths), DIM, requires_grad=True)
    sequence = JaggedSequence.of(torch.randn(int(lengths.sum()), DIM, requires_grad=True), lengths)
    arguments = (sequence.positions % 3 == 0,) if name == "sim" else ()
    with LargestTensor() as largest:
        module(query, sequence, *arguments).square().sum().backward()
    assert sequence.values.grad is not None
    assert torch.isfinite(sequence.values.grad).all()
    assert sequence.values.grad.ne(0).any()
    return largest


@pytest.mark.parametrize("name", ENCODERS)
def test_one_long_row_among_short_ones_costs_memory_of_its_elements(name: str) -> None:
    """One row of 10,000 elements and 500 rows of two: padded elements would be 455 times as many."""
    lengths = torch.full((ROWS,), 2)
    lengths[7] = LONGEST
    largest = train_step(name, lengths)
    assert largest.size <= 40 * int(lengths.sum())


@pytest.mark.parametrize("name", ENCODERS)
def test_twice_as_many_elements_cost_twice_the_memory_and_as_many_operations(name: str) -> None:
    small, large = (train_step(name, torch.tensor([length, 3, 0, length])) for length in (LONGEST // 2, LONGEST))
    assert large.size <= 2.2 * small.size
    assert large.num_operations == small.num_operations


MODELS = {
    "multi_tower_din": 'multi_tower_din { din_towers { input: "h" attn_mlp { hidden_units: [16, 8] } } }',
    "tdm": "tdm { multiwindow_din { windows_len: [10, 100, 10000] attn_mlp { hidden_units: 16 } } "
    "final { hidden_units: 8 } }",
}
CONFIG = """
data_config { label_fields: "clk" }
feature_configs { id_feature { feature_name: "item" expression: "item:item" num_buckets: 9 embedding_dim: 8
  embedding_name: "item" } }
feature_configs { sequence_id_feature { feature_name: "clicks" expression: "user:clicks" num_buckets: 9 embedding_dim: 8
  embedding_name: "item" } }
model_config {
  feature_groups { group_name: "h" group_type: SEQUENCE feature_names: ["item", "clicks"] }
  losses { binary_cross_entropy {} }
"""


@pytest.mark.parametrize("name", MODELS)
def test_model_on_one_long_row_among_short_ones_costs_memory_of_its_elements(name: str) -> None:
    """Embedding, model and gradients; the table receives the gradients of all elements."""
    config = text_format.Parse(f"{CONFIG} {MODELS[name]} }}", EasyRecConfig())
    encoder = FeatureEncoder.from_config(config.feature_configs, config.data_config)
    torch.manual_seed(0)
    model = build_model(config, encoder.features)
    lengths = np.full(ROWS, 2, np.int32)
    lengths[7] = LONGEST
    num_elements = int(lengths.sum())
    clicks = Column(np.arange(num_elements) % 9, sequence_lengths=lengths)
    items = Column(np.arange(ROWS) % 9, np.ones(ROWS, np.int32))
    batch = collate({"item": items, "clicks": clicks}, ROWS)
    with LargestTensor() as largest:
        output = model(batch)
        output.logits[""].square().sum().backward()
    assert output.logits[""].shape == (ROWS, 1)
    (table,) = (x for key, x in model.named_parameters() if key.startswith("embedding_group"))
    assert table.grad is not None
    assert table.grad.ne(0).any(1).all()
    assert largest.size <= 40 * num_elements


def test_self_attention_over_a_long_row_does_not_store_its_weights() -> None:
    """Of 2,000 elements there are 4 million attention weights in each head."""
    module, values = SelfAttention(DIM, 8, 2), torch.randn(1, 2000, DIM, requires_grad=True)
    with LargestTensor() as largest:
        module(None, values, torch.tensor([1900])).sum().backward()
    assert values.grad is not None and values.grad.ne(0).any()
    assert largest.size <= 100 * 2000
