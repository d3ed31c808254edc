"""The logger "tzrec": rank 0 logs everything, the other ranks warnings and errors."""

from __future__ import annotations

import json
import logging
import math
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from tzrec import env
from tzrec.errors import UsageError, indent_lines
from tzrec.live_line import live_line
from tzrec.torchrec_adapter import TORCH_FX_LOGGER

LineFormat = Literal["plain", "time", "json"]

logger = logging.getLogger("tzrec")
_FACTS, _IS_FINAL = "tzrec_facts", "tzrec_is_final"
"""Attributes of records."""


@dataclass(frozen=True)
class LogOptions:
    """Form of the log lines of a command.

    Attributes:
        is_quiet: only warnings and errors, and no live line.
        line_format: of the lines on standard error: "plain", "time" (with a time in front), or "json".
        file_path: file to which all lines are appended, with a time or as JSON; empty for none.
    """

    is_quiet: bool = False
    line_format: LineFormat = "plain"
    file_path: str = ""


class _Formatter(logging.Formatter):
    """Plain text for information; warnings and errors begin with the level, and with the rank if there are several.

    A name or value with a newline or an escape character forges no line: control characters are written as `\\x1b`, and
    all lines of a record after the first are indented. The message of an error that ends a command is written as it is.
    """

    def __init__(self, has_time: bool, is_file: bool) -> None:
        super().__init__()
        self._has_time, self._is_file = has_time, is_file

    def format(self, record: logging.LogRecord) -> str:
        text = self._text(record)
        return f"{_time(record)} {text}" if self._has_time else text

    def _text(self, record: logging.LogRecord) -> str:
        if getattr(record, _IS_FINAL, False):
            # on standard error Python itself prints the traceback
            trace = f"\n{self.formatException(record.exc_info)}" if self._is_file and record.exc_info else ""
            return record.getMessage() + trace
        text = indent_lines(super().format(record))
        if record.levelno <= logging.INFO:
            return text
        rank_info = env.rank_info()
        rank = f" rank {rank_info.rank}" if rank_info.world_size > 1 else ""
        return f"{record.levelname.lower()}{rank}: {text}"


class _JsonFormatter(logging.Formatter):
    """One JSON object per record: time, level, rank, message and the facts of `log_facts`."""

    def format(self, record: logging.LogRecord) -> str:
        facts = {name: _to_json(value) for name, value in getattr(record, _FACTS, {}).items()}
        trace = {"traceback": self.formatException(record.exc_info)} if record.exc_info else {}
        fields = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "rank": env.rank_info().rank,
            "message": record.getMessage(),
        }
        return json.dumps(fields | facts | trace, ensure_ascii=False, allow_nan=False)


class _TerminalHandler(logging.StreamHandler):  # type: ignore[type-arg]  # of standard error at the time of a line
    """Writer to standard error, above the live line."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:  # type: ignore[override]
        """Standard error, which programs and tests replace."""
        return sys.stderr

    def emit(self, record: logging.LogRecord) -> None:
        with live_line.above():
            super().emit(record)


def log_facts(text: str, **facts: Any) -> None:
    """Log a line of information, with fields for `--log_format json`.

    Args:
        text: the line.
        facts: JSON values by name; `event` says of what they are.
    """
    logger.info("%s", text, extra={_FACTS: facts})


def log_final(text: str, error: BaseException | None = None) -> None:
    """Write the message of an error that ends the command, whatever the level of the logger is.

    Args:
        text: as it is printed.
        error: whose traceback belongs to it, in JSON.
    """
    if not _handlers:
        print(text, file=sys.stderr, flush=True)
        return
    live_line.keep()
    trace = (type(error), error, error.__traceback__) if error else None
    extra = {_IS_FINAL: True}
    record = logger.makeRecord(logger.name, logging.ERROR, "", 0, "%s", (text,), trace, extra=extra)
    for handler in _handlers:
        handler.handle(record)


_handlers: list[logging.Handler] = []
_options = LogOptions()
"""What `setup` has attached."""


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


def setup(options: LogOptions = LogOptions()) -> None:
    """Attach the logger to standard error and to a file. Verbs call this; an import does not.

    Raises:
        UsageError: the file cannot be opened, or a variable of the environment is not valid.
    """
    global _handlers, _options
    if options == _options and _handlers and all(handler in logger.handlers for handler in _handlers):
        return
    env.silence_native_warnings()
    ignore_library_warnings()
    logging.getLogger(TORCH_FX_LOGGER).setLevel(logging.ERROR)
    is_json = options.line_format == "json"
    handlers: list[logging.Handler] = [_TerminalHandler()]
    if options.file_path:
        handlers.append(_open_file(options.file_path))
    for number, handler in enumerate(handlers):
        has_time = number == 1 or options.line_format == "time"
        handler.setFormatter(_JsonFormatter() if is_json else _Formatter(has_time, is_file=number == 1))
    is_main = env.rank_info().is_main
    logger.setLevel(env.log_level() if is_main else logging.WARNING)
    handlers[0].setLevel(logging.WARNING if options.is_quiet else logging.NOTSET)  # a file has all lines
    for handler in _handlers:
        logger.removeHandler(handler)
        handler.close()
    for handler in handlers:
        logger.addHandler(handler)
    logger.propagate = False
    live_line.is_enabled = is_main and not options.is_quiet and not is_json and not env.is_terminal_dumb()
    _handlers, _options = handlers, options


def _open_file(path: str) -> logging.FileHandler:
    """Open a log file to append to; its directory is created."""
    if "://" in path:
        raise UsageError(f"--log_file {path}: must be a local file; a store cannot append to one")
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UsageError(f"--log_file {path}: {error.strerror}") from None


def _time(record: logging.LogRecord) -> str:
    """Format the local time of a record with its distance from UTC: `2026-11-29T14:55:09.123+00:00`."""
    return datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")


def _to_json(value: Any) -> Any:
    """Replace numbers that JSON does not have by null."""
    if isinstance(value, Mapping):
        return {name: _to_json(item) for name, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def ignore_library_warnings() -> None:
    """Ignore the warnings of torch and torchrec about each other, which do not concern the user of a command.

    Some come from C++ or with a stack level that points elsewhere, so that only their category identifies them.
    """
    warnings.filterwarnings("ignore", module=r"torch(rec)?\.")
    warnings.filterwarnings("ignore", category=FutureWarning)
