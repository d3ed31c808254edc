"""Train MMoE on Census-Income, export it with tables of each type, and print size, AUC and latency of the packages.

    python experiments/census_income/prepare.py --data DIR
    python experiments/census_income/quantize.py

Each setting is trained once; a model directory or package that exists is used again.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from sklearn.metrics import roc_auc_score

import tzrec
from tzrec.serving.package_manifest import MODEL, PackageManifest
from tzrec.serving.weights import map_weights

FOLDER = Path(__file__).parent
TASKS = {"income": "income_50k", "never_married": "never_married"}
DATA_TYPES = ("FP32", "FP16", "INT8", "INT4")
REQUEST_ROWS, REQUESTS = 200, 100


def package_of(setting: str, data_type: str, data: Path, out: Path) -> Path:
    """Train the model of a setting and export it with tables of a type, unless that is done."""
    model_dir = out / setting
    if not (model_dir / "pipeline.config").exists():
        edit = {"train_input_path": str(data / setting / "train.parquet"), "train_config.num_threads": 1}
        tzrec.train(FOLDER / f"mmoe_{setting}.config", model_dir, {**edit, "eval_input_path": ""})
    package = out / f"{setting}_{data_type}"
    if not package.exists():
        types = {f"export_config.{name}_data_type": data_type for name in ("bag", "sequence")}
        tzrec.export(model_dir / "pipeline.config", package, edit=types)
    return package


def table_bytes(package: Path) -> int:
    """Size of the tables in a package."""
    weights = map_weights(package / "weights.safetensors")
    return sum(weights.tensors[name].nbytes for name in PackageManifest.read(package).programs[MODEL].tables)


def latencies(predictors: dict[str, Any], rows: pa.Table) -> dict[str, float]:
    """Median CPU time in ms of a request to each package, which take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in predictors}
    for _ in range(REQUESTS):
        for name, predictor in predictors.items():
            start = time.process_time()
            predictor.predict(rows)
            seconds[name].append(time.process_time() - start)
    return {name: 1e3 * statistics.median(values[REQUESTS // 10 :]) for name, values in seconds.items()}


def rows_of_setting(setting: str, data: Path, out: Path) -> list[str]:
    """Rows of the table, one for each type."""
    test = pq.read_table(data / setting / "test.parquet")
    packages = {data_type: package_of(setting, data_type, data, out) for data_type in DATA_TYPES}
    predictors = {data_type: tzrec.load(package) for data_type, package in packages.items()}
    milliseconds = latencies(predictors, test.slice(0, REQUEST_ROWS).combine_chunks())
    exact: dict[str, float] = {}
    rows = []
    for data_type, predictor in predictors.items():
        scores = predictor.predict(test)
        aucs = {
            task: float(roc_auc_score(test[label].to_numpy(), scores[f"probs_{task}"].to_numpy().astype(np.float64)))
            for task, label in TASKS.items()
        }
        exact = exact or aucs
        changes = ", ".join(f"{aucs[task] - exact[task]:+.5f}" for task in TASKS)
        rows.append(
            f"| {setting.upper()} | {data_type} | {table_bytes(packages[data_type]) / 1024:.0f} "
            f"| {', '.join(f'{auc:.5f}' for auc in aucs.values())} | {changes} | {milliseconds[data_type]:.2f} |"
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data/census"), help="output of prepare.py")
    parser.add_argument("--out", type=Path, default=FOLDER / "out" / "quantize", help="model directories and packages")
    parser.add_argument("--settings", nargs="+", choices=["a", "b"], default=["a", "b"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for setting in args.settings for row in rows_of_setting(setting, args.data, args.out)]
    print("| setting | tables | KiB of tables | income, never-married AUC | change | ms for 200 rows, 1 thread |")
    print("\n".join(["|---|---|---|---|---|---|", *rows]))


if __name__ == "__main__":
    main()
