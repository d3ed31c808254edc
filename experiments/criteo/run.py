"""Compare DLRM and DeepFM with logistic regression on the Criteo sample: write results.json and the table.

python experiments/criteo/prepare.py --data DIR
python experiments/criteo/run.py
python experiments/criteo/run.py --folds     # the validation folds of the training rows, for choosing settings
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from prepare import FIELDS, FOLDS
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.preprocessing import OneHotEncoder

import tzrec

FOLDER = Path(__file__).parent
MODELS = {"dlrm": "DLRM", "deepfm": "DeepFM"}
FIGURES = ("auc", "accuracy", "logloss")
PENALTIES = (0.01, 0.03, 0.1, 0.3)
"""Values of C of logistic regression; chosen on the folds."""

Row = dict[str, Any]


def measure(model: str, train: Path, test: Path, seed: int, edit: dict[str, Any]) -> Row:
    """Train one model with one seed and evaluate it."""
    paths = {"train_input_path": str(train), "eval_input_path": str(test), "train_config.seed": seed}
    with tempfile.TemporaryDirectory() as folder:
        run = tzrec.train(FOLDER / f"{model}.config", model_dir=folder, edit={**edit, **paths})
    return {"what": MODELS[model], "seed": seed, **{name: run.metrics[name] for name in FIGURES}}


def logistic(train: Path, test: Path, penalty: float) -> Row:
    """Fit and evaluate logistic regression of scikit-learn on the same columns, one-hot."""
    train_table, test_table = pq.read_table(train), pq.read_table(test)
    encoder = OneHotEncoder(handle_unknown="ignore").fit(_ids(train_table))
    model = LogisticRegression(C=penalty, solver="liblinear", max_iter=500)
    model.fit(encoder.transform(_ids(train_table)), train_table["label"].to_numpy())
    score, label = model.predict_proba(encoder.transform(_ids(test_table)))[:, 1], test_table["label"].to_numpy()
    figures = (roc_auc_score(label, score), ((score > 0.5) == label).mean(), log_loss(label, score))
    return {"what": "logistic regression", "seed": None, **dict(zip(FIGURES, map(float, figures), strict=True))}


def _ids(table: pa.Table) -> np.ndarray:
    return np.stack([table[field].to_numpy() for field in FIELDS], axis=1)


def folds(folder: Path) -> list[tuple[Path, Path]]:
    """Training and validation file of each fold."""
    return [(folder / f"fold-{n}-fit.parquet", folder / f"fold-{n}-valid.parquet") for n in range(FOLDS)]


def best_penalty(folder: Path) -> float:
    """The C with the best mean AUC over the folds of the training rows."""
    means = {c: statistics.mean(logistic(*pair, c)["auc"] for pair in folds(folder)) for c in PENALTIES}
    return max(means, key=lambda c: means[c])


def table(rows: Sequence[Row]) -> str:
    """The figures as Markdown."""
    lines = ["| split | model | seeds | AUC | accuracy | logloss |", "|---|---|---|---|---|---|"]
    for split, what in dict.fromkeys((row["split"], row["what"]) for row in rows):
        runs = [row for row in rows if (row["split"], row["what"]) == (split, what)]
        cells = []
        for name in FIGURES:
            values = [row[name] for row in runs]
            spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.4f}{spread}")
        lines.append(f"| {split} | {what} | {len(runs) if runs[0]['seed'] else ''} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data/criteo"), help="output of prepare.py")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--folds", action="store_true", help="validate on folds of the training rows instead")
    parser.add_argument(
        "--edit_config_json", type=json.loads, default={}, help="config edits to try; results are not saved"
    )
    parser.add_argument("--quick", action="store_true", help="one seed on one split; results are not saved")
    args = parser.parse_args()

    seeds = args.seeds[:1] if args.quick else args.seeds
    rows: list[Row] = []
    for split in ("own",) if args.quick else ("own", "random"):
        folder = args.data / split
        penalty = best_penalty(folder)
        pairs = folds(folder) if args.folds else [(folder / "train.parquet", folder / "test.parquet")]
        split_rows = [logistic(*pair, penalty) for pair in pairs]
        for model in MODELS:
            split_rows += [measure(model, *pair, seed, args.edit_config_json) for seed in seeds for pair in pairs]
        rows += [{"split": split, **row} for row in split_rows]
    print(table(rows))
    if not (args.quick or args.folds or args.edit_config_json):
        (FOLDER / "results.json").write_text("[\n" + ",\n".join(" " + json.dumps(row) for row in rows) + "\n]\n")


if __name__ == "__main__":
    main()
