"""Train three times in this process: rank 1 fails in the first run, the second one resumes it, the third is complete.

Nothing of a run is left in the process: threads, signal handlers, process group.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from unittest.mock import patch

import pytest
import torch.distributed as dist

import tzrec
from tests.chaos.programs.failing_rank import failing_steps
from tzrec import cli, env, log
from tzrec.errors import TzrecError
from tzrec.run.trainer import Trainer


def state() -> tuple[object, ...]:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    return [thread.name for thread in threading.enumerate()], handlers, sys.excepthook, threading.excepthook


def main() -> int:
    log.setup()
    config, rank, before = sys.argv[1], env.rank_info().rank, state()
    os.environ["FAIL_AT_STEP"] = "12"
    expected = r"rank 1 \(host.*ended with an error: DataError: part-001" if rank == 0 else "part-001"
    with patch.object(Trainer, "steps", failing_steps), pytest.raises(TzrecError, match=expected) as caught:
        tzrec.train(config, continue_train=True)
    print(f"failed as it should: {caught.value}", flush=True)
    assert state() == before, (state(), before)
    assert not dist.is_initialized()
    steps = [tzrec.train(config, continue_train=True).step for _ in range(2)]
    assert steps[0] == steps[1], steps
    assert state() == before, (state(), before)
    return 0


if __name__ == "__main__":
    cli.leave(main())
