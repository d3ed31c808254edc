"""Requirements of MultiTowerDIN: each tower has a group of its own, of the type that it reads."""

from __future__ import annotations

from tzrec.config.checker import Checker, repeated
from tzrec.config.rules.model_groups import groups_by_name
from tzrec.config.rules.sequence_groups import check_sequence_input
from tzrec.protos.model_pb2 import DEEP, WIDE, FeatureGroupType
from tzrec.protos.models.rank_model_pb2 import MultiTowerDIN

READS_SEQUENCE_GROUPS = True
IS_JAGGED = True


def check(checker: Checker, path: str, message: MultiTowerDIN) -> None:
    """Check that there are towers, and their groups."""
    if not message.towers and not message.din_towers and not checker.has_parse_errors(path):
        checker.error(path, "has neither towers nor din_towers; add a tower for each feature group")
    groups = groups_by_name(checker)
    seen: set[str] = set()
    for tower_path, tower in repeated(f"{path}.towers", message.towers):
        if tower.input in seen:
            checker.error(f"{tower_path}.input", f'"{tower.input}" already has a tower; a group can have one')
        seen.add(tower.input)
        if tower.input in groups and groups[tower.input][1].group_type not in (DEEP, WIDE):
            received = FeatureGroupType.Name(groups[tower.input][1].group_type)
            checker.error(f"{tower_path}.input", f'"{tower.input}" is a {received} group; list it in din_towers')
    for tower_path, din_tower in repeated(f"{path}.din_towers", message.din_towers):
        check_sequence_input(checker, f"{tower_path}.input", din_tower.input)
