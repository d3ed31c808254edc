"""Train every model on data with known answers: overfit 256 rows, and recover a planted signal.

    python experiments/planted/planted.py                 # all models
    python experiments/planted/planted.py --models mmoe dlrm

Overfit: after 300 steps on 256 rows, nearly all with different users, the loss must be below 0.05 of its first value.
Planted signal: clicks and purchases are drawn from known probabilities. On held-out rows, the gain of each AUC over 0.5
must be at least 0.95 of the gain of the true probabilities.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from models import IDS, MODELS, config_text
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import OneHotEncoder

from tzrec.config.check import load_checked
from tzrec.run.listeners import Listener
from tzrec.run.metric_logger import StepLog
from tzrec.run.train import train

FOLDER = Path(__file__).parent
sys.path.append(str(FOLDER.parents[1]))  # for the custom model in examples/
TRAIN_ROWS, EVAL_ROWS, OVERFIT_ROWS = 60_000, 40_000, 256
USERS = 60
"""Number of users in the rows with a signal: few, so that the effect of each can be learned."""
MAX_LOSS, MIN_SHARE = 0.05, 0.95
TASKS = {"ctr": "clk", "cvr": "buy", "ctcvr": "buy", "light": "clk", "": "clk"}
"""Label by task; the task of single-task models is ""."""

Columns = dict[str, np.ndarray]


def draw_ids(rows: int, users: int, rng: np.random.Generator) -> Columns:
    """Random columns."""
    columns = {name: rng.integers(0, size, rows) for name, size in IDS.items() if name != "user"}
    return {"user": rng.integers(0, users, rows), **columns, "price": rng.random(rows, dtype=np.float32)}


class TrueProbabilities:
    """True probabilities of both labels: effects of each column, and of one pair of columns that must be crossed."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.effects = {
            task: {name: rng.standard_normal(size) for name, size in IDS.items()} for task in ("clk", "buy")
        }
        self.pairs = {task: rng.standard_normal((IDS["cate"], IDS["device"])) for task in ("clk", "buy")}

    def logit(self, task: str, columns: Columns) -> np.ndarray:
        """Logit of the probability of a label, given a click for `buy`."""
        single = [effect[columns[name]] for name, effect in self.effects[task].items()]
        pair = self.pairs[task][columns["cate"], columns["device"]]
        return 0.6 * np.sum(single, axis=0) + 1.0 * pair + 1.5 * (columns["price"] - 0.5)

    def label(self, columns: Columns, rng: np.random.Generator) -> tuple[Columns, dict[str, np.ndarray]]:
        """Labels and their true probabilities; a purchase requires a click."""
        click = 1 / (1 + np.exp(-self.logit("clk", columns)))
        buy = click / (1 + np.exp(-self.logit("buy", columns)))
        uniform = rng.random(len(click))
        labels = {"clk": (uniform < click).astype(np.int64), "buy": (uniform < buy).astype(np.int64)}
        return {**columns, **labels}, {"clk": click, "buy": buy}


@dataclass(frozen=True)
class Data:
    """Files and reference figures.

    Attributes:
        folder: path of the files.
        attainable: AUC of the true probabilities by label.
        linear: AUC of logistic regression for `clk`.
    """

    folder: Path
    attainable: dict[str, float]
    linear: float


def make_data(folder: Path) -> Data:
    """Write train, eval and overfit.parquet; the last one has other users and random labels."""
    rng = np.random.default_rng(4)
    truth = TrueProbabilities(rng)
    train, _ = truth.label(draw_ids(TRAIN_ROWS, USERS, rng), rng)
    test, probabilities = truth.label(draw_ids(EVAL_ROWS, USERS, rng), rng)
    overfit = draw_ids(OVERFIT_ROWS, IDS["user"], rng)
    overfit["clk"] = rng.integers(0, 2, OVERFIT_ROWS)
    overfit["buy"] = overfit["clk"] * rng.integers(0, 2, OVERFIT_ROWS)
    for name, columns in {"train": train, "eval": test, "overfit": overfit}.items():
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    attainable = {label: float(roc_auc_score(test[label], probabilities[label])) for label in probabilities}
    encoder = OneHotEncoder().fit(_matrix(train))
    model = LogisticRegression(max_iter=300).fit(encoder.transform(_matrix(train)), train["clk"])
    score = model.predict_proba(encoder.transform(_matrix(test)))[:, 1]
    return Data(folder, attainable, float(roc_auc_score(test["clk"], score)))


