"""Events of three public sets: readers, histories of users, and items that are known at a moment."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

HISTORY = 50
"""Greatest length of a history, unless another one is asked for."""
MIN_COUNT = 5
"""Least number of events of an item that can be retrieved."""
SHARES = (0.8, 0.9)
"""Shares of the events before the two moments."""
HOUR_S, DAY_S = 3600, 24 * 3600


@dataclass(frozen=True)
class Events:
    """Events in time order.

    Attributes:
        user, item: numbers, `(N,)`.
        time: seconds, `(N,)`.
        category: number of the category of the item of each event, `(N,)`.
        names: of the items, by number.
        train_days: rows of fit and train are the events of so many days before the moment; 0 for all. Histories and
            counts reach further back.
    """

    user: np.ndarray
    item: np.ndarray
    time: np.ndarray
    category: np.ndarray
    names: np.ndarray
    train_days: int = 0


def read_movietweetings(folder: Path) -> Events:
    """Read ratings of films; the category is the first genre."""
    ratings = _read_columns(folder / "ratings.dat", ["user", "item", "rating", "time"])
    movies = _read_columns(folder / "movies.dat", ["item", "title", "genres"])
    genre = dict(zip(movies["item"], (genres.split("|")[0] for genres in movies["genres"])))
    category = np.array([genre.get(item, "") for item in ratings["item"]])
    return _events(ratings["user"], ratings["item"], ratings["time"].astype(np.int64), category)


def read_online_retail(folder: Path) -> Events:
    """Read purchases of known customers, without returns and postage; an invoice holds an item once."""
    names = ["CustomerID", "StockCode", "Description", "Quantity", "InvoiceDate"]
    paths = sorted(folder.glob("online_retail_*.parquet"))
    table = pa.concat_tables([pq.read_table(path, columns=names).replace_schema_metadata() for path in paths])
    is_product = pc.match_substring_regex(table["StockCode"], r"^\d{5}")
    is_valid = pc.and_(pc.and_(pc.greater(table["Quantity"], 0), pc.is_valid(table["CustomerID"])), is_product)
    table = table.filter(is_valid)
    words = pc.utf8_trim_whitespace(pc.fill_null(table["Description"], "")).to_pylist()
    category = np.array([text.rpartition(" ")[2] for text in words])  # the last word names the kind of thing
    time = table["InvoiceDate"].cast(pa.timestamp("s")).cast(pa.int64()).to_numpy()
    user, item = _text(table["CustomerID"]), _text(table["StockCode"])
    return _events(user, item, time, category)


def read_complete_journey(folder: Path) -> Events:
    """Read purchases of households; the category is that of the product. Rows are the last 60 days before a moment."""
    table = pq.read_table(folder / "transactions.parquet", columns=["household_id", "product_id", "ts"])
    products = pq.read_table(folder / "products.parquet", columns=["product_id", "product_category"])
    rows = pc.index_in(table["product_id"].cast(pa.int64()), products["product_id"].combine_chunks())
    category = pc.fill_null(products["product_category"].take(rows), "")
    time = table["ts"].cast(pa.timestamp("s")).cast(pa.int64()).to_numpy()
    names = (_text(table["household_id"]), _text(table["product_id"]))
    return _events(*names, time, _text(category), train_days=60)


READERS: Mapping[str, Callable[[Path], Events]] = {
    "movietweetings_100k": read_movietweetings,
    "online_retail": read_online_retail,
    "complete_journey": read_complete_journey,
}


def _text(column: pa.ChunkedArray) -> np.ndarray:
    return np.array(column.cast(pa.string()).to_pylist())


def _read_columns(path: Path, names: list[str]) -> dict[str, np.ndarray]:
    """Read a file of lines `a::b::c`."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(zip(names, map(np.array, zip(*(line.split("::") for line in lines)))))


def _events(user: np.ndarray, item: np.ndarray, time: np.ndarray, category: np.ndarray, train_days: int = 0) -> Events:
    """Number users, items and categories, and order events by time; of equal events of one moment, one is kept."""
    names, items = np.unique(item, return_inverse=True)
    users, categories = (np.unique(values, return_inverse=True)[1] for values in (user, category))
    order = np.lexsort((items, users, time))
    is_new = np.ones(len(order), bool)
    for values in (items, users, time):
        is_new[1:] &= values[order][1:] == values[order][:-1]
    is_new[1:] = ~is_new[1:]
    order = order[is_new]
    return Events(users[order], items[order], time[order], categories[order], names, train_days)


