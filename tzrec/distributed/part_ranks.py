"""PartRanks: the ranks of a process group as those that share the parts of a data set."""

from __future__ import annotations

from typing import Any

from tzrec.distributed import group
from tzrec.env import RankInfo


class PartRanks:
    """Exchanges over the process group, see `data.parts.run.Ranks`.

    Args:
        name: of the work, unique in the run.
        rank_info: this rank.
    """

    def __init__(self, name: str, rank_info: RankInfo) -> None:
        self.is_main = rank_info.is_main
        self.exchange = group.exchange(rank_info)
        self._name = f"parts/{name}"

    def broadcast(self, value: Any) -> Any:
        return group.broadcast(value)

    def gather(self, value: Any) -> list[Any]:
        return group.gather(value)

    def all_agree(self, flag: bool) -> bool:
        return group.all_agree(flag)

    def wait_for_all(self) -> None:
        group.wait_for_all()

    def advance(self) -> None:
        group.advance()

    def draw(self) -> int:
        return group.draw(self._name)

    def stop(self, num_parts: int) -> None:
        group.draw(self._name, num_parts)
