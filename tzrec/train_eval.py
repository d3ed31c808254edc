"""`tzrec train`: train a model and evaluate it."""

from __future__ import annotations

from collections.abc import Sequence

from tzrec import cli, env
from tzrec.config.check import load_checked
from tzrec.live_line import live_line
from tzrec.run.device import available_device


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Return 0; 130 or 143 after SIGINT or SIGTERM; 2 for an invalid config; 1 for other errors."""
    flags = cli.parser("train", "Train a model, with an evaluation after each checkpoint.")
    flags.config()
    flags.add_argument("--model_dir", help="directory of checkpoints and results; replaces model_dir of the config")
    flags.add_argument("--train_input_path", help="training data; replaces train_input_path of the config")
    flags.add_argument("--eval_input_path", help="evaluation data; replaces eval_input_path of the config")
    flags.add_argument("--fine_tune_checkpoint", help="checkpoint or model directory with the initial weights")
    flags.edits()
    flags.switch("--continue_train", "resume from the last checkpoint in model_dir, exactly where it stopped")
    flags.switch("--ignore_restore_optimizer", "restore weights from a checkpoint, but no optimizer state")
    flags.switch("--accept_new_data", "start an epoch over the files if the checkpoint is inside of one over others")
    args = flags.parse_args(argv)
    fields = {
        "train_config.fine_tune_checkpoint": args.fine_tune_checkpoint,
        "train_input_path": args.train_input_path,
        "eval_input_path": args.eval_input_path,
        "model_dir": args.model_dir,
    }
    config = load_checked(args.pipeline_config, cli.merge_edits(args, fields), available_device)
    with live_line.counting("start  import torch"):
        from tzrec.run.summary import log_end  # imports torch, which takes seconds
        from tzrec.run.train import train

    outcome = train(config, args.continue_train, args.ignore_restore_optimizer, args.accept_new_data)
    if env.rank_info().is_main:
        log_end(config, outcome)
    return 128 + outcome.signal if outcome.signal else 0


if __name__ == "__main__":
    cli.leave(main())
