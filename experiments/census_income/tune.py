"""Search for settings of MMoE on Census-Income, on training rows alone: write mmoe_tuned_<a|b>.config.

    python experiments/census_income/prepare.py --data DIR
    python experiments/census_income/tune.py [--settings a b] [--trials 20]
    python experiments/census_income/run.py --models mmoe_tuned

The search starts from mmoe_<a|b>.config with the features that `tzrec init` writes for the training rows, and a moving
average of the dense parameters; space.config says what it varies. `tzrec tune` trains on `fit` and compares trials on
`valid`, a tenth of the training rows; no trial reads `test`. A search that was interrupted goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import tzrec
from tzrec.config.load import load_config
from tzrec.protos.pipeline_pb2 import EasyRecConfig

FOLDER = Path(__file__).parent
LABELS = ("income_50k", "never_married")


def starting_config(setting: str, folder: Path, out: Path) -> EasyRecConfig:
    """Return mmoe_<setting>.config with the features that init writes, and an average of the dense parameters."""
    config = load_config(str(FOLDER / f"mmoe_{setting}.config"))
    first = tzrec.init(folder / "train.parquet", LABELS, out / "init.config").config
    config.ClearField("feature_configs")
    config.model_config.ClearField("feature_groups")
    config.feature_configs.extend(first.feature_configs)
    config.model_config.feature_groups.extend(first.model_config.feature_groups)
    config.train_config.dense_optimizer.ema.decay = 0.99
    config.train_config.save_checkpoints_epochs = 1
    config.train_input_path, config.eval_input_path = str(folder / "fit.parquet"), str(folder / "valid.parquet")
    return config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data/census"), help="output of prepare.py")
    parser.add_argument("--settings", nargs="+", choices=["a", "b"], default=["a", "b"])
    parser.add_argument("--trials", type=int, default=20)
    args = parser.parse_args()
    for setting in args.settings:
        out = FOLDER / "out" / f"tune_{setting}"
        out.mkdir(parents=True, exist_ok=True)
        config = starting_config(setting, args.data / setting, out)
        result = tzrec.tune(config, FOLDER / "space.config", args.trials, out / "study")
        print(f"{setting}: {result.gain:+.4f} on the validation rows")
        (FOLDER / f"mmoe_tuned_{setting}.config").write_text(result.best_config.read_text())


if __name__ == "__main__":
    main()
