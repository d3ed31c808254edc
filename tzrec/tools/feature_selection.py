"""Feature selection: rank features by variational_dropout, and write a config with the best of each group.

    python -m tzrec.tools.feature_selection --pipeline_config my.config --topk 50 --clear_variational_dropout

writes to --output_dir `feature_ranking.csv`, the features of each group by ascending dropout probability, and
`pipeline.config`, with the first `topk` features of each group.
"""

from __future__ import annotations

from collections.abc import Sequence

from tzrec import cli
from tzrec.config.check import load_checked
from tzrec.config.load import dump_config
from tzrec.errors import UsageError
from tzrec.storage.path import to_path

RANKING, PICTURE, CONFIG = "feature_ranking.csv", "feature_ranking.html", "pipeline.config"


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Write the ranking and the config."""
    flags = cli.parser("tools.feature_selection", "Rank features by their learned dropout probability.")
    flags.config(help="config that was trained, as in <model_dir>/pipeline.config")
    flags.add_argument("--model_dir", help="a model directory, whose newest checkpoint is read, or a checkpoint")
    flags.add_argument("--output_dir", help="directory of the results (<model_dir of the config>/feature_selection)")
    flags.add_argument(
        "--topk", type=cli.positive, metavar="N", default=100, help="features to keep in each group (100)"
    )
    flags.switch("--visualize", f"also draw the ranking, as {PICTURE}")
    flags.switch("--clear_variational_dropout", "remove variational_dropout from the new config")
    args = flags.parse_args(argv)
    config = load_checked(args.pipeline_config)
    if not config.model_config.HasField("variational_dropout"):
        raise UsageError(f"{args.pipeline_config} has no model_config.variational_dropout, so there is nothing to rank")

    from tzrec.run.selection import draw_ranking, select_features, write_ranking  # imports torch, which takes seconds

    selection = select_features(config, args.model_dir, args.topk, args.clear_variational_dropout)
    directory = to_path(args.output_dir or f"{config.model_dir}/feature_selection")
    directory.mkdir(parents=True, exist_ok=True)
    write_ranking(directory / RANKING, selection.ranking)
    (directory / CONFIG).write_text(dump_config(selection.config))
    if args.visualize:
        draw_ranking(directory / PICTURE, selection.ranking)
    for ranked in selection.ranking:
        print(f"{ranked.dropout_probability:.4f}  {ranked.group}  {ranked.feature}")
    before, after = len(config.feature_configs), len(selection.config.feature_configs)
    print(f"{after} of {before} feature_configs kept: {directory / CONFIG}")
    return 0


if __name__ == "__main__":
    cli.leave(main())
