"""Running parts: each rank draws the next part that no rank has drawn, the largest first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, Protocol

from tzrec.data.exchange import ALONE, Exchange
from tzrec.data.parts.directory import PartDirectory
from tzrec.data.parts.part import Part, PartResult
from tzrec.data.parts.progress import PartProgress
from tzrec.errors import DataError, TrainingError
from tzrec.log import logger


class Ranks(Protocol):
    """Exchanges between the ranks that share the parts; all but `draw` and `stop` are called by all ranks in order."""

    is_main: bool
    exchange: Exchange
    """The same ranks, for opening the files."""

    def broadcast(self, value: Any) -> Any:
        """Value of the main rank, encoded as JSON."""

    def gather(self, value: Any) -> list[Any]:
        """Values of all ranks in rank order, encoded as JSON."""

    def all_agree(self, flag: bool) -> bool:
        """True if the flag is set on every rank."""

    def wait_for_all(self) -> None:
        """Wait for ranks that have more work than this one."""

    def advance(self) -> None:
        """Count a piece of work."""

    def draw(self) -> int:
        """Return a number that no other rank has drawn, counted from 0."""

    def stop(self, num_parts: int) -> None:
        """Draw `num_parts` numbers at once, so that none of them is left for any rank."""


class SoleRank:
    """Ranks of a single process."""

    is_main = True
    exchange = ALONE

    def __init__(self) -> None:
        self._numbers = count()

    def broadcast(self, value: Any) -> Any:
        return value

    def gather(self, value: Any) -> list[Any]:
        return [value]

    def all_agree(self, flag: bool) -> bool:
        return flag

    def wait_for_all(self) -> None:
        pass

    def advance(self) -> None:
        pass

    def draw(self) -> int:
        return next(self._numbers)

    def stop(self, num_parts: int) -> None:
        pass


Work = Callable[[Iterator[Part]], Iterator[tuple[Part, PartResult]]]
"""Processes parts, and yields each with its result once its file is complete."""


def run_parts(
    directory: PartDirectory, ranks: Ranks, work: Work, progress: PartProgress, prepare: Callable[[], None]
) -> list[PartResult]:
    """Process the parts that are not finished yet, on all ranks together.

    Args:
        directory: of their files; finished parts are recorded there.
        ranks: that share the parts.
        work: processes the parts of this rank.
        progress: logs how far they are.
        prepare: validates and locks the directory on the main rank.

    Returns:
        the results of all parts, on the main rank; an empty list on the others.

    Raises:
        TrainingError: another rank failed, or did not finish its parts.
    """
    results = _open(directory, ranks, prepare)
    parts = directory.parts
    missing = ranks.broadcast([part.number for part, result in zip(parts, results) if result is None])
    if len(missing) < len(parts):
        num_finished = f"{len(parts) - len(missing):,} of {len(parts):,}"
        logger.info("%-6s %s parts are already finished", progress.command, num_finished)
    drawn = draw_parts([parts[number] for number in missing], ranks, progress)
    own: dict[int, PartResult] = {}
    error: Exception | None = None
    try:
        for part, result in work(drawn):
            directory.commit(part, result)
            own[part.number] = result
            ranks.advance()
    except Exception as raised:  # of any type: the other ranks must be informed
        error = raised
        ranks.stop(len(missing))
    progress.end()
    ranks.wait_for_all()
    is_complete = ranks.all_agree(error is None)
    if error:
        raise error
    if not is_complete:
        raise TrainingError("another rank failed; see its error")
    for values in ranks.gather(
        [(number, result.to_json() | {"sample": result.sample}) for number, result in own.items()]
    ):
        for number, value in values if ranks.is_main else ():
            results[number] = PartResult.from_json(value)
    if not ranks.is_main:
        return []
    finished = [result for result in results if result is not None]
    if len(finished) < len(parts):
        raise TrainingError(f"{len(parts) - len(finished):,} parts are not finished; run the same command again")
    return finished


def draw_parts(parts: Sequence[Part], ranks: Ranks, progress: PartProgress) -> Iterator[Part]:
    """Yield the parts that this rank draws: the largest that is left, when it is ready for one.

    The last ranks then end within the time of one small part of each other, whatever their speed.
    """
    order = sorted(parts, key=lambda part: -part.weight)
    progress.start(order)
    while (number := ranks.draw()) < len(order):
        progress.begin(number)
        yield order[number]


def _open(directory: PartDirectory, ranks: Ranks, prepare: Callable[[], None]) -> list[PartResult | None]:
    """Open the directory on the main rank; the ranks compare what they are going to do.

    Raises:
        DataError: this rank has other files than the main rank.
    """
    results: list[PartResult | None] = []
    error: Exception | None = None
    try:
        if ranks.is_main:
            prepare()
            results = directory.open()
    except Exception as raised:  # of any type: the other ranks must be informed
        error = raised
    if not ranks.all_agree(error is None):
        raise error or TrainingError("rank 0 could not open the output directory; see its error")
    mine = [part.to_json() for part in directory.parts]
    if ranks.broadcast(mine) != mine:
        raise DataError(
            "this rank reads other files than rank 0, or files of other sizes: all hosts need the same input under the "
            "same paths, and files that stay as they are"
        )
    return results
