"""Requirements of DSSMV2: two towers with groups of their own, and negatives."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.heads import DeclaredHeads, candidate_head
from tzrec.config.rules.two_towers import check_two_towers
from tzrec.protos.models.match_model_pb2 import DSSMV2
from tzrec.protos.pipeline_pb2 import EasyRecConfig

NEEDS_BASE_DATA_GROUP = True
"""The towers share tables, so that the features of users and items need equal numbers of rows."""


def heads(config: EasyRecConfig) -> DeclaredHeads:
    """Declare the head over the candidates of a row."""
    return DeclaredHeads([candidate_head(config)])


def check(checker: Checker, path: str, message: DSSMV2) -> None:
    """Check towers and negatives."""
    check_two_towers(checker, path, message)
