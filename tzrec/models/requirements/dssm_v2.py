"""Requirements of DSSMV2: two towers with groups of their own, and negatives."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.heads import DeclaredHeads, candidate_head
from tzrec.config.rules.two_towers import check_two_towers
from tzrec.protos.models.match_model_pb2 import DSSMV2
from tzrec.protos.pipeline_pb2 import EasyRecConfig


def heads(config: EasyRecConfig) -> DeclaredHeads:
    """Declare the head over the candidates of a row."""
    return DeclaredHeads([candidate_head(config)])


def check(checker: Checker, path: str, message: DSSMV2) -> None:
    """Check towers and negatives."""
    check_two_towers(checker, path, message)
    data = checker.config.data_config
    if data.WhichOneof("sampler") and not data.force_base_data_group and not checker.has_parse_errors(path):
        reason = "the towers of dssm_v2 share tables, so that features of users and items need equal numbers of rows"
        checker.error("data_config.force_base_data_group", f"is false; {reason}: set it to true")
