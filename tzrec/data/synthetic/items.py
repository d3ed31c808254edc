"""Items of synthetic data for a sampler: a catalog that data and tables share, with clusters that users prefer."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.config.samplers import sampler_config
from tzrec.data.synthetic.cells import MAX_IDS, Cells, Int64Array
from tzrec.data.synthetic.columns import SyntheticColumns, sources
from tzrec.data.synthetic.sequences import as_lists, as_text
from tzrec.protos.data_pb2 import DataConfig
from tzrec.protos.pipeline_pb2 import EasyRecConfig

NUM_CLUSTERS = 10
OWN_SHARE = 0.9
"""Share of the items of a user that are in the cluster of this user."""
_SEED = 0
_DRAWS = 4 * MAX_IDS
_TREE_ITEMS = 256


@dataclass(frozen=True)
class ItemCatalog:
    """Items with distinct ids, the same for all seeds; item i is in cluster `i % NUM_CLUSTERS`.

    Attributes:
        item_id: name of the column of ids.
        user_id: name of the column of users; "" if the sampler has none.
        columns: of the items, by name: the id, and the attributes that are columns of the data.
        fields: names of the attributes of the table in their order.
        users: distinct ids of users.
    """

    item_id: str
    user_id: str
    columns: dict[str, pa.Array]
    fields: tuple[str, ...]
    users: pa.Array

    @classmethod
    def of(cls, config: EasyRecConfig) -> ItemCatalog | None:
        """Draw the items of a config; None for one without a sampler."""
        sampler: Any = sampler_config(config.data_config)
        if sampler is None:
            return None
        item_id, user_id = sampler.item_id_field, getattr(sampler, "user_id_field", "")
        arrays = SyntheticColumns(config, _DRAWS, np.random.default_rng(_SEED)).arrays
        arrays |= {name: _numbers(_DRAWS) for name in (item_id, user_id) if name and name not in arrays}
        columns = {name: arrays[name] for name in dict.fromkeys((item_id, *sampler.attr_fields)) if name in arrays}
        rows = pa.table(columns)
        is_complete = np.logical_and.reduce([pc.is_valid(column).to_numpy() for column in rows.columns])
        rows = rows.filter(pa.array(is_complete))
        _, first = np.unique(texts(rows[item_id].combine_chunks()), return_index=True)
        rows = rows.take(pa.array(np.sort(first)[: _num_items(config.data_config, len(first))]))
        return cls(
            item_id,
            user_id,
            {name: rows[name].combine_chunks() for name in columns},
            tuple(sampler.attr_fields),
            pc.unique(arrays[user_id]).drop_null() if user_id else pa.nulls(0),
        )

    def __len__(self) -> int:
        return len(self.columns[self.item_id])

    def clusters(self, keys: pa.Array) -> Int64Array:
        """Return the cluster that each user prefers."""
        distinct = {key: zlib.crc32(key.encode()) % NUM_CLUSTERS for key in set(texts(keys))}
        return np.array([distinct[key] for key in texts(keys)], np.int64)

    def draw(self, clusters: Int64Array, rng: np.random.Generator, share: float = OWN_SHARE) -> Int64Array:
        """Draw an item for each cluster: one of it with probability `share`, else any; low numbers more often."""
        is_own = rng.random(len(clusters)) < share
        clusters = np.where(is_own, clusters, rng.integers(0, NUM_CLUSTERS, len(clusters))) % len(self)
        sizes = (len(self) - 1 - clusters) // NUM_CLUSTERS + 1
        return clusters + NUM_CLUSTERS * (sizes * rng.random(len(clusters)) ** 2).astype(np.int64)

    def plant(self, config: EasyRecConfig, features: SyntheticColumns, rng: np.random.Generator) -> None:
        """Replace the items of the rows, and those of grouped sequences, by items of the cluster of the row's user."""
        arrays = features.arrays
        if self.user_id and self.user_id not in arrays:
            arrays[self.user_id] = self.users.take(pa.array(rng.integers(0, len(self.users), features.num_rows)))
        clusters = self.clusters(arrays[self._key_column(arrays)])
        chosen = pa.array(self.draw(clusters, rng))
        arrays |= {name: column.take(chosen) for name, column in self.columns.items()}
        items_of_group: dict[str, Int64Array] = {}
        for source in sources(config):
            spec, lengths = source.sequence, features.lengths(source.name)
            attribute = source.name.removeprefix(f"{spec.group}__") if spec else ""
            if spec is None or lengths is None or not spec.group or attribute not in self.columns:
                continue
            if spec.group not in items_of_group:
                items_of_group[spec.group] = self.draw(np.repeat(clusters, lengths), rng)
            values = self.columns[attribute].take(pa.array(items_of_group[spec.group]))
            cells = Cells(values, None, np.zeros(len(values)))
            is_list = pa.types.is_list(arrays[source.name].type)
            planted = as_lists(cells, lengths) if is_list else as_text(cells, lengths, spec.delimiter)
            if planted.type == arrays[source.name].type:
                arrays[source.name] = planted

    def _key_column(self, arrays: Mapping[str, pa.Array]) -> str:
        """Name of the column that tells users apart: their id, or the first column of another side than the item."""
        if self.user_id:
            return self.user_id
        names = [
            name for name, array in arrays.items() if name not in self.columns and not pa.types.is_nested(array.type)
        ]
        return names[0] if names else self.item_id


def _num_items(data: DataConfig, num_ids: int) -> int:
    """Number of items; those of a tree leave most of the ids to the inner nodes."""
    return max(2, min(_TREE_ITEMS, num_ids // 4)) if data.WhichOneof("sampler") == "tdm_sampler" else MAX_IDS


def _numbers(count: int) -> pa.Array:
    return pa.array(np.arange(count) % MAX_IDS)


def texts(array: pa.Array) -> list[str]:
    """Return the text that a table of nodes has for each value; the elements of a list are joined by 0x1d."""
    if pa.types.is_list(array.type):
        array = pc.binary_join(array.cast(pa.list_(pa.string())), "\x1d")
    return [text or "" for text in array.cast(pa.string()).to_pylist()]
