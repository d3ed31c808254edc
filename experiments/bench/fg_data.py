"""Raw data of the feature benchmark: all columns are text, the most expensive input of features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tzrec.tools.make_taobao import FEATURES

CATEGORIES = 6_771


class TextColumns:
    """Random columns of text."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def ids(self, below: int, count: int) -> pa.Array:
        """Ids below a bound; small ones are more frequent."""
        ids = (below ** self._rng.random(count) - 1).astype(np.int64)
        return pa.array(ids).cast(pa.string())

    def number(self, count: int) -> pa.Array:
        """Log-normal numbers with two decimals."""
        return pa.array(self._rng.lognormal(3, 1, count).round(2)).cast(pa.string())

    def joined(self, words: pa.Array, rows: int, by: str) -> pa.Array:
        """The same number of words in each row, joined."""
        per_row = len(words) // rows
        offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * per_row)
        return pc.binary_join(pa.ListArray.from_arrays(offsets, words), by)

    def pairs(self, rows: int, per_row: int, below: int, by: str) -> pa.Array:
        """`key:value` pairs, joined."""
        words = pc.binary_join_element_wise(self.ids(below, rows * per_row), self.ids(100, rows * per_row), ":")
        return self.joined(words, rows, by)

    def nested(self, rows: int, per_row: int) -> pa.Array:
        """`outer^inner:value,inner:value|outer^...`."""
        inner = self.pairs(rows * per_row, 4, 10, ",")
        return self.joined(pc.binary_join_element_wise(self.ids(10, rows * per_row), inner, "^"), rows, "|")

    def simple(self, rows: int) -> dict[str, pa.Array]:
        """The 15 columns of the first set."""
        columns = {f.name: self.ids(f.rows, rows) for f in FEATURES if f.name != "price"}
        return {**columns, "price": self.number(rows)}

    def full(self, rows: int, num_elements: int = 50) -> dict[str, pa.Array]:
        """All columns, with sequences of `num_elements` elements."""
        maps = {f"user_map_{i}": self.pairs(rows, 10, 20, "\x1d") for i in range(3)}
        nested = {f"user_nested_{i}": self.nested(rows, 4) for i in range(2)}
        clicks = {
            "click__adgroup_id": self.joined(self.ids(846_812, rows * num_elements), rows, ";"),
            "click__cate_id": self.joined(self.ids(CATEGORIES, rows * num_elements), rows, ";"),
            "click__price": self.joined(self.number(rows * num_elements), rows, ";"),
        }
        keys = {"hour": self.ids(24, rows), "weekday": self.ids(7, rows)}
        return {**self.simple(rows), **keys, **maps, **nested, **clicks}


def add_labels(columns: dict[str, pa.Array], seed: int) -> pa.Table:
    """Add two random labels."""
    rng, rows = np.random.default_rng(seed), len(next(iter(columns.values())))
    shares = (("clk", 0.1), ("buy", 0.02))
    labels = {name: (rng.random(rows) < share).astype(np.int64) for name, share in shares}
    return pa.table({**columns, **labels})


def write(folder: Path, files: int, rows: int, full: bool, seed: int = 7) -> None:
    """Write Parquet files of `rows` rows each."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(files):
        columns = TextColumns(seed + index)
        table = add_labels(columns.full(rows) if full else columns.simple(rows), seed + index)
        pq.write_table(table, folder / f"part-{index}.parquet", row_group_size=65536)
