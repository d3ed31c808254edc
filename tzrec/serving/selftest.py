"""Does a package say what the trained model says? On rows made up from the features, without data."""

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
from tzrec.serving.package import Package

_SIZES = (1, 7, 256)
_LONGEST = 3


def difference(package: Package, ranker: RecModel, features: Mapping[str, Feature]) -> float:
    """The greatest |package - model| over made-up batches, relative to the greatest value of the output above 1.

    Rounding goes with the size of what is added up, not of the sum: a factorization machine adds terms of 10 and more
    to a logit that may be next to 0. The greatest value of an output over all rows tells of the size of the terms.
    """
    reference = ranker.float().eval()  # as trained: FP16 rows are added up in FP32
    generator = torch.Generator().manual_seed(0)
    apart: dict[str, float] = defaultdict(float)
    greatest: dict[str, float] = defaultdict(float)
    for rows in _SIZES:
        batch = made_up_batch(features, rows, generator)
        with torch.inference_mode():
            expected = reference.predict(reference(batch))
            received = package.predict(package.signature.from_batch(batch))
        for name, value in expected.items():
            apart[name] = max(apart[name], _greatest(received[name] - value, math.inf))
            greatest[name] = max(greatest[name], _greatest(value, 0.0))
    return max(apart[name] / max(greatest[name], 1.0) for name in apart)


def _greatest(values: Tensor, instead: float) -> float:
    """Greatest absolute value, with `instead` for what is no finite number."""
    return float(values.abs().nan_to_num(nan=instead, posinf=instead).max())


def made_up_batch(features: Mapping[str, Feature], rows: int, generator: torch.Generator) -> Batch:
    """Ids from all over the tables, none to three for a row, weights from 0.5 to 1.5, dense values from N(0, 1);
    none to three steps of a row, with none to three ids."""
    used = [feature for feature in features.values() if not feature.stub]
    by_row = [feature for feature in used if not feature.is_sequence]
    stepped = [feature for feature in used if feature.is_sequence]
    sparse = [feature for feature in by_row if feature.table]
    dense = [feature for feature in by_row if feature.table is None]
    ids = [feature for feature in stepped if feature.table]
    steps = {feature.name: _lengths(rows, generator) for feature in stepped}
    sizes = {feature.name: _lengths(int(steps[feature.name].sum()), generator) for feature in ids}
    return Batch(
        rows=rows,
        sparse={BASE: _ids(sparse, rows, generator)} if sparse else {},
        dense={BASE: _values(dense, rows, generator)} if dense else {},
        sequences={BASE: _step_ids(ids, steps, sizes, generator)} if ids else {},
        element_sizes={name: JaggedTensor(each, lengths=steps[name]) for name, each in sizes.items()},
        element_values={
            each.name: _step_values(each, steps[each.name], generator) for each in stepped if not each.table
        },
    )


def _lengths(count: int, generator: torch.Generator) -> Tensor:
    return torch.randint(0, _LONGEST + 1, (count,), generator=generator, dtype=torch.int32)


def _step_ids(
    features: list[Feature], steps: Mapping[str, Tensor], sizes: Mapping[str, Tensor], generator: torch.Generator
) -> KeyedJaggedTensor:
    names = [feature.name for feature in features]
    rows = {feature.name: feature.table.rows for feature in features if feature.table}
    values = [torch.randint(0, rows[name], (int(sizes[name].sum()),), generator=generator) for name in names]
    per_row = [
        torch.stack([each.sum() for each in sizes[name].split(steps[name].tolist())]).to(torch.int32) for name in names
    ]
    return KeyedJaggedTensor(names, torch.cat(values), lengths=torch.cat(per_row))


def _step_values(feature: Feature, steps: Tensor, generator: torch.Generator) -> JaggedTensor:
    return JaggedTensor(torch.randn(int(steps.sum()), feature.dim, generator=generator), lengths=steps)


def _ids(features: list[Feature], rows: int, generator: torch.Generator) -> KeyedJaggedTensor:
    lengths = torch.randint(0, _LONGEST + 1, (len(features), rows), generator=generator, dtype=torch.int32)
    sizes = lengths.sum(1).tolist()
    tables = [feature.table for feature in features if feature.table]
    values = [
        torch.randint(0, table.rows, (size,), generator=generator) for table, size in zip(tables, sizes, strict=True)
    ]
    weighted = torch.tensor([feature.is_weighted for feature in features]).repeat_interleave(lengths.sum(1))
    weights = torch.where(weighted, torch.rand(sum(sizes), generator=generator) + 0.5, 1.0)
    return KeyedJaggedTensor(
        keys=[feature.name for feature in features],
        values=torch.cat(values),
        weights=weights if any(feature.is_weighted for feature in features) else None,
        lengths=lengths.view(-1),
    )


def _values(features: list[Feature], rows: int, generator: torch.Generator) -> KeyedTensor:
    widths = [feature.dim for feature in features]
    return KeyedTensor([f.name for f in features], widths, torch.randn(rows, sum(widths), generator=generator))
