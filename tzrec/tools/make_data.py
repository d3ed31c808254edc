"""Made-up data for any config: every column it reads, in its format and mode, with labels that can be learned.

python -m tzrec.tools.make_data --pipeline_config my.config --output_dir data/made
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tzrec import cli
from tzrec.config.load import load_config
from tzrec.data.synthetic import make_data
from tzrec.errors import UsageError
from tzrec.protos import data_pb2


def make(pipeline_config: str, out: str, train_rows: int = 20_000, eval_rows: int = 2_000, seed: int = 7) -> list[str]:
    """Write `<out>/train/` and `<out>/eval/`.

    Returns:
        the two globs that name the files.

    Raises:
        ConfigError: the config cannot be read, or its features cannot be made.
        UsageError: a folder to write to holds something.
    """
    config = load_config(pipeline_config)
    ending = "csv" if config.data_config.dataset_type == data_pb2.CsvDataset else "parquet"
    globs = []
    for split, rows, seeds in (("train", train_rows, seed), ("eval", eval_rows, seed + 1)):
        folder = Path(out) / split
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"{folder} is not empty; choose another --output_dir or remove it")
        globs.append(f"{folder}/*.{ending}")
        make_data(config, globs[-1], rows, seeds)
    return globs


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """`python -m tzrec.tools.make_data`."""
    flags = cli.parser("tools.make_data", "Make up data that a config can train on.")
    flags.config()
    flags.add_argument("--output_dir", "--out", required=True, metavar="DIR", help="where the files go")
    flags.add_argument("--train_rows", type=int, default=20_000, help="rows to train on")
    flags.add_argument("--eval_rows", type=int, default=2_000, help="rows to evaluate on")
    flags.add_argument("--seed", type=int, default=7, help="the same one makes the same rows")
    args = flags.parse_args(argv)
    train, evaluation = make(args.pipeline_config, args.output_dir, args.train_rows, args.eval_rows, args.seed)
    print(f"{args.train_rows:,} rows in {train}, {args.eval_rows:,} in {evaluation}; to train on them:")
    print(f"tzrec train --pipeline_config {args.pipeline_config} --model_dir {args.output_dir}/model \\")
    print(f"    --train_input_path '{train}' --eval_input_path '{evaluation}'")
    return 0


if __name__ == "__main__":
    sys.exit(main())
