"""Compare a first model, `tzrec init` and `tzrec train` without an edit, with gradient boosting on the same columns.

    python experiments/first_model/run.py --data data/first_model [--tables flights,criteo]

Prints a line for each table and label, and writes them to results.json beside this file; lines of other tables stay.
The test rows are scored once by each side.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import pandas as pd
from prepare import LABELS
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

import tzrec

RESULTS = Path(__file__).parent / "results.json"
MAX_CATEGORIES = 254
"""Categories that the boosting takes; the rarer ones of a column are one."""
NUM_TREES, RATE = 200, 0.08


def boosting(train: pd.DataFrame, test: pd.DataFrame, label: str, labels: tuple[str, ...]) -> float:
    """Area under the curve of gradient boosting, with text and few whole numbers as categories."""
    inputs, categories = {}, []
    for name in train.columns.difference(labels):
        column = train[name]
        if pd.api.types.is_datetime64_any_dtype(column):
            inputs[name] = (column.astype("int64"), test[name].astype("int64"))
        elif pd.api.types.is_numeric_dtype(column):
            inputs[name] = (column.astype(float), test[name].astype(float))
        else:
            codes = {value: code for code, value in enumerate(column.value_counts().index[:MAX_CATEGORIES])}
            inputs[name] = tuple(part[name].map(codes).astype(float).fillna(len(codes)) for part in (train, test))
            categories.append(name)
    x, y = (pd.DataFrame({name: parts[half].to_numpy() for name, parts in inputs.items()}) for half in (0, 1))
    model = HistGradientBoostingClassifier(
        max_iter=NUM_TREES, learning_rate=RATE, early_stopping=True, categorical_features=categories, random_state=0
    )
    model.fit(x, train[label])
    return float(roc_auc_score(test[label], model.predict_proba(y)[:, 1]))


def first_model(folder: Path, labels: tuple[str, ...], work: Path) -> dict[str, float]:
    """Area under the curve of each label, of the model that `init` and `train` make of the training rows."""
    config, model_dir = work / "first.config", work / "model"
    tzrec.init(folder / "train.parquet", labels, config, model_dir=model_dir)
    tzrec.train(config)
    tzrec.predict(folder / "test.parquet", work / "scores", config=model_dir / "pipeline.config")
    rows = pd.concat(pd.read_parquet(path) for path in sorted((work / "scores").glob("part-*")))
    test = pd.read_parquet(folder / "test.parquet", columns=list(labels))
    return {
        label: float(roc_auc_score(test[label], rows[f"probs_{label}" if len(labels) > 1 else "probs"]))
        for label in labels
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data/first_model"))
    parser.add_argument("--tables", default=",".join(make.__name__ for make in LABELS))
    args = parser.parse_args()
    results = {(line["table"], line["label"]): line for line in json.loads(RESULTS.read_text())}
    for make, labels in LABELS.items():
        folder = args.data / make.__name__
        if make.__name__ not in args.tables.split(",") or not folder.exists():
            continue
        train, test = (pd.read_parquet(folder / f"{half}.parquet") for half in ("train", "test"))
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as work:
            ours = first_model(folder, labels, Path(work))
        first_s = time.perf_counter() - start
        for label in labels:
            start = time.perf_counter()
            theirs = boosting(train, test, label, labels)
            times = f"({first_s:.0f} s, {time.perf_counter() - start:.0f} s)"
            line = f"{make.__name__:<18} {label:<14} first model {ours[label]:.4f}  boosting {theirs:.4f}"
            print(f"{line}  {ours[label] - theirs:+.4f}  {times}", flush=True)
            aucs = {"first_model": round(ours[label], 4), "boosting": round(theirs, 4)}
            results[make.__name__, label] = {"table": make.__name__, "label": label, **aucs}
            RESULTS.write_text(json.dumps(list(results.values()), indent=2) + "\n")


if __name__ == "__main__":
    main()
