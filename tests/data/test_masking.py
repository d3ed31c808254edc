from __future__ import annotations

import numpy as np

from tests.data.conftest import Write
from tests.fixtures.numbered_rows import make_config, open_loader
from tzrec.data.batch import BASE, Cursor
from tzrec.data.masking import masked_rows


def test_masked_rows_have_the_probability_and_are_independent() -> None:
    numbers = np.arange(200_000)
    first, second = masked_rows(numbers, 1, 0, 0.3), masked_rows(numbers, 1, 1, 0.3)
    for masked in (first, second, masked_rows(numbers, 2, 0, 0.3)):
        assert abs(masked.mean() - 0.3) < 0.005  # five standard deviations
    assert abs((first & second).mean() - 0.09) < 0.005
    assert abs((first[1:] & first[:-1]).mean() - 0.09) < 0.005
    assert not masked_rows(numbers, 1, 0, 0.0).any()
    assert masked_rows(numbers, 1, 0, 1.0).all()


def test_masking_depends_on_the_row_number_only() -> None:
    numbers = np.arange(1000)
    expected = masked_rows(numbers, 1, 0, 0.5)
    order = np.random.default_rng(0).permutation(1000)
    assert (masked_rows(numbers[order], 1, 0, 0.5) == expected[order]).all()


def masked(write: Write, mode: str, world: int, epoch: int = 0) -> set[int]:
    """Rows without an id, over all ranks."""
    config = make_config("sample_mask_prob: 0.4 shuffle: true shuffle_buffer_size: 2 batch_size: 3")
    config.feature_configs[0].id_feature.use_mask = True
    path, rows = write([20, 31], "parquet"), set()
    for rank in range(world):
        for batch in open_loader(config, path, mode=mode, rank=rank, world_size=world).epoch(Cursor(epoch=epoch)):
            has_id = batch.sparse[BASE].lengths().numpy() == 1
            numbers = (batch.dense[BASE].values()[:, 0] * 2).int().numpy()  # the price is half of it
            rows |= set(numbers[: batch.rows][~has_id[: batch.rows]].tolist())
    return rows


def test_training_masks_the_same_rows_on_any_number_of_ranks(write: Write) -> None:
    expected = masked(write, "train", 1)
    assert 8 < len(expected) < 35
    assert masked(write, "train", 2) == expected == masked(write, "train", 3)
    assert masked(write, "train", 1, epoch=1) != expected
    assert masked(write, "eval", 1) == set()
