"""Time that a feature store adds to a request: the columns of 200 items, of 100,000 in the store, side by side.

    python experiments/bench/feature_stores.py [--rounds 300]

The stores are read by the code of the server, with its threads and without a model. Redis runs on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from google.protobuf import text_format
from prometheus_client import CollectorRegistry

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.fixtures.redis_server import redis_server
from tzrec.protos.serve_pb2 import ServeConfig
from tzrec.server.stores.build import build_stores
from tzrec.server.stores.completer import Completer
from tzrec.server.stores.keys import to_keys
from tzrec.server.stores.packed_store import PackedStore
from tzrec.server.stores.store_metrics import StoreMetrics

NUM_STORED, NUM_ITEMS = 100_000, 200


def items() -> pa.Table:
    """Items with ten columns: five of whole numbers, two of floats, two of text and one of lists."""
    rng = np.random.default_rng(0)
    columns: dict[str, object] = {f"count_{i}": rng.integers(0, 10**6, NUM_STORED) for i in range(5)}
    columns |= {f"ratio_{i}": rng.random(NUM_STORED).astype(np.float32) for i in range(2)}
    columns |= {f"text_{i}": [f"brand_{n}" for n in rng.integers(0, 1000, NUM_STORED)] for i in range(2)}
    lists = pa.FixedSizeListArray.from_arrays(pa.array(rng.integers(0, 1000, NUM_STORED * 8)), 8)
    return pa.table({"item_id": np.arange(NUM_STORED), **columns, "tags": lists.cast(pa.list_(pa.int64()))})


def stores(directory: Path, table: pa.Table, url: str) -> dict[str, Completer]:
    """A source of the same columns for each kind of store."""
    pq.write_table(table, directory / "items.parquet")
    redis = f'redis_store {{ url: "{url}" prefix: "item:"'
    kinds = {
        "parquet": f'parquet_store {{ path: "{directory}/items.parquet" }}',
        "lmdb": f'lmdb_store {{ path: "{directory}/lmdb" }}',
        "redis": f"{redis} }}",
        "redis, cached": f"{redis} cache_s: 3600 }}",
    }
    completers: dict[str, Completer] = {}
    for name, kind in kinds.items():
        text = f'feature_stores {{ name: "items" key: "item_id" timeout_ms: 5000 {kind} }}'
        config = text_format.Parse(text, ServeConfig())
        (store,) = build_stores(config.feature_stores)
        if isinstance(store, PackedStore) and name != "redis, cached":
            start = time.monotonic()
            for first in range(0, NUM_STORED, 10_000):
                rows = table.slice(first, 10_000)
                batch = rows.drop_columns(["item_id"]).combine_chunks().to_batches()[0]
                store.write(to_keys(rows["item_id"], "item_id"), batch)
            print(f"{name}: {NUM_STORED:,} rows written in {time.monotonic() - start:.1f} s", file=sys.stderr)
        completers[name] = Completer(build_stores(config.feature_stores), StoreMetrics(CollectorRegistry()))
    return completers


async def measure(completers: dict[str, Completer], columns: list[str], rounds: int) -> dict[str, dict[str, float]]:
    """Wall and processor time of a request in milliseconds, in turns."""
    rng = np.random.default_rng(1)
    wall: dict[str, list[float]] = {name: [] for name in completers}
    processor: dict[str, list[float]] = {name: [] for name in completers}
    popular = rng.choice(NUM_STORED, 2_000, replace=False)  # that the cache holds after the first rounds
    for number in range(rounds + 30):
        request = pa.table({"item_id": rng.choice(popular, NUM_ITEMS, replace=False)})
        for name, completer in completers.items():
            start, start_processor = time.perf_counter(), time.process_time()
            (rows,) = await completer.complete([request], columns)
            if number >= 30:
                wall[name].append(time.perf_counter() - start)
                processor[name].append(time.process_time() - start_processor)
            assert rows.num_columns == len(columns) + 1 and rows["tags"].null_count == 0
    return {name: {**_summary("wall", wall[name]), **_summary("cpu", processor[name])} for name in completers}


def _summary(kind: str, seconds: list[float]) -> dict[str, float]:
    quantiles = {"min": 0.0, "p50": 0.5, "p99": 0.99}
    return {f"{kind}_{name}_ms": round(1000 * float(np.quantile(seconds, q)), 3) for name, q in quantiles.items()}


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument("--rounds", type=int, default=300)
    args = flags.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url, _ = stack.enter_context(redis_server(directory))
        table = items()
        completers = stores(directory, table, url)
        columns = [name for name in table.column_names if name != "item_id"]
        print(json.dumps(asyncio.run(measure(completers, columns, args.rounds))))
        for completer in completers.values():
            completer.close()


if __name__ == "__main__":
    main()
