"""Prepare ranking on three sets of events: an item that a user chose against items that are popular.

    python experiments/sequence_ranking/prepare.py --data DIR --out data/sequence_ranking

The sets and the two moments are those of experiments/retrieval/prepare.py. Writes `fit`, `valid`, `train` and `test`
for each set. fit has the events before the first moment, valid those until the second one; train has the events before
the second moment, test those after it. Of each event there is a row with label 1, and NUM_NEGATIVES rows with label 0,
whose items are drawn by the 0.75th power of their numbers of events before the moment. All of them have the history of
the event: the items of earlier moments of the user, the most recent first, and the hours since then. Events of items
that are rare before the moment are left out.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[1] / "retrieval"))

from events import DAY_S, Events, Histories, catalogue, moments, prepare_sets

NUM_NEGATIVES = 4
MAX_EVENTS = {"fit": 20_000, "valid": 10_000, "train": 20_000, "test": 10_000}
"""Greatest number of events of a table: the most recent ones before its end."""


def rows(events: Events, histories: Histories, start: int, end: int, items: pa.Table, most: int, seed: int) -> pa.Table:
    """Rows of at most `most` events of items of a catalogue from one moment until another one, in time order."""
    known = items["item_id"].to_numpy()
    is_item = np.isin(events.item[histories.order], known)
    places = np.flatnonzero(is_item & (histories.time >= start) & (histories.time < end))
    places = places[np.argsort(histories.time[places], kind="stable")][-most:]
    rng = np.random.default_rng(seed)
    weights = items["count"].to_numpy() ** 0.75
    drawn = rng.choice(len(known), (len(places), NUM_NEGATIVES), p=weights / weights.sum())
    chosen = np.searchsorted(known, events.item[histories.order[places]])  # (events,)
    columns = np.concatenate([chosen[:, None], drawn], axis=1).ravel()
    request = np.repeat(np.arange(len(places)), 1 + NUM_NEGATIVES)
    label = np.tile(np.arange(1 + NUM_NEGATIVES) == 0, len(places))
    is_kept = label | (columns != chosen[request])  # a drawn item that the user chose is no negative
    places, columns, label = places[request][is_kept], columns[is_kept], label[is_kept]
    (begin, stop), row = histories.before_events(places), histories.order[places]
    return pa.table(
        {
            "request": request[is_kept],
            "user_id": events.user[row],
            "history__item_id": histories.lists(events.item, begin, stop),
            "history__category": histories.lists(events.category, begin, stop),
            "history__hours": histories.gaps(begin, stop, histories.time[places]),
            "item_id": known[columns],
            "category": items["category"].to_numpy()[columns],
            "label": label.astype(np.int64),
        }
    )


def prepare(events: Events, folder: Path) -> None:
    """Write the tables of a set."""
    folder.mkdir(parents=True, exist_ok=True)
    histories = Histories.of(events)
    first, second = moments(events)
    last = int(events.time[-1]) + 1
    window = events.train_days * DAY_S
    for seed, (name, moment, start, end) in enumerate(
        (
            ("fit", first, max(0, first - window) if window else 0, first),
            ("valid", first, first, second),
            ("train", second, max(0, second - window) if window else 0, second),
            ("test", second, second, last),
        )
    ):
        table = rows(events, histories, start, end, catalogue(events, moment), MAX_EVENTS[name], seed)
        pq.write_table(table, folder / f"{name}.parquet")
        print(f"{folder / name}.parquet  {table.num_rows:,} rows")


if __name__ == "__main__":
    prepare_sets(__doc__, "data/sequence_ranking", prepare)
