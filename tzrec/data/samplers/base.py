"""Sampler: adds rows to those of a batch, before the features are encoded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import torch

from tzrec import registry
from tzrec.config.samplers import sampled_columns, sampler_config
from tzrec.data.batch import SampledNegatives
from tzrec.data.samplers.node_table import NodeTable
from tzrec.features.arrays import BoolArray, Int64Array
from tzrec.features.bad_rows import BadRows
from tzrec.log import logger
from tzrec.protos.data_pb2 import DataConfig

Stage = Literal["train", "eval"]


@dataclass(frozen=True)
class AppendedRows:
    """Rows of N negatives below those of a batch, which only sampled features have: M simple ones, then H hard ones.

    Attributes:
        columns: the sampled ones, of the types that they have in the batch.
        nodes: table of the negatives.
        rows: of the negatives in it, int64 `(N,)`.
        bad: attributes that cannot be converted.
        negatives: description of the rows.
    """

    columns: pa.RecordBatch
    nodes: NodeTable
    rows: Int64Array
    bad: BadRows
    negatives: SampledNegatives

    @property
    def num_rows(self) -> int:
        """N."""
        return self.columns.num_rows

    def keep(self, is_kept: BoolArray) -> AppendedRows:
        """Leave out the hard negatives of rows of the batch, and count the rows that stay anew.

        Args:
            is_kept: of the rows of the batch `(R,)`.
        """
        row, slot = self.negatives.hard_index.numpy().T
        is_kept_hard = is_kept[row]
        mask = np.concatenate([np.ones(self.negatives.num_sampled, np.bool_), is_kept_hard])
        new_row = np.cumsum(is_kept) - 1  # (R,)
        columns = self.columns.filter(pa.array(mask))
        negatives = replace(
            self.negatives,
            hard_index=torch.from_numpy(np.stack([new_row[row], slot], axis=1)[is_kept_hard]),
            positive_ids=self.negatives.positive_ids[torch.from_numpy(is_kept)],
            sampled_ids=self.negatives.sampled_ids[torch.from_numpy(mask)],
        )
        return AppendedRows(columns, self.nodes, self.rows[mask], BadRows(columns.num_rows), negatives)

    def id_text(self, row: int) -> str:
        """Return the id of a negative."""
        return str(self.nodes.id_texts(self.rows[row : row + 1])[0])


@dataclass(frozen=True)
class SampledRows:
    """Rows of a batch after sampling.

    Attributes:
        raw: raw columns, one row per label, R rows.
        origin: number of the row of the batch from which each of them comes, int64 `(R,)`.
        bad: ids that cannot be read, by row of `raw`.
        appended: rows of negatives below them; None without any.
        is_negative: rows of `raw` that are negatives themselves `(R,)`; None without any.
    """

    raw: pa.RecordBatch
    origin: Int64Array
    bad: BadRows
    appended: AppendedRows | None = None
    is_negative: BoolArray | None = None

    @classmethod
    def unchanged(cls, raw: pa.RecordBatch) -> SampledRows:
        """Return the rows of a batch without sampling."""
        return cls(raw, np.arange(raw.num_rows), BadRows(raw.num_rows))

    def keep(self, is_kept: BoolArray) -> SampledRows:
        """Leave out rows of `raw` `(R,)`, and the hard negatives that belong to them."""
        raw = self.raw.filter(pa.array(is_kept))
        appended = None if self.appended is None else self.appended.keep(is_kept)
        is_negative = None if self.is_negative is None else self.is_negative[is_kept]
        return SampledRows(raw, self.origin[is_kept], BadRows(raw.num_rows), appended, is_negative)


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
    def sample(self, raw: pa.RecordBatch, key: int) -> SampledRows:
        """Draw rows for a batch; equal rows and keys draw the same.

        Args:
            raw: raw columns of B rows, at least `columns`.
            key: 64-bit seed of the draws.

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


def warn_of_unknown_attributes(data: DataConfig, columns: Collection[str]) -> None:
    """Warn of attributes of the sampler's table that no column of the data has: they are not used.

    Args:
        data: the data_config.
        columns: of the data.
    """
    unknown = sorted(sampled_columns(data).difference(columns))
    if unknown:
        logger.warning(
            "data_config.%s.attr_fields: the data has no column %s; this attribute of the table is not used",
            data.WhichOneof("sampler"),
            ", ".join(unknown),
        )
