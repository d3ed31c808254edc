"""Self-test of a package: the scores of its programs beside those of the trained model, on the same rows."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchrec import JaggedTensor, KeyedJaggedTensor, KeyedTensor

from tzrec.data.batch import BASE, Batch
from tzrec.features.base import Feature
from tzrec.models.base import RecModel
from tzrec.serving.measurements import Measurement
from tzrec.serving.predictor import Scorer

_SIZES = (1, 7, 256)
_MAX_LENGTH = 3

Outputs = Mapping[str, Tensor]


class SelfTest:
    """Comparison of scorers over synthetic batches, and over given rows.

    A difference is relative to the greatest value of the output above 1. Rounding errors grow with the terms of a sum,
    not with the sum: a factorization machine adds terms of 10 and more to a logit that may be close to 0. The greatest
    value of an output over all rows estimates the size of the terms.

    Args:
        model: the trained model.
        features: its features.
        rows: given rows, with the labels that they have.

    Attributes:
        measurements: of the checkpoint, and of all scorers that were compared.
    """

    def __init__(self, model: RecModel, features: Mapping[str, Feature], rows: Batch | None = None) -> None:
        reference = model.float().eval()  # as trained: FP16 rows are added up in FP32
        generator = torch.Generator().manual_seed(0)
        self._batches = [synthetic_batch(features, num_rows, generator) for num_rows in _SIZES]
        self._batches += [rows] if rows is not None else []
        self._labels = _binary_labels(model, rows) if rows is not None else {}
        with torch.inference_mode():
            expected = [reference.predict(reference(batch)) for batch in self._batches]
        self._outputs: dict[str, list[Outputs]] = {"checkpoint": list(expected)}
        self.measurements = [Measurement("checkpoint", auc=self._auc(expected))]

    @property
    def num_rows(self) -> int:
        """Number of rows that are scored."""
        return sum(batch.rows for batch in self._batches)

    def compare(self, name: str, scorer: Scorer, reference: str = "checkpoint") -> Measurement:
        """Score all rows with a scorer.

        Args:
            name: of the scorer.
            scorer: it may have fewer outputs than the model.
            reference: name of the scorer to compare it with.
        """
        with torch.inference_mode():
            received = [scorer.predict(scorer.signature.from_batch(batch)) for batch in self._batches]
        expected = self._outputs[reference]
        measurement = Measurement(name, reference, _difference(received, expected), self._auc(received))
        self._outputs[name] = list(received)
        self.measurements.append(measurement)
        return measurement

    def _auc(self, outputs: Sequence[Outputs]) -> dict[str, float]:
        """AUC of the given rows, which are the last batch, by task."""
        aucs = {
            task: auc(outputs[-1][output].float().numpy(), label)
            for task, (output, label) in self._labels.items()
            if output in outputs[-1]
        }
        return {task: value for task, value in aucs.items() if not math.isnan(value)}


def difference(scorer: Scorer, model: RecModel, features: Mapping[str, Feature]) -> float:
    """Difference of a scorer to a model over synthetic batches, see `SelfTest`."""
    return SelfTest(model, features).compare("scorer", scorer).difference


def auc(scores: npt.NDArray[np.float32], labels: npt.NDArray[np.bool_]) -> float:
    """Area under the ROC curve, equal scores counting half; NaN where all labels are equal."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    num_positive = int(labels.sum())
    num_pairs = num_positive * (len(labels) - num_positive)
    return float((ranks[labels].sum() - num_positive * (num_positive + 1) / 2) / num_pairs) if num_pairs else math.nan


def _binary_labels(model: RecModel, rows: Batch) -> dict[str, tuple[str, npt.NDArray[np.bool_]]]:
    """Output and label of each task with two classes of which the rows have labels; the only task is called "auc"."""
    labels: dict[str, tuple[str, npt.NDArray[np.bool_]]] = {}
    for name, head in model.heads.served.items():
        label = rows.labels.get(head.label_name)
        if head.num_class == 1 and isinstance(label, Tensor) and label.ndim == 1:
            labels[f"auc_{name}" if name else "auc"] = (f"probs{head.suffix}", label.numpy() > 0)
    return labels


def _difference(received: Sequence[Outputs], expected: Sequence[Outputs]) -> float:
    differences: dict[str, float] = defaultdict(float)
    greatest: dict[str, float] = defaultdict(float)
    for outputs, references in zip(received, expected, strict=True):
        for name, value in outputs.items():
            reference = references[name]
            differences[name] = max(differences[name], _max_abs(value - reference, nonfinite=math.inf))
            greatest[name] = max(greatest[name], _max_abs(reference, nonfinite=0.0))
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
