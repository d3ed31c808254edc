"""Train two-tower models on the prepared sets, and measure the items that they retrieve.

    python experiments/retrieval/prepare.py --data DIR
    python experiments/retrieval/run.py

A run trains on `train` with one seed, computes the vectors of users and items with the two towers, and compares all of
them. Each call trains all that it names again; runs of other models, sets and seeds stay in results.json. With
`--valid` a run trains on `fit` and is measured on `valid`, to choose settings: EDITS holds those that were chosen.
`--quick` is a single such run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from baselines import COUNT, SEEDS
from measures import SETS, load_results, measure, save_result, table

import tzrec
from tzrec.config.load import load_config
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.retrieval.exact_index import ExactIndex
from tzrec.retrieval.interests import merge_interests, search_interests
from tzrec.run.export import ONE_RANK
from tzrec.run.session import Session
from tzrec.serving.parts import split
from tzrec.serving.predictor import Predictor
from tzrec.serving.servable import Servable
from tzrec.serving.trained_model import TrainedModel

FOLDER = Path(__file__).parent
MODELS = {"dssm": "tzrec DSSM", "dssm_v2": "tzrec DSSM_V2", "dat": "tzrec DAT", "mind": "tzrec MIND"}
DAY_S, BATCH_SIZE = 24 * 3600, 1024
POPULARITY = {f"popularity_{round(100 * share)}": share for share in (0.02, 0.1, 0.3, 1.0)}
"""Column of items -> share of the events, the last ones, in which it counts them."""
SPARSE_LR = "train_config.sparse_optimizer.adagrad_optimizer.lr"
EDITS: Mapping[str, Mapping[str, Any]] = {
    "movietweetings_100k": {"half_life": 10, "num_rows": 30_000, "is_new": True, SPARSE_LR: 0.02},
    "online_retail": {"half_life": 60, "num_rows": 100_000, "is_new": False, SPARSE_LR: 0.1},
    "complete_journey": {"half_life": 60, "num_rows": 100_000, "is_new": False, SPARSE_LR: 0.1},
}
"""Settings of each set: `num_rows` events are drawn for training, one that is `half_life` days older than another one
with half of its probability; `is_new`, items of the history are not retrieved; further ones are edits of the config."""
MODEL_EDITS: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("movietweetings_100k", "dssm_v2"): {
        "half_life": 7,
        "model_config.dssm_v2.similarity": "INNER_PRODUCT",
        "model_config.dssm_v2.temperature": 1.0,
    },
}
"""Settings of one model on one set that differ from those of the set."""


def draw_rows(rows: pa.Table, half_life: float, num_rows: int, seed: int) -> pa.Table:
    """Draw rows with replacement, by a weight that falls by half with every `half_life` days of age; in time order."""
    time = rows["time"].to_numpy()
    weight = 0.5 ** ((time.max() - time) / (half_life * DAY_S))
    drawn = np.random.default_rng(seed).choice(len(time), num_rows, p=weight / weight.sum())
    rows = rows.take(np.sort(drawn))
    counts = np.bincount(rows["item_id"].to_numpy())
    return rows.append_column("frequency", pa.array(counts[rows["item_id"].to_numpy()] * BATCH_SIZE / num_rows))


def read_items(folder: Path, part: str) -> pa.Table:
    """Items that can be retrieved, with popularity columns: log(1 + events in the last part of the time) / 10."""
    items = pq.read_table(folder / f"items_{part}.parquet")
    chosen = pq.read_table(folder / f"events_{part}.parquet")["item_id"].to_numpy()
    for name, share in POPULARITY.items():
        counts = np.bincount(chosen[-round(share * len(chosen)) :], minlength=chosen.max() + 1)
        items = items.append_column(name, pa.array(np.log1p(counts[items["item_id"].to_numpy()]) / 10))
    return items


def write_items(items: pa.Table, path: Path) -> None:
    """Write items as the table of a negative sampler."""
    lines = [
        f"{item}\t1.0\t{item}:{':'.join(map(str, values))}\n"
        for item, *values in zip(*(items[name].to_pylist() for name in ("item_id", "category", *POPULARITY)))
    ]
    path.write_text("id:int64\tweight:float\tattrs:string\n" + "".join(lines))


def sizes(folder: Path) -> dict[str, int]:
    """Number of users, items and categories of a set: one more than the greatest number."""
    greatest = {"user_id": 0, "item_id": 0, "category": 0, "constant": 0}
    for name in ("train", "test"):
        rows = pq.read_table(folder / f"{name}.parquet")
        for column, values in (
            ("user_id", rows["user_id"]),
            ("item_id", pc.list_flatten(rows["history__item_id"])),
            ("category", pc.list_flatten(rows["history__category"])),
        ):
            greatest[column] = max(greatest[column], pc.max(values).as_py())
        if name == "train":
            for column in ("item_id", "category"):
                greatest[column] = max(greatest[column], pc.max(rows[column]).as_py())
    return {column: value + 1 for column, value in greatest.items()}


def edits_of(model: str, folder: Path, part: str, setting: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Edits of the config of a model for one run; writes the rows and items that it trains on."""
    rows, path = pq.read_table(folder / f"{part}.parquet"), folder / f"{part}_drawn.parquet"
    rows = draw_rows(rows, setting["half_life"], setting["num_rows"], seed)
    items = read_items(folder, part)
    places = pc.index_in(rows["item_id"], items["item_id"].combine_chunks())
    for name in POPULARITY:
        rows = rows.append_column(name, items[name].take(places))
    pq.write_table(rows, path)
    write_items(items, folder / f"items_{part}.txt")
    buckets = size_edits(load_config(str(FOLDER / f"{model}.config")), sizes(folder))
    more = {name: value for name, value in setting.items() if name not in ("half_life", "num_rows", "is_new")}
    return {
        **buckets,
        "train_input_path": str(path),
        "data_config.negative_sampler.input_path": str(folder / f"items_{part}.txt"),
        "data_config.negative_sampler.attr_delimiter": ":",
        "train_config.seed": seed,
        **more,
    }


