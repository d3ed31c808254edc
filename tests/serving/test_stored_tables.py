from __future__ import annotations

import struct

import pytest
import torch
from torch import Tensor
from torchrec import EmbeddingBagCollection, EmbeddingCollection

from tests.fixtures.small_model import small_batch, small_model, small_rows
from tzrec.errors import PackageError
from tzrec.models.base import RecModel
from tzrec.protos.export_pb2 import ExportConfig
from tzrec.serving.servable import Servable
from tzrec.serving.stored_tables import SPARSE_TYPE, StoredTables, narrower_type, quantize, stored_tables


def dequantized(packed: Tensor, bits: int) -> Tensor:
    """Read quantized rows number by number."""
    rows = []
    for row in packed:
        scale, bias = struct.unpack("<ee", bytes(row[:4].tolist()))
        numbers = row[4:].tolist()
        if bits == 4:
            numbers = [half for byte in numbers for half in (byte % 16, byte // 16)]
        rows.append([number * scale + bias for number in numbers])
    return torch.tensor(rows)


def plain(tables: StoredTables) -> dict[str, Tensor]:
    """The tables as float32."""
    bits = {"INT8": 8, "INT4": 4}
    types = tables.data_types
    return {
        name: dequantized(rows, bits[types[name]]) if types[name] in bits else rows.float()
        for name, rows in tables.rows.items()
    }


def with_tables(model: RecModel, tables: dict[str, Tensor]) -> RecModel:
    """Give a model other tables."""
    for module in model.modules():
        if isinstance(module, EmbeddingBagCollection):
            for name, bag in module.embedding_bags.items():
                bag.weight = torch.nn.Parameter(tables[name])
        elif isinstance(module, EmbeddingCollection):
            for name, embedding in module.embeddings.items():
                embedding.weight = torch.nn.Parameter(tables[f"sequence.{name}"])
    return model


@pytest.mark.parametrize(("bits", "steps"), [(8, 255), (4, 15)])
def test_quantize_rounds_each_value_to_nearest_step(bits: int, steps: int) -> None:
    weight = torch.randn(100, 6, generator=torch.Generator().manual_seed(1)) * torch.logspace(-3, 2, 100).unsqueeze(1)
    packed = quantize(weight, bits)
    assert packed.shape == (100, 4 + 6 * bits // 8)
    ranges = weight.amax(1) - weight.amin(1)
    errors = (dequantized(packed, bits) - weight).abs().amax(1)
    # half a step; steps are a bit wider because bias and scale are FP16 numbers
    steps_of_row = (ranges + weight.amin(1).abs() * 2**-10) / steps * (1 + 2**-10) + 2**-24
    assert (errors <= steps_of_row / 2 * 1.001).all()


def test_quantize_of_equal_values_and_zeros_is_exact() -> None:
    weight = torch.tensor([[0.5, 0.5], [0.0, 0.0], [-2.0, -2.0]])
    assert dequantized(quantize(weight, 8), 8).tolist() == weight.tolist()
    assert quantize(torch.empty(0, 4), 4).shape == (0, 6)


def test_quantize_in_chunks_equals_one_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = torch.randn(10, 4)
    expected = quantize(weight, 8)
    monkeypatch.setattr("tzrec.serving.stored_tables._CHUNK", 3)
    assert torch.equal(quantize(weight, 8), expected)


@pytest.mark.parametrize("sequence_type", SPARSE_TYPE)
@pytest.mark.parametrize("bag_type", SPARSE_TYPE)
def test_servable_of_each_type_equals_model_with_rounded_tables(bag_type: str, sequence_type: str) -> None:
    """Tables of the widths 2 to 7, FP32 and FP16, bags with and without weights, and sequences."""
    tables = stored_tables(small_model(), ExportConfig(bag_data_type=bag_type, sequence_data_type=sequence_type))
    servable, batch = Servable(small_model(), tables.flat(), tables.places), small_batch(small_rows(50))
    reference = with_tables(small_model(), plain(tables))
    with torch.inference_mode():
        received = servable.predict(servable.signature.from_batch(batch))
        expected = reference.predict(reference(batch))
    for name, value in expected.items():
        torch.testing.assert_close(received[name], value, atol=2e-6, rtol=2e-6)


def test_stored_tables_have_wider_types_first() -> None:
    tables = stored_tables(small_model())
    # user 50x4, tags 30x3, item 40x6, scores 20x5, history 20x2; of sequences item 40x6 twice, tags 30x3
    assert tables.places["half_emb"].offset == (670 + 570) * 4
    assert list(tables.rows)[-1] == "sequence.clicks__half_emb"
    narrow = stored_tables(small_model(), ExportConfig(bag_data_type="INT4"))
    assert narrow.data_types["user_emb"] == "INT4"
    assert narrow.data_types["tags_emb"] == "INT8"  # of width 3
    assert narrow.data_types["sequence.clicks__half_emb"] == "FP16"
    assert narrow.rows["user_emb"].shape == (50, 4 + 2)
    assert list(dict.fromkeys(narrow.data_types.values())) == ["FP32", "FP16", "INT8", "INT4"]


def test_narrower_type_of_trained_and_configured_type() -> None:
    assert narrower_type("FP32", "FP32", 3) == "FP32"
    assert narrower_type("FP16", "FP32", 3) == "FP16"
    assert narrower_type("FP16", "INT8", 3) == "INT8"
    assert narrower_type("FP32", "INT4", 8) == "INT4"
    assert narrower_type("FP32", "INT4", 7) == "INT8"


@pytest.mark.parametrize("value", [70000.0, float("nan")])
@pytest.mark.parametrize("data_type", ["FP16", "INT8"])
def test_stored_tables_with_too_large_value_raises(data_type: str, value: float) -> None:
    tables = plain(stored_tables(small_model()))
    tables["user_emb"][3, 1] = value
    model = with_tables(small_model(), tables)
    with pytest.raises(PackageError, match=f'table "user_emb" has a value {value:g}, and {data_type} rows hold'):
        stored_tables(model, ExportConfig(bag_data_type=data_type))
