"""JSON of others, which may be broken or hostile."""

from __future__ import annotations

import json
from typing import Any


def read_json(text: str | bytes) -> Any:
    """Parse JSON.

    Raises:
        ValueError: It is not JSON, has a number of too many digits, or is nested too deep. A `json.JSONDecodeError`
            tells the position.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
