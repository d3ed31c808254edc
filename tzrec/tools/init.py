"""`tzrec init`: scan the data once and write a first config with a feature for each column."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tzrec import cli
from tzrec.config.comma_list import split_commas
from tzrec.config.edit import apply_edits
from tzrec.config.load import load_incomplete
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.tools.suggest import add_data_flags, add_output_flags, edits, validate_output, write_files


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Return exit status 0; 2 for an invalid command line or config; 1 for other errors."""
    flags = cli.parser("init", "Scan the data once; write a first config with a feature for each column, and a model.")
    flags.config(required=False, help="config to start from, whose features are replaced; default: none")
    add_data_flags(flags)
    text = "create features for these columns only; default: all"
    flags.add_argument("--features", type=split_commas, default=[], metavar="A,B", help=text)
    text = (
        "kinds of columns that the data shows wrongly: number, category, both, values, sequence, weights, time or skip"
    )
    flags.add_argument("--as", dest="kinds", type=split_commas, default=[], metavar="COLUMN=KIND,...", help=text)
    text = "columns that predict a label by themselves and are features all the same"
    flags.add_argument("--keep", type=split_commas, default=[], metavar="A,B", help=text)
    text = "count texts of a label that differ only in case or in spaces around them as one value"
    flags.switch("--merge_label_variants", text)
    add_output_flags(flags)
    args = flags.parse_args(argv)
    if not args.pipeline_config and not (args.train_input_path and args.label_fields):
        flags.error("give --train_input_path and --label_fields, or --pipeline_config with a config that names them")
    validate_output(flags, args)
    from tzrec.profile import first_config_text
    from tzrec.profile.init import init
    from tzrec.profile.quantities import to_kinds

    kinds = [text.rpartition("=") for text in args.kinds]
    for text, (column, _, _) in zip(args.kinds, kinds, strict=True):
        if not column:
            flags.error(f"--as: {text!r} is not COLUMN=KIND, such as age=number")
    kind_by_column = to_kinds({column: kind for column, _, kind in kinds})
    config = load_incomplete(args.pipeline_config, edits(args)) if args.pipeline_config else _base_config(args)
    keep_text = bool(args.pipeline_config) and not config.feature_configs and not args.edit_config_json
    start = time.perf_counter()
    result = init(config, args.features, kind_by_column, args.keep, args.merge_label_variants)
    print(first_config_text.as_text(result, time.perf_counter() - start))
    if write_files(args, result, keep_text):
        print(first_config_text.written_line(result, args.output_config))
    return 0


def _base_config(args: Any) -> EasyRecConfig:
    from tzrec.profile.initial_config import base_config

    name = Path(args.output_config or "first").stem
    directory = f"experiments/{name}"
    config = base_config(args.train_input_path, args.eval_input_path or "", directory, args.label_fields)
    apply_edits(config, args.edit_config_json)
    return config


if __name__ == "__main__":
    cli.leave(main())
