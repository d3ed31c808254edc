"""Requirements of MIND: two towers with groups of their own, and negatives."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.heads import DeclaredHeads, candidate_head
from tzrec.config.rules.two_towers import check_two_towers
from tzrec.protos.models.match_model_pb2 import MIND
from tzrec.protos.pipeline_pb2 import EasyRecConfig

READS_SEQUENCE_GROUPS = True


def heads(config: EasyRecConfig) -> DeclaredHeads:
    """Declare the head over the candidates of a row."""
    return DeclaredHeads([candidate_head(config)])


def check(checker: Checker, path: str, message: MIND) -> None:
    """Check towers and negatives."""
    check_two_towers(checker, path, message)
