"""Requirements of DC2VR: the rank of an intervention is below the width of its tower."""

from __future__ import annotations

from tzrec.config.checker import Checker, repeated
from tzrec.protos.models.multi_task_rank_pb2 import DC2VR
from tzrec.protos.module_pb2 import MLP
from tzrec.protos.tower_pb2 import InterventionTaskTower


def check(checker: Checker, path: str, message: DC2VR) -> None:
    """Check the ranks as far as the config determines the widths."""
    shared = message.expert_mlp if message.HasField("expert_mlp") else message.bottom_mlp
    widths = {tower.tower_name: _width(tower, shared) for tower in message.task_towers}
    for tower_path, tower in repeated(f"{path}.task_towers", message.task_towers):
        if not tower.intervention_tower_names:
            continue
        source_widths = [widths.get(name, 0) for name in tower.intervention_tower_names]
        width = widths[tower.tower_name]
        limits = [width - 1] * (width > 0) + [sum(source_widths)] * all(source_widths)
        largest = max(min(limits, default=tower.low_rank_dim), 1)
        if tower.low_rank_dim > largest:
            reason = "below the width of the tower and at most that of the towers it reads"
            checker.error(f"{tower_path}.low_rank_dim", f"{tower.low_rank_dim} is not in [1, {largest}]: {reason}")


def _width(tower: InterventionTaskTower, shared: MLP) -> int:
    """Width of a tower; 0 if the config does not determine it."""
    units = tower.mlp.hidden_units or shared.hidden_units
    return units[-1] if units else 0
