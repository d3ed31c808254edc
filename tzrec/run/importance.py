"""Permutation importance: the drop of the metrics of a trained model when a feature is shuffled among rows.

Breiman, Random Forests, Machine Learning 45 (2001), section 10; here with several permutations, which show the noise.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tzrec.data.atomic import write_text
from tzrec.data.batch import Batch
from tzrec.data.permute import permute_features
from tzrec.heads.eval_metrics import EvalMetrics
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.run.evaluation import first_steps, score
from tzrec.run.session import Session
from tzrec.storage.path import AnyPath

CHUNK_ROWS = 32_768
"""Rows of a rank among which the values of a feature are shuffled: many, because neighbors in a file are similar."""


@dataclass(frozen=True)
class Importance:
    """Importance of one feature.

    Attributes:
        feature: name; of the sequence for the features of a sequence_feature, which are shuffled together.
        drops: metric or loss -> amount by which it is worse without the feature, for each permutation.
    """

    feature: str
    drops: Mapping[str, Sequence[float]]

    def mean(self, name: str) -> float:
        return float(np.mean(self.drops[name]))

    def spread(self, name: str) -> float:
        """Compute the standard deviation over the permutations; 0 for a single one."""
        return float(np.std(self.drops[name], ddof=1)) if len(self.drops[name]) > 1 else 0.0

    def to_json(self) -> dict[str, object]:
        """Convert to JSON values; null for an undefined metric."""
        names = self.drops
        drops = {name: {"mean": _finite(self.mean(name)), "spread": _finite(self.spread(name))} for name in names}
        return {"feature": self.feature, "drops": drops}


@dataclass(frozen=True)
class Importances:
    """Importance of all features of a model.

    Attributes:
        metrics: metrics, then losses, without any permutation; the first one orders the features.
        num_rows: rows that were scored.
        features: the most important one first.
    """

    metrics: Mapping[str, float]
    num_rows: int
    features: Sequence[Importance]

    def table(self) -> str:
        """Format the mean drop and its spread for each feature and metric."""
        width = max(len("feature"), *(len(importance.feature) for importance in self.features))
        lines = [f"{'feature':<{width}}" + "".join(f"  {name:>22}" for name in self.metrics)]
        for importance in self.features:
            cells = (f"{importance.mean(name):+.5f} +- {importance.spread(name):.5f}" for name in self.metrics)
            lines.append(f"{importance.feature:<{width}}" + "".join(f"  {cell:>22}" for cell in cells))
        return "\n".join(lines)

    def write(self, path: AnyPath) -> None:
        """Write a JSON file."""
        metrics = {name: _finite(value) for name, value in self.metrics.items()}
        features = [importance.to_json() for importance in self.features]
        value = {"rows": self.num_rows, "metrics": metrics, "features": features}
        write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def feature_importance(
    config: EasyRecConfig, checkpoint_path: str | None = None, num_permutations: int = 5
) -> Importances:
    """Measure permutation importance on `eval_input_path`, whose encoded rows are kept in memory; all ranks together.

    Args:
        config: checked, with edits and flags applied. `eval_config.num_steps` limits the rows, `train_config.seed`
            seeds the permutations.
        checkpoint_path: a checkpoint, or a model directory for its newest valid checkpoint. Default: `model_dir`.
        num_permutations: permutations of each feature.

    Raises:
        CheckpointError: there is no checkpoint, or it is damaged or of another model.
        DataError: the data cannot be read.
    """
    with Session.load(config, checkpoint_path) as session:
        return measure(session, list(read_chunks(session)), num_permutations)


def measure(session: Session, batches: Sequence[Batch], num_permutations: int) -> Importances:
    """Score batches without and with permutations of each feature."""
    signs = _signs(EvalMetrics(session.rec_model.heads))
    baseline, num_rows = score(session, zip(batches, batches, strict=True))
    importances = []
    for unit, names in permutation_units(session).items():
        runs = [score(session, permute(session, batches, names, seed))[0] for seed in range(num_permutations)]
        drops = {name: [sign * (baseline[name] - run[name]) for run in runs] for name, sign in signs.items()}
        importances.append(Importance(unit, drops))
    first = next(iter(signs))
    importances.sort(key=lambda result: -result.mean(first) if math.isfinite(result.mean(first)) else math.inf)
    return Importances({name: baseline[name] for name in signs}, num_rows, importances)


def read_chunks(session: Session) -> Iterator[Batch]:
    """Read this rank's rows of `eval_input_path` in large batches."""
    config = session.config
    max_rows = config.eval_config.num_steps * (config.data_config.eval_batch_size or config.data_config.batch_size)
    size = min(CHUNK_ROWS, max_rows or CHUNK_ROWS)
    loader = session.evaluation_loader(size)
    return first_steps(config, loader.epoch(), -(-max_rows // size))


def permutation_units(session: Session) -> dict[str, list[str]]:
    """Map each unit to the features shuffled together: one feature, or all of a sequence_feature."""
    layouts = session.rec_model.embedding_group.layouts.values()
    rows = [row for layout in layouts for row in layout.row_groups.values()]
    rows += [group.elements for layout in layouts for group in layout.sequences.values()]
    used = {entry.feature for row in rows for entry in row}
    units: dict[str, list[str]] = {}
    for name, feature in session.encoder.features.items():
        if name in used:
            units.setdefault(feature.sequence or name, []).append(name)
    return units


def permute(
    session: Session, batches: Sequence[Batch], names: Collection[str], seed: int
) -> Iterator[tuple[Batch, Batch]]:
    """Yield each batch with the values of some features shuffled, and unchanged for labels and metric groups."""
    rank_info = session.rank_info
    rank_seed = session.config.train_config.seed + seed * rank_info.world_size + rank_info.rank
    generator = torch.Generator().manual_seed(rank_seed)
    for batch in batches:
        num_rows = len(next(iter(batch.labels.values())))
        yield permute_features(batch, names, torch.randperm(num_rows, generator=generator)), batch


def _signs(metrics: EvalMetrics) -> dict[str, int]:
    """Map metrics, then losses, to 1 if larger is better and -1 if smaller is; omit metrics with an optimum between."""
    directions = {name: metric.larger_is_better for name, metric in metrics.metrics.items()}
    signs = {name: 1 if is_larger else -1 for name, is_larger in directions.items() if is_larger is not None}
    return signs | dict.fromkeys(metrics.losses, -1)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
