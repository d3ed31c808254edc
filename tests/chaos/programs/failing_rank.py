"""Train with a config; rank 1 raises an error of its own at step $FAIL_AT_STEP."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from unittest.mock import patch

from tzrec import cli, env
from tzrec.config.check import load_checked
from tzrec.errors import DataError
from tzrec.run.pipeline import Step
from tzrec.run.train import train
from tzrec.run.trainer import Trainer

original = Trainer.steps


def failing_steps(trainer: Trainer) -> Iterator[Step]:
    for step in original(trainer):
        if trainer.position.step == int(os.environ["FAIL_AT_STEP"]) and env.rank_info().rank == 1:
            raise DataError("part-001.parquet cannot be read")
        yield step


@cli.run
def main(argv: object = None) -> int:
    with patch.object(Trainer, "steps", failing_steps):
        train(load_checked(sys.argv[1]))
    return 0


if __name__ == "__main__":
    cli.leave(main())
