"""`tzrec eval`: evaluate a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence

from tzrec import cli, env
from tzrec.config.check import load_checked
from tzrec.live_line import live_line
from tzrec.run.device import available_device


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Print the metrics of a checkpoint and append them to `<model_dir>/<eval_result_filename>` as a line of JSON."""
    flags = cli.parser("eval", "Evaluate a checkpoint. Default: the newest valid one of model_dir.")
    flags.config(help="config of the model, as in <model_dir>/pipeline.config")
    flags.add_argument("--checkpoint_path", help="a model.ckpt-<step> directory, or a model directory")
    flags.add_argument("--eval_input_path", help="data; replaces eval_input_path of the config")
    flags.add_argument("--eval_result_filename", default="eval_result.txt", help="file in model_dir (eval_result.txt)")
    flags.edits()
    args = flags.parse_args(argv)
    edits = cli.merge_edits(args, {"eval_input_path": args.eval_input_path})
    config = load_checked(args.pipeline_config, edits, available_device)
    with live_line.counting("start  import torch"):
        from tzrec.run.evaluate import evaluate  # imports torch, which takes seconds

    metrics = evaluate(config, args.checkpoint_path, args.eval_result_filename)
    if env.rank_info().is_main:
        print("".join(f"{name}: {value:.6f}\n" for name, value in metrics.items()), end="")
    return 0


if __name__ == "__main__":
    cli.leave(main())
