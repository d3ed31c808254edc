"""Prepare the Criteo sample with two splits, or convert the file of the Kaggle challenge to Parquet.

    python experiments/criteo/prepare.py --data DIR              # DIR holds criteo_encoded39_20000.parquet
    python experiments/criteo/prepare.py --kaggle train.txt      # the challenge, 11 GB; a few minutes

The sample becomes `<out>/<own|random>/{train,test}.parquet` and five folds of the training rows,
`fold-<n>-{fit,valid}.parquet`, for choosing settings. The Kaggle file becomes
`<out>/kaggle/{train,valid,test}/*.parquet` with 80, 10 and 10 % of the rows, drawn with a fixed seed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

SEED, FOLDS = 2014, 5
FIELDS = [f"F{n}" for n in range(1, 40)]
RARE, MIN_COUNT = 69_999, 10
"""Ids with fewer than MIN_COUNT training rows are replaced by RARE."""
KAGGLE = ["label", *(f"int_{n}" for n in range(1, 14)), *(f"cat_{n}" for n in range(1, 27))]


def replace_rare_ids(train: pa.Table, test: pa.Table) -> list[pa.Table]:
    """Replace the ids that are rare among the training rows, in both tables."""
    by_table: list[dict[str, pa.Array]] = [{"label": train["label"]}, {"label": test["label"]}]
    for field in FIELDS:
        ids, counts = np.unique(train[field].to_numpy(), return_counts=True)
        frequent = ids[counts >= MIN_COUNT]
        for columns, table in zip(by_table, (train, test), strict=True):
            values = table[field].to_numpy()
            columns[field] = pa.array(np.where(np.isin(values, frequent), values, RARE))
    return [pa.table(columns) for columns in by_table]


def write(folder: Path, train: pa.Table, test: pa.Table) -> None:
    """Write a split and the folds of its training rows."""
    folder.mkdir(parents=True, exist_ok=True)
    fold = np.random.default_rng(SEED).integers(0, FOLDS, train.num_rows)
    parts = {("train", "test"): (train, test)} | {
        (f"fold-{n}-fit", f"fold-{n}-valid"): (train.filter(fold != n), train.filter(fold == n)) for n in range(FOLDS)
    }
    for names, tables in parts.items():
        for name, table in zip(names, replace_rare_ids(*tables), strict=True):
            pq.write_table(table, folder / f"{name}.parquet")
    print(f"{folder}: {train.num_rows:,} training rows, {test.num_rows:,} test rows")


def sample(data: Path, out: Path) -> None:
    """Write both splits of the sample."""
    table = pq.read_table(data / "criteo_encoded39_20000.parquet")
    write(out / "own", *(table.filter(pc.equal(table["split"], half)) for half in ("train", "test")))
    order = np.random.default_rng(SEED).permutation(table.num_rows)
    middle = round(0.8 * table.num_rows)
    write(out / "random", table.take(order[:middle]), table.take(order[middle:]))


def kaggle(text: Path, out: Path) -> None:
    """Convert the file of the challenge to Parquet."""
    rng = np.random.default_rng(SEED)
    numbers = {name: pa.float32() for name in KAGGLE[1:14]}
    types = {"label": pa.int64(), **numbers, **{name: pa.string() for name in KAGGLE[14:]}}
    blocks = pacsv.open_csv(
        text,
        pacsv.ReadOptions(column_names=KAGGLE, block_size=64 << 20),
        pacsv.ParseOptions(delimiter="\t", quote_char=False),
        pacsv.ConvertOptions(column_types=types, strings_can_be_null=True, null_values=[""]),
    )
    shares = {"train": (0.0, 0.8), "valid": (0.8, 0.9), "test": (0.9, 1.0)}
    for name in shares:
        (out / "kaggle" / name).mkdir(parents=True, exist_ok=True)
    for number, block in enumerate(blocks):
        draw = rng.random(block.num_rows)
        for name, (low, high) in shares.items():
            rows = pa.Table.from_batches([block.filter(pa.array((low <= draw) & (draw < high)))])
            pq.write_table(rows, out / "kaggle" / name / f"part-{number:04}.parquet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with the sample")
    parser.add_argument("--kaggle", type=Path, help="train.txt of the challenge")
    parser.add_argument("--out", type=Path, default=Path("data/criteo"))
    args = parser.parse_args()
    if args.data:
        sample(args.data, args.out)
    if args.kaggle:
        kaggle(args.kaggle, args.out)


if __name__ == "__main__":
    main()
