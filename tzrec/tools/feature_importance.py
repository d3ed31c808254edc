"""Permutation feature importance: how much each metric of a trained model drops when one feature is shuffled.

    python -m tzrec.tools.feature_importance --pipeline_config model/pipeline.config

prints the drop of each metric, the most important feature first, and writes it to
`<model_dir>/feature_importance.json`. It works with any checkpoint and does not train.
"""

from __future__ import annotations

from collections.abc import Sequence

from tzrec import cli, env
from tzrec.config.check import load_checked
from tzrec.run.device import available_device
from tzrec.storage.path import to_path

RESULT = "feature_importance.json"


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print the importance of all features."""
    flags = cli.parser("tools.feature_importance", "Rank features by the drop of metrics when they are shuffled.")
    flags.config(help="config of the model, as in <model_dir>/pipeline.config")
    flags.add_argument("--checkpoint_path", help="a model.ckpt-<step> directory, or a model directory")
    flags.add_argument("--eval_input_path", help="data; replaces eval_input_path of the config")
    flags.add_argument("--num_repeats", type=cli.positive, metavar="N", default=5, help="shuffles per feature (5)")
    flags.edits()
    args = flags.parse_args(argv)
    edits = cli.merge_edits(args, {"eval_input_path": args.eval_input_path})
    config = load_checked(args.pipeline_config, edits, available_device)
    from tzrec.run.importance import feature_importance  # imports torch, which takes seconds

    importances = feature_importance(config, args.checkpoint_path, args.num_repeats)
    if env.rank_info().is_main:
        path = to_path(config.model_dir) / RESULT
        importances.write(path)
        print(f"{importances.table()}\n\n{importances.num_rows:,} rows, {args.num_repeats} shuffles each: {path}")
    return 0


if __name__ == "__main__":
    cli.leave(main())
