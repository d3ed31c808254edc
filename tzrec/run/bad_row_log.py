"""Lines about the values that could not be read so far, and about the rows that are left out for them."""

from __future__ import annotations

from collections import Counter

from tzrec.data.loader import DataLoader
from tzrec.distributed import group
from tzrec.env import rank_info
from tzrec.log import logger
from tzrec.protos.data_pb2 import BadRowPolicy, DataConfig


def log_bad_rows(loader: DataLoader, data: DataConfig, num_rows: int, purpose: str) -> dict[str, int]:
    """Log the bad values of all ranks, and warn of rows that no task reads because a label or weight of theirs is bad.

    All ranks call this together.

    Args:
        loader: that reads the rows.
        data: of a checked config.
        num_rows: rows of all ranks that are not left out.
        purpose: "trained on" or "evaluated".

    Returns:
        Counts by column and reason, the same on all ranks.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for rank in group.gather([[column, reason, n] for (column, reason), n in loader.bad_value_counts.items()]):
        for column, reason, n in rank:
            counts[column, reason] += n
    if counts and rank_info().is_main:
        _log(loader, data, num_rows, purpose, counts)
    return {f"{column}: {reason}": n for (column, reason), n in counts.items()}


def _log(loader: DataLoader, data: DataConfig, num_rows: int, purpose: str, counts: Counter[tuple[str, str]]) -> None:
    policy, path = BadRowPolicy.Name(data.bad_row_policy).lower(), loader.bad_rows_path
    place = f"; see {path}" if path else ""
    logger.info("data   bad rows so far: %s (%s); policy %s%s", f"{counts.total():,}", _text(counts), policy, place)
    targets = (*data.label_fields, *data.sample_weight_fields)
    lost = Counter({key: n for key, n in counts.items() if key[0] in targets})
    if lost:
        logger.warning(
            "data   rows without a valid label or weight are left out of all tasks: %s; %s rows are %s", _text(lost),
            f"{num_rows:,}", purpose,
        )  # fmt: skip


def _text(counts: Counter[tuple[str, str]]) -> str:
    return ", ".join(f"{column}: {reason} {n:,}" for (column, reason), n in counts.items())
