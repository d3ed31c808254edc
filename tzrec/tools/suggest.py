"""`tzrec suggest`: scan the data once and suggest values for the fields that a config leaves open."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tzrec import cli
from tzrec.config.comma_list import split_commas
from tzrec.config.load import dump_compact, load_incomplete, load_source
from tzrec.config.names import did_you_mean
from tzrec.config.rewrite import rewrite

if TYPE_CHECKING:
    from tzrec.profile.suggest import SuggestResult

REPORTS = (".json", ".html")


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Return exit status 0; 2 for an invalid command line or config; 1 for other errors."""
    flags = cli.parser("suggest", "Scan the data once; suggest vocabularies, table sizes, boundaries and normalizers.")
    flags.config(help="config to complete")
    add_data_flags(flags)
    flags.add_argument(
        "--features", type=split_commas, default=[], metavar="A,B", help="only these features; default: all"
    )
    flags.add_argument(
        "--refit", type=split_commas, default=[], metavar="A,B", help="fields to suggest again where they are set"
    )
    add_output_flags(flags)
    args = flags.parse_args(argv)
    validate_output(flags, args)
    from tzrec.profile.suggest import REFITTABLE, suggest

    for name in args.refit:
        if name not in REFITTABLE:
            near = did_you_mean(name, REFITTABLE, limit=0)
            flags.error(f"--refit: {name!r} is not one of {', '.join(REFITTABLE)}{near}")
    config = load_incomplete(args.pipeline_config, edits(args))
    start = time.perf_counter()
    result = suggest(config, args.features, args.refit)
    rows = f"{result.rows:,} rows of {result.config.train_input_path} in {time.perf_counter() - start:.1f} s"
    from tzrec.profile import summary

    print(f"suggest {rows}\n\n{summary.as_text(result.columns)}\n")
    lines = [*map(summary.line, result.suggestions), *(f"note: {note}" for note in result.notes)]
    print("\n".join(lines or ["no field is left open"]))
    if write_files(args, result, keep_text=not args.edit_config_json):
        print(f"wrote   {args.output_config}")
    return 0


def add_data_flags(flags: cli.Flags) -> None:
    """Add the flags that name the data, and `--edit_config_json`."""
    flags.edits()
    flags.add_argument("--train_input_path", help="data to scan; replaces train_input_path of the config")
    flags.add_argument(
        "--eval_input_path",
        help="replaces eval_input_path; default of a new config: a tenth of the training rows, held out",
    )
    text = "columns to predict; replaces data_config.label_fields"
    flags.add_argument("--label_fields", type=split_commas, metavar="A,B", help=text)


def add_output_flags(flags: cli.Flags) -> None:
    """Add the flags that name the files to write."""
    flags.add_argument("--output_config", metavar="FILE", help="write the config with all suggestions to this file")
    flags.add_argument("--report", metavar="FILE", help="write statistics and suggestions to this .json or .html file")
    flags.switch("--overwrite", "let --output_config replace a file")


def validate_output(flags: cli.Flags, args: Any) -> None:
    """Validate the names of the files to write.

    Raises:
        UsageError: a file has the wrong ending, or exists.
    """
    if args.report and not args.report.endswith(REPORTS):
        flags.error(f"--report: {args.report!r} ends in neither {' nor '.join(REPORTS)}")
    if args.output_config and args.output_config.endswith(".json"):
        flags.error(f"--output_config: {args.output_config} would be read as JSON, but text is written")
    if args.output_config and Path(args.output_config).exists() and not args.overwrite:
        flags.error(f"--output_config: {args.output_config} exists; choose another file, or add --overwrite")


def write_files(args: Any, result: SuggestResult, keep_text: bool) -> bool:
    """Write the report and the config asked for; return True if there is a config.

    Args:
        args: the parsed flags.
        result: of `init` or `suggest`.
        keep_text: write the text of the config file with the changes in it, comments included, where possible.
    """
    from tzrec.profile import summary

    if args.report:
        write = summary.as_json if args.report.endswith(".json") else summary.as_page
        _write(args.report, write(result.columns, result.suggestions, result.notes, result.readings))
    if not args.output_config:
        print("nothing written; --output_config FILE writes the config with all suggestions")
        return False
    if not (keep_text and _write_changed_text(args, result)):
        _write(args.output_config, dump_compact(result.config))
    return True


def _write_changed_text(args: Any, result: SuggestResult) -> bool:
    """Write the text of the config file with the suggestions in it; returns False where text cannot express them."""
    if args.pipeline_config.endswith(".json"):
        return False
    changes: Mapping[str, object] = {item.path: item.value for item in result.suggestions}
    try:
        text = rewrite(Path(args.pipeline_config).read_text(encoding="utf-8-sig"), edits(args) | dict(changes))
    except LookupError:  # a message that is in the config only because one of its fields was set
        return False
    _write(args.output_config, text)
    return load_source(args.output_config).config == result.config


def _write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text, encoding="utf-8")


def edits(args: Any) -> dict[str, Any]:
    """Return the edits of a command line with the flags of `add_data_flags`."""
    fields = {
        "train_input_path": args.train_input_path,
        "eval_input_path": args.eval_input_path,
        "data_config.label_fields": args.label_fields,
    }
    return cli.merge_edits(args, fields)


if __name__ == "__main__":
    cli.leave(main())
