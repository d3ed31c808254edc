"""`tzrec diff`: compare two configs, or the configs and results of two runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tzrec import cli
from tzrec.config.checker import FieldChecker
from tzrec.config.difference import Difference, differences
from tzrec.config.load import ConfigSource, load_source
from tzrec.errors import ConfigError
from tzrec.formatting import format_columns
from tzrec.report.record import RunRecord
from tzrec.storage.path import to_path

CONFIG = "pipeline.config"


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Print the differences; return 1 if the configs differ, 0 if they mean the same."""
    text = "Compare two configs by their meaning, or two runs by config and last evaluation."
    flags = cli.parser("diff", text)
    flags.add_argument("left", metavar="A", help="config, model_dir or package")
    flags.add_argument("right", metavar="B", help="what to compare it with")
    flags.add_argument("--json", action="store_true", help="print a JSON object, for scripts")
    args = flags.parse_args(argv)
    sources = [_load(path) for path in (args.left, args.right)]
    result = differences(sources[0].config, sources[1].config)
    metrics = [_metrics(path) for path in (args.left, args.right)]
    if args.json:
        content = {"config": [asdict(difference) for difference in result], "metrics": metrics}
        print(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        print(_page(sources, result, metrics))
    return 1 if result else 0


def _load(path: str) -> ConfigSource:
    """Load a config, or that of a directory.

    Raises:
        ConfigError: It cannot be read, or has problems of syntax or type.
    """
    source = load_source(f"{path.rstrip('/')}/{CONFIG}" if to_path(path).is_dir() else path)
    if source.problems:
        raise ConfigError(source.problems)
    return source


def _metrics(path: str) -> dict[str, Any]:
    """Return step and metrics of the last evaluation of a run; empty for a config."""
    directory = to_path(path)
    evaluations = RunRecord.read(directory).evaluations if directory.is_dir() else []
    return {"step": evaluations[-1]["step"], **evaluations[-1]["metrics"]} if evaluations else {}


def _page(sources: Sequence[ConfigSource], result: Sequence[Difference], metrics: Sequence[Mapping[str, Any]]) -> str:
    checkers = [FieldChecker(source) for source in sources]
    lines = [f"A  {sources[0].path}", f"B  {sources[1].path}", ""]
    for difference in result:
        places = [
            _place(checker, path)
            for checker, path in zip(checkers, (difference.left_path, difference.right_path), strict=True)
        ]
        lines += [difference.path, f"  A {places[0]:<6} {difference.left}", f"  B {places[1]:<6} {difference.right}"]
    if result:
        lines += ["", f"{len(result)} difference{'s' if len(result) > 1 else ''}"]
    else:
        lines += ["the configs mean the same"]
    names = [name for name in {**metrics[0], **metrics[1]} if name != "step"]
    if names:
        steps = [f"step {values['step']:,}" if values else "" for values in metrics]
        rows = [
            ("metric", *steps, "B - A"),
            *(_row(name, metrics[0].get(name), metrics[1].get(name)) for name in names),
        ]
        lines += ["", format_columns(rows, right=(1, 2, 3))]
    return "\n".join(lines)


def _place(checker: FieldChecker, path: str) -> str:
    """Return `:line` of a field that is in the text of a config; "" for others."""
    parts = checker.location(path).rsplit(":", 2) if path else []
    return f":{parts[1]}" if len(parts) == 3 else ""


def _row(name: str, left: float | None, right: float | None) -> tuple[str, str, str, str]:
    change = f"{right - left:+.4f}" if left is not None and right is not None else ""
    before, after = ("" if value is None else f"{value:.4f}" for value in (left, right))
    return name, before, after, change


if __name__ == "__main__":
    cli.leave(main())
