"""Census-Income (KDD) for MMoE: two labels, the official split (A) or the complete columns of the test file (B).

    python experiments/census_income/prepare.py --data DIR --out data/census

Writes `<out>/<a|b>/{fit,valid,train,test}.parquet`. `train` is all training rows; `fit` and `valid` are a
9:1 cut of it, for choosing settings without looking at `test`.
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
"""Neither task may see marital_status (it is a label) or instance_weight (a survey weight)."""


def with_labels(table: pa.Table) -> pa.Table:
    """Features as they are, then `income_50k` and `never_married` as int64 0/1."""
    rich = pc.cast(pc.match_substring(table["income"], "50000+"), pa.int64())
    never_married = pc.cast(pc.equal(table["marital_status"], "Never married"), pa.int64())
    table = table.drop_columns([name for name in NOT_FEATURES if name in table.column_names])
    return table.append_column("income_50k", rich).append_column("never_married", never_married)


def cut(table: pa.Table, share: float, seed: int) -> tuple[pa.Table, pa.Table]:
    """A random share of the rows, and the rest."""
    order = np.random.default_rng(seed).permutation(table.num_rows)
    middle = round(share * table.num_rows)
    return table.take(order[:middle]), table.take(order[middle:])


def write(folder: Path, train: pa.Table, test: pa.Table) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    fit, valid = cut(train, 0.9, SPLIT_SEED + 1)
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
    write(args.out / "a", *map(with_labels, halves))

    complete = with_labels(pq.read_table(args.data / "census_test_full42.parquet"))
    write(args.out / "b", *cut(complete, 2 / 3, SPLIT_SEED))


if __name__ == "__main__":
    main()
