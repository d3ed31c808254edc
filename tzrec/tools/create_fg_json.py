"""Write the features of a config as fg.json, for systems with their own feature generator.

python -m tzrec.tools.create_fg_json --pipeline_config my.config --fg_output_dir fg
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tzrec import cli
from tzrec.config.check import check
from tzrec.config.comma_list import split_commas
from tzrec.config.load import ConfigSource, load_source
from tzrec.errors import ConfigError
from tzrec.features.fg_json import describe, without_bucketizers
from tzrec.serving.assets import copy_file

NAME = "fg.json"
_ODPS = ("--odps_project_name", "--odps_schema_name", "--fg_resource_name", "--force_update_resource")


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Return exit status 0; 2 for an invalid config."""
    flags = cli.parser("tools.create_fg_json", "Write the features of a config as fg.json.")
    flags.config()
    flags.add_argument("--fg_output_dir", required=True, metavar="DIR", help="directory of fg.json and its files")
    flags.add_argument(
        "--reserves", type=split_commas, default=[], metavar="COLUMN,...", help="columns to copy, e.g. labels"
    )
    flags.switch("--remove_bucketizer", "leave out bucketizers, for data to be read with FG_BUCKETIZE")
    flags.switch("--debug", "also check a batch of train_input_path")
    flags.reject("MaxCompute is not supported; upload fg.json with its own client", *_ODPS)
    flags.edits()
    args = flags.parse_args(argv)
    source = load_source(args.pipeline_config, args.edit_config_json)
    problems = check(source)
    if problems:
        raise ConfigError(problems)
    directory = Path(args.fg_output_dir)
    directory.mkdir(parents=True, exist_ok=True)
    content = describe(
        source.config.feature_configs, source.config.data_config, partial(copy_file, directory=directory)
    )
    if args.remove_bucketizer:
        content = without_bucketizers(content)
    if args.reserves:
        content["reserves"] = args.reserves
    (directory / NAME).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    print(directory / NAME)
    if args.debug:
        _check_data(source)
    return 0


def _check_data(source: ConfigSource) -> None:
    from tzrec.run.data_check import check_data  # imports pyarrow and numba

    report = check_data(source, [source.config.train_input_path])
    if report.problems:
        raise ConfigError(report.problems)
    print("\n".join(report.notes))


if __name__ == "__main__":
    cli.leave(main())
