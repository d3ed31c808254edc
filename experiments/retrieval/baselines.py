"""Baselines of retrieval: popularity, repetition, item-kNN and matrix factorisation of `implicit`, tuned on `valid`.

    pip install implicit
    python experiments/retrieval/baselines.py --data data/retrieval

Each method is trained on `fit` with every setting of its grid, and measured on `valid` by recall@100. The best setting
is trained on `train` with each seed, and measured once on `test`. Each call does all of it again for the sets and
methods that it names, and replaces their rows in results.json.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measures import SETS, load_results, measure, save_result, table
from scipy import sparse

COUNT, SEEDS = 100, (1, 2, 3)
TUNED_BY = "recall@100"


@dataclass(frozen=True)
class Split:
    """Events before a moment, and the requests at it.

    Attributes:
        counts: numbers of events of users and items that can be retrieved, `(users, items)`.
        items: numbers of the items, in the order of the columns, `(items,)`.
        time_order: columns of the events in time order.
        users: rows of the requests, `(R,)`.
        truth: items that are right, `(R,)`.
    """

    counts: sparse.csr_matrix
    items: np.ndarray
    time_order: np.ndarray
    users: np.ndarray
    truth: pa.ChunkedArray

    @classmethod
    def read(cls, folder: Path, events: str, requests: str) -> Split:
        """Read `fit` and `valid`, or `train` and `test`."""
        table, asked = pq.read_table(folder / f"events_{events}.parquet"), pq.read_table(folder / f"{requests}.parquet")
        items = pq.read_table(folder / f"items_{events}.parquet")["item_id"].to_numpy()
        is_item = np.isin(table["item_id"].to_numpy(), items)
        users, chosen = table["user_id"].to_numpy()[is_item], table["item_id"].to_numpy()[is_item]
        columns = np.searchsorted(items, chosen)
        num_users = max(table["user_id"].to_numpy().max(), asked["user_id"].to_numpy().max()) + 1
        ones = np.ones(len(users), np.float32)
        counts = sparse.coo_matrix((ones, (users, columns)), (num_users, len(items))).tocsr()
        return cls(counts, items, columns, asked["user_id"].to_numpy(), asked["gt"])


def best(scores: np.ndarray) -> np.ndarray:
    """Columns of the COUNT greatest scores of each row; of equal ones the first."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :COUNT]


def popularity(split: Split, seed: int, share: float, is_new: bool) -> np.ndarray:
    """The items with most events in the last part of the time; perhaps only those new to the user."""
    recent = split.time_order[-round(share * len(split.time_order)) :]
    counts = np.bincount(recent, minlength=len(split.items)).astype(np.float64)
    scores = np.tile(counts, (len(split.users), 1))
    return best(scores - 1e9 * split.counts[split.users].astype(bool).toarray() if is_new else scores)


def repetition(split: Split, seed: int, share: float) -> np.ndarray:
    """The items that the user had most often, then the most popular ones."""
    recent = split.time_order[-round(share * len(split.time_order)) :]
    counts = np.bincount(recent, minlength=len(split.items)).astype(np.float64)
    return best(split.counts[split.users].toarray() + counts / (counts.max() + 1))


def neighbours(split: Split, seed: int, kind: str, size: int, is_new: bool) -> np.ndarray:
    """The items most similar to those of the user."""
    from implicit import nearest_neighbours

    model = getattr(nearest_neighbours, f"{kind}Recommender")(K=size, num_threads=1)
    return recommend(model, split, is_new)


def factorisation(
    split: Split, seed: int, factors: int, regularization: float, alpha: float, is_new: bool
) -> np.ndarray:
    """Alternating least squares of implicit feedback (Hu, Koren and Volinsky, ICDM 2008)."""
    from implicit.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(
        factors=factors, regularization=regularization, alpha=alpha, iterations=15, random_state=seed, num_threads=1
    )
    return recommend(model, split, is_new)


def recommend(model: Any, split: Split, is_new: bool) -> np.ndarray:
    """Train a model of `implicit` and retrieve; fewer items than asked for are filled up with -1."""
    model.fit(split.counts, show_progress=False)
    users = split.users
    items, _ = model.recommend(users, split.counts[users], N=COUNT, filter_already_liked_items=is_new)
    return items


Method = Callable[..., np.ndarray]
Grid = Mapping[str, tuple[Any, ...]]
METHODS: Mapping[str, tuple[Method, Grid]] = {
    "popularity": (popularity, {"share": (0.02, 0.1, 0.3, 1.0), "is_new": (False, True)}),
    "own items, then popularity": (repetition, {"share": (0.02, 0.1, 0.3)}),
    "item-kNN (implicit)": (
        neighbours,
        {"kind": ("Cosine", "TFIDF", "BM25"), "size": (20, 100, 300), "is_new": (False, True)},
    ),
    "ALS (implicit)": (
        factorisation,
        {"factors": (32, 96), "regularization": (0.1, 10.0), "alpha": (1.0, 10.0), "is_new": (False, True)},
    ),
}
"""Name -> function and the values of its parameters to try."""
_RANDOM = ("ALS (implicit)",)


def settings(grid: Grid) -> Iterator[dict[str, Any]]:
    """All combinations of the values of a grid."""
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values))


def run(method: Method, split: Split, seed: int, setting: Mapping[str, Any]) -> dict[str, float]:
    """Train and measure."""
    columns = method(split, seed, **setting)
    return measure(np.where(columns >= 0, split.items[columns], -1), split.truth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data/retrieval"), help="output of prepare.py")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    args = parser.parse_args()
    for name, title in ((name, title) for name in args.sets for title in args.methods):
        method, grid = METHODS[title]
        split, start = Split.read(args.data / name, "fit", "valid"), time.process_time()
        tried = [(run(method, split, SEEDS[0], setting), setting) for setting in settings(grid)]
        values, setting = max(tried, key=lambda item: item[0][TUNED_BY])
        print(f"{name}  {title}  {len(tried)} settings  {setting}  valid {values}", flush=True)
        split = Split.read(args.data / name, "train", "test")
        for seed in SEEDS if title in _RANDOM else SEEDS[:1]:
            row = {"set": name, "method": title, "seed": seed, "setting": setting}
            save_result(row | run(method, split, seed, setting))
        print(f"{name}  {title}  {time.process_time() - start:.0f} s CPU", flush=True)
    print(table(load_results()))


if __name__ == "__main__":
    main()
