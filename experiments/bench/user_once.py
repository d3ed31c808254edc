"""Measure a request of one user and 200 items with and without `export_config.user_once`.

    python experiments/bench/user_once.py

Each example is trained for a few steps on synthetic data and exported twice. The packages take turns on one thread;
figures are medians of CPU time. `without` scores the rows of the user and each item, as `predict` does. A model
directory or package that exists is used again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

import tzrec
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.serving.predictor import Predictor
from tzrec.serving.request_signature import RequestSignature
from tzrec.tools import make_data, make_taobao

CONFIGS = Path(__file__).parents[2] / "examples" / "configs"
EXAMPLES = ("mmoe_taobao", "multi_tower_din_taobao")
ITEMS = 200


def package_of(example: str, is_user_once: bool, out: Path) -> Path:
    """Train an example for a few steps and export it, unless that is done."""
    config, data = CONFIGS / f"{example}.config", out / "data" / example
    model_dir, package = out / example, out / f"{example}_{'once' if is_user_once else 'rows'}"
    if not data.exists():
        if example == "mmoe_taobao":
            make_taobao.main(["--output_dir", str(data), "--train_rows", "20000", "--eval_rows", "5000"])
        else:
            make_data.main(["--pipeline_config", str(config), "--output_dir", str(data)])
    if not (model_dir / "pipeline.config").exists():
        paths = {f"{name}_input_path": f"{data}/{name}/*.parquet" for name in ("train", "eval")}
        tzrec.train(config, model_dir, {**paths, "train_config.num_steps": 5, "train_config.num_epochs": 0})
    if not package.exists():
        tzrec.export(model_dir / "pipeline.config", package, edit={"export_config.user_once": is_user_once})
    return package


def request_of(example: str, predictor: Predictor, out: Path) -> tuple[pa.Table, pa.Table, pa.Table]:
    """A user, items, and the rows of the user and each item."""
    rows = pq.read_table(next((out / "data" / example / "eval").glob("*.parquet"))).slice(0, ITEMS)
    features = predictor.encoder.features
    of_user = {
        source.name
        for feature in features.values()
        for source in feature.inputs
        if source.side in ("user", "context") or (feature.sequence and source.name.startswith(f"{feature.sequence}__"))
    }
    one = rows.select([name for name in predictor.columns if name in of_user]).slice(0, 1)
    user = pa.table({name: lengthened(one[name]) for name in one.column_names})
    items = rows.select([name for name in predictor.columns if name not in of_user])
    full = user.take(np.zeros(ITEMS, np.int64))
    for name in items.column_names:
        full = full.append_column(name, items[name])
    return user, items, full.combine_chunks()


def lengthened(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Make the sequence of a row ten times as long; the config cuts it to the length that it reads."""
    value = column[0].as_py()
    if isinstance(value, list):
        return pa.chunked_array([pa.array([value * 10], column.type)])
    if isinstance(value, str) and ";" in value:
        return pa.chunked_array([pa.array([";".join([value] * 10)])])
    return column


def medians(functions: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median CPU time in ms of functions that take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.process_time()
            function()
            seconds[name].append(time.process_time() - start)
    return {name: 1e3 * statistics.median(values[rounds // 10 :]) for name, values in seconds.items()}


def measure(example: str, out: Path, rounds: int) -> dict[str, float]:
    """Times of an example, and the greatest difference of its scores."""
    once, rows = (tzrec.load(package_of(example, is_user_once, out)) for is_user_once in (True, False))
    assert isinstance(once.scorer.signature, RequestSignature)
    user, items, full = request_of(example, rows, out)
    one, many = (table.combine_chunks().to_batches()[0] for table in (user, items))
    owners = np.zeros(ITEMS, np.int64)
    encoder: FeatureEncoder = rows.encoder
    request, _ = encoder.encode_request(one, many, owners)
    inputs_once = once.scorer.signature.from_request(request)
    inputs_rows = rows.scorer.signature.from_request(request)
    with torch.inference_mode():
        result = medians(
            {
                "with": lambda: once.rank(user, items),
                "without": lambda: rows.predict(full),
                "rank_without": lambda: rows.rank(user, items),
                "forward_with": lambda: once.scorer.predict(inputs_once),
                "forward_without": lambda: rows.scorer.predict(inputs_rows),
                "encode_with": lambda: encoder.encode_request(one, many, owners),
                "encode_without": lambda: encoder.encode(full.to_batches()[0]),
            },
            rounds,
        )
    ours, theirs = once.rank(user, items), rows.predict(full)
    differences = [np.abs(ours[name].to_numpy() - theirs[name].to_numpy()).max() for name in ours.column_names]
    return result | {"ratio": result["without"] / result["with"], "difference": float(max(differences))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out" / "user_once")
    parser.add_argument("--examples", nargs="+", choices=EXAMPLES, default=EXAMPLES)
    parser.add_argument("--rounds", type=int, default=200)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for example in args.examples:
        print(
            json.dumps(
                {"example": example, **{k: round(v, 7) for k, v in measure(example, args.out, args.rounds).items()}}
            )
        )


if __name__ == "__main__":
    main()