def size_edits(config: EasyRecConfig, size_by_column: Mapping[str, int]) -> dict[str, int]:
    """Edits of the sizes of all tables, by the column that each feature reads: `history__item_id` has items."""
    edits = {}
    for number, feature in enumerate(config.feature_configs):
        path = f"feature_configs[{number}]"
        ids = {f"{path}.id_feature": feature.id_feature} if feature.HasField("id_feature") else {}
        for place, element in enumerate(feature.sequence_feature.features):
            ids[f"{path}.sequence_feature.features[{place}].id_feature"] = element.id_feature
        for place, item in ids.items():
            edits[f"{place}.num_buckets"] = size_by_column[item.expression.partition(":")[2].rpartition("__")[2]]
    return edits


def towers(model_dir: Path) -> dict[str, Predictor]:
    """Predictors of the towers of the newest checkpoint, as `tzrec export` writes them, without compiling them."""
    config = load_config(str(model_dir / "pipeline.config"))
    with Session.load(config, str(model_dir), purpose="serving", rank_info=ONE_RANK) as session:
        trained = TrainedModel(session.rec_model, config, session.encoder.features, session.step)
        parts = split(trained)
    return {
        name: Predictor(
            Servable.from_model(part.model),
            part.config,
            FeatureEncoder.from_config(part.config.feature_configs, part.config.data_config),
        )
        for name, part in parts.items()
    }


def retrieve(model_dir: Path, items: pa.Table, requests: pa.Table, seen: list[set[int]]) -> np.ndarray:
    """Retrieve COUNT items for each request, without those that are seen, `(R, COUNT)`."""
    tower = towers(model_dir)
    vectors = np.stack(tower["item"].predict(items)["item_tower_emb"].to_numpy())
    users = np.array(tower["user"].predict(requests)["user_tower_emb"].to_pylist(), np.float32)
    interests = users.reshape(len(users), -1, vectors.shape[1])
    index, deep = ExactIndex(vectors, "IP"), COUNT + max(map(len, seen))
    neighbours = merge_interests(search_interests(index, interests, deep), interests.shape[1], "IP")
    numbers = items["item_id"].to_numpy()
    result = np.full((len(users), COUNT), -1, np.int64)
    for row, (places, known) in enumerate(zip(neighbours.rows, seen)):
        chosen = [item for item in numbers[places[places >= 0]].tolist() if item not in known][:COUNT]
        result[row, : len(chosen)] = chosen
    return result


def run(model: str, name: str, data: Path, seed: int, setting: Mapping[str, Any], is_valid: bool) -> dict[str, float]:
    """Train a model and measure it."""
    folder, (part, asked) = data / name, ("fit", "valid") if is_valid else ("train", "test")
    model_dir = folder / f"{model}_{seed}"
    shutil.rmtree(model_dir, ignore_errors=True)
    start = time.perf_counter()
    tzrec.train(FOLDER / f"{model}.config", model_dir=model_dir, edit=edits_of(model, folder, part, setting, seed))
    seconds = time.perf_counter() - start
    requests, events = pq.read_table(folder / f"{asked}.parquet"), pq.read_table(folder / f"events_{part}.parquet")
    seen: list[set[int]] = [set() for _ in range(requests.num_rows)]
    if setting["is_new"]:
        row_by_user = {user: row for row, user in enumerate(requests["user_id"].to_pylist())}
        for user, item in zip(events["user_id"].to_pylist(), events["item_id"].to_pylist()):
            if user in row_by_user:
                seen[row_by_user[user]].add(item)
    retrieved = retrieve(model_dir, read_items(folder, part), requests, seen)
    shutil.rmtree(model_dir)
    return measure(retrieved, requests["gt"]) | {"seconds": round(seconds, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data/retrieval"), help="output of prepare.py")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--quick", action="store_true", help="one run with --valid, to see that it works")
    parser.add_argument("--valid", action="store_true", help="train on fit, measure on valid; results are not saved")
    parser.add_argument(
        "--edit_json", type=json.loads, default={}, help="settings to try, as in EDITS; only with --valid"
    )
    args = parser.parse_args()
    is_valid = args.valid or args.quick
    runs = [(seed, name, model) for seed in args.seeds for name in args.sets for model in args.models]
    for seed, name, model in runs[:1] if args.quick else runs:
        setting = {**EDITS[name], **MODEL_EDITS.get((name, model), {})}
        setting |= args.edit_json if is_valid else {}
        measures = run(model, name, args.data, seed, setting, is_valid)
        print(name, model, seed, setting, measures, flush=True)
        if not is_valid:
            save_result({"set": name, "method": MODELS[model], "seed": seed, "setting": setting, **measures})
    if not is_valid:
        print(table(load_results()))


if __name__ == "__main__":
    main()
