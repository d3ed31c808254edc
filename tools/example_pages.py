"""Make an example of every HTML page that tzrec draws, from small runs on synthetic data.

    python tools/example_pages.py --output_dir build/pages                          all, in about ten minutes
    python tools/example_pages.py --output_dir build/pages --page mmoe --page tune  some of them

A page that is there is not made again.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import tzrec
from tzrec import cli, log

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "examples" / "configs"
SEED = 7


def main() -> int:
    """Write `<page>.html` for each page, with data and runs below `runs/`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output_dir", type=Path, required=True, help="directory of the pages")
    parser.add_argument("--page", action="append", choices=PAGES, help="page to make, may be repeated; default: all")
    args = parser.parse_args()
    log.setup()
    args.output_dir.mkdir(parents=True, exist_ok=True)
    for name in args.page or PAGES:
        target = args.output_dir / f"{name}.html"
        if not target.exists():
            print(f"page   {name}", file=sys.stderr)
            shutil.copyfile(PAGES[name](args.output_dir / "runs"), target)
    return 0


def mmoe(runs: Path) -> Path:
    """Report of a model with two tasks, which the documentation shows."""
    return _report(_train_mmoe(runs, "taobao_mmoe", {}))


def compare(runs: Path) -> Path:
    """Comparison of three runs."""
    variants: Mapping[str, Mapping[str, Any]] = {
        "taobao_mmoe": {},
        "more_experts": {"model_config.mmoe.num_expert": 8},
        "larger_steps": {"train_config.dense_optimizer.adam_optimizer.lr": 0.003},
    }
    directories = [_train_mmoe(runs, name, edit) for name, edit in variants.items()]
    path = runs / "compare.html"
    _command("report", *map(str, directories), "--output_path", str(path))
    return path


def dssm(runs: Path) -> Path:
    """Report of a model with two towers and sampled negatives."""
    data = _data(runs, "dssm_taobao", "make_data", "--train_rows", "30000", "--eval_rows", "5000")
    edit = _paths(data) | {
        "data_config.negative_sampler.input_path": str(data / "items.txt"),
        "data_config.negative_sampler.num_sample": 128,
        "data_config.batch_size": 512,
        "train_config.log_step_count_steps": 5,
        "train_config.save_checkpoints_steps": 40,
    }
    return _train(CONFIGS / "dssm_taobao.config", runs / "dssm", edit)


def regression(runs: Path) -> Path:
    """Report of a first model of a number."""
    return _first_model(runs, "regression", "price")


def classes(runs: Path) -> Path:
    """Report of a first model of a label with four values."""
    return _first_model(runs, "classes", "kind")


def init(runs: Path) -> Path:
    """Page of `tzrec init`."""
    path = runs / "init.html"
    _command("init", f"--train_input_path={_houses(runs)}", "--label_fields=sold", f"--report={path}")
    return path


def suggest(runs: Path) -> Path:
    """Page of `tzrec suggest`."""
    path, config = runs / "suggest.html", runs / "suggest.config"
    tzrec.init(str(_houses(runs)), ["sold"], config)
    fields = "vocab_list,hash_bucket_size,embedding_dim,normalizer"
    _command("suggest", f"--pipeline_config={config}", f"--refit={fields}", f"--report={path}")
    return path


def tune(runs: Path) -> Path:
    """Page of a study of 20 trials."""
    config, table = runs / "houses.config", _houses(runs)
    tzrec.init(str(table), ["sold"], config, model_dir=runs / "houses")
    tzrec.tune(config, num_trials=20, model_dir=runs / "study", edit={"train_config.num_epochs": 3})
    return runs / "study" / "tune.html"


def selection(runs: Path) -> Path:
    """Page of the selection of features."""
    directory, name = runs / "selection", "mmoe_feature_selection"
    edit = _paths(_taobao(runs)) | {"data_config.batch_size": 1024, "train_config.report_rows": 0}
    _train(CONFIGS / f"{name}.config", directory, edit)
    flags = [f"--pipeline_config={directory}/pipeline.config", f"--output_dir={directory}/ranking", "--visualize"]
    _tool("feature_selection", *flags)
    return directory / "ranking" / "feature_ranking.html"


