"""RequestTrace: what is known of the request that is being answered, for logs."""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass
class RequestTrace:
    """A request, from its first byte to its answer.

    Attributes:
        protocol: "rest" or "grpc".
        client: address of the client.
        call: method and path, or name of the gRPC method.
        model: that answers, as model/version; "" if the request is for none.
        id: that the client gave; "" without one.
        num_rows: rows that were scored.
        stages: seconds by stage, in their order.
        start: when it came, `time.perf_counter`.
    """

    protocol: str
    client: str
    call: str
    model: str = ""
    id: str = ""
    num_rows: int = 0
    stages: dict[str, float] = field(default_factory=dict)
    start: float = field(default_factory=time.perf_counter)


current_trace: ContextVar[RequestTrace | None] = ContextVar("current_trace", default=None)
"""Trace of the request that this task answers."""
