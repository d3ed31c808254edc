"""Train multi-task models and baselines on Census-Income with five seeds: write results.json, the table and the plot.

    python experiments/census_income/prepare.py --data DIR
    python experiments/census_income/run.py

Each run uses the command line: train_eval, then predict on the test rows; the figures are computed from the scores.
Each call trains all that it names again, gradient boosting and logistic regression included; figures of other models,
settings and seeds stay in results.json. `--quick` trains one model for one epoch and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from baselines import BASELINES, measure_baseline
from google.protobuf import text_format
from sklearn.metrics import roc_auc_score

import tzrec
from tzrec.config.load import load_config
from tzrec.protos.pipeline_pb2 import EasyRecConfig

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results.json"
TUNED = "mmoe_tuned"
"""What `tzrec init` writes, with the settings that tune.py found, on all training rows; only where it has run."""
FIRST = "first_model"
"""What `tzrec init` writes for the training rows, of which it holds a tenth out to stop in time."""
MODELS = {
    "mmoe": "MMoE",
    TUNED: "MMoE, tuned",
    FIRST: "MMoE of init",
    "ple": "PLE",
    "simple_multi_task": "shared bottom",
    "dbmtl": "DBMTL",
    "aitm": "AITM",
}
TASKS = {"income": "income_50k", "never_married": "never_married"}
SETTINGS = ("a", "b")

Row = dict[str, Any]
"""A run: model, setting, seed, seconds of training, and AUCs by name."""


def run_command(name: str, *flags: str) -> None:
    """Run a command of tzrec."""
    subprocess.run([sys.executable, "-m", f"tzrec.{name}", *flags], check=True)


def write_config(model: str, setting: str, train: str, path: Path) -> None:
    """Write mmoe_<setting>.config with the model of <model>.config; TUNED and FIRST are whole configs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if model == FIRST:
        tzrec.init(train, list(TASKS.values()), path)
        return
    config = load_config(str(FOLDER / f"{TUNED if model == TUNED else 'mmoe'}_{setting}.config"))
    if model not in ("mmoe", TUNED):
        model_config = text_format.Parse((FOLDER / f"{model}.config").read_text(), EasyRecConfig())
        config.model_config.ClearField("mmoe")
        config.MergeFrom(model_config)
    path.write_text(text_format.MessageToString(config))


def flattened_auc(label: np.ndarray, score: np.ndarray) -> float:
    """AUC over both columns of the one-hot label as one list, as in MindSpore's model zoo.

    Every row counts as a positive and as a negative, which rewards the class balance: a constant score equal to the
    base rate has an AUC far above 0.5.
    """
    labels = np.concatenate([label, 1 - label])
    return float(roc_auc_score(labels, np.concatenate([score, 1 - score])))


def measure(model: str, setting: str, seed: int, edits: dict[str, object], test: Path) -> Row:
    """Train with one seed and predict the rows of `test`."""
    out = FOLDER / "out" / f"{model}_{setting}_{seed}"
    shutil.rmtree(out, ignore_errors=True)
    config = FOLDER / "out" / f"{model}_{setting}.config"
    write_config(model, setting, edits["train_input_path"], config)
    start = time.perf_counter()
    edit = json.dumps({**edits, "train_config.seed": seed})
    run_command("train_eval", "--pipeline_config", str(config), "--model_dir", str(out), "--edit_config_json", edit,
                "--eval_input_path", "")  # fmt: skip
    seconds = time.perf_counter() - start
    run_command("predict", "--pipeline_config", str(out / "pipeline.config"), "--predict_input_path", str(test),
                "--predict_output_path", str(out / "scores"),
                "--reserved_columns", ",".join(TASKS.values()))  # fmt: skip
    scores = pq.read_table(out / "scores")
    row: Row = {"seconds": seconds}
    for task, column in TASKS.items():
        output = f"probs_{column if model in (FIRST, TUNED) else task}"  # init names towers by their labels
        label, score = scores[column].to_numpy(), scores[output].to_numpy().astype(np.float64)
        row[f"auc_{task}"] = float(roc_auc_score(label, score))
        row[f"flattened_auc_{task}"] = flattened_auc(label, score)
    shutil.rmtree(out)
    return row


def cell(rows: list[Row], name: str) -> str:
    """Mean and standard deviation."""
    values = [row[name] for row in rows]
    return f"{statistics.mean(values):.4f}" + (f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else "")