def _matrix(columns: Columns) -> np.ndarray:
    return np.stack([*(columns[name] for name in IDS), np.floor(10 * columns["price"])], axis=1)


class LossRecorder(Listener):
    """Listener that records the sum of the losses of every step."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_log(self, log: StepLog) -> None:
        self.values.append(sum(log.losses.values()))


def measure(name: str, data: Data, out: Path) -> dict[str, Any]:
    """Train one model both ways; returns its row of the table."""
    start = time.perf_counter()
    path = out / f"{name}.config"
    path.write_text(config_text(name, str(data.folder), str(out / name)))
    losses = LossRecorder()
    overfit = {
        "train_input_path": f"{data.folder}/overfit.parquet",
        "eval_input_path": "",
        "model_dir": str(out / f"{name}_overfit"),
        "data_config.batch_size": OVERFIT_ROWS,
        "train_config.num_epochs": 0,
        "train_config.num_steps": 300,
        "train_config.dense_optimizer.adam_optimizer.lr": 0.01,
    }
    train(load_checked(str(path), overfit), listeners=[losses])
    metrics = train(load_checked(str(path), {})).metrics
    aucs = {task: metrics["_".join(["auc", task]).rstrip("_")] for task in _tasks(metrics)}
    shares = {task: (auc - 0.5) / (data.attainable[TASKS[task]] - 0.5) for task, auc in aucs.items()}
    relative_loss = losses.values[-1] / losses.values[0]
    passed = relative_loss < MAX_LOSS and min(shares.values()) >= MIN_SHARE
    return {"model": name, "left": relative_loss, "auc": aucs, "share": shares, "passed": passed,
            "seconds": time.perf_counter() - start}  # fmt: skip


def _tasks(metrics: Any) -> list[str]:
    return [task for task in TASKS if "_".join(["auc", task]).rstrip("_") in metrics]


def line(row: dict[str, Any]) -> str:
    """A row of the table as Markdown."""
    tasks = ", ".join(f"{task or 'click'} {auc:.4f}" for task, auc in row["auc"].items())
    shares = ", ".join(f"{share:.3f}" for share in row["share"].values())
    verdict = "yes" if row["passed"] else "**NO**"
    return f"| {row['model']} | {row['left']:.4f} | {tasks} | {shares} | {verdict} | {row['seconds']:.0f} |"


def main() -> int:
    warnings.filterwarnings("ignore", category=FutureWarning)  # from torch
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=sorted(MODELS), default=sorted(MODELS))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = make_data(Path(folder))
        print(f"attainable AUC: clk {data.attainable['clk']:.4f}, buy {data.attainable['buy']:.4f}")
        print("| model | relative loss on 256 rows | AUC | share of the attainable gain | passes | s |")
        print("|---|---|---|---|---|---|")
        linear = (data.linear - 0.5) / (data.attainable["clk"] - 0.5)
        print(f"| logistic regression (scikit-learn) | | click {data.linear:.4f} | {linear:.3f} | | |", flush=True)
        rows = []
        for name in args.models:
            rows.append(measure(name, data, Path(folder)))
            print(line(rows[-1]), flush=True)
    if len(rows) == len(MODELS):
        (FOLDER / "results.json").write_text("[\n" + ",\n".join(" " + json.dumps(row) for row in rows) + "\n]\n")
    print(f"{sum(row['passed'] for row in rows)} of {len(rows)} pass, {sum(row['seconds'] for row in rows):.0f} s")
    return 0 if all(row["passed"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
