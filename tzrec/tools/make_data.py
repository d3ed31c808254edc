"""Synthetic data for any config: every column that it reads, in its format and mode, with labels that can be learned.

python -m tzrec.tools.make_data --pipeline_config my.config --output_dir data/made
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tzrec import cli
from tzrec.config.load import load_config
from tzrec.data.synthetic import data_extension, make_data, make_tables
from tzrec.errors import UsageError


@dataclass
class MadeData:
    """Synthetic data.

    Attributes:
        globs: of the rows to train on and of those to evaluate on.
        edits: of the config: paths of the tables of its sampler, by the path of their field.
    """

    globs: list[str] = field(default_factory=list)
    edits: dict[str, str] = field(default_factory=dict)


def make(pipeline_config: str, out: str, train_rows: int = 20_000, eval_rows: int = 2_000, seed: int = 7) -> MadeData:
    """Write `<out>/train/` and `<out>/eval/`, and into `<out>` the tables of a sampler.

    Raises:
        ConfigError: the config cannot be read, or its features cannot be built.
        UsageError: an output directory is not empty.
    """
    config = load_config(pipeline_config)
    extension = data_extension(config.data_config)
    result = MadeData()
    for split, rows, seeds in (("train", train_rows, seed), ("eval", eval_rows, seed + 1)):
        directory = Path(out) / split
        if directory.exists() and any(directory.iterdir()):
            raise UsageError(f"{directory} is not empty; choose another --output_dir or remove it")
        result.globs.append(f"{directory}/*.{extension}")
        make_data(config, result.globs[-1], rows, seeds)
    result.edits = make_tables(config, out)
    return result


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Write the data and print the command that trains on it."""
    flags = cli.parser("tools.make_data", "Write synthetic data that a config can train on.")
    flags.config()
    flags.add_argument("--output_dir", "--out", required=True, metavar="DIR", help="directory of the files")
    flags.add_argument("--train_rows", type=cli.positive, metavar="ROWS", default=20_000, help="rows to train on")
    flags.add_argument("--eval_rows", type=cli.positive, metavar="ROWS", default=2_000, help="rows to evaluate on")
    flags.add_argument("--seed", type=cli.whole_number(0), metavar="N", default=7, help="equal seeds give equal rows")
    args = flags.parse_args(argv)
    result = make(args.pipeline_config, args.output_dir, args.train_rows, args.eval_rows, args.seed)
    train, evaluation = result.globs
    print(f"{args.train_rows:,} rows in {train}, {args.eval_rows:,} in {evaluation}; to train on them:")
    print(f"tzrec train --pipeline_config {args.pipeline_config} --model_dir {args.output_dir}/model \\")
    edits = f" \\\n    --edit_config_json {shlex.quote(json.dumps(result.edits))}" if result.edits else ""
    print(f"    --train_input_path '{train}' --eval_input_path '{evaluation}'{edits}")
    return 0


if __name__ == "__main__":
    cli.leave(main())
