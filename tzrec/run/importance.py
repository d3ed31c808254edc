"""How much a trained model needs each of its features: what its metrics lose when the feature's values change rows.

Breiman, Random Forests, Machine Learning 45 (2001), section 10; here with several orders, so that chance shows.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from tzrec.data.batch import Batch
from tzrec.data.permute import permuted
from tzrec.heads.eval_metrics import EvalMetrics
from tzrec.log import logger
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.run.evaluate import score
from tzrec.run.resume import agreed_checkpoint
from tzrec.run.session import Session

CHUNK_ROWS = 32_768
"""Rows of a rank among which the values of a feature change places: many, for neighbours in a file are often alike."""


@dataclass(frozen=True)
class Importance:
    """What one feature is worth.

    Attributes:
        feature: its name; for the features of a sequence_feature, which move together, that of the sequence.
        drops: by metric and loss, by how much it is worse without the feature, in each repeat.
    """

    feature: str
    drops: Mapping[str, Sequence[float]]

    def mean(self, name: str) -> float:
        return float(np.mean(self.drops[name]))

    def spread(self, name: str) -> float:
        """Standard deviation over the repeats; 0 of one."""
        return float(np.std(self.drops[name], ddof=1)) if len(self.drops[name]) > 1 else 0.0

    def told(self) -> dict[str, object]:
        """For JSON; null where a metric is not defined."""
        names = self.drops
        drops = {name: {"mean": _finite(self.mean(name)), "spread": _finite(self.spread(name))} for name in names}
        return {"feature": self.feature, "drops": drops}


@dataclass(frozen=True)
class Importances:
    """The features of a model, the most important one first.

    Attributes:
        metrics: metrics, then losses, with all features in place; the first one decides the order of the features.
        rows: how many were scored.
        features: what each feature is worth.
    """

    metrics: Mapping[str, float]
    rows: int
    features: Sequence[Importance]

    def table(self) -> str:
        """Per feature and metric the mean drop and its spread."""
        width = max(len("feature"), *(len(each.feature) for each in self.features))
        lines = [f"{'feature':<{width}}" + "".join(f"  {name:>22}" for name in self.metrics)]
        for each in self.features:
            cells = (f"{each.mean(name):+.5f} +- {each.spread(name):.5f}" for name in self.metrics)
            lines.append(f"{each.feature:<{width}}" + "".join(f"  {cell:>22}" for cell in cells))
        return "\n".join(lines)

    def write(self, path: Path) -> None:
        """As JSON."""
        metrics = {name: _finite(value) for name, value in self.metrics.items()}
        told = {"rows": self.rows, "metrics": metrics, "features": [each.told() for each in self.features]}
        path.write_text(json.dumps(told, indent=1, allow_nan=False) + "\n")


def run_importance(config: EasyRecConfig, checkpoint_path: str | None = None, repeats: int = 5) -> Importances:
    """Measure a checkpoint on `eval_input_path`, whose encoded rows are kept in memory; all ranks together.

    Args:
        config: checked, with edits and flags in it. `eval_config.num_steps` limits the rows, `train_config.seed`
            decides the orders.
        checkpoint_path: a checkpoint, or a model directory whose newest whole one is meant; by default model_dir.
        repeats: orders that are tried for each feature.

    Raises:
        CheckpointError: there is no checkpoint, or it is damaged or of another model.
        DataError: the data cannot be read.
    """
    session = Session(config)
    try:
        checkpoint = agreed_checkpoint(Path(checkpoint_path or config.model_dir), session.rank_info)
        batches = list(_chunks(session))
        session.build()
        session.restore(checkpoint)
        if session.rank_info.is_main:
            logger.info("model  %s", checkpoint.path)
        return measure(session, batches, repeats)
    finally:
        session.close()


def measure(session: Session, batches: Sequence[Batch], repeats: int) -> Importances:
    """Score batches as they are, and again with the values of each feature in other rows."""
    signs = _signs(EvalMetrics(session.rec_model.heads))
    whole, rows = score(session, zip(batches, batches, strict=True))
    found = []
    for unit, names in _units(session).items():
        runs = [score(session, _mixed(session, batches, names, repeat))[0] for repeat in range(repeats)]
        drops = {name: [sign * (whole[name] - run[name]) for run in runs] for name, sign in signs.items()}
        found.append(Importance(unit, drops))
    first = next(iter(signs))
    found.sort(key=lambda each: -each.mean(first) if math.isfinite(each.mean(first)) else math.inf)
    return Importances({name: whole[name] for name in signs}, rows, found)


def _chunks(session: Session) -> Iterator[Batch]:
    """This rank's rows."""
    config = session.config
    limit = config.eval_config.num_steps * (config.data_config.eval_batch_size or config.data_config.batch_size)
    size = min(CHUNK_ROWS, limit or CHUNK_ROWS)
    loader = session.loader(config.eval_input_path, "eval", batch_size=size)
    return islice(loader.epoch(), -(-limit // size) or None)


def _units(session: Session) -> dict[str, list[str]]:
    """What is mixed at a time: a feature of the model, or all of a sequence_feature, whose steps belong together."""
    layout = session.rec_model.embedding_group.layout
    rows = [*layout.row_groups.values(), *(group.elements for group in layout.sequences.values())]
    used = {entry.feature for row in rows for entry in row}
    units: dict[str, list[str]] = {}
    for name, feature in session.encoder.features.items():
        if name in used:
            units.setdefault(feature.sequence or name, []).append(name)
    return units


def _mixed(
    session: Session, batches: Sequence[Batch], names: Collection[str], repeat: int
) -> Iterator[tuple[Batch, Batch]]:
    """Batches with the values of some features in other rows; and as they are, for labels and groups of metrics."""
    place = session.rank_info
    seed = session.config.train_config.seed + repeat * place.world_size + place.rank
    generator = torch.Generator().manual_seed(seed)
    for batch in batches:
        rows = len(next(iter(batch.labels.values())))
        yield permuted(batch, names, torch.randperm(rows, generator=generator)), batch


def _signs(scores: EvalMetrics) -> dict[str, int]:
    """Metrics, then losses: 1 where more is better, -1 where less is; without metrics that are best in between."""
    ways = {name: metric.larger_is_better for name, metric in scores.metrics.items()}
    return {name: 1 if way else -1 for name, way in ways.items() if way is not None} | dict.fromkeys(scores.losses, -1)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
