"""Evaluate a checkpoint: the function behind `tzrec eval` and `tzrec.evaluate`."""

from __future__ import annotations

from collections.abc import Mapping

from tzrec.log import logger
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.run.evaluation import append_evaluation, evaluate_model
from tzrec.run.session import Session


def evaluate(
    config: EasyRecConfig, checkpoint_path: str | None = None, result_filename: str = "eval_result.txt"
) -> Mapping[str, float]:
    """Evaluate a checkpoint on `eval_input_path`. All ranks call this together.

    Args:
        config: checked, with edits and flags applied.
        checkpoint_path: a checkpoint, or a model directory for its newest valid checkpoint. Default: `model_dir`.
        result_filename: file in `model_dir` to which rank 0 appends the result; its step is null for a named checkpoint

    Returns:
        Metrics and losses by name.

    Raises:
        CheckpointError: there is no checkpoint, or it is damaged or of another model.
        DataError: the data cannot be read.
    """
    with Session.load(config, checkpoint_path) as session:
        loader = session.evaluation_loader()
        evaluation = evaluate_model(session, loader, None if checkpoint_path else session.step)
        if session.rank_info.is_main:
            logger.info(str(evaluation))
            append_evaluation(session.model_dir / result_filename, evaluation)
        return evaluation.metrics
