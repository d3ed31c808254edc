"""Requirements of RecallAtK: no more scores than classes."""

from __future__ import annotations

from typing import Any

from tzrec.config.checker import Checker


def check(checker: Checker, path: str, message: Any) -> None:
    """Check that `top_k` is in `[1, num_class]`."""
    num_class = checker.enclosing(path, "num_class").num_class
    if not 1 <= message.top_k <= max(num_class, 1):
        checker.error(f"{path}.top_k", f"{message.top_k} is not in [1, {num_class}], the classes of this task")
