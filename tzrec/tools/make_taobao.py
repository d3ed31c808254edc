"""Data of the demo: a synthetic advertising log with the columns of Taobao's, and a planted signal of known strength.

    python -m tzrec.tools.make_taobao --out data/taobao --train_rows 400000 --eval_rows 40000 --seed 7

Users and ads, with their attributes, are drawn by Zipf's law. The probability that a row is clicked has a logit that
is a weighted sum of hidden effects, one number for every id of every feature; clicked rows are bought with another such
probability. No model can rank the evaluation rows better than these probabilities: their AUC is written to
`attainable.json`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tzrec import cli
from tzrec.data.atomic import AtomicDirectory
from tzrec.errors import DataError

Ids = npt.NDArray[np.int32]
FloatArray = npt.NDArray[np.float32]

TRAIN_FILES, EVAL_FILES = 8, 2
ROW_GROUP_ROWS = 65536
CALIBRATION_ROWS = 100_000
ATTAINABLE = "attainable.json"  # task -> AUC
ARGUMENTS = "made.json"


@dataclass(frozen=True)
class SyntheticFeature:
    """One integer column.

    Attributes:
        name: of the column.
        rows: ids are in [0, rows).
        owner: the column that it is an attribute of, `user_id` or `adgroup_id`.
        click, buy: share of its effects in the variance of the two logits.
    """

    name: str
    rows: int
    owner: str
    click: float
    buy: float


FEATURES = (
    SyntheticFeature("user_id", 1_141_730, "user_id", 0.06, 0.08),
    SyntheticFeature("cms_segid", 98, "user_id", 0.10, 0.06),
    SyntheticFeature("cms_group_id", 13, "user_id", 0.10, 0.05),
    SyntheticFeature("final_gender_code", 3, "user_id", 0.05, 0.10),
    SyntheticFeature("age_level", 7, "user_id", 0.08, 0.08),
    SyntheticFeature("pvalue_level", 4, "user_id", 0.04, 0.12),
    SyntheticFeature("shopping_level", 4, "user_id", 0.06, 0.12),
    SyntheticFeature("occupation", 3, "user_id", 0.04, 0.02),
    SyntheticFeature("new_user_class_level", 5, "user_id", 0.05, 0.05),
    SyntheticFeature("adgroup_id", 846_812, "adgroup_id", 0.06, 0.04),
    SyntheticFeature("cate_id", 6_771, "adgroup_id", 0.15, 0.10),
    SyntheticFeature("campaign_id", 423_437, "adgroup_id", 0.03, 0.02),
    SyntheticFeature("customer", 255_876, "adgroup_id", 0.03, 0.02),
    SyntheticFeature("brand", 461_498, "adgroup_id", 0.06, 0.06),
    SyntheticFeature("price", 51, "adgroup_id", 0.09, 0.08),
)
OWNERS = ("user_id", "adgroup_id")
SKEW = {"user_id": 0.9, "adgroup_id": 1.05}
"""Exponents of Zipf's law for users and ads."""


@dataclass(frozen=True)
class LabelTarget:
    """Rate of positive labels, and strength of the signal: the standard deviation of the logit."""

    rate: float
    strength: float


CLICK, BUY = LabelTarget(0.15, 0.90), LabelTarget(0.30, 0.90)  # BUY: of clicked rows


@dataclass(frozen=True)
class HiddenTables:
    """Tables that the rows are drawn from.

    Attributes:
        attributes: by feature, its id for every id of its owner.
        click, buy: by feature, the effect of each of its ids on the logit.
        click_bias, buy_bias: the constant part of the logits.
    """

    attributes: Mapping[str, Ids]
    click: Mapping[str, FloatArray]
    buy: Mapping[str, FloatArray]
    click_bias: float = 0.0
    buy_bias: float = 0.0

    def columns(self, rows: int, rng: np.random.Generator) -> dict[str, Ids]:
        """Draw users and ads, and look up their attributes."""
        drawn = {owner: zipf(_size(owner), SKEW[owner], rows, rng) for owner in OWNERS}
        return {
            feature.name: drawn[feature.owner]
            if feature.name == feature.owner
            else self.attributes[feature.name][drawn[feature.owner]]
            for feature in FEATURES
        }

    def probabilities(self, columns: Mapping[str, Ids]) -> tuple[FloatArray, FloatArray]:
        """Probability of a click, and of a click followed by a purchase."""
        click = _sigmoid(_logit(self.click, columns) + np.float32(self.click_bias))
        return click, click * _sigmoid(_logit(self.buy, columns) + np.float32(self.buy_bias))


