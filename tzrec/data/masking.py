"""Masked training rows: features with use_mask receive no value in them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


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
    key = np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)
    return _mix(numbers.astype(np.uint64) + key) < np.uint64(min(probability, 1.0) * (2.0**64 - 2.0**11))


def _mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Hash each number to 64 pseudo-random bits: SplitMix64 of Steele, Lea and Flood (OOPSLA 2014)."""
    x = x * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
