"""`tzrec check`: report all problems of a config and of how it matches its data."""

from __future__ import annotations

from collections.abc import Sequence

from tzrec import cli
from tzrec.errors import ConfigError
from tzrec.run.check import check, default_device


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Print a summary and return 0, or print the problems and return 2."""
    flags = cli.parser("check", "Report all problems of a config; starts nothing.")
    flags.config()
    flags.edits()
    flags.add_argument("--data", help="data to read one batch of; default: train_input_path where it is a local path")
    flags.add_argument("--device", choices=("cpu", "cuda"), default=default_device(), help="device to run on")
    args = flags.parse_args(argv)
    result = check(args.pipeline_config, args.edit_config_json, args.data, args.device)
    if result.problems:
        raise ConfigError(result.problems)
    warnings = [f"warning: {warning}" for warning in result.warnings]
    print("\n".join([result.summary, *warnings, *result.notes]))
    return 0


if __name__ == "__main__":
    cli.leave(main())
