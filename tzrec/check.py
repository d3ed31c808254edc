"""`tzrec check`: report all problems of a config and of how it matches its data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from tzrec import cli
from tzrec.errors import ConfigError
from tzrec.run.check import CheckResult, check, default_device


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Print a summary and return 0, or print the problems and return 2."""
    flags = cli.parser("check", "Report all problems of a config; starts nothing.")
    flags.config()
    flags.edits()
    flags.add_argument("--data", help="data to read one batch of; default: train_input_path where it is a local path")
    flags.add_argument("--strict", action="store_true", help="count warnings as problems")
    text = "print a JSON object with problems, warnings and notes, for editors and scripts"
    flags.add_argument("--json", action="store_true", help=text)
    flags.add_argument("--device", choices=("cpu", "cuda"), default=default_device(), help="device to run on")
    args = flags.parse_args(argv)
    try:
        result = check(args.pipeline_config, args.edit_config_json, args.data, args.device)
    except ConfigError as error:  # the file cannot be read
        result = CheckResult(error.problems, "", ())
    if args.strict:
        result = replace(result, problems=[*result.problems, *result.warnings], warnings=())
    if args.json:
        print(json.dumps(result.to_json(), indent=2, ensure_ascii=False))
        return ConfigError.exit_code if result.problems else 0
    if result.problems:
        raise ConfigError(result.problems)
    warnings = [f"warning: {warning}" for warning in result.warnings]
    print("\n".join([result.summary, *warnings, *result.notes]))
    return 0


if __name__ == "__main__":
    cli.leave(main())
