"""Requirements of TDM: one sequence group, with the features of a node as its query."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.rules.model_groups import groups_by_name
from tzrec.config.rules.sequence_groups import check_sequence_input
from tzrec.protos.model_pb2 import DEEP, WIDE
from tzrec.protos.models.match_model_pb2 import TDM

READS_ALL_GROUPS = True
READS_SEQUENCE_GROUPS = True
IS_JAGGED = True


def check(checker: Checker, path: str, message: TDM) -> None:
    """Check the sequence group."""
    groups = groups_by_name(checker)
    sequences = [name for name, (_, group) in groups.items() if group.group_type not in (DEEP, WIDE)]
    if len(sequences) == 1:
        check_sequence_input(checker, f"{groups[sequences[0]][0]}.feature_names", sequences[0])
    elif groups and not checker.has_parse_errors("model_config"):
        received = f"the config has {', '.join(sequences)}" if sequences else "the config has none"
        text = "tdm reads one SEQUENCE group, of the history and the features of a node"
        checker.error("model_config.feature_groups", f"{text}; {received}")
