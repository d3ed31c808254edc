"""Train one ranking model with each encoder of the history, and measure AUC on later events.

    python experiments/sequence_ranking/prepare.py --data DIR
    python experiments/sequence_ranking/run.py

A run trains base.config with one encoder and one seed on `train`, and scores `test`. Each call trains all that it names
again; runs of other sets, encoders and seeds stay in results.json. With `--valid` a run trains on `fit` and scores
`valid`, to choose settings. `--quick` trains one encoder once and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sklearn.metrics import roc_auc_score

import tzrec

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results.json"
SETS = {
    "movietweetings_100k": "MovieTweetings",
    "online_retail": "Online Retail",
    "complete_journey": "Complete Journey",
}
_HOURS = {
    "model_config.feature_groups[0].sequence_groups[0].feature_names": [
        *("item_id", "category", "history__item_id", "history__category", "history__hours"),
    ]
}
ENCODERS: Mapping[str, tuple[str, Mapping[str, Any], Mapping[str, Any]]] = {
    "mean pooling": ("pooling_encoder", {"input": "history"}, {}),
    "DIN": ("din_encoder", {"input": "history", "attn_mlp": {"hidden_units": [32, 16]}}, {}),
    "SIM": (
        "sim_encoder",
        {
            "input": "history",
            "category": "category",
            "sequence_category": "history__category",
            "time_gap": "history__hours",
        },
        _HOURS,
    ),
    "DIEN": (
        "dien_encoder",
        {"input": "history", "negatives": "batch", "hidden_dim": 32, "newest_first": True, "max_seq_length": 20},
        {},
    ),
    "BST": (
        "bst_encoder",
        {"input": "history", "num_attention_heads": 4, "max_position_embeddings": 21},
        {},
    ),
    "SDIM": ("sdim_encoder", {"input": "history"}, {}),
}
"""Name -> field of the encoder, its values, and further edits of the config."""
EDITS: Mapping[str, Mapping[str, Any]] = {name: {} for name in SETS}
"""Edits of the config for each set, the same for all encoders."""

Row = dict[str, Any]
"""A run: set, encoder, seed, seconds of training, AUC, and the mean AUC of the requests."""


def sizes(folder: Path) -> dict[str, int]:
    """Number of users, items and categories of a set: one more than the greatest number."""
    greatest: dict[str, int] = {}
    for name in ("train", "test", "fit", "valid"):
        rows = pq.read_table(folder / f"{name}.parquet")
        for column in ("user_id", "item_id", "category"):
            values = [rows[column]]
            if column != "user_id":
                values.append(pc.list_flatten(rows[f"history__{column}"]))
            greatest[column] = max(greatest.get(column, 0), *(pc.max(value).as_py() or 0 for value in values))
    return {column: value + 1 for column, value in greatest.items()}


def edits_of(encoder: str, folder: Path, seed: int) -> dict[str, Any]:
    """Edits of base.config for one run."""
    field, values, more = ENCODERS[encoder]
    num = sizes(folder)
    buckets = {
        f"feature_configs[{place}].id_feature.num_buckets": num[column]
        for place, column in enumerate(("user_id", "item_id", "category"))
    }
    buckets |= {
        f"feature_configs[3].sequence_feature.features[{place}].id_feature.num_buckets": num[column]
        for place, column in enumerate(("item_id", "category"))
    }
    encoders = {"model_config.feature_groups[0].sequence_encoders": [{field: dict(values)}]}
    return {**buckets, **encoders, **more, "train_config.seed": seed}


def request_auc(request: np.ndarray, label: np.ndarray, score: np.ndarray) -> float:
    """Mean AUC of the requests, each of which has one right item: the share of the other items that it is above."""
    right = np.full(request.max() + 1, np.nan)
    right[request[label == 1]] = score[label == 1]
    wins = np.where(score < right[request], 1.0, np.where(score == right[request], 0.5, 0.0))[label == 0]
    groups = request[label == 0]
    counts = np.bincount(groups, minlength=len(right))
    return float(np.mean((np.bincount(groups, wins, len(right)) / np.maximum(counts, 1))[counts > 0]))


def run(encoder: str, name: str, data: Path, seed: int, edit: Mapping[str, Any], is_valid: bool) -> dict[str, float]:
    """Train and measure."""
    folder, (part, asked) = data / name, ("fit", "valid") if is_valid else ("train", "test")
    model_dir, scores_dir = folder / "model", folder / "scores"
    for path in (model_dir, scores_dir):
        shutil.rmtree(path, ignore_errors=True)
    edits = {**edits_of(encoder, folder, seed), "train_input_path": str(folder / f"{part}.parquet"), **edit}
    start = time.perf_counter()
    tzrec.train(FOLDER / "base.config", model_dir=model_dir, edit=edits)
    seconds = time.perf_counter() - start
    columns = ["request", "label"]
    config = model_dir / "pipeline.config"
    tzrec.predict(folder / f"{asked}.parquet", scores_dir, config=config, reserved_columns=columns)
    rows = pq.read_table(scores_dir)
    request, label, score = (rows[column].to_numpy() for column in (*columns, "probs"))
    for path in (model_dir, scores_dir):
        shutil.rmtree(path)
    auc = float(roc_auc_score(label, score))
    return {"auc": auc, "request_auc": request_auc(request, label, score), "seconds": round(seconds, 1)}


def table(rows: list[Row]) -> str:
    """The figures as Markdown: mean and standard deviation over the seeds."""
    lines = ["| set | encoder | seeds | AUC | AUC within a request |", "|---|---|---|---|---|"]
    for name, title in SETS.items():
        for encoder in ENCODERS:
            runs = [row for row in rows if (row["set"], row["encoder"]) == (name, encoder)]
            if runs:
                cells = [_cell([run[measure] for run in runs]) for measure in ("auc", "request_auc")]
                lines.append(f"| {title} | {encoder} | {len(runs)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(values: list[float]) -> str:
    spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{spread}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data/sequence_ranking"), help="output of prepare.py")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--encoders", nargs="+", choices=list(ENCODERS), default=list(ENCODERS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--quick", action="store_true", help="one run, to see that it works; nothing is written")
    parser.add_argument("--valid", action="store_true", help="train on fit, score valid; results are not saved")
    parser.add_argument("--edit_json", type=json.loads, default={}, help="edits to try with --valid")
    args = parser.parse_args()
    rows: list[Row] = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    runs = [(name, encoder, seed) for seed in args.seeds for name in args.sets for encoder in args.encoders]
    is_saved = not (args.valid or args.quick)
    for name, encoder, seed in runs[:1] if args.quick else runs:
        edit = {**EDITS[name], **(args.edit_json if args.valid else {})}
        measures = run(encoder, name, args.data, seed, edit, args.valid)
        print(name, encoder, seed, measures, flush=True)
        if is_saved:
            rows = [row for row in rows if (row["set"], row["encoder"], row["seed"]) != (name, encoder, seed)]
            rows.append({"set": name, "encoder": encoder, "seed": seed, **measures})
            RESULTS.write_text("[\n" + ",\n".join(" " + json.dumps(row) for row in rows) + "\n]\n")
    if is_saved:
        print(table(rows))


if __name__ == "__main__":
    main()
