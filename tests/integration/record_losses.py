"""Train by a config and write the losses of every step as JSON; started by test_train.py, once per rank."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tzrec.config.check import load_checked
from tzrec.run.listeners import Listener
from tzrec.run.metric_logger import StepLog
from tzrec.run.train import train


class Recorder(Listener):
    """Keeps what is logged; set log_step_count_steps to 1 to have every step."""

    def __init__(self) -> None:
        self.losses: list[dict[str, float]] = []

    def on_log(self, log: StepLog) -> None:
        self.losses.append(dict(log.losses))


if __name__ == "__main__":
    config, edits, out, go_on = sys.argv[1:]
    recorder = Recorder()
    train(load_checked(config, json.loads(edits)), bool(go_on), listeners=[recorder])
    if recorder.losses:
        Path(out).write_text(json.dumps(recorder.losses))
