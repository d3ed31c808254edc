"""`tzrec check`: find everything that is wrong with a config, and with how it fits its data."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Sequence

from tzrec import cli
from tzrec.config.check import check
from tzrec.config.checker import Checker
from tzrec.config.load import ConfigSource, load_source
from tzrec.config.rules.tasks import task_names
from tzrec.errors import ConfigError, Problem


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 when all is well, 2 with problems."""
    flags = cli.parser("check", "Find everything that is wrong with a config; starts nothing.")
    flags.config()
    flags.edits()
    flags.add_argument("--data", help="data to read one batch of; default: train_input_path where it is a local path")
    flags.add_argument("--device", choices=("cpu", "cuda"), default=_device(), help="where it is to run")
    args = flags.parse_args(argv)
    source = load_source(args.pipeline_config, args.edit_config_json)
    problems = check(source, args.device)
    notes: list[str] = []
    data = args.data or _local(source.config.train_input_path)
    if not problems and source.config.model_config.HasField("custom"):
        problems = _try_model(source)
    if not problems and data:
        from tzrec.run.data_check import try_data  # pulls in pyarrow and numba, which the rules do without

        problems, notes = try_data(source, data)
    if problems:
        raise ConfigError(problems)
    print("\n".join([_fine(source, args.device), *notes]))
    return 0


def _try_model(source: ConfigSource) -> list[Problem]:
    """What keeps the class of a custom model from being imported."""
    from tzrec.models.custom import load_custom_class  # pulls in torch, which the rules do without

    try:
        load_custom_class(source.config.model_config.custom)
    except ConfigError as error:
        return [Problem(each.field, each.message, Checker(source).location(each.field)) for each in error.problems]
    return []


def _device() -> str:
    """What the machine offers, found out without loading torch."""
    return "cuda" if glob.glob("/dev/nvidia[0-9]*") else "cpu"


def _local(path: str) -> str:
    """A path, if every part of it is here."""
    parts = [part.strip() for part in path.split(",") if part.strip()]
    found = all(any(os.path.isfile(name) for name in glob.iglob(part, recursive=True)) for part in parts)
    return path if found else ""


def _fine(source: ConfigSource, device: str) -> str:
    config = source.config
    names = task_names(config)
    tasks = f" ({', '.join(names)})" if names else ""
    model = f"{config.model_config.WhichOneof('model')}{tasks}"
    return f"{source.path}: no problems; {model}, {len(config.feature_configs)} features, on {device}"


if __name__ == "__main__":
    sys.exit(main())
