"""Sampler: adds rows to those of a batch, before the features are encoded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import torch

from tzrec import registry
from tzrec.config.samplers import sampler_config
from tzrec.data.batch import SampledNegatives
from tzrec.features.arrays import BoolArray, Int64Array
from tzrec.features.bad_rows import BadRows
from tzrec.protos.data_pb2 import DataConfig

Stage = Literal["train", "eval"]


@dataclass(frozen=True)
class SampledRows:
    """Rows of a batch after sampling.

    Attributes:
        raw: raw columns, one row per label, R rows.
        origin: number of the row of the batch from which each of them comes, int64 `(R,)`.
        sampled: columns of further rows that only sampled features have, one row per negative; None if there are none.
        names: describes each row of `sampled` for messages.
        negatives: description of the rows of `sampled`; None without them.
        is_negative: rows of `raw` that are negatives themselves, `(R,)`; None if there are none.
    """

    raw: pa.RecordBatch
    origin: Int64Array
    sampled: pa.RecordBatch | None = None
    names: Any = None
    negatives: SampledNegatives | None = None
    is_negative: BoolArray | None = None

    @classmethod
    def without_sampler(cls, raw: pa.RecordBatch) -> SampledRows:
        """Return the rows of a batch unchanged."""
        return cls(raw, np.arange(raw.num_rows))

    def keep(self, is_kept: BoolArray) -> SampledRows:
        """Leave out rows of `raw`, and the hard negatives that belong to them.

        Args:
            is_kept: `(R,)`.
        """
        mask = pa.array(is_kept)
        kept = replace(
            self,
            raw=self.raw.filter(mask),
            origin=self.origin[is_kept],
            is_negative=None if self.is_negative is None else self.is_negative[is_kept],
        )
        if self.negatives is None or self.sampled is None:
            return kept
        old, num_simple = self.negatives, self.negatives.num_sampled
        row = old.hard_index[:, 0].numpy()
        is_kept_hard = is_kept[row]
        is_kept_sampled = np.concatenate([np.ones(num_simple, np.bool_), is_kept_hard])
        new_row = np.cumsum(is_kept) - 1
        hard_index = np.stack([new_row[row], old.hard_index[:, 1].numpy()], axis=1)[is_kept_hard]
        return replace(
            kept,
            sampled=self.sampled.filter(pa.array(is_kept_sampled)),
            names=self.names.filter(pa.array(is_kept_sampled)),
            negatives=replace(
                old,
                hard_index=torch.from_numpy(hard_index),
                positive_ids=old.positive_ids[torch.from_numpy(is_kept)],
                sampled_ids=old.sampled_ids[torch.from_numpy(is_kept_sampled)],
            ),
        )


class Sampler(ABC):
    """Sampler of a config; threads may share it.

    Attributes:
        columns: raw columns that it reads, beside those of the features.

    Args:
        config: the message of the sampler.
        data: the data_config.
        stage: in evaluation, num_eval_sample is in force.
    """

    columns: tuple[str, ...]

    @abstractmethod
    def __init__(self, config: Any, data: DataConfig, stage: Stage) -> None: ...

    @abstractmethod
    def sample(self, raw: pa.RecordBatch, key: int, bad: BadRows) -> SampledRows:
        """Draw rows for a batch; equal rows and keys draw the same.

        Args:
            raw: raw columns of B rows, at least `columns`.
            key: 64-bit seed of the draws.
            bad: receives ids that cannot be read.

        Raises:
            DataError: a column has a type that cannot be read.
        """


def make_sampler(data: DataConfig, stage: Stage) -> Sampler | None:
    """Build the sampler of a config; None without one.

    Raises:
        DataError: a table cannot be read.
    """
    config: Any = sampler_config(data)
    if config is None:
        return None
    sampler: Sampler = registry.resolve_class(data, "sampler")(config, data, stage)
    return sampler
