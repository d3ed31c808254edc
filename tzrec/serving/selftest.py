"""Self-test of a package: its predictions against those of the trained model on synthetic batches."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

import torch
from torch import Tensor
from torchrec import JaggedTensor, KeyedJaggedTensor, KeyedTensor

from tzrec.data.batch import BASE, Batch
from tzrec.features.base import Feature
from tzrec.models.base import RecModel
from tzrec.serving.package import Program

_SIZES = (1, 7, 256)
_MAX_LENGTH = 3


def difference(program: Program, model: RecModel, features: Mapping[str, Feature]) -> float:
    """The greatest |program - model| over synthetic batches, relative to the greatest value of the output above 1.

    Rounding errors grow with the terms of a sum, not with the sum: a factorization machine adds terms of 10 and more
    to a logit that may be close to 0. The greatest value of an output over all rows estimates the size of the terms.
    """
    reference = model.float().eval()  # as trained: FP16 rows are added up in FP32
    generator = torch.Generator().manual_seed(0)
    differences: dict[str, float] = defaultdict(float)
    greatest: dict[str, float] = defaultdict(float)
    for num_rows in _SIZES:
        batch = synthetic_batch(features, num_rows, generator)
        with torch.inference_mode():
            expected = reference.predict(reference(batch))
            received = program.predict(program.signature.from_batch(batch))
        for name, value in expected.items():
            differences[name] = max(differences[name], _max_abs(received[name] - value, nonfinite=math.inf))
            greatest[name] = max(greatest[name], _max_abs(value, nonfinite=0.0))
    return max(differences[name] / max(greatest[name], 1.0) for name in differences)


def _max_abs(values: Tensor, nonfinite: float) -> float:
    """Greatest absolute value, with `nonfinite` in place of NaN and infinity."""
    return float(values.abs().nan_to_num(nan=nonfinite, posinf=nonfinite).max())


def synthetic_batch(features: Mapping[str, Feature], num_rows: int, generator: torch.Generator) -> Batch:
    """Random inputs of all features.

    Ids are uniform over the tables, 0 to 3 for each row, with weights uniform in [0.5, 1.5); dense values are drawn
    from N(0, 1). Sequences have 0 to 3 elements in each row, of 0 to 3 ids each.
    """
    used = [feature for feature in features.values() if not feature.is_stub]
    by_row = [feature for feature in used if not feature.is_sequence]
    sequences = [feature for feature in used if feature.is_sequence]
    sparse = [feature for feature in by_row if feature.table]
    dense = [feature for feature in by_row if feature.table is None]
    sparse_sequences = [feature for feature in sequences if feature.table]
    dense_sequences = [feature for feature in sequences if feature.table is None]
    lengths = {feature.name: _lengths(num_rows, generator) for feature in sequences}
    key_lengths = {f.name: _lengths(int(lengths[f.name].sum()), generator) for f in sparse_sequences}
    return Batch(
        rows=num_rows,
        sparse={BASE: _ids(sparse, num_rows, generator)} if sparse else {},
        dense={BASE: _values(dense, num_rows, generator)} if dense else {},
        sequences={BASE: _element_ids(sparse_sequences, lengths, key_lengths, generator)} if sparse_sequences else {},
        element_sizes={name: JaggedTensor(sizes, lengths=lengths[name]) for name, sizes in key_lengths.items()},
        element_values={f.name: _element_values(f, lengths[f.name], generator) for f in dense_sequences},
    )


def _lengths(size: int, generator: torch.Generator) -> Tensor:
    return torch.randint(0, _MAX_LENGTH + 1, (size,), generator=generator, dtype=torch.int32)


def _element_ids(
    features: list[Feature],
    lengths: Mapping[str, Tensor],
    key_lengths: Mapping[str, Tensor],
    generator: torch.Generator,
) -> KeyedJaggedTensor:
    names = [feature.name for feature in features]
    table_rows = {feature.name: feature.table.rows for feature in features if feature.table}
    values = [
        torch.randint(0, table_rows[name], (int(key_lengths[name].sum()),), generator=generator) for name in names
    ]
    per_row = [
        torch.stack([sizes.sum() for sizes in key_lengths[name].split(lengths[name].tolist())]).to(torch.int32)
        for name in names
    ]
    return KeyedJaggedTensor(names, torch.cat(values), lengths=torch.cat(per_row))


def _element_values(feature: Feature, lengths: Tensor, generator: torch.Generator) -> JaggedTensor:
    return JaggedTensor(torch.randn(int(lengths.sum()), feature.dim, generator=generator), lengths=lengths)


def _ids(features: list[Feature], num_rows: int, generator: torch.Generator) -> KeyedJaggedTensor:
    lengths = torch.randint(0, _MAX_LENGTH + 1, (len(features), num_rows), generator=generator, dtype=torch.int32)
    num_ids = lengths.sum(1).tolist()
    tables = [feature.table for feature in features if feature.table]
    values = [
        torch.randint(0, table.rows, (size,), generator=generator) for table, size in zip(tables, num_ids, strict=True)
    ]
    is_weighted = torch.tensor([feature.is_weighted for feature in features]).repeat_interleave(lengths.sum(1))
    weights = torch.where(is_weighted, torch.rand(sum(num_ids), generator=generator) + 0.5, 1.0)
    return KeyedJaggedTensor(
        keys=[feature.name for feature in features],
        values=torch.cat(values),
        weights=weights if any(feature.is_weighted for feature in features) else None,
        lengths=lengths.view(-1),
    )


def _values(features: list[Feature], num_rows: int, generator: torch.Generator) -> KeyedTensor:
    widths = [feature.dim for feature in features]
    return KeyedTensor([f.name for f in features], widths, torch.randn(num_rows, sum(widths), generator=generator))
