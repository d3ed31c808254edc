"""Analysis of a trained model on a sample of the evaluation rows, for its report: the file `analysis.json`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from tzrec.data.atomic import write_text
from tzrec.data.batch import Batch
from tzrec.distributed import group
from tzrec.features.arrays import Int64Array
from tzrec.features.base import Feature
from tzrec.features.bucketize import Hash
from tzrec.features.encoders.sparse import SparseEncoder
from tzrec.heads.head import Head
from tzrec.log import logger, side_output
from tzrec.profile.feature_bins import stability_index
from tzrec.profile.training_profile import BatchSampler
from tzrec.report.record import ANALYSIS, to_json
from tzrec.run.gate_weights import observe_gates
from tzrec.run.importance import measure, permutation_units
from tzrec.run.score_statistics import Floats, task_statistics
from tzrec.run.segments import MIN_IDS, feature_columns, known_segments, segment_rows, segments_of
from tzrec.run.table_fill import are_known, shard_states, table_fill
from tzrec.run.trainer import Trainer

_NUM_PERMUTATIONS = 2
_LEAST_SECONDS = 1.0
_SHARE_OF_TRAINING = 0.05

Columns = Mapping[str, np.ndarray[Any, Any]]
"""Scores, labels and features of sampled rows, by `<kind>/<name>`."""


def write_analysis(trainer: Trainer, train_seconds: float) -> None:
    """Analyze the trained model and write `analysis.json` on rank 0; a failure is a warning. All ranks together.

    Args:
        trainer: at the end of a run; nothing is written if it has kept no evaluation rows.
        train_seconds: duration of the run. Permutations take 5 % of it at most, or a second, plus one batch.
    """
    batches = trainer.evaluation_sample.batches()
    if not batches:
        return
    path, start = trainer.session.model_dir / ANALYSIS, time.perf_counter()
    with side_output(path):
        result = _analyze(trainer, batches, max(_SHARE_OF_TRAINING * train_seconds, _LEAST_SECONDS))
        if trainer.session.rank_info.is_main:
            seconds = time.perf_counter() - start
            write_text(path, to_json({"step": trainer.position.step, "seconds": seconds, **result}) + "\n")
            rows = f"{result['num_rows']:,} evaluation rows"
            logger.info("report %s analyzed in %.1f s (train_config.report_rows)", rows, seconds)


def _analyze(trainer: Trainer, batches: Sequence[Batch], budget: float) -> dict[str, Any]:
    with trainer.evaluation_weights(), torch.no_grad():
        columns, gates, seconds = _score(trainer, batches)
        importance = _importance(trainer, batches, seconds, budget)
    num_rows = int(columns["count/rows"].sum())
    features = {name.partition("/")[2]: values for name, values in columns.items() if name[:8] == "feature/"}
    features = {name: values for name, values in features.items() if len(values) == num_rows}
    known, tables = _known_ids(trainer, features), _tables(trainer)
    if not trainer.session.rank_info.is_main:  # from here on no rank waits for another
        return {}
    return {
        "num_rows": num_rows,
        "tasks": _tasks(trainer, columns, features, known),
        "gates": gates,
        "importance": importance,
        "tables": tables,
        "drift": _drift(trainer, batches),
    }


def _score(trainer: Trainer, batches: Sequence[Batch]) -> tuple[Columns, list[dict[str, object]], float]:
    """Score the batches; return the columns of all ranks, the weights of gates, and the seconds that it took."""
    session, start = trainer.session, time.perf_counter()
    is_training, scored = session.model.training, []
    session.model.eval()
    with observe_gates(session.rec_model) as gates:
        for batch in batches:
            output, moved = session.forward(batch)
            group.advance()
            if batch.rows:
                scored.append((output.logits, moved))
    session.model.train(is_training)
    seconds = time.perf_counter() - start
    columns = _gathered(group.together(lambda: _own_columns(trainer, batches, scored)))
    tasks = list(session.rec_model.heads.served)
    return columns, [weights.to_json(tasks) for weights in gates if weights.num_rows], seconds


def _own_columns(
    trainer: Trainer, batches: Sequence[Batch], scored: Sequence[tuple[Mapping[str, torch.Tensor], Batch]]
) -> Columns:
    """Columns of the rows of this rank, from batches as they were read, and from logits and moved batches."""
    session, parts, num_rows = trainer.session, [], 0
    for logits, batch in scored:
        parts.append(_task_columns(session.rec_model.heads.served, logits, batch, num_rows))
        num_rows += batch.rows
    counted = [batch for batch in batches if batch.rows]
    used = {name for names in permutation_units(session).values() for name in names}
    features = {name: feature for name, feature in session.encoder.features.items() if name in used}
    own = {f"feature/{name}": column for name, column in feature_columns(counted, features).items()}
    own |= {key: np.concatenate([part[key] for part in parts]) for key in (parts[0] if parts else ())}
    own["count/rows"] = np.array([num_rows])
    return own


def _task_columns(
    heads: Mapping[str, Head], logits: Mapping[str, torch.Tensor], batch: Batch, offset: int
) -> dict[str, Any]:
    """Scores, labels and row numbers of each head that can be analyzed."""
    columns: dict[str, Any] = {}
    for task, head in heads.items():
        outputs, labels = head.metric_inputs(logits[task], batch)
        kind, scores = _kind(outputs)
        if kind and scores.shape == labels.shape:
            numbers = torch.arange(batch.rows, device=labels.device)[head.metric_rows(batch)] + offset
            values = {"score": scores.double(), "label": labels.double(), "row": numbers}
            columns |= {f"{kind}/{key}/{task}": value.cpu().numpy() for key, value in values.items()}
    return columns


def _kind(outputs: Mapping[str, torch.Tensor]) -> tuple[str, torch.Tensor]:
    """Return the kind of a task, see `score_statistics.STATISTICS`, and the scores of its rows."""
    if "probs1" in outputs:
        return "binary", outputs["probs1"]
    if "probs" in outputs:
        probs = outputs["probs"]
        return ("binary", probs) if probs.dim() == 1 else ("classes", probs.argmax(1))
    return ("number", outputs["y"]) if "y" in outputs else ("", torch.empty(0))


def _gathered(own: Columns) -> Columns:
    """Concatenate the columns of all ranks; the numbers of rows count over all of them."""
    states = group.gather_states({name: torch.from_numpy(np.ascontiguousarray(own[name])) for name in own})
    columns: dict[str, list[Any]] = {}
    offset = 0
    for state in states:
        for name, values in state.items():
            shifted = values.numpy() + (offset if "/row/" in name else 0)
            columns.setdefault(name, []).append(shifted)
        offset += int(state["count/rows"][0])
    return {name: np.concatenate(parts) for name, parts in columns.items()}


def _tasks(
    trainer: Trainer, columns: Columns, feature_values: Columns, known: Mapping[str, Int64Array]
) -> dict[str, Any]:
    features, seed = trainer.session.encoder.features, trainer.session.config.train_config.seed
    segments = {name: segments_of(values, features[name]) for name, values in feature_values.items()}
    novelty = {name: known_segments(feature_values[name], ids) for name, ids in known.items()}
    results = {}
    for name, scores in columns.items():
        kind, key, task = [*name.split("/", 2), "", ""][:3]
        if key != "score":
            continue
        labels, rows = columns[f"{kind}/label/{task}"], columns[f"{kind}/row/{task}"]
        is_binary = bool(np.isin(labels, (0, 1)).all())
        if not len(scores) or (kind == "binary" and not is_binary):
            continue
        by_value = [_rows_of(kind, scores, labels, rows, *item) for item in segments.items()]
        by_novelty = [_rows_of(kind, scores, labels, rows, *item) for item in novelty.items()]
        results[task] = {
            **task_statistics(kind, scores, labels, seed),
            "segments": [row for part in by_value for row in part],
            "novelty": [row for part in by_novelty for row in part],
        }
    return results


def _rows_of(
    kind: str, scores: Floats, labels: Floats, rows: Int64Array, feature: str, segments: Mapping[str, Any]
) -> list[dict[str, Any]]:
    return segment_rows(kind, scores, labels, feature, {name: is_in[rows] for name, is_in in segments.items()})


def _known_ids(trainer: Trainer, columns: Columns) -> dict[str, Int64Array]:
    """Find the ids whose rows training has updated, of features with many ids, by feature."""
    tables = {name: feature.table for name, feature in trainer.session.encoder.features.items()}
    own_tables = sorted({shard.table for shard in shard_states(trainer.sparse)})
    all_tables = sorted({name for names in group.gather(own_tables) for name in names})
    result, by_table = {}, {}
    for name, column in columns.items():
        table = tables[name]
        full_name = next((full for full in all_tables if table and _is_of(full, table.name)), "")
        if column.dtype.kind != "i" or not full_name:
            continue
        ids = np.unique(column[column >= 0])
        if len(ids) >= MIN_IDS:
            by_table[name] = (full_name, ids)
    joined = {
        table: np.unique(np.concatenate([ids for name, ids in by_table.values() if name == table]))
        for table in sorted({table for table, _ in by_table.values()})
    }
    known = are_known(trainer.sparse, joined)
    for name, (table_name, ids) in by_table.items():
        if table_name in known:
            result[name] = np.intersect1d(ids, joined[table_name][known[table_name]])
    return result


def _importance(trainer: Trainer, batches: Sequence[Batch], seconds: float, budget: float) -> dict[str, Any]:
    """Measure permutation importance on as many batches as take `budget` seconds, at least one."""
    num_scores = len(permutation_units(trainer.session)) * _NUM_PERMUTATIONS + 1
    num_batches = max(1, min(len(batches), int(len(batches) * budget / max(seconds * num_scores, 1e-9))))
    num_batches = group.broadcast(num_batches)
    result = measure(trainer.session, batches[:num_batches], _NUM_PERMUTATIONS)
    features = [importance.to_json() for importance in result.features]
    return {"num_rows": result.num_rows, "metrics": dict(result.metrics), "features": features}


def _tables(trainer: Trainer) -> dict[str, dict[str, Any]]:
    """Fill of each table, with a mark for those that a hash fills."""
    hashed = {
        entry.table.name
        for entry in trainer.session.encoder.features.values()
        if entry.table is not None and _is_hashed(entry)
    }
    fills = table_fill(trainer.sparse)
    for name, fill in fills.items():
        fill["is_hashed"] = any(_is_of(name, table) for table in hashed)
    return fills


def _is_of(full_name: str, table: str) -> bool:
    """True if a full name, which may begin with the path of a tower, is that of a table."""
    return full_name == table or full_name.endswith(f".{table}")


def _is_hashed(feature: Feature) -> bool:
    """True if a hash maps the values of a feature to its ids."""
    encoder = getattr(feature, "encoder", None)
    return isinstance(encoder, SparseEncoder) and isinstance(encoder.bucketizer, Hash)


def _drift(trainer: Trainer, batches: Sequence[Batch]) -> list[dict[str, Any]]:
    """Compare the distribution of each feature in training and in the sample, the most different one first."""
    samples, sampler = trainer.batch_sampler.samples, BatchSampler()
    for batch in batches:
        sampler.add(batch)
    if not samples.batches or not sampler.samples.batches:
        return []
    profile = samples.profile()
    rows = []
    for name, counts in profile.counts_of(sampler.samples).items():
        bins, trained = profile.features[name].bins, profile.features[name].counts
        rows.append(
            {
                "feature": name,
                "psi": stability_index(trained, counts),
                "is_number": bins.edges is not None,
                "train": (trained / max(trained.sum(), 1)).round(5).tolist(),
                "eval": (counts / max(counts.sum(), 1)).round(5).tolist(),
            }
        )
    return sorted(rows, key=lambda row: -float(row["psi"]))
