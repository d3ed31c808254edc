"""Writes the features of a config as fg.json, for systems that run a feature generator of their own.

python -m tzrec.tools.create_fg_json --pipeline_config my.config --fg_output_dir fg
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tzrec import cli
from tzrec.config.check import check
from tzrec.config.load import ConfigSource, load_source
from tzrec.errors import ConfigError
from tzrec.tools.fg_json import describe, without_bucketizers

NAME = "fg.json"
_ODPS = ("--odps_project_name", "--odps_schema_name", "--fg_resource_name", "--force_update_resource")


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0; 2 where the config has problems."""
    flags = cli.parser("tools.create_fg_json", "Write the features of a config as fg.json.")
    flags.config()
    flags.add_argument("--fg_output_dir", required=True, metavar="DIR", help="for fg.json and the files it names")
    flags.add_argument("--reserves", default="", metavar="COLUMN,...", help="columns to hand through, e.g. labels")
    flags.switch("--remove_bucketizer", "leave out what makes ids of values, for data to be read with FG_BUCKETIZE")
    flags.switch("--debug", "also read a batch of train_input_path, and say what is wrong with it")
    flags.refuse("MaxCompute is not reached from here; upload the fg.json that is written by its own client", *_ODPS)
    flags.edits()
    args = flags.parse_args(argv)
    source = load_source(args.pipeline_config, args.edit_config_json)
    problems = check(source)
    if problems:
        raise ConfigError(problems)
    directory = Path(args.fg_output_dir)
    directory.mkdir(parents=True, exist_ok=True)
    written = describe(source.config.feature_configs, source.config.data_config, partial(_carry, directory))
    if args.remove_bucketizer:
        written = without_bucketizers(written)
    if args.reserves:
        written["reserves"] = [name.strip() for name in args.reserves.split(",") if name.strip()]
    (directory / NAME).write_text(json.dumps(written, indent=2, ensure_ascii=False) + "\n")
    print(directory / NAME)
    if args.debug:
        _try(source)
    return 0


def _carry(directory: Path, path: Path, feature: str) -> str:
    """Copy a file next to fg.json, which names it without a folder."""
    name = f"{feature}.{path.name}"
    shutil.copyfile(path, directory / name)
    return name


def _try(source: ConfigSource) -> None:
    from tzrec.run.data_check import check_data  # pulls in pyarrow and numba, which the rest does without

    problems, notes = check_data(source, source.config.train_input_path)
    if problems:
        raise ConfigError(problems)
    print("\n".join(notes))


if __name__ == "__main__":
    sys.exit(main())
