"""Prepare retrieval on three sets of events: requests in time order, each with the history before it.

    python experiments/retrieval/prepare.py --data DIR --out data/retrieval

DIR has the folders movietweetings_100k, online_retail and complete_journey; sets without a folder are left out. Two
moments cut the time, after 80 % and after 90 % of the events. Writes for each set, into `<out>/<set>/`:

    fit, valid         events before the first moment; requests at it, answered by the events until the second one
    train, test        events before the second moment; requests at it, answered by the events after it
    items_fit, items_train    items with at least MIN_COUNT events before the moment: the ones that can be retrieved

A row of fit and train is an event: user, item and `history__item_id`, the last items of earlier moments, the most
recent first; `recent__item_id` are the first ones of them. `constant` is 0, an id that all rows share. A row of valid
and test is a user with events before the moment: the history and `gt`, the different items of the period after it that
can be retrieved. Nothing before a moment depends on what comes after it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from events import DAY_S, Events, Histories, catalogue, moments, prepare_sets

LENGTH, RECENT = 200, 20
"""Greatest numbers of items of the history and of its recent part."""


def examples(events: Events, histories: Histories, moment: int, items: pa.Table) -> pa.Table:
    """Events of items of the catalogue before a moment, with the history of each; in time order."""
    start = moment - events.train_days * DAY_S if events.train_days else 0
    is_item = np.isin(events.item[histories.order], items["item_id"].to_numpy())
    places = np.flatnonzero(is_item & (histories.time < moment) & (histories.time >= start))
    places = places[np.argsort(histories.time[places], kind="stable")]
    rows, (begin, end) = histories.order[places], histories.before_events(places)
    return pa.table(
        {
            "user_id": events.user[rows],
            "history__item_id": histories.lists(events.item, begin, end),
            "history__category": histories.lists(events.category, begin, end),
            "recent__item_id": histories.lists(events.item, np.maximum(begin, end - RECENT), end),
            "constant": np.zeros(len(rows), np.int64),
            "item_id": events.item[rows],
            "category": events.category[rows],
            "time": events.time[rows],
            "label": np.ones(len(rows), np.int64),
        }
    )


def requests(events: Events, histories: Histories, moment: int, until: int, items: pa.Table) -> pa.Table:
    """Users with a history at a moment and with events of items of the catalogue from it until another moment."""
    begin, end = histories.at(moment)
    is_answer = (events.time >= moment) & (events.time < until)
    is_answer &= np.isin(events.item, items["item_id"].to_numpy())
    users = np.searchsorted(histories.users, events.user[is_answer])
    pairs = np.unique(np.stack([users, events.item[is_answer]]), axis=1)
    counts = np.bincount(pairs[0], minlength=len(histories.users))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    gt = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(pairs[1], pa.int32()))
    table = pa.table(
        {
            "user_id": histories.users,
            "history__item_id": histories.lists(events.item, begin, end),
            "history__category": histories.lists(events.category, begin, end),
            "recent__item_id": histories.lists(events.item, np.maximum(begin, end - RECENT), end),
            "constant": np.zeros(len(histories.users), np.int64),
            "time": np.full(len(histories.users), moment),
            "gt": gt,
        }
    )
    return table.filter(pa.array((end > begin) & (counts > 0)))


def prepare(events: Events, folder: Path) -> None:
    """Write the tables of a set."""
    folder.mkdir(parents=True, exist_ok=True)
    histories = Histories.of(events, LENGTH)
    first, second = moments(events)
    for names, moment, until in (
        (("fit", "valid"), first, second),
        (("train", "test"), second, int(events.time[-1]) + 1),
    ):
        items = catalogue(events, moment)
        tables = {
            f"items_{names[0]}": items,
            names[0]: examples(events, histories, moment, items),
            names[1]: requests(events, histories, moment, until, items),
        }
        before = events.time < moment
        tables[f"events_{names[0]}"] = pa.table({"user_id": events.user[before], "item_id": events.item[before]})
        for name, table in tables.items():
            pq.write_table(table, folder / f"{name}.parquet")
            print(f"{folder / name}.parquet  {table.num_rows:,} rows")


if __name__ == "__main__":
    prepare_sets(__doc__, "data/retrieval", prepare)
