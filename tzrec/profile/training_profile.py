"""Profile of the training data: how the encoded values of each feature were distributed over the rows of a run.

A training run writes it as `profile.json` beside its checkpoints, an export copies it into the package, and a server
compares what it is asked with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torchrec import KeyedJaggedTensor

from tzrec.data.batch import Batch
from tzrec.errors import DataError
from tzrec.profile.feature_bins import MAX_ROWS, FeatureBins, FeatureProfile, Values, first_values
from tzrec.storage.path import AnyPath

_MAX_BATCHES = 64
_FORMAT = 1


@dataclass(frozen=True)
class TrainingProfile:
    """Distribution of each feature in the training data.

    Attributes:
        num_rows: rows that were looked at.
        features: by name.
    """

    num_rows: int
    features: Mapping[str, FeatureProfile]

    def to_text(self) -> str:
        """Its form in a file, with a line for each feature."""
        lines = [
            f"  {json.dumps(name)}: {json.dumps({**profile.bins.to_json(), 'counts': profile.counts.tolist()})}"
            for name, profile in self.features.items()
        ]
        return f'{{"format": {_FORMAT}, "num_rows": {self.num_rows}, "features": {{\n' + ",\n".join(lines) + "\n}}\n"

    def counts_of(self, samples: BatchSamples) -> dict[str, npt.NDArray[np.int64]]:
        """Count the values of other rows by the bins of each feature, `(num_bins,)` by name."""
        counts = {}
        for name, profile in self.features.items():
            entries = [sampled[name] for _, sampled in samples.batches if name in sampled]
            if entries:
                values = np.concatenate([entry.values for entry in entries])
                counts[name] = profile.bins.count(values, sum(entry.num_empty for entry in entries))
        return counts

    @classmethod
    def read(cls, path: AnyPath) -> TrainingProfile:
        """Read a file.

        Raises:
            DataError: it is not a profile, or that of a newer version.
        """
        try:
            value = json.loads(path.read_text())
            if value["format"] != _FORMAT:
                raise DataError(f"{path} has format {value['format']}, not {_FORMAT}; upgrade tzrec, or train again")
            features = {name: _read_feature(entry) for name, entry in value["features"].items()}
            return cls(int(value["num_rows"]), features)
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
            raise DataError(f"{path} is not a profile: {type(error).__name__} {error}; train again") from None


def _read_feature(value: Mapping[str, Any]) -> FeatureProfile:
    bins, counts = FeatureBins.from_json(value), np.array(value["counts"], np.int64)
    if counts.shape != (bins.num_bins,):
        raise ValueError(f"{counts.size} counts of {bins.num_bins} bins")
    return FeatureProfile(bins, counts)


@dataclass(frozen=True)
class _SampledFeature:
    values: Values
    num_empty: int


class BatchSampler:
    """Sampler of the batches of a run: a few rows of at most 64 of them, at equal distances.

    When 64 batches are kept, every other one is dropped and the distance doubles. So the samples are those of the whole
    run, they depend on the batches alone, and the later ones cost next to nothing.
    """

    def __init__(self) -> None:
        self._samples: list[tuple[int, dict[str, _SampledFeature]]] = []
        self._num_batches, self._distance = 0, 1

    def add(self, batch: Batch) -> None:
        """Add a batch, which is on the CPU."""
        if not batch.rows:
            return
        is_due = self._num_batches % self._distance == 0
        self._num_batches += 1
        if not is_due:
            return
        if len(self._samples) == _MAX_BATCHES:
            self._samples = self._samples[::2]
            self._distance *= 2
            if (self._num_batches - 1) % self._distance:
                return
        num_rows = min(batch.rows, MAX_ROWS)
        self._samples = [*self._samples, (num_rows, dict(_sampled_features(batch, num_rows)))]

    @property
    def samples(self) -> BatchSamples:
        """Rows that have been sampled so far; later batches do not change them."""
        return BatchSamples(self._samples)


@dataclass(frozen=True)
class BatchSamples:
    """Sampled rows, from which another thread may build the profile."""

    batches: list[tuple[int, dict[str, _SampledFeature]]]

    def profile(self) -> TrainingProfile:
        """Build the profile; at least one batch was sampled."""
        features = {}
        for name in self.batches[0][1]:
            entries = [sampled[name] for _, sampled in self.batches]
            num_empty = sum(entry.num_empty for entry in entries)
            features[name] = FeatureProfile.of([entry.values for entry in entries], num_empty)
        return TrainingProfile(sum(num_rows for num_rows, _ in self.batches), features)


def _sampled_features(batch: Batch, num_rows: int) -> Iterator[tuple[str, _SampledFeature]]:
    """Yield the name and the values of each feature in the first rows.

    In a data group with sampled negatives, the first rows are those of the samples.
    """
    for dense in batch.dense.values():
        for name, values in dense.to_dict().items():
            yield name, _sample(values[:num_rows].numpy())
    for ids in (*batch.sparse.values(), *batch.sequences.values()):
        yield from _sampled_ids(ids, num_rows)
    for name, elements in batch.element_values.items():
        lengths = elements.lengths()[:num_rows].numpy()
        yield name, _sample(elements.values().numpy(), lengths)


def _sampled_ids(ids: KeyedJaggedTensor, num_rows: int) -> Iterator[tuple[str, _SampledFeature]]:
    keys, values = ids.keys(), ids.values().numpy()
    lengths = ids.lengths().numpy().reshape(len(keys), -1)  # (keys, B)
    starts = np.cumsum(lengths.sum(1)) - lengths.sum(1)
    for index, name in enumerate(keys):
        yield name, _sample(values[starts[index] :], lengths[index, :num_rows])


def _sample(values: Values, lengths: npt.NDArray[np.int32] | None = None) -> _SampledFeature:
    """Copy the first values, see `first_values`."""
    first, num_empty = first_values(values, lengths)
    return _SampledFeature(first.copy(), num_empty)
