"""Search for settings of MMoE on setting B, on training rows alone: write mmoe_tuned_b.config.

    python experiments/census_income/prepare.py --data DIR
    python experiments/census_income/tune.py [--trials 20] [--minutes 60]
    python experiments/census_income/run.py --models mmoe_tuned

The search starts from what `tzrec init` writes for the training rows of B. Nothing is held out of them to stop in
time: space.config varies the number of epochs, rates and dropout. `tzrec tune` trains on `fit` and compares trials on
`valid`, a third of the training rows; no trial reads `test`. A search that was interrupted goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import tzrec
from tzrec.protos.pipeline_pb2 import EasyRecConfig

FOLDER = Path(__file__).parent
LABELS = ("income_50k", "never_married")
EPOCHS = 6
DROPOUT, TOWER_DROPOUT = 0.2, 0.1


def starting_config(folder: Path, out: Path) -> EasyRecConfig:
    """Return what init writes, with dropout and a fixed number of epochs in place of rows that are held out."""
    config = tzrec.init(folder / "train.parquet", LABELS, out / "init.config").config
    train = config.train_config
    config.data_config.ClearField("eval_split")
    config.ClearField("export_config")
    for field in ("early_stopping", "save_checkpoints_steps", "keep_checkpoint_best"):
        train.ClearField(field)
    train.num_epochs, train.save_checkpoints_epochs = EPOCHS, 1
    config.model_config.mmoe.expert_mlp.dropout_ratio.append(DROPOUT)
    for tower in config.model_config.mmoe.task_towers:
        tower.mlp.dropout_ratio.append(TOWER_DROPOUT)
    config.train_input_path, config.eval_input_path = str(folder / "fit.parquet"), str(folder / "valid.parquet")
    return config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data/census"), help="output of prepare.py")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=60.0, help="longest search")
    args = parser.parse_args()
    out = FOLDER / "out" / "tune"
    out.mkdir(parents=True, exist_ok=True)
    space = out / "space.config"
    limits = f"num_trials: {args.trials} max_minutes: {args.minutes}"
    space.write_text(f"{(FOLDER / 'space.config').read_text()}{limits}\n")
    result = tzrec.tune(starting_config(args.data / "b", out), space, model_dir=out / "study")
    print(f"{result.gain:+.4f} on the validation rows: {result.best_params}")
    (FOLDER / "mmoe_tuned_b.config").write_text(result.best_config.read_text())


if __name__ == "__main__":
    main()
