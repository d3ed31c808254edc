"""`tzrec fit`: look at the data once, and propose what a config leaves open, or a whole first config."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tzrec import cli, env
from tzrec.config.load import dump_config, load_source
from tzrec.config.rewrite import rewrite
from tzrec.config.schema import MISSING
from tzrec.errors import ConfigError
from tzrec.protos.pipeline_pb2 import EasyRecConfig

REPORTS = (".json", ".html")
REFITTED = ("vocab_list", "hash_bucket_size", "num_buckets", "embedding_dim", "boundaries", "normalizer")
"""Fields that can be asked for anew where the config sets them."""


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0; 2 for a wrong command line or config; 1 for other errors."""
    flags = cli.parser("fit", "Look at the data once and propose vocabularies, table sizes, edges and normalizers.")
    flags.config(required=False, help="config to complete; without one, a first config is made from the data")
    flags.edits()
    flags.add_argument("--train_input_path", help="data to look at; instead of train_input_path")
    flags.add_argument(
        "--eval_input_path", help="evaluation data of the config; a first config has the training data without"
    )
    flags.add_argument("--label_fields", type=_words, metavar="A,B", help="columns to predict; instead of label_fields")
    flags.switch("--from_data", "make the features anew, one for each column of the data")
    flags.add_argument(
        "--features", type=_words, default=[], metavar="A,B", help="only these features, or columns; default: all"
    )
    flags.add_argument("--refit", type=_words, default=[], metavar="A,B", help="fields to propose where they are set")
    flags.add_argument("--output_config", metavar="FILE", help="where to write the config with all that is proposed")
    flags.add_argument("--report", metavar="FILE", help="where to write what was found, as .json or .html")
    flags.switch("--overwrite", "let --output_config replace a file")
    args = flags.parse_args(argv)
    _refuse(flags, args)
    from tzrec.profile import summary
    from tzrec.profile.suggest import fit_config, fit_from_data

    config = _load(args)
    before = time.perf_counter()
    if args.from_data or not config.feature_configs:
        fit = fit_from_data(config, env.cores(), args.features)
    else:
        fit = fit_config(config, env.cores(), args.features, args.refit)
    took = time.perf_counter() - before
    print(f"fit    {fit.rows:,} rows of {config.train_input_path} in {took:.1f} s\n\n{summary.as_text(fit.columns)}\n")
    said = [*map(summary.line, fit.proposals), *(f"note: {each}" for each in fit.notes)]
    print("\n".join(said or ["nothing is left open"]))
    if args.report:
        write = summary.as_json if args.report.endswith(".json") else summary.as_page
        _put(args.report, write(fit.columns, fit.proposals, fit.notes))
    if args.output_config:
        _write(args, fit.config, {each.path: each.new for each in fit.proposals})
    print(f"wrote  {args.output_config}" if args.output_config else "wrote nothing; --output_config FILE writes it all")
    return 0


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _refuse(flags: cli.Flags, args: Any) -> None:
    """Whatever can be told from the command line alone."""
    if not args.pipeline_config and not (args.train_input_path and args.label_fields):
        flags.error("give --pipeline_config, or --train_input_path and --label_fields for a first config")
    for name in args.refit:
        if name not in REFITTED:
            near = cli.did_you_mean(name, REFITTED)
            flags.error(f"--refit: {name!r} is not one of {', '.join(REFITTED)}{near}")
    if args.report and not args.report.endswith(REPORTS):
        flags.error(f"--report: {args.report!r} ends in neither {' nor '.join(REPORTS)}")
    if args.output_config and args.output_config.endswith(".json"):
        flags.error(f"--output_config: {args.output_config} would be read as JSON, and text is written")
    if args.output_config and Path(args.output_config).exists() and not args.overwrite:
        flags.error(f"--output_config: {args.output_config} exists; name another file, or add --overwrite")


def _load(args: Any) -> EasyRecConfig:
    """The config to complete, or one without features.

    Raises:
        ConfigError: it has problems other than that required fields are missing, which may be proposed.
    """
    if not args.pipeline_config:
        from tzrec.profile.initial_config import start_config

        name = Path(args.output_config or "first").stem
        evaluated = args.eval_input_path or args.train_input_path
        return start_config(args.train_input_path, evaluated, f"experiments/{name}", args.label_fields)
    source = load_source(args.pipeline_config, _edits(args))
    problems = [each for each in source.problems if not each.message.startswith(MISSING)]
    if problems:
        raise ConfigError(problems)
    return source.config


def _write(args: Any, config: EasyRecConfig, changes: Mapping[str, object]) -> None:
    """Write the config: the text that was read with the changes in it, or the message where that does not hold it."""
    is_text = args.pipeline_config and not args.pipeline_config.endswith(".json")
    if is_text and not (args.from_data or args.edit_config_json):
        try:
            text = rewrite(Path(args.pipeline_config).read_text(encoding="utf-8-sig"), _edits(args) | dict(changes))
            _put(args.output_config, text)
            if load_source(args.output_config).config == config:
                return
        except LookupError:  # a message that only stands in the config because something in it was set
            pass
    _put(args.output_config, dump_config(config))


def _put(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text, encoding="utf-8")


def _edits(args: Any) -> dict[str, Any]:
    fields = {
        "train_input_path": args.train_input_path,
        "eval_input_path": args.eval_input_path,
        "data_config.label_fields": args.label_fields,
    }
    return {path: value for path, value in fields.items() if value is not None} | args.edit_config_json


if __name__ == "__main__":
    sys.exit(main())