def zipf(size: int, exponent: float, count: int, rng: np.random.Generator) -> Ids:
    """Draw ids of [0, size); the k-th most frequent one has a probability proportional to `k ** -exponent`.

    Uses the inverse of the continuous distribution function, and assigns ids to ranks by a fixed permutation.
    """
    power = 1.0 - exponent
    uniform = rng.random(count)
    ranks = ((1.0 + uniform * ((size + 1.0) ** power - 1.0)) ** (1.0 / power)).astype(np.int64) - 1
    return _permute(np.minimum(ranks, size - 1), size)


def _permute(ranks: npt.NDArray[np.int64], size: int) -> Ids:
    """Map [0, size) one-to-one onto itself."""
    multiplier = 7919  # a prime that divides none of the sizes
    return (ranks * multiplier % size).astype(np.int32)


def _size(name: str) -> int:
    return next(feature.rows for feature in FEATURES if feature.name == name)


def make_hidden_tables(seed: int) -> HiddenTables:
    """Draw the hidden tables of a seed, scaled to the rates and strengths of CLICK and BUY."""
    rng = np.random.default_rng([seed, 0])
    attributes = {
        feature.name: zipf(feature.rows, 0.6, _size(feature.owner), rng)
        for feature in FEATURES
        if feature.name not in OWNERS
    }
    click = {feature.name: rng.standard_normal(feature.rows, dtype=np.float32) for feature in FEATURES}
    buy = {feature.name: rng.standard_normal(feature.rows, dtype=np.float32) for feature in FEATURES}
    columns = HiddenTables(attributes, click, buy).columns(CALIBRATION_ROWS, rng)
    click = {name: _scaled(table, columns[name], CLICK, _feature(name).click) for name, table in click.items()}
    buy = {name: _scaled(table, columns[name], BUY, _feature(name).buy) for name, table in buy.items()}
    return HiddenTables(
        attributes,
        click,
        buy,
        _bias(_logit(click, columns), CLICK.rate),
        _bias(_logit(buy, columns), BUY.rate),
    )


def _feature(name: str) -> SyntheticFeature:
    return next(feature for feature in FEATURES if feature.name == name)


def _scaled(effects: FloatArray, ids: Ids, target: LabelTarget, share: float) -> FloatArray:
    """Scale effects to mean 0 over the rows, and to this share of the variance of the logit."""
    row_effects = effects[ids]
    return ((effects - row_effects.mean()) / row_effects.std() * target.strength * np.sqrt(share)).astype(np.float32)


def _logit(effects: Mapping[str, FloatArray], columns: Mapping[str, Ids]) -> FloatArray:
    total = np.zeros(len(next(iter(columns.values()))), dtype=np.float32)
    for name, ids in columns.items():
        total += effects[name][ids]
    return total


def _sigmoid(logit: FloatArray) -> FloatArray:
    return np.reciprocal(1 + np.exp(-logit))


def _bias(logit: FloatArray, rate: float) -> float:
    """Find the constant that gives the mean probability `rate`, by bisection."""
    low, high = -20.0, 20.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _sigmoid(logit + np.float32(middle)).mean() < rate else (low, middle)
    return (low + high) / 2


def auc(score: FloatArray, label: npt.NDArray[np.bool_]) -> float:
    """Probability that a positive row scores above a negative one, ties counted half (rank-sum form)."""
    order = np.argsort(score, kind="stable")
    _, first, counts = np.unique(score[order], return_index=True, return_counts=True)
    ranks = np.empty(len(score))
    ranks[order] = np.repeat(first + (counts + 1) / 2, counts)  # from 1, the mean over ties
    positives = int(label.sum())
    above = ranks[label].sum() - positives * (positives + 1) / 2
    return float(above / (positives * (len(label) - positives)))


def make_part(tables: HiddenTables, rows: int, rng: np.random.Generator) -> tuple[pa.Table, FloatArray, FloatArray]:
    """Draw rows with labels; returns them with the true probabilities of the labels."""
    columns = tables.columns(rows, rng)
    click, buy = tables.probabilities(columns)
    uniform = rng.random(rows, dtype=np.float32)  # buy < click: with one draw for both, every bought row is clicked
    labels = {"clk": (uniform < click).astype(np.int32), "buy": (uniform < buy).astype(np.int32)}
    return pa.table({**columns, **labels}), click, buy


