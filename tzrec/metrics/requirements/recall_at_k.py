"""Requirements of RecallAtK: no more scores than classes."""

from __future__ import annotations

from typing import Any

from tzrec.config.checker import Checker
from tzrec.config.heads import declare_heads


def check(checker: Checker, path: str, message: Any) -> None:
    """Check that `top_k` is in `[1, num_class]`; the number of candidates of a match model is that of the batch."""
    if any(head.candidates for head in declare_heads(checker.config).heads):
        if message.top_k < 1:
            checker.error(f"{path}.top_k", f"{message.top_k} is below 1, the number of highest scores that count")
        return
    num_class = checker.enclosing(path, "num_class").num_class
    if not 1 <= message.top_k <= max(num_class, 1):
        checker.error(f"{path}.top_k", f"{message.top_k} is not in [1, {num_class}], the classes of this task")
