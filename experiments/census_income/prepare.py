"""Prepare Census-Income (KDD) with two labels: the official split (A), or the test file with all columns (B).

    python experiments/census_income/prepare.py --data DIR --out data/census

Writes `<out>/<a|b>/{fit,valid,train,test}.parquet`. `train` holds all training rows; `fit` and `valid` split it 2:1,
for choosing settings without using `test`: a smaller `valid` has too few rows of a high income to tell settings apart.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

SPLIT_SEED = 2018
NOT_FEATURES = ("income", "marital_status", "instance_weight", "split")
"""Not inputs: marital_status is a label, instance_weight a survey weight."""


def add_labels(table: pa.Table) -> pa.Table:
    """Features, then the labels `income_50k` and `never_married` as int64 0/1."""
    has_high_income = pc.cast(pc.match_substring(table["income"], "50000+"), pa.int64())
    never_married = pc.cast(pc.equal(table["marital_status"], "Never married"), pa.int64())
    table = table.drop_columns([name for name in NOT_FEATURES if name in table.column_names])
    return table.append_column("income_50k", has_high_income).append_column("never_married", never_married)


def split(table: pa.Table, fraction: float, seed: int) -> tuple[pa.Table, pa.Table]:
    """Split rows at random; the first part holds `fraction` of them."""
    order = np.random.default_rng(seed).permutation(table.num_rows)
    middle = round(fraction * table.num_rows)
    return table.take(order[:middle]), table.take(order[middle:])


def write(folder: Path, train: pa.Table, test: pa.Table) -> None:
    """Write all parts of a setting."""
    folder.mkdir(parents=True, exist_ok=True)
    fit, valid = split(train, 2 / 3, SPLIT_SEED + 1)
    for name, part in {"train": train, "fit": fit, "valid": valid, "test": test}.items():
        pq.write_table(part, folder / f"{name}.parquet")
        print(f"{folder / name}.parquet  {part.num_rows:,} rows x {part.num_columns} columns")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the two census parquet files")
    parser.add_argument("--out", type=Path, default=Path("data/census"))
    args = parser.parse_args()

    nominal = pq.read_table(args.data / "census_nominal_all_299285.parquet")
    halves = [nominal.filter(pc.equal(nominal["split"], half)) for half in ("train", "test")]
    write(args.out / "a", *map(add_labels, halves))

    complete = add_labels(pq.read_table(args.data / "census_test_full42.parquet"))
    write(args.out / "b", *split(complete, 2 / 3, SPLIT_SEED))


if __name__ == "__main__":
    main()
