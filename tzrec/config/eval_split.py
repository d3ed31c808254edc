"""Data of the evaluations during and after training: eval_input_path, or rows held out of train_input_path."""

from __future__ import annotations

from tzrec.protos.pipeline_pb2 import EasyRecConfig


def is_held_out(config: EasyRecConfig) -> bool:
    """True if evaluations read the rows of train_input_path that training leaves out."""
    return not config.eval_input_path and config.data_config.HasField("eval_split")


def evaluation_path(config: EasyRecConfig) -> str:
    """Return the path that evaluations read; "" if there are none."""
    return config.train_input_path if is_held_out(config) else config.eval_input_path