@dataclass(frozen=True)
class Histories:
    """Events of each user in time order, as rows of one array, from which histories are cut.

    Attributes:
        order: numbers of the events, by user and time.
        users: the users, in order.
        starts: first place in `order` of each user, and the number of events, `(users + 1,)`.
        time: of the events in `order`.
        length: greatest length of a history.
    """

    order: np.ndarray
    users: np.ndarray
    starts: np.ndarray
    time: np.ndarray
    length: int = HISTORY

    @classmethod
    def of(cls, events: Events, length: int = HISTORY) -> Histories:
        users, codes = np.unique(events.user, return_inverse=True)
        order = np.lexsort((events.time, codes))
        starts = np.searchsorted(codes[order], np.arange(len(users) + 1))
        return cls(order, users, starts, events.time[order], length)

    def before_events(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Begin and end, in `order`, of the history of the events at some places: all earlier moments of the user."""
        begin = self.starts[np.searchsorted(self.starts, places, side="right") - 1]
        is_first = np.ones(len(self.order), bool)
        is_first[1:] = self.time[1:] != self.time[:-1]
        is_first[self.starts[:-1]] = True
        end = np.maximum.accumulate(np.where(is_first, np.arange(len(self.order)), 0))[places]
        return np.maximum(begin, end - self.length), end

    def at(self, moment: int) -> tuple[np.ndarray, np.ndarray]:
        """Begin and end of the history of every user at a moment."""
        counts = np.add.reduceat(np.append(self.time < moment, False).astype(np.int64), self.starts[:-1])
        end = self.starts[:-1] + counts
        return np.maximum(self.starts[:-1], end - self.length), end

    def _rows(self, begin: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, pa.Array]:
        """Places in `order` of the events of histories, the most recent first, and the offsets of the lists."""
        lengths = end - begin
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        inside = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        return np.repeat(end, lengths) - 1 - inside, pa.array(offsets, pa.int32())

    def lists(self, values: np.ndarray, begin: np.ndarray, end: np.ndarray) -> pa.ListArray:
        """Values of the events of histories, the most recent first."""
        places, offsets = self._rows(begin, end)
        return pa.ListArray.from_arrays(offsets, pa.array(values[self.order[places]], pa.int32()))

    def gaps(self, begin: np.ndarray, end: np.ndarray, now: np.ndarray) -> pa.ListArray:
        """Whole hours from the events of histories until the time of each history, the most recent first."""
        places, offsets = self._rows(begin, end)
        hours = (np.repeat(now, end - begin) - self.time[places]) // HOUR_S
        return pa.ListArray.from_arrays(offsets, pa.array(hours, pa.int32()))


def catalogue(events: Events, moment: int) -> pa.Table:
    """Items that can be retrieved at a moment, with their numbers of events: `item_id`, `category`, `count`, `name`."""
    is_before = events.time < moment
    items, first, counts = np.unique(events.item[is_before], return_index=True, return_counts=True)
    is_kept = counts >= MIN_COUNT
    category = events.category[is_before][first]
    columns = {"item_id": items, "category": category, "count": counts, "name": events.names[items]}
    return pa.table({name: values[is_kept] for name, values in columns.items()})


def moments(events: Events) -> tuple[int, int]:
    """Times that cut the events at SHARES."""
    first, second = (int(np.quantile(events.time, share, method="higher")) for share in SHARES)
    return first, second


def prepare_sets(description: str, default_out: str, prepare: Callable[[Events, Path], None]) -> None:
    """Prepare the sets whose folder exists: the command line of an experiment.

    Args:
        description: of the command; its first line is shown.
        default_out: folder to write to.
        prepare: writes the tables of a set into a folder.
    """
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the folders of the sets")
    parser.add_argument("--out", type=Path, default=Path(default_out))
    args = parser.parse_args()
    for name, read in READERS.items():
        if (args.data / name).is_dir():
            prepare(read(args.data / name), args.out / name)
        else:
            print(f"{args.data / name} does not exist: left out")
