"""Compare first models, `tzrec init` and `tzrec train` without an edit, with gradient boosting on the same columns.

    python experiments/first_model/run.py --data data/first_model [--tables flights,criteo] [--quick]
    python experiments/first_model/run.py --tune 20 [--minutes 30]

Every call trains all models that it reports, ours and the boosting. It prints a line for each table and label, and
writes it to results.json beside this file, where lines of other tables stay. The test rows are scored once by each
side. `--tune` searches from the first config on, with rows of the training part, for at most `--minutes` a table;
an interrupted search goes on from its trials in `--work`, which nothing else remembers.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from boosting import boosting, score
from prepare import LABELS

import tzrec

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results.json"
QUICK_ROWS, QUICK_TABLES = 4000, ("churn", "credit", "cells")
"""What `--quick` trains on: it shows that everything runs, in less than two minutes; nothing is written."""
SEED = 11


def test_scores(config: Path, folder: Path, labels: tuple[str, ...], scores_dir: Path) -> dict[str, float]:
    """Measure each label on the test rows, with the model that a saved config has trained."""
    tzrec.predict(folder / "test.parquet", scores_dir, config=config)
    rows = pd.concat(pd.read_parquet(path) for path in sorted(scores_dir.glob("part-*")))
    test = pd.read_parquet(folder / "test.parquet", columns=list(labels))
    result = {}
    for label in labels:
        suffix = f"_{label}" if len(labels) > 1 else ""
        column = rows[f"probs{suffix}" if f"probs{suffix}" in rows else f"y{suffix}"]
        values = np.stack(column.to_list()) if column.dtype == object else column.to_numpy()  # (B,) or (B, C)
        result[label] = score(test[label].to_numpy(), values)
    return result


def first_model(folder: Path, labels: tuple[str, ...], work: Path) -> dict[str, float]:
    """Measure each label with the model that `init` and `train` make of the training rows."""
    config, model_dir = work / "first.config", work / "model"
    tzrec.init(folder / "train.parquet", labels, config, model_dir=model_dir)
    tzrec.train(config)
    return test_scores(model_dir / "pipeline.config", folder, labels, work / "scores")


def tuned_model(folder: Path, labels: tuple[str, ...], work: Path, trials: int, minutes: float) -> dict[str, float]:
    """Measure each label with the best of some trials, which go on where an earlier call ended."""
    work.mkdir(parents=True, exist_ok=True)
    config, space = work / "first.config", work / "space.config"
    if not config.exists():
        tzrec.init(folder / "train.parquet", labels, config, model_dir=work / "model")
    space.write_text(f"num_trials: {trials} max_minutes: {minutes} num_kept_trials: 1\n")
    best = tzrec.tune(config, space, model_dir=work / "study").best_config
    with tempfile.TemporaryDirectory(dir=work) as scratch:
        model_dir = Path(scratch) / "model"
        tzrec.train(best, model_dir)
        return test_scores(model_dir / "pipeline.config", folder, labels, Path(scratch) / "scores")


def quick_copy(folder: Path, out: Path) -> Path:
    """Write some rows of a table."""
    out.mkdir()
    for half in ("train", "test"):
        rows = pd.read_parquet(folder / f"{half}.parquet")
        rows.sample(min(QUICK_ROWS, len(rows)), random_state=SEED).to_parquet(out / f"{half}.parquet", index=False)
    return out


def measure(folder: Path, labels: tuple[str, ...], args: argparse.Namespace) -> list[dict[str, object]]:
    """Train all models of a table, and print and return a line for each label."""
    train, test = (pd.read_parquet(folder / f"{half}.parquet") for half in ("train", "test"))
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as work:
        ours = first_model(folder, labels, Path(work))
    first_s = time.perf_counter() - start
    tuned = {}
    if args.tune:
        tuned = tuned_model(folder, labels, args.work / folder.name, args.tune, args.minutes)
    lines: list[dict[str, object]] = []
    for label in labels:
        start = time.perf_counter()
        theirs, metric = boosting(train, test, label, labels)
        times = f"({first_s:.0f} s, {time.perf_counter() - start:.0f} s)"
        text = f"{folder.name:<18} {label:<14} {metric:<8} first model {ours[label]:.4f}  boosting {theirs:.4f}"
        text += f"  tuned {tuned[label]:.4f}" if tuned else ""
        print(f"{text}  {ours[label] - theirs:+.4f}  {times}", flush=True)
        figures = {"first_model": ours[label], "boosting": theirs, **({"tuned": tuned[label]} if tuned else {})}
        rounded = {name: round(value, 4) for name, value in figures.items()}
        lines.append({"table": folder.name, "label": label, "metric": metric, **rounded})
    return lines


def save(lines: list[dict[str, object]]) -> None:
    """Write lines to results.json; a line without a tuned figure keeps that of an earlier call."""
    results = {(line["table"], line["label"]): line for line in json.loads(RESULTS.read_text())}
    for line in lines:
        key = line["table"], line["label"]
        tuned = {"tuned": results[key]["tuned"]} if "tuned" in results.get(key, {}) else {}
        results[key] = {**line, **({} if "tuned" in line else tuned)}
    RESULTS.write_text(json.dumps(list(results.values()), indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data/first_model"))
    parser.add_argument("--tables", default="", help="names with commas between them; default: all")
    parser.add_argument("--quick", action="store_true", help="a few rows of three tables; nothing is written")
    parser.add_argument("--tune", type=int, default=0, metavar="TRIALS", help="also tune the first model")
    parser.add_argument("--minutes", type=float, default=30.0, help="longest search for a table; default: 30")
    parser.add_argument("--work", type=Path, default=Path("data/first_model_studies"), help="folder of the searches")
    args = parser.parse_args()
    names = args.tables.split(",") if args.tables else list(QUICK_TABLES if args.quick else ())
    for make, labels in LABELS.items():
        folder = args.data / make.__name__
        if (names and make.__name__ not in names) or not folder.exists():
            continue
        if args.quick:
            with tempfile.TemporaryDirectory() as scratch:
                measure(quick_copy(folder, Path(scratch) / make.__name__), labels, args)
        else:
            save(measure(folder, labels, args))


if __name__ == "__main__":
    main()
