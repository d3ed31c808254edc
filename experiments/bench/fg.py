"""Measure feature encoding against reading the file and training on the features in the same run.

    python experiments/bench/fg.py               # as in `make bench-fg`; about two minutes on two cores
    python experiments/bench/fg.py --memory      # only the memory of encoding ten million rows

Encoding runs on one thread. Every figure is the median over `--repeats` rounds of interleaved measurements.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from bench import Figures, execute, launch, steady_rate
from fg_data import TextColumns, write
from record import record

from tzrec.config.load import load_config
from tzrec.features.feature_encoder import FeatureEncoder

FOLDER = Path(__file__).parent
CONFIG = FOLDER / "fg.config"
SIMPLE = 15
"""Number of features of the first set, which come first in the config."""
BATCH = 8192
ITEMS = 200
ITEM_COLUMNS = ("adgroup_id", "cate_id", "campaign_id", "customer", "brand", "price")
MEMORY_ROWS = 10_000_000

config = load_config(str(CONFIG))
simple = FeatureEncoder.from_config(config.feature_configs[:SIMPLE], config.data_config)
full = FeatureEncoder.from_config(config.feature_configs, config.data_config)


def encode_rate(encoder: FeatureEncoder, table: pa.Table) -> float:
    """Rows/s of encoding a table in batches."""
    batches = table.to_batches(max_chunksize=BATCH)
    start = time.perf_counter()
    for batch in batches:
        encoder.encode(batch)
    return table.num_rows / (time.perf_counter() - start)


def read_rate(path: Path, columns: tuple[str, ...]) -> float:
    """Rows/s of reading columns of a Parquet file on one thread."""
    file, start = pq.ParquetFile(path), time.perf_counter()
    for _ in file.iter_batches(BATCH, columns=list(columns), use_threads=False):
        pass
    return file.metadata.num_rows / (time.perf_counter() - start)


def scaling(encoder: FeatureEncoder, tables: Mapping[str, pa.Table], num_units: Callable[[str], float]) -> Figures:
    """Nanoseconds of encoding per unit, for inputs of several sizes."""
    return {
        name: 1e9 * table.num_rows / encode_rate(encoder, table) / num_units(name) for name, table in tables.items()
    }


def request_ms(table: pa.Table, requests: int = 200) -> float:
    """Milliseconds of encoding one user and 200 items, the median."""
    item_columns = [name for name in full.columns if name in ITEM_COLUMNS]
    user_columns = [name for name in full.columns if name not in ITEM_COLUMNS]
    user = table.select(user_columns).slice(0, requests).combine_chunks()
    items = table.select(item_columns).combine_chunks().to_batches()[0]
    (users,) = user.to_batches()
    owners = np.zeros(ITEMS, np.int64)  # all of the one user
    times = []
    for index in range(requests):
        request = users.slice(index, 1), items.slice(index * 7, ITEMS)
        start = time.perf_counter()
        full.encode_request(*request, owners)
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def train(data: Path, out: Path, mode: str) -> Figures:
    """Samples/s of training end to end, on raw or encoded columns, on both cores."""
    model_dir = out / f"model_{mode}"
    shutil.rmtree(model_dir, ignore_errors=True)
    edits = json.dumps({"data_config.fg_mode": mode})
    result = launch(1, "tzrec.train_eval", "--pipeline_config", str(out / "simple.config"), "--model_dir",
                    str(model_dir), "--train_input_path", f"{data}/*.parquet", "--edit_config_json", edits)  # fmt: skip
    return {f"train_{mode.lower()}_rows_s": steady_rate(result, BATCH)}


def encode_files(raw: Path, encoded: Path, out: Path) -> None:
    """Encode the training files."""
    shutil.rmtree(encoded, ignore_errors=True)
    execute(sys.executable, "-m", "tzrec.tools.fg_encode", "--pipeline_config", str(out / "simple.config"),
            "--input_path", f"{raw}/*.parquet", "--output_path", str(encoded))  # fmt: skip


def write_simple_config(out: Path) -> None:
    """Write the config of the first set."""
    from google.protobuf import text_format

    first_set = load_config(str(CONFIG))
    del first_set.feature_configs[SIMPLE:]
    (out / "simple.config").write_text(text_format.MessageToString(first_set))


def memory() -> Figures:
    """Peak memory after the first million rows and after ten."""
    tables = [pa.table(TextColumns(seed).full(BATCH)) for seed in range(4)]
    peaks = []
    for index in range(MEMORY_ROWS // BATCH):
        (batch,) = tables[index % 4].to_batches()
        full.encode(batch)
        if index in (MEMORY_ROWS // BATCH // 10, MEMORY_ROWS // BATCH - 1):
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return {"memory_1m_rows_mb": peaks[0], "memory_10m_rows_mb": peaks[1]}


def show(figures: Figures) -> None:
    """Print the table."""

    def line(label: str, value: float, unit: str, note: str = "") -> None:
        print(f"  {label:<48} {value:>12,.{0 if value > 100 else 2}f} {unit:<8} {note}".rstrip())

    step = figures["train_fg_dag_rows_s"]
    simple_ratio, full_ratio = (
        f"{figures[name] / step:.1f} x the training" for name in ("fg_simple_rows_s", "fg_full_rows_s")
    )
    print("15 columns of text")
    line("encode, one thread", figures["fg_simple_rows_s"], "rows/s", simple_ratio)
    line("read the Parquet file, one thread", figures["parquet_simple_rows_s"], "rows/s")
    print("the same, 5 crosses, 3 lookups, 2 matches, 2 formulas, 3 sequences of 50")
    line("encode, one thread", figures["fg_full_rows_s"], "rows/s", full_ratio)
    line("read the Parquet file, one thread", figures["parquet_rows_s"], "rows/s")
    line("one request, 1 user x 200 items", figures["request_ms"], "ms")
    print("training on the 15 columns, two cores")
    line("raw (FG_DAG)", step, "rows/s", f"{figures['fg_dag_over_fg_none']:.2f} of encoded")
    line("encoded (FG_NONE)", figures["train_fg_none_rows_s"], "rows/s")
    print("scaling: ns per row at 1, 4, 16 x the rows; ns per sequence element at 1, 4, 16 x the elements")
    for kind, unit in (("rows", "rows"), ("steps", "elements")):
        for times in (1, 4, 16):
            line(f"{times} x {unit}", figures[f"ns_{times}x_{kind}"], "ns")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=60 * BATCH, help="training rows")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="measure only memory")
    parser.add_argument("--out", type=Path, default=FOLDER / "out" / "fg")
    args = parser.parse_args()
    if args.memory:
        print(json.dumps({name: round(value, 1) for name, value in memory().items()}))
        return

    out: Path = args.out
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    pa.set_cpu_count(1)
    write_simple_config(out)
    write(out / "raw", 8, args.rows // 8, full=False)
    write(out / "full", 1, 4 * BATCH, full=True)
    encode_files(out / "raw", out / "encoded", out)
    part = out / "full" / "part-0.parquet"
    table = pq.read_table(part)
    by_rows = {f"ns_{times}x_rows": pa.table(TextColumns(1).simple(4096 * times)) for times in (1, 4, 16)}
    config.feature_configs[-1].sequence_feature.sequence_length = 0  # all elements
    sequences = FeatureEncoder.from_config(config.feature_configs[-1:], config.data_config)
    by_elements = {f"ns_{times}x_steps": pa.table(TextColumns(1).full(2048, 12 * times)) for times in (1, 4, 16)}

    measurements: list[Callable[[], Figures]] = [
        lambda: {"fg_simple_rows_s": encode_rate(simple, table)},
        lambda: {"parquet_simple_rows_s": read_rate(part, simple.columns)},
        lambda: {"fg_full_rows_s": encode_rate(full, table)},
        lambda: {"parquet_rows_s": read_rate(part, full.columns)},
        lambda: {"request_ms": request_ms(table)},
        lambda: scaling(simple, by_rows, lambda name: by_rows[name].num_rows),
        lambda: scaling(sequences, by_elements, lambda name: 3 * 2048 * 12 * int(name.split("_")[1][:-1])),
        lambda: train(out / "raw", out, "FG_DAG"),
        lambda: train(out / "encoded" / "data", out, "FG_NONE"),
    ]
    samples: dict[str, list[float]] = defaultdict(list)
    for measurement in measurements[:-2]:
        measurement()  # warm up: load the kernels
    for repeat in range(args.repeats):
        for measurement in measurements:
            for name, value in measurement().items():
                samples[name].append(value)
                print(f"[{repeat + 1}/{args.repeats}] {name} {value:,.2f}", file=sys.stderr, flush=True)
    figures = {name: statistics.median(values) for name, values in samples.items()}
    figures["fg_dag_over_fg_none"] = figures["train_fg_dag_rows_s"] / figures["train_fg_none_rows_s"]
    show(figures)
    record("fg", figures)


if __name__ == "__main__":
    main()
