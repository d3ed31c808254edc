"""Masked training rows: features with use_mask receive no value in them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tzrec.features.arrays import BoolArray


@dataclass(frozen=True)
class RowMasks:
    """Masked rows of a batch.

    Attributes:
        batch: of its own rows `(R,)`.
        negatives: of the rows of negatives below them `(N,)`; None without any.
    """

    batch: BoolArray
    negatives: BoolArray

    @property
    def all(self) -> BoolArray:
        """Masked rows of features that also have the rows of negatives `(R + N,)`."""
        return np.concatenate([self.batch, self.negatives])

    def keep(self, is_kept: BoolArray) -> RowMasks:
        """Leave out rows of the batch."""
        return replace(self, batch=self.batch[is_kept])


def masked_rows(numbers: npt.NDArray[np.int64], seed: int, epoch: int, probability: float) -> npt.NDArray[np.bool_]:
    """Draw the masked rows by their numbers, independently of rank and batch.

    Args:
        numbers: of the rows over all files, `(B,)`.
        seed: of the run.
        epoch: number of the epoch, from 0.
        probability: of a row to be masked.

    Returns:
        mask `(B,)`.
    """
    return _is_below(_mix(numbers.astype(np.uint64) + _run_key(seed, epoch)), probability)


def masked_positions(count: int, key: int, probability: float | npt.NDArray[np.float64]) -> BoolArray:
    """Draw the masked rows of a batch by their positions.

    Args:
        count: number of rows N.
        key: `batch_key` of the batch.
        probability: of a row to be masked, one for all or `(N,)`.

    Returns:
        mask `(N,)`.
    """
    return _is_below(_mix(_mix(np.arange(count, dtype=np.uint64)) + np.uint64(key)), probability)


def batch_key(numbers: npt.NDArray[np.int64], seed: int, epoch: int, stage: str) -> int:
    """Return a 64-bit seed for the draws of a batch: it depends on the rows alone, not on ranks and threads.

    Args:
        numbers: of the rows over all files, `(B,)`.
        seed: of the run.
        epoch: number of the epoch, from 0.
        stage: "train" or "eval".
    """
    keys = _mix(numbers.astype(np.uint64) + _run_key(seed, epoch))
    return int(_mix(keys.sum(keepdims=True) + np.uint64(len(stage)))[0])


def _run_key(seed: int, epoch: int) -> npt.NDArray[np.uint64]:
    return np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64).astype(np.uint64)


def _is_below(bits: npt.NDArray[np.uint64], probability: float | npt.NDArray[np.float64]) -> BoolArray:
    """Compare random bits with a probability."""
    return bits < (np.minimum(probability, 1.0) * (2.0**64 - 2.0**11)).astype(np.uint64)


def _mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Hash each number to 64 pseudo-random bits: SplitMix64 of Steele, Lea and Flood (OOPSLA 2014)."""
    x = x * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