@dataclass(frozen=True)
class Split:
    """One directory of part files."""

    name: str
    files: int
    rows: int
    number: int  # seeds the random numbers of the directory

    def write(self, tables: HiddenTables, seed: int, out: Path) -> tuple[float, float]:
        """Write the files; returns the AUC of the true probabilities of clk and buy over all rows."""
        (out / self.name).mkdir()
        clicks, buys, labels = [], [], []
        for file in range(self.files):
            rows = self.rows * (file + 1) // self.files - self.rows * file // self.files
            table, click, buy = make_part(tables, rows, np.random.default_rng([seed, self.number, file]))
            path = out / self.name / f"part-{file}.parquet"
            pq.write_table(table, path, row_group_size=ROW_GROUP_ROWS, compression="zstd")
            clicks.append(click)
            buys.append(buy)
            labels.append((table["clk"].to_numpy() == 1, table["buy"].to_numpy() == 1))
        clicked, bought = (np.concatenate(part) for part in zip(*labels, strict=True))
        return auc(np.concatenate(clicks), clicked), auc(np.concatenate(buys), bought)


def make_taobao(
    out: str, train_rows: int = 400_000, eval_rows: int = 40_000, seed: int = 7
) -> tuple[dict[str, float], bool]:
    """Write `<out>/train/*.parquet`, `<out>/eval/*.parquet` and `<out>/attainable.json`, published by one rename.

    Returns:
        the AUC of the true probabilities on the evaluation rows for "ctr" and "cvr", and False if the directory
        already holds data of the same arguments, in which case nothing is written.

    Raises:
        DataError: the directory holds other files.
    """
    arguments = {"train_rows": train_rows, "eval_rows": eval_rows, "seed": seed, "recipe": _recipe()}
    if _arguments(Path(out)) == arguments:
        return json.loads((Path(out) / ATTAINABLE).read_text()), False
    with AtomicDirectory(out, is_replacing=True) as directory:
        return _write(Path(directory.temporary), arguments, seed), True


def _write(out: Path, arguments: dict[str, Any], seed: int) -> dict[str, float]:
    tables = make_hidden_tables(seed)
    Split("train", TRAIN_FILES, arguments["train_rows"], 1).write(tables, seed, out)
    click, buy = Split("eval", EVAL_FILES, arguments["eval_rows"], 2).write(tables, seed, out)
    attainable = {"ctr": round(click, 6), "cvr": round(buy, 6)}
    (out / ATTAINABLE).write_text(json.dumps(attainable) + "\n")
    (out / ARGUMENTS).write_text(json.dumps(arguments) + "\n")
    return attainable


def _recipe() -> str:
    """Digest of the constants that determine the data for given arguments."""
    shape = [[asdict(feature) for feature in FEATURES], asdict(CLICK), asdict(BUY), SKEW, TRAIN_FILES, EVAL_FILES]
    return hashlib.sha256(json.dumps(shape).encode()).hexdigest()[:12]


def _arguments(out: Path) -> dict[str, Any] | None:
    """Arguments that the data of a directory was written with; None if there is no data."""
    if not out.exists() or not any(out.iterdir()):
        return None
    try:
        arguments: dict[str, Any] = json.loads((out / ARGUMENTS).read_text())
        return arguments
    except (OSError, ValueError) as error:
        raise DataError(f"{out} is not empty and was not written by this tool; choose another --output_dir") from error


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Write the data and print the attainable AUC."""
    flags = cli.parser("tools.make_taobao", "Write the advertising log of the demo.")
    flags.add_argument("--output_dir", "--out", default="data/taobao", metavar="DIR", help="directory of the files")
    flags.add_argument("--train_rows", type=cli.positive, metavar="ROWS", default=400_000, help="rows to train on")
    flags.add_argument("--eval_rows", type=cli.positive, metavar="ROWS", default=40_000, help="rows to evaluate on")
    flags.add_argument("--seed", type=cli.whole_number(0), metavar="N", default=7, help="seed of all random numbers")
    args = flags.parse_args(argv)
    attainable, new = make_taobao(args.output_dir, args.train_rows, args.eval_rows, args.seed)
    rows = f"{args.train_rows:,} train rows in {TRAIN_FILES} files, {args.eval_rows:,} eval rows, seed {args.seed}"
    print(f"{args.output_dir}: {rows}{'' if new else ' (exists)'}")
    print("attainable AUC  " + "  ".join(f"{task} {value:.4f}" for task, value in attainable.items()))
    return 0


if __name__ == "__main__":
    cli.leave(main())
