from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.fixtures.small_model import small_batch, small_encoder, small_rows
from tzrec.errors import DataError
from tzrec.profile.feature_bins import MAX_ROWS
from tzrec.profile.training_profile import BatchSampler, TrainingProfile


@pytest.fixture(scope="module")
def profile() -> TrainingProfile:
    sampler = BatchSampler()
    for num_rows in (50, 30):
        sampler.add(small_batch(small_rows(num_rows)))
    return sampler.samples.profile()


def test_profile_counts_all_values_of_each_feature(profile: TrainingProfile) -> None:
    assert profile.num_rows == 80 and set(profile.features) == set(small_encoder().outputs)
    for name, feature in profile.features.items():
        values, empty = 0, 0
        for num_rows in (50, 30):
            column = small_encoder().encode(small_rows(num_rows).combine_chunks().to_batches()[0])[0][name]
            lengths = column.sequence_lengths if column.sequence_lengths is not None else column.lengths
            values += column.values.size
            if column.sequence_lengths is not None and column.lengths is not None:
                ends = np.cumsum(column.sequence_lengths)
                parts = np.split(column.lengths, ends[:-1])
                lengths = np.array([part.sum() for part in parts])
            empty += 0 if lengths is None else int((lengths == 0).sum())
        assert (feature.counts[:-1].sum(), feature.counts[-1]) == (values, empty), name
    assert profile.features["tags"].counts[-1] > 0


def test_profile_read_from_its_text_is_the_same(profile: TrainingProfile, tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text(profile.to_text())
    read = TrainingProfile.read(path)
    assert read.to_text() == profile.to_text()
    assert {name: feature.counts.tolist() for name, feature in read.features.items()} == {
        name: feature.counts.tolist() for name, feature in profile.features.items()
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a profile"),
        ("[1]", "is not a profile"),
        ('{"format": 2}', "has format 2, not 1"),
        ('{"format": 1, "num_rows": 1, "features": {"a": {"edges": [1], "counts": [1]}}}', "1 counts of 3 bins"),
    ],
)
def test_read_other_text_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        TrainingProfile.read(path)


def test_sampler_keeps_batches_at_equal_distances() -> None:
    sampler, batches = BatchSampler(), [small_batch(small_rows(num_rows)) for num_rows in range(1, 201)]
    for batch in batches:
        sampler.add(batch)
    kept = [num_rows - 1 for num_rows, _ in sampler.samples.batches]
    assert kept == list(range(0, 200, 4))


def test_sampler_reads_the_first_rows_of_a_large_batch() -> None:
    sampler = BatchSampler()
    sampler.add(small_batch(small_rows(MAX_ROWS + 50)))
    profile = sampler.samples.profile()
    assert profile.num_rows == profile.features["item"].counts.sum() == MAX_ROWS
    assert profile.features["price"].counts.sum() == MAX_ROWS
