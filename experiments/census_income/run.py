"""Train MMoE on Census-Income, settings A and B, several seeds; write results.json, the table and the plot.

    python experiments/census_income/prepare.py --data DIR
    python experiments/census_income/run.py

Each run is the command line of a user: train_eval, then predict on the test rows; the figures come from the scores.
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

import numpy as np
import pyarrow.parquet as pq
from sklearn.metrics import roc_auc_score

HERE = Path(__file__).parent
TASKS = {"income": "income_50k", "never_married": "never_married"}
BASELINES = {
    "a": {"gradient boosting": (0.9311, 0.9916), "logistic regression": (0.9285, 0.9905)},
    "b": {"gradient boosting": (0.9505, 0.9948), "logistic regression": (0.9424, 0.9944)},
}
"""scikit-learn on the same columns, from the description of the data."""


def verb(name: str, *flags: str) -> None:
    subprocess.run([sys.executable, "-m", f"tzrec.{name}", *flags], check=True)


def flattened_auc(label: np.ndarray, score: np.ndarray) -> float:
    """AUC over both columns of the one-hot label as one list, as MindSpore's model zoo computes it.

    Every row then counts as a positive and as a negative, and the class balance itself is rewarded: a constant score
    equal to the base rate is already far above 0.5.
    """
    labels = np.concatenate([label, 1 - label])
    return float(roc_auc_score(labels, np.concatenate([score, 1 - score])))


def measure(setting: str, seed: int, edits: dict[str, object], test: str) -> dict[str, float]:
    """Train with one seed, predict `test`, and return AUCs by name and the seconds of training."""
    config = HERE / f"mmoe_{setting}.config"
    out = HERE / "out" / f"{setting}_{seed}"
    shutil.rmtree(out, ignore_errors=True)
    start = time.perf_counter()
    edit = json.dumps({**edits, "train_config.seed": seed})
    verb("train_eval", "--pipeline_config", str(config), "--model_dir", str(out), "--edit_config_json", edit,
         "--eval_input_path", "")  # fmt: skip
    seconds = time.perf_counter() - start
    verb("predict", "--pipeline_config", str(out / "pipeline.config"), "--predict_input_path", test,
         "--predict_output_path", str(out / "scores"), "--reserved_columns", ",".join(TASKS.values()))  # fmt: skip
    scores = pq.read_table(out / "scores")
    result = {"seconds": seconds}
    for task, column in TASKS.items():
        label, score = scores[column].to_numpy(), scores[f"probs_{task}"].to_numpy().astype(np.float64)
        result[f"auc_{task}"] = float(roc_auc_score(label, score))
        result[f"flattened_auc_{task}"] = flattened_auc(label, score)
    return result


def table(results: dict[str, list[dict[str, float]]]) -> str:
    """The figures as Markdown."""
    lines = ["| setting | what | income AUC | never-married AUC |", "|---|---|---|---|"]
    for setting, runs in results.items():
        columns = [f"{key}{task}" for key in ("auc_", "flattened_auc_") for task in TASKS]
        mean = {name: statistics.mean(run[name] for run in runs) for name in columns}
        spread = {name: statistics.stdev(run[name] for run in runs) if len(runs) > 1 else 0.0 for name in columns}
        cells = [f"{mean[f'auc_{task}']:.4f} ± {spread[f'auc_{task}']:.4f}" for task in TASKS]
        lines.append(f"| {setting.upper()} | **tzrec MMoE, {len(runs)} seeds** | {' | '.join(cells)} |")
        for name, (income, married) in BASELINES[setting].items():
            lines.append(f"| {setting.upper()} | {name} (scikit-learn) | {income:.4f} | {married:.4f} |")
        cells = [f"{mean[f'flattened_auc_{task}']:.4f}" for task in TASKS]
        lines.append(f"| {setting.upper()} | tzrec MMoE, flattened labels | {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(results: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Each seed as a dot beside the baselines, one panel per setting and task."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2 * len(results), figsize=(4 * len(results) + 2, 3.2), constrained_layout=True)
    panels = [(setting, index, task) for setting in results for index, task in enumerate(TASKS)]
    for axis, (setting, index, task) in zip(np.atleast_1d(axes), panels, strict=True):
        ours = [run[f"auc_{task}"] for run in results[setting]]
        axis.scatter([0] * len(ours), ours, color="tab:blue", zorder=3, label="tzrec MMoE, one dot per seed")
        for (name, auc), color in zip(BASELINES[setting].items(), ("tab:orange", "tab:gray"), strict=True):
            axis.axhline(auc[index], color=color, label=name)
        low, high = min(*ours, *(auc[index] for auc in BASELINES[setting].values())), max(ours)
        margin = max(0.3 * (high - low), 5e-4)
        axis.set(title=f"{setting.upper()}: {task.replace('_', ' ')}", xticks=[], ylim=(low - margin, high + margin))
        axis.ticklabel_format(axis="y", useOffset=False)
    np.atleast_1d(axes)[0].set_ylabel("test AUC")
    handles, labels = np.atleast_1d(axes)[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncol=3, frameon=False)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data/census"), help="where prepare.py wrote")
    parser.add_argument("--settings", nargs="+", choices=sorted(BASELINES), default=sorted(BASELINES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--valid", action="store_true", help="train on fit, test on valid: for choosing settings")
    parser.add_argument("--edit_config_json", type=json.loads, default={}, help="what to try")
    args = parser.parse_args()

    train, test = ("fit", "valid") if args.valid else ("train", "test")
    results: dict[str, list[dict[str, float]]] = {}
    for setting in args.settings:
        folder = args.data / setting
        edits = {**args.edit_config_json, "train_input_path": str(folder / f"{train}.parquet")}
        runs = [measure(setting, seed, edits, str(folder / f"{test}.parquet")) for seed in args.seeds]
        results[setting] = runs
    print(table(results))
    if not args.valid and not args.edit_config_json and args.settings == sorted(BASELINES):
        (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
        plot(results, HERE / "census_income.png")


if __name__ == "__main__":
    main()
