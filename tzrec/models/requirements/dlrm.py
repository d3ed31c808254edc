"""Requirements of DLRM: its feature groups; dot products need vectors of equal widths."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.model_groups import GroupRequirements
from tzrec.config.rules.model_groups import check_dense_mlp
from tzrec.protos.models.rank_model_pb2 import DLRM

DENSE, SPARSE = "dense", "sparse"
GROUPS = GroupRequirements(required=(SPARSE,), optional=(DENSE,), equal_widths=(SPARSE,), alone=SPARSE)


def check(checker: Checker, path: str, message: DLRM) -> None:
    """Check the MLP on the dense group."""
    check_dense_mlp(checker, path, message, GROUPS, DENSE, SPARSE)