def table(rows: list[Row]) -> str:
    """The figures as Markdown; `flattened` are the AUCs of both tasks with flattened labels."""
    lines = ["| setting | model | seeds | income AUC | never-married AUC | flattened |", "|---|---|---|---|---|---|"]
    for setting in SETTINGS:
        for model, name in {**MODELS, **dict.fromkeys(BASELINES)}.items():
            runs = [row for row in rows if (row["model"], row["setting"]) == (model, setting)]
            if runs:
                flat = (statistics.mean(run[f"flattened_auc_{task}"] for run in runs) for task in TASKS)
                cells = [f"{len(runs)}", *(cell(runs, f"auc_{task}") for task in TASKS)]
                cells.append(", ".join(f"{value:.4f}" for value in flat))
                title = f"**tzrec {name}**" if name else f"{model} (scikit-learn)"
                lines.append(f"| {setting.upper()} | {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(rows: list[Row], path: Path) -> None:
    """Plot each seed as a dot with the baselines as lines, one panel per setting and task, one column per model."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 4, figsize=(14, 3.6), constrained_layout=True)
    panels = [(setting, task) for setting in SETTINGS for task in TASKS]
    for axis, (setting, task) in zip(axes, panels, strict=True):
        runs = [row for row in rows if row["setting"] == setting and row["model"] in MODELS]
        columns = [list(MODELS).index(row["model"]) for row in runs]
        axis.scatter(
            columns,
            [row[f"auc_{task}"] for row in runs],
            color="tab:blue",
            s=14,
            zorder=3,
            label="tzrec, one dot per seed",
        )
        baselines = [row for row in rows if row["setting"] == setting and row["model"] in BASELINES]
        for row in baselines:
            axis.axhline(row[f"auc_{task}"], color=BASELINES[row["model"]], label=row["model"])
        axis.set_xticks(range(len(MODELS)), list(MODELS.values()), rotation=30, ha="right")
        axis.set(title=f"{setting.upper()}: {task.replace('_', ' ')}", xlim=(-0.5, len(MODELS) - 0.5))
        axis.margins(y=0.15)
        axis.ticklabel_format(axis="y", useOffset=False)
    axes[0].set_ylabel("test AUC")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncol=3, frameon=False)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data/census"), help="output of prepare.py")
    known = [*MODELS, *BASELINES]
    parser.add_argument("--models", nargs="+", choices=known, default=known)
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--num_threads", type=int, default=0, help="threads of each run; 0: number of cores")
    parser.add_argument("--valid", action="store_true", help="train on fit, test on valid: for choosing settings")
    parser.add_argument("--quick", action="store_true", help="one epoch of one model on b; results are not saved")
    parser.add_argument(
        "--edit_config_json", type=json.loads, default={}, help="config edits to try; results are not saved"
    )
    args = parser.parse_args()

    train, test = ("fit", "valid") if args.valid else ("train", "test")
    is_saved = not (args.valid or args.quick or args.edit_config_json)
    edits = {**args.edit_config_json, **({"train_config.num_epochs": 1} if args.quick else {})}
    if args.num_threads:
        edits["train_config.num_threads"] = args.num_threads
    rows: list[Row] = json.loads(RESULTS.read_text()) if is_saved and RESULTS.exists() else []
    runs = [(model, setting, seed) for seed in args.seeds for setting in args.settings for model in args.models]
    runs = [run for run in runs if run[0] != TUNED or (FOLDER / f"{TUNED}_{run[1]}.config").exists()]
    runs = [run for run in runs if run[0] in MODELS or run[2] == args.seeds[0]]  # baselines have one seed
    for model, setting, seed in [("mmoe", "b", 1)] if args.quick else runs:
        folder = args.data / setting
        halves = (folder / f"{train}.parquet", folder / f"{test}.parquet")
        if model in BASELINES:
            seed, row = 0, measure_baseline(model, *halves, TASKS, flattened_auc)
        else:
            row = measure(model, setting, seed, {**edits, "train_input_path": str(halves[0])}, halves[1])
        row = {"model": model, "setting": setting, "seed": seed, **row}
        rows = [old for old in rows if (old["model"], old["setting"], old["seed"]) != (model, setting, seed)]
        rows.append(row)
        if is_saved:
            RESULTS.write_text("[\n" + ",\n".join(" " + json.dumps(row) for row in rows) + "\n]\n")
    print(table(rows))
    if is_saved:
        plot(rows, FOLDER / "census_income.png")


if __name__ == "__main__":
    main()
