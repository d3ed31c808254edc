"""Measure the loader of one rank among many: rows/s, bytes decoded, memory, and the start with many files.

    python experiments/bench/scale.py            # as in `make bench-scale`

Every figure of a number of ranks is that of rank 0, alone on the machine; rates are medians over rounds in which the
numbers of ranks take turns. Each measurement of memory has a process of its own.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from bench import CONFIG, Figures, execute
from exchange import measure_exchange, show
from google.protobuf import text_format
from pyarrow import csv as pacsv
from record import record

from tzrec.data.loader import DataLoader
from tzrec.data.text_file import TextSpans
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.protos import data_pb2
from tzrec.protos.pipeline_pb2 import EasyRecConfig

RANKS = (1, 4, 16, 64)
BATCH = 4096
WINDOW_BATCHES = 4
"""Size of the shuffle window in batches: a share of 64 ranks then has several windows."""
COPIES = 16
ROW_GROUP = 5000
UNEQUAL_FILES = 100
MANY_FILES = 10_000


def write_data(source: Path, out: Path) -> None:
    """Write the rows of the demo several times: as equal files, as unequal ones, and a few rows as many files."""
    table = pq.read_table(source / "train")
    rows = table.num_rows
    for name in ("equal", "unequal", "text", "many"):
        (out / name).mkdir(parents=True, exist_ok=True)
    for copy in range(COPIES):
        pq.write_table(table, out / f"equal/part-{copy:03d}.parquet", row_group_size=ROW_GROUP)
        pacsv.write_csv(table, out / f"text/part-{copy:03d}.csv")
    weights = np.random.default_rng(1).lognormal(size=UNEQUAL_FILES)
    bounds = np.concatenate([[0], np.cumsum(weights) / weights.sum()]) * rows * COPIES
    everything = pa.concat_tables([table] * COPIES)
    for number, (begin, end) in enumerate(zip(bounds[:-1].astype(int), bounds[1:].astype(int), strict=True)):
        path = out / f"unequal/part-{number:03d}.parquet"
        pq.write_table(everything.slice(begin, end - begin), path, row_group_size=ROW_GROUP)
    for number in range(MANY_FILES):
        pq.write_table(table.slice(number % rows, 10), out / f"many/part-{number:05d}.parquet")


def open_loader(path: str, ranks: int) -> DataLoader:
    """Open the loader of rank 0."""
    config = text_format.Parse(Path(CONFIG).read_text(), EasyRecConfig())
    config.data_config.shuffle_buffer_size = WINDOW_BATCHES
    if path.endswith(".csv"):
        config.data_config.dataset_type = data_pb2.CsvDataset
        config.data_config.with_header = True
    encoder = FeatureEncoder.from_config(config.feature_configs, config.data_config)
    return DataLoader(config, encoder, path, "train", 0, ranks, batch_size=BATCH)


@contextmanager
def counting_bytes() -> Iterator[list[int]]:
    """Count the bytes of all batches that Parquet files decode, and of the text that is read."""
    original, read, sizes = pq.ParquetFile.iter_batches, TextSpans.read, [0]

    def iter_batches(*args: object, **kwargs: object) -> Iterator[pa.RecordBatch]:
        for batch in original(*args, **kwargs):
            sizes[0] += batch.nbytes
            yield batch

    def read_text(spans: TextSpans, offset: int, size: int) -> bytes:
        sizes[0] += size
        return read(spans, offset, size)

    pq.ParquetFile.iter_batches, TextSpans.read = iter_batches, read_text
    try:
        yield sizes
    finally:
        pq.ParquetFile.iter_batches, TextSpans.read = original, read


def rate(path: str, ranks: int, max_rows: int) -> float:
    """Measure the rows/s of rank 0 over its first rows, from the start of an epoch on."""
    loader = open_loader(path, ranks)
    start, rows = time.perf_counter(), 0
    for batch in loader.epoch():
        rows += batch.rows
        if rows >= max_rows:
            break
    seconds = time.perf_counter() - start
    loader.close()
    return rows / seconds


def decoded(path: str, ranks: int) -> int:
    """Count the bytes that rank 0 decodes in an epoch."""
    loader = open_loader(path, ranks)  # reads the first rows of text for the types of its columns
    with counting_bytes() as sizes:
        for _ in loader.epoch():
            pass
    return sizes[0]


def measure_loader(path: str, rounds: int) -> Figures:
    """Measure the rates and the bytes of all numbers of ranks."""
    rows = (open_loader(path, 1).num_rows or 0) // RANKS[-1]
    rates: dict[int, list[float]] = {ranks: [] for ranks in RANKS}
    for _ in range(rounds + 1):
        for ranks in RANKS:
            rates[ranks].append(rate(path, ranks, rows))
    figures = {f"loader_{ranks}": statistics.median(values[1:]) for ranks, values in rates.items()}
    total = decoded(path, 1)
    figures |= {f"bytes_over_share_{ranks}": decoded(path, ranks) * ranks / total for ranks in RANKS[1:]}
    return figures | {f"loader_{RANKS[-1]}_over_1": figures[f"loader_{RANKS[-1]}"] / figures["loader_1"]}


def memory_gb(name: str) -> float:
    """Read a figure of the memory of this process."""
    (kilobytes,) = re.findall(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(kilobytes) * 1024 / 1e9


def measure_in_process(path: str, ranks: int) -> Figures:
    """Measure the peak memory of a share of an epoch, and the seconds from opening the files to the first batch."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak from here on, without that of the imports
    before = memory_gb("VmRSS")
    start = time.perf_counter()
    loader = open_loader(path, ranks)
    batches = loader.epoch()
    next(batches)
    first = time.perf_counter() - start
    for _ in batches:
        pass
    peak = memory_gb("VmHWM")
    return {"first_batch_s": first, "loader_gb": peak - before}


