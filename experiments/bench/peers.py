"""Compare training of DeepFM from Parquet with DeepCTR-Torch, which has all rows in memory.

python experiments/bench/peers.py --deepctr_python .venv-deepctr/bin/python

Both have the columns of Criteo with tables of at most 10,000 rows, width 16 and an MLP [256, 128], FP32, batches of
4,096 rows and a core for each thread. The gradients of DeepCTR's tables are as large as its tables, so that larger ones
would be to its disadvantage. Its rate is that of the rows by which one call of `fit` is longer than another.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import criteo
from bench import execute, launch, steady_rate

BATCH, WIDTH, CAP = 4096, 16, 10_000
HIDDEN = (256, 128)
BATCHES = (10, 50)
"""Of the two calls of `fit`."""
IDS = {f"cat_{n}": min(size, CAP) for n, size in enumerate(criteo.TABLES)}
NUMBERS = [f"int_{n}" for n in range(criteo.NUMBERS)]


def config_text(train: str, model_dir: str) -> str:
    """Write a config of the model."""
    ids = [
        f'feature_configs {{ id_feature {{ feature_name: "{name}" expression: "context:{name}"'
        f" num_buckets: {size} embedding_dim: {WIDTH} }} }}"
        for name, size in IDS.items()
    ]
    numbers = [
        f'feature_configs {{ raw_feature {{ feature_name: "{name}" expression: "context:{name}" }} }}'
        for name in NUMBERS
    ]
    return "\n".join(
        [
            f'train_input_path: "{train}" eval_input_path: "" model_dir: "{model_dir}"',
            "train_config { num_epochs: 1 log_step_count_steps: 10",
            "  sparse_optimizer { adam_optimizer { lr: 0.001 } constant_learning_rate {} }",
            "  dense_optimizer { adam_optimizer { lr: 0.001 } constant_learning_rate {} } }",
            f'data_config {{ dataset_type: ParquetDataset fg_mode: FG_DAG label_fields: "label" batch_size: {BATCH} }}',
            *ids,
            *numbers,
            "model_config {",
            f'  feature_groups {{ group_name: "wide" feature_names: {json.dumps(list(IDS))} group_type: WIDE }}',
            f'  feature_groups {{ group_name: "fm" feature_names: {json.dumps(list(IDS))} group_type: DEEP }}',
            f'  feature_groups {{ group_name: "deep" feature_names: {json.dumps([*IDS, *NUMBERS])} group_type: DEEP }}',
            f"  deepfm {{ deep {{ hidden_units: {list(HIDDEN)} }} }} losses {{ binary_cross_entropy {{}} }}",
            "}",
        ]
    )


def train_tzrec(folder: Path) -> float:
    """Measure samples/s of training from Parquet, the median over intervals of ten steps."""
    shutil.rmtree(folder / "model", ignore_errors=True)
    return steady_rate(launch(1, "tzrec.train_eval", "--pipeline_config", str(folder / "deepfm.config")), BATCH)


def train_deepctr() -> float:
    """Measure samples/s of `fit` of DeepCTR-Torch; this process has imported it."""
    import torch
    from deepctr_torch.inputs import DenseFeat, SparseFeat
    from deepctr_torch.models import DeepFM

    columns = [SparseFeat(name, size, embedding_dim=WIDTH) for name, size in IDS.items()]
    columns += [DenseFeat(name, 1) for name in NUMBERS]
    torch.manual_seed(0)
    model = DeepFM(columns, columns, dnn_hidden_units=HIDDEN, device="cpu")
    model.compile("adam", "binary_crossentropy")
    seconds = []
    for batches in (2, *BATCHES):  # the first is a warm-up
        rows = capped_rows(batches * BATCH, batches)
        labels = rows.pop("label")
        start = time.monotonic()
        model.fit(rows, labels, batch_size=BATCH, epochs=1, verbose=0)
        seconds.append(time.monotonic() - start)
    return (BATCHES[1] - BATCHES[0]) * BATCH / (seconds[2] - seconds[1])


def capped_rows(rows: int, seed: int) -> dict:
    """Make rows whose ids are below the sizes of the tables."""
    columns = criteo.make_rows(rows, seed)
    return {name: values % IDS[name] if name in IDS else values for name, values in columns.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--deepctr_python", default=sys.executable, help="interpreter that has torch and deepctr-torch")
    parser.add_argument("--only_deepctr", action="store_true", help="print its samples/s, without writing results")
    args = parser.parse_args()
    if args.only_deepctr:
        print(json.dumps({"samples_per_s": train_deepctr()}))
        return
    import pyarrow as pa
    import pyarrow.parquet as pq
    from record import record

    samples: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pq.write_table(pa.table(capped_rows(BATCHES[1] * BATCH, 0)), folder / "rows.parquet")
        (folder / "deepfm.config").write_text(config_text(str(folder / "rows.parquet"), str(folder / "model")))
        for _ in range(args.repeats):
            samples["tzrec"].append(train_tzrec(folder))
            result = execute(args.deepctr_python, __file__, "--only_deepctr")
            samples["deepctr"].append(json.loads(result.lines[-1][1])["samples_per_s"])
            print({name: round(values[-1]) for name, values in samples.items()}, file=sys.stderr, flush=True)
    figures = {name: statistics.median(values) for name, values in samples.items()}
    record("peers", figures | {"deepctr_ratio": figures["tzrec"] / figures["deepctr"]})


if __name__ == "__main__":
    main()
