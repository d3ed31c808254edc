"""Stand-in for the training process of a trial: scores a config by a formula, and writes evaluations as a run does.

Behaviour by `seed` of train_config: 1 trains, 2 fails, 3 is killed, 4 has no defined metric, 5 waits to be stopped.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
from pathlib import Path

from google.protobuf import text_format

from tzrec.protos.pipeline_pb2 import EasyRecConfig

RESULTS = "train_eval_result_v2.txt"


def score(config: EasyRecConfig) -> float:
    """Return an AUC that is largest at a learning rate of 0.02 and an embedding_dim of 8."""
    rate = math.log10(config.train_config.dense_optimizer.adam_optimizer.lr / 0.02)
    return 0.9 - 0.1 * rate**2 - 0.01 * abs(config.feature_configs[0].id_feature.embedding_dim - 8)


def main() -> int:
    """Write an evaluation for each epoch."""
    config = text_format.Parse(Path(sys.argv[sys.argv.index("--pipeline_config") + 1]).read_text(), EasyRecConfig())
    directory, seed = Path(config.model_dir), config.train_config.seed
    (directory / "pipeline.config").write_text(text_format.MessageToString(config))
    if seed == 2:
        print("train  1/9 steps", file=sys.stderr)
        print("loss is nan at step 3\n    of tower ctr", file=sys.stderr)
        return 1
    if seed == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    num_epochs = config.train_config.num_epochs
    results = directory / RESULTS
    first = len(results.read_text().splitlines()) if results.exists() else 0
    with results.open("a") as stream:
        for epoch in range(first, num_epochs):
            value = None if seed == 4 else round(score(config) - 0.1 / (epoch + 1), 6)
            stream.write(json.dumps({"global_step": epoch, "auc_ctr": value, "loss": 1.0}) + "\n")
            stream.flush()
            if seed == 5 and epoch == 0 and not first:
                (directory / "waits").write_text(str(os.getpid()))
                time.sleep(60)
            time.sleep(0.01)
    return 0


if __name__ == "__main__":
    sys.exit(main())