def in_own_process(path: str, ranks: int) -> Figures:
    result = execute(sys.executable, __file__, "--path", path, "--ranks", str(ranks))
    figures: Figures = json.loads(result.lines[-1][1])
    return figures


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--out", type=Path, default=Path("experiments/bench/out/scale"), help="directory of the data")
    flags.add_argument("--rounds", type=int, default=5)
    flags.add_argument("--path", help="measure one loader of these files, and print its figures")
    flags.add_argument("--ranks", type=int, default=1)
    args = flags.parse_args()
    if args.path:
        print(json.dumps(measure_in_process(args.path, args.ranks)))
        return
    if not (args.out / "many").exists():
        execute(sys.executable, "-m", "tzrec.tools.make_taobao", "--output_dir", str(args.out))
        write_data(args.out, args.out)
    figures: Figures = {}
    for kind in ("equal", "unequal", "text"):
        path = f"{args.out}/{kind}/*.{'csv' if kind == 'text' else 'parquet'}"
        measured = measure_loader(path, args.rounds)
        print(f"{kind} files")
        for ranks in RANKS:
            own = in_own_process(path, ranks)
            measured |= {f"{name}_{ranks}": own[name] for name in ("loader_gb",)}
            share = f"{measured[f'bytes_over_share_{ranks}']:.2f} x its share decoded" if ranks > 1 else ""
            print(
                f"  rank 0 of {ranks:<3} {measured[f'loader_{ranks}']:>10,.0f} rows/s  "
                f"{own['loader_gb']:.3f} GB  {share}",
                flush=True,
            )
        figures |= measured if kind == "equal" else {f"{kind}_{name}": value for name, value in measured.items()}
    figures["first_batch_of_10000_files_s"] = in_own_process(f"{args.out}/many/*.parquet", 64)["first_batch_s"]
    print(f"first batch of {MANY_FILES:,} files  {figures['first_batch_of_10000_files_s']:.1f} s")
    exchange = measure_exchange(args.out, args.out)
    show(exchange)
    figures |= exchange
    record("scale", figures)


if __name__ == "__main__":
    main()
