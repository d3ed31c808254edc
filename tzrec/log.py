"""One logger; rank 0 speaks, the other ranks only warn."""

from __future__ import annotations

import logging
import sys
import warnings

from tzrec import env
from tzrec.torchrec_adapter import TORCH_FX_LOGGER

logger = logging.getLogger("tzrec")


class _Prefix(logging.Formatter):
    """Plain text for information; the level, and the rank when there are several, before everything louder."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if record.levelno <= logging.INFO:
            return text
        where = env.rank_info()
        rank = f" rank {where.rank}" if where.world_size > 1 else ""
        return f"{record.levelname.lower()}{rank}: {text}"


def setup() -> None:
    """Send the logger to stderr once; called by the verbs, never on import."""
    if logger.handlers:
        return
    # what torch and torchrec have to say to each other is no business of those who run a verb; some of it comes from
    # C++ or with a stack level that points elsewhere, so the kind is all there is to go by
    warnings.filterwarnings("ignore", module=r"torch(rec)?\.")
    warnings.filterwarnings("ignore", category=FutureWarning)
    logging.getLogger(TORCH_FX_LOGGER).setLevel(logging.ERROR)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Prefix("%(message)s"))
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(env.log_level() if env.rank_info().is_main else logging.WARNING)
