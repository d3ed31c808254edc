"""The logger "tzrec": rank 0 logs everything, the other ranks warnings and errors."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from tzrec import env
from tzrec.errors import indent_lines
from tzrec.torchrec_adapter import TORCH_FX_LOGGER

logger = logging.getLogger("tzrec")


class _Formatter(logging.Formatter):
    """Plain text for information; warnings and errors begin with the level, and with the rank if there are several.

    A name or value with a newline or an escape character forges no line: control characters are written as `\\x1b`, and
    all lines of a record after the first are indented.
    """

    def format(self, record: logging.LogRecord) -> str:
        text = indent_lines(super().format(record))
        if record.levelno <= logging.INFO:
            return text
        rank_info = env.rank_info()
        rank = f" rank {rank_info.rank}" if rank_info.world_size > 1 else ""
        return f"{record.levelname.lower()}{rank}: {text}"


@contextmanager
def side_output(name: object, consequence: str = "the run goes on without it") -> Iterator[None]:
    """Run a block that writes something a run does not need; an error is logged as a warning and goes no further.

    Args:
        name: of the file, for the warning.
        consequence: what follows from an error.
    """
    try:
        yield
    except Exception as error:  # of any kind: no report is worth a run
        cause = error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__} {error}"
        logger.warning("%s was not written: %s; %s", name, cause, consequence)


def setup() -> None:
    """Attach the logger to stderr, once. Verbs call this; an import does not."""
    if logger.handlers:
        return
    env.silence_native_warnings()
    # warnings of torch and torchrec about each other do not concern the user of a command; some come from C++ or with a
    # stack level that points elsewhere, so that only their category identifies them
    warnings.filterwarnings("ignore", module=r"torch(rec)?\.")
    warnings.filterwarnings("ignore", category=FutureWarning)
    logging.getLogger(TORCH_FX_LOGGER).setLevel(logging.ERROR)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(message)s"))
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(env.log_level() if env.rank_info().is_main else logging.WARNING)