PAGES: Mapping[str, Callable[[Path], Path]] = {
    "mmoe": mmoe,
    "compare": compare,
    "dssm": dssm,
    "regression": regression,
    "classes": classes,
    "init": init,
    "suggest": suggest,
    "tune": tune,
    "selection": selection,
}
"""Name -> function that makes the page below a directory of runs, and returns its path."""


def _train_mmoe(runs: Path, name: str, edit: Mapping[str, Any]) -> Path:
    common = {
        "data_config.batch_size": 1024,
        "train_config.num_epochs": 3,
        "train_config.save_checkpoints_steps": 20,
        "train_config.log_step_count_steps": 2,
        "train_config.sparse_optimizer.adagrad_optimizer.lr": 0.01,
        "train_config.dense_optimizer.adam_optimizer.lr": 0.0003,
    }
    directory = runs / name
    _train(CONFIGS / "mmoe_taobao.config", directory, {**_paths(_taobao(runs)), **common, **edit})
    return directory


def _train(config: Path, directory: Path, edit: Mapping[str, Any]) -> Path:
    """Train, unless it was done; return the report."""
    if not _report(directory).exists():
        tzrec.train(config, directory, edit=edit)
    return _report(directory)


def _report(directory: Path) -> Path:
    return directory / "report.html"


def _paths(data: Path) -> dict[str, Any]:
    return {"train_input_path": str(data / "train" / "*.parquet"), "eval_input_path": str(data / "eval" / "*.parquet")}


def _taobao(runs: Path) -> Path:
    return _data(runs, "taobao", "make_taobao", "--train_rows", "40000", "--eval_rows", "10000")


def _data(runs: Path, name: str, tool: str, *flags: str) -> Path:
    """Make the data of an example config, unless it was done."""
    path = runs / "data" / name
    if not path.exists():
        config = ["--pipeline_config", str(CONFIGS / f"{name}.config")] if tool == "make_data" else []
        _tool(tool, *config, "--output_dir", str(path), *flags)
    return path


def _first_model(runs: Path, name: str, label: str) -> Path:
    config, table = runs / f"{name}.config", _houses(runs)
    others = {column: "skip" for column in ("price", "kind", "sold") if column != label}
    tzrec.init(str(table), [label], config, model_dir=runs / name, kinds=others)
    return _train(config, runs / name, {})


def _houses(runs: Path) -> Path:
    """Write a table of houses with an id, a quantity, categories, a date, and three labels with planted signals."""
    path, num_rows = runs / "data" / "houses.parquet", 8_000
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    cities, streets = rng.zipf(1.4, num_rows).clip(max=60), rng.integers(0, 3000, num_rows)
    area, age = rng.lognormal(4.5, 0.5, num_rows), rng.integers(0, 120, num_rows)
    worth = rng.normal(size=61)[cities] * 0.4 + rng.normal(size=3000)[streets] * 0.2
    price = np.exp(7 + 0.9 * np.log(area) + worth - age / 150 + rng.normal(0, 0.2, num_rows))
    chance = 1 / (1 + np.exp(1.2 + worth * 2 - np.cos(age / 20)))
    scores = np.stack([np.log(area) - 4, (age - 60) / 40, worth * 2, np.zeros(num_rows)], 1)
    kinds = (scores + rng.gumbel(size=scores.shape) * 0.7).argmax(1)
    columns = {
        "listed": pa.array(1_700_000_000 + np.sort(rng.integers(0, 86_400 * 300, num_rows)), pa.timestamp("s")),
        "city": np.char.add("city ", cities.astype(str)),
        "street": np.char.add("street ", streets.astype(str)),
        "area": pa.array(area.round(1), mask=rng.random(num_rows) < 0.03),
        "age": age,
        "has_garden": (rng.random(num_rows) < 0.4).astype(np.int64),
        "price": price.round(),
        "kind": np.array(["villa", "old building", "town house", "flat"])[kinds],
        "sold": (rng.random(num_rows) < chance).astype(np.int64),
    }
    pq.write_table(pa.table(columns), path)
    return path


def _command(name: str, *words: str) -> None:
    status = cli.main([name, *words])
    if status:
        raise SystemExit(status)


def _tool(name: str, *words: str) -> None:
    from importlib import import_module

    status = import_module(f"tzrec.tools.{name}").main(list(words))
    if status:
        raise SystemExit(status)


if __name__ == "__main__":
    sys.exit(main())
