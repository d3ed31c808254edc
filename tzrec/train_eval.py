"""`tzrec train`: train a model from a config and evaluate it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tzrec import cli
from tzrec.config.check import load_checked
from tzrec.log import logger


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0; 130 or 143 after a clean stop by Ctrl-C or SIGTERM; 2 for a wrong config; 1 for other errors."""
    flags = cli.parser("train", "Train a model from a config, evaluating after each checkpoint.")
    flags.config()
    flags.add_argument("--model_dir", help="where checkpoints and results go; instead of model_dir")
    flags.add_argument("--train_input_path", help="training data; instead of train_input_path")
    flags.add_argument("--eval_input_path", help="evaluation data; instead of eval_input_path")
    flags.add_argument("--fine_tune_checkpoint", help="checkpoint or model directory whose weights to begin with")
    flags.edits()
    flags.switch("--continue_train", "go on from the last checkpoint in model_dir, exactly where it stopped")
    flags.switch("--ignore_restore_optimizer", "take weights from a checkpoint, but begin with fresh optimizers")
    args = flags.parse_args(argv)
    import torch  # seconds, which a wrong flag need not wait for

    from tzrec.run.job import run_training

    config = load_checked(args.pipeline_config, _edits(args), "cuda" if torch.cuda.is_available() else "cpu")
    outcome = run_training(config, args.continue_train, args.ignore_restore_optimizer)
    if outcome.signal:
        logger.info("stop   saved at step %d; the same command with --continue_train goes on", outcome.step)
        return 128 + outcome.signal
    return 0


def _edits(args: Any) -> dict[str, Any]:
    """Flags that stand for fields of the config, then what --edit_config_json says."""
    fields = {
        "train_config.fine_tune_checkpoint": args.fine_tune_checkpoint,
        "train_input_path": args.train_input_path,
        "eval_input_path": args.eval_input_path,
        "model_dir": args.model_dir,
    }
    return {path: value for path, value in fields.items() if value is not None} | args.edit_config_json


if __name__ == "__main__":
    cli.leave(main())
