"""`tzrec new`: write a commented config for a model, which trains on synthetic data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tzrec import cli
from tzrec.config.names import did_you_mean
from tzrec.config.template import describe, template, template_models
from tzrec.data.atomic import write_text


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Write the template of a model, or list the models."""
    flags = cli.parser("new", "Write a commented config for a model; without a model, list them.")
    flags.add_argument("model", nargs="?", help="model, such as mmoe")
    flags.words_by_argument["model"] = template_models
    flags.add_argument("--output", metavar="FILE", help="file to write; default: <model>.config")
    flags.switch("--overwrite", "replace a file")
    args = flags.parse_args(argv)
    models = template_models()
    if args.model is None:
        width = max(map(len, models))
        print("\n".join(f"{model:<{width}}  {describe(model)}" for model in models))
        return 0
    if args.model not in models:
        if args.model == "custom":
            flags.error('"custom" is a model of your own: see docs/add_a_model.md')
        hint = did_you_mean(args.model, models, limit=0) or "; `tzrec new` lists the models"
        flags.error(f'"{args.model}" has no template{hint}')
    path = args.output or f"{args.model}.config"
    if Path(path).exists() and not args.overwrite:
        flags.error(f"--output: {path} exists; choose another file, or add --overwrite")
    write_text(path, template(args.model))
    print(f"wrote   {path}")
    print(f"next    python -m tzrec.tools.make_data --pipeline_config {path} --output_dir data/{args.model}")
    print(f"        tzrec train --pipeline_config {path}")
    return 0


if __name__ == "__main__":
    cli.leave(main())
