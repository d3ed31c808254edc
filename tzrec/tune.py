"""`tzrec tune`: search for better values of a config."""

from __future__ import annotations

from collections.abc import Sequence

from tzrec import cli
from tzrec.config.check import load_checked
from tzrec.run.device import available_device


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Return 0; 130 or 143 after SIGINT or SIGTERM; 2 for an invalid config; 1 for other errors."""
    flags = cli.parser("tune", "Search for better values of a config: train it with other ones, and keep the best.")
    flags.config()
    text = "config of the study: fields to vary, metric, sampler, ...; default: the usual fields of the config"
    flags.add_argument("--space", default="", metavar="FILE", help=text)
    text = "number of trials, those of earlier runs and of other machines included (20)"
    flags.add_argument("--trials", type=cli.positive, metavar="N", help=text)
    text = "directory of the study, resumed if it holds one; default: tune in model_dir of the config"
    flags.add_argument("--model_dir", default="", help=text)
    flags.edits()
    args = flags.parse_args(argv)
    config = load_checked(args.pipeline_config, args.edit_config_json, available_device)
    from tzrec.tuning.settings import load_settings
    from tzrec.tuning.tune import tune

    settings = load_settings(config, args.space, num_trials=args.trials)
    outcome = tune(args.pipeline_config, config, settings, args.model_dir)
    return 128 + outcome.signal if outcome.signal else 0


if __name__ == "__main__":
    cli.leave(main())
