"""Search for settings of MMoE on Census-Income, on training rows alone: write mmoe_tuned_<a|b>.config.

    python experiments/census_income/prepare.py --data DIR
    python experiments/census_income/tune.py [--settings a b] [--trials 20] [--minutes 60]
    python experiments/census_income/run.py --models mmoe_tuned

`tzrec tune` trains on `fit` and compares trials on `valid`, a tenth of the training rows; no trial reads `test`. A
search that was interrupted goes on. The schedules of the learning rates are as long as in mmoe_<a|b>.config.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import tzrec

FOLDER = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data/census"), help="output of prepare.py")
    parser.add_argument("--settings", nargs="+", choices=["a", "b"], default=["a", "b"])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=60.0, help="longest search for a setting; default: 60")
    args = parser.parse_args()
    for setting in args.settings:
        out, folder = FOLDER / "out" / f"tune_{setting}", args.data / setting
        out.mkdir(parents=True, exist_ok=True)
        space = out / "space.config"
        space.write_text(f'max_minutes: {args.minutes} num_kept_trials: 1 metric: "auc_income"\n')
        paths = {"train_input_path": str(folder / "fit.parquet"), "eval_input_path": str(folder / "valid.parquet")}
        edit = {**paths, "train_config.save_checkpoints_epochs": 1}
        result = tzrec.tune(FOLDER / f"mmoe_{setting}.config", space, args.trials, out / "study", edit)
        print(f"{setting}: {result.gain:+.4f} on the validation rows")
        (FOLDER / f"mmoe_tuned_{setting}.config").write_text(result.best_config.read_text())


if __name__ == "__main__":
    main()
