"""Choice of optimizers and schedules, and sharding of tables."""

from __future__ import annotations

from google.protobuf.message import Message

from tzrec.config.checker import Checker
from tzrec.config.options import table_optimizer
from tzrec.protos import optimizer_pb2 as pb
from tzrec.protos.feature_pb2 import ParameterConstraints

_BY_COLUMNS = ("column_wise", "table_column_wise")


def check_optimizers(checker: Checker) -> None:
    """Check both optimizers of train_config, their parts and the sharding constraints."""
    for path, message in checker.messages():
        if isinstance(message, (pb.SparseOptimizer, pb.DenseOptimizer, pb.PartOptimizer)):
            _check_choice(checker, path, message)
        elif isinstance(message, ParameterConstraints):
            _check_sharding_types(checker, path, message)


def _check_choice(checker: Checker, path: str, config: Message) -> None:
    if checker.has_parse_errors(path):
        return
    if config.WhichOneof("optimizer") is None:
        names = [field.name for field in config.DESCRIPTOR.oneofs_by_name["optimizer"].fields]
        checker.error(path, f"no optimizer is chosen; use one of {', '.join(names)}")
    if config.WhichOneof("learning_rate") is None and not isinstance(config, pb.PartOptimizer):
        checker.error(path, "no schedule is chosen; for a constant rate add constant_learning_rate {}")


def _check_sharding_types(checker: Checker, path: str, config: ParameterConstraints) -> None:
    """Report tables that may only be sharded by columns under an optimizer that needs whole rows."""
    sparse_optimizer = checker.config.train_config.sparse_optimizer
    optimizer, types = sparse_optimizer.WhichOneof("optimizer"), list(config.sharding_types)
    if optimizer is None or not types or not set(types) <= set(_BY_COLUMNS):
        return
    if table_optimizer(getattr(sparse_optimizer, optimizer).DESCRIPTOR).needs_whole_rows:
        problem = f"updates of {optimizer} depend on whole rows, which {' and '.join(types)} splits"
        advice = "allow table_wise or row_wise too, or use adagrad_optimizer"
        checker.error(f"{path}.sharding_types", f"{problem}; {advice}")
