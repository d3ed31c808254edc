"""Made-up data that a config can train on: every column it reads, with labels that can be learned from the features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from google.protobuf.message import Message
from pyarrow import csv as pacsv

from tzrec import registry
from tzrec.config.vocabulary import read_vocabulary, vocabulary_path
from tzrec.data.text import declared_fields, declared_types
from tzrec.features.base import Feature
from tzrec.features.build import FeatureEncoder
from tzrec.features.dag import is_encoded
from tzrec.protos import data_pb2, feature_pb2
from tzrec.protos.pipeline_pb2 import EasyRecConfig

Longs = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MOST_IDS = 1000
"""Different values of a column; fewer than most tables have rows, so that each occurs often enough to be learned."""
MISSING = 0.02
STRENGTH = 2.0
"""Standard deviation of the planted signal, in logits."""
FILES = 2


@dataclass(frozen=True)
class Drawn:
    """A column, and what its values contribute to the labels `(B,)`."""

    values: pa.Array
    signal: Floats


class _Draw:
    """Draws the values of one column."""

    def __init__(self, rows: int, rng: np.random.Generator) -> None:
        self.rows, self.rng = rows, rng
        self.drawn: dict[str, Drawn] = {}

    def ids(self, size: int, count: int) -> tuple[Longs, Floats]:
        """Ids below `size` `(B, count)`, low ones more often, and the mean effect of each row's `(B,)`."""
        known = min(size, MOST_IDS)
        effect = self.rng.standard_normal(known)
        chosen = (known * self.rng.random((self.rows, count)) ** 2).astype(np.int64)
        return chosen, effect[chosen].mean(axis=1)

    def tokens(self, names: Callable[[Longs], Sequence[str]], size: int, shape: Shape) -> Drawn:
        """Names of ids, joined and weighted as `shape` says."""
        chosen, signal = self.ids(size, shape.count or 3)
        words = np.array(names(chosen.ravel()), dtype=object).reshape(chosen.shape)
        if shape.weighted:
            words = words + np.array([f":{weight:.2f}" for weight in self.rng.random(words.size)]).reshape(words.shape)
        # a varying number of values: each row keeps a first part
        keep = np.full(self.rows, shape.count) if shape.count else self.rng.integers(1, 4, self.rows)
        cells = [shape.separator.join(row[:kept]) for row, kept in zip(words, keep, strict=True)]
        return Drawn(pa.array(cells, pa.string()), signal)

    def integers(self, size: int) -> Drawn:
        chosen, signal = self.ids(size, 1)
        return Drawn(pa.array(chosen[:, 0]), signal)

    def numbers(self, low: float, high: float, shape: Shape) -> Drawn:
        """Numbers between and a little beyond two bounds."""
        reach = 0.2 * (high - low)
        values = self.rng.uniform(low - reach, high + reach, (self.rows, shape.count or 3))
        signal = (values.mean(axis=1) - (low + high) / 2) / (high - low) * 2
        if shape.count == 1:
            return Drawn(pa.array(values[:, 0].astype(np.float32)), signal)
        cells = [shape.separator.join(f"{value:.4f}" for value in row) for row in values]
        return Drawn(pa.array(cells, pa.string()), signal)

    def pairs(self, keys: str, values: Callable[[int], Sequence[str]], between: str, within: str) -> Drawn:
        """Maps in text, `B` of them, with six keys each, among them most times one that the row has.

        Args:
            keys: side:name of the column that they are looked up by, or ALL; it is drawn already.
            values: makes as many values.
            between: what stands between two pairs.
            within: what stands between key and value.
        """
        own = self._own_keys(keys)
        chosen = np.array(own, dtype=object)[self.rng.integers(0, len(own), (self.rows, 6))]
        chosen[:, 0] = np.where(
            self.rng.random(self.rows) < 0.8, np.resize(np.array(own, dtype=object), self.rows), "x"
        )
        words = chosen + within + np.array(values(chosen.size), dtype=object).reshape(chosen.shape)
        return Drawn(pa.array([between.join(row) for row in words], pa.string()), np.zeros(self.rows))

    def _own_keys(self, keys: str) -> list[str]:
        """The first key of every row, or some keys where no column holds them."""
        side, _, name = keys.partition(":")
        if side == "const":
            return [name]
        if name not in self.drawn:
            return [*map(str, range(10))] if side == "feature" else list(_FEW)
        cells = self.drawn[name].values.to_pylist()
        return [str(cell if cell is not None else "x").split("\x1d")[0] or "x" for cell in cells]

    def with_gaps(self, drawn: Drawn) -> Drawn:
        """The same column with some values missing."""
        return Drawn(
            pa.array(drawn.values.to_pylist(), drawn.values.type, mask=self.rng.random(self.rows) < MISSING),
            drawn.signal,
        )


@dataclass(frozen=True)
class Shape:
    """How many values a cell holds (0: from one to three), what stands between them, whether they carry weights."""

    count: int = 1
    separator: str = ""
    weighted: bool = False


def make_table(config: EasyRecConfig, rows: int, seed: int = 1) -> pa.Table:
    """Columns of all features, labels and sample weights of a config."""
    rng = np.random.default_rng(seed)
    draw = _Draw(rows, rng)
    drawn = _inputs(config, draw)
    total = np.sum([each.signal for each in drawn.values()], axis=0) if drawn else np.zeros(rows)
    signal = (total - total.mean()) / (total.std() or 1.0)
    columns = {name: each.values for name, each in drawn.items()}
    columns |= {name: array for name, array in _labels(config, signal, rng).items() if name not in columns}
    columns |= {name: pa.array(rng.uniform(0.5, 1.5, rows)) for name in config.data_config.sample_weight_fields}
    return pa.table(columns)


def make_data(config: EasyRecConfig, path: str, rows: int, seed: int = 1) -> None:
    """Write files that a config can train on, in the format of its data_config.

    Args:
        config: says which columns, of which types, and how they are encoded.
        path: a folder, or a glob such as `data/train/*.parquet`, whose star becomes `part-0`, `part-1`.
        rows: in all files together.
        seed: the same one makes the same rows.
    """
    data = config.data_config
    is_csv = data.dataset_type == data_pb2.CsvDataset
    pattern = path if "*" in path else f"{path}/*.{'csv' if is_csv else 'parquet'}"
    Path(pattern).parent.mkdir(parents=True, exist_ok=True)
    table = make_table(config, rows, seed)
    for number in range(FILES):
        first, after = rows * number // FILES, rows * (number + 1) // FILES
        part, name = table.slice(first, after - first), pattern.replace("*", f"part-{number}")
        if is_csv:
            options = pacsv.WriteOptions(include_header=data.with_header, delimiter=data.delimiter)
            pacsv.write_csv(_in_file_order(part, data), name, options)
        else:
            pq.write_table(part, name)


def _in_file_order(table: pa.Table, data: data_pb2.DataConfig) -> pa.Table:
    """A file without header has the declared columns in their order, those that nothing reads as well."""
    if data.with_header:
        return table
    empty = pa.nulls(table.num_rows, pa.string())
    names = list(declared_fields(data))
    return pa.table({name: table[name] if name in table.column_names else empty for name in names})


def _inputs(config: EasyRecConfig, draw: _Draw) -> dict[str, Drawn]:
    """The raw columns of the features; where two features read one column, the first says what is in it."""
    encoder = FeatureEncoder.from_config(config.feature_configs, config.data_config)
    messages = {
        feature.name: _message(each)
        for each, feature in zip(config.feature_configs, encoder.features.values(), strict=True)
    }
    drawn = draw.drawn
    # features of several inputs come last, for theirs can be made to fit; and keys come before their maps
    for name, feature in sorted(encoder.features.items(), key=lambda item: len(item[1].inputs) > 1):
        for place, source in reversed(list(enumerate(feature.inputs))):
            if source.name in encoder.columns and source.name not in drawn:
                drawn[source.name] = _column(feature, messages[name], place, config.data_config, draw)
    types = declared_types(config.data_config)
    return {name: _as_declared(each, types.get(name)) for name, each in drawn.items()}


def _message(config: feature_pb2.FeatureConfig) -> Message:
    member = registry.chosen(config, "feature")
    assert member is not None  # the encoder has been built from it
    return member[1]


def _as_declared(drawn: Drawn, kind: pa.DataType | None) -> Drawn:
    """Whole numbers in a column declared FLOAT are floats, and those declared STRING are text."""
    return (
        drawn if kind is None or pa.types.is_string(drawn.values.type) else Drawn(drawn.values.cast(kind), drawn.signal)
    )


def _column(feature: Feature, message: Any, place: int, data: data_pb2.DataConfig, draw: _Draw) -> Drawn:
    """The input of a feature at this place among its inputs."""
    encoded = data.fg_mode == data_pb2.FG_NONE
    maker = _MAKERS.get(message.DESCRIPTOR.name)
    if maker is not None and not is_encoded(data):
        return draw.with_gaps(maker(message, place, draw))
    separator = getattr(message, "value_separator", getattr(message, "separator", ""))
    separator = data.fg_encoded_multival_sep if encoded else separator
    shape = Shape(_count(feature, message), separator, feature.is_weighted)
    if not feature.is_sparse:
        return draw.numbers(0.5, 5.0, shape)
    if encoded:
        assert feature.table is not None
        return _ids(feature.table.rows, shape, draw)
    if getattr(message, "boundaries", None):
        return draw.numbers(message.boundaries[0], message.boundaries[-1] + 1.0, shape)
    return draw.with_gaps(_words(message, shape, draw))


def _count(feature: Feature, message: Any) -> int:
    """Values in a cell, 0 for one to three."""
    if not feature.is_sparse:
        return feature.dim
    known = "value_dim" in message.DESCRIPTOR.fields_by_name and message.HasField("value_dim")
    return int(message.value_dim) if known else 1


def _variable(message: feature_pb2.ExprFeature, place: int, draw: _Draw) -> Drawn:
    """Numbers above 0, of which formulas can take logarithms."""
    return draw.numbers(1.0, 5.0, Shape())


def _text(message: Any, place: int, draw: _Draw) -> Drawn:
    """One to three of a few words, so that two columns have some in common."""
    return draw.tokens(_FEW.__getitem__, len(_FEW), Shape(0, getattr(message, "separator", " ")))


def _weighted(message: feature_pb2.KvDotProduct, place: int, draw: _Draw) -> Drawn:
    return draw.tokens(_FEW.__getitem__, len(_FEW), Shape(0, message.separator, weighted=True))


def _masked(message: feature_pb2.BoolMaskFeature, place: int, draw: _Draw) -> Drawn:
    """Three values, or what lets them through."""
    shape = Shape(3, message.separator)
    if place == 0:
        return _words(message, shape, draw)
    return draw.tokens(np.array(["true", "false"], dtype=object).__getitem__, 2, shape)


def _crossed(message: Any, place: int, draw: _Draw) -> Drawn:
    """One of a few words, so that pairs of them and keys occur often."""
    return draw.tokens(_FEW.__getitem__, len(_FEW), Shape(1, message.separator))


def _looked_up(message: feature_pb2.LookupFeature, place: int, draw: _Draw) -> Drawn:
    """A map with values that fit, or keys."""
    if place > 0:
        return _crossed(message, place, draw)
    return draw.pairs(message.key, lambda count: _values(message, count, draw), "\x1d", ":")


def _matched(message: feature_pb2.MatchFeature, place: int, draw: _Draw) -> Drawn:
    """A map of maps, or keys."""
    if place > 0:
        return _crossed(message, place, draw)

    def inner(count: int) -> Sequence[str]:
        cells = _Draw(count, draw.rng)
        cells.drawn = {name: Drawn(pa.array(np.resize(each.values, count)), np.zeros(count)) for name, each in texts}
        return cells.pairs(message.skey, lambda size: _values(message, size, draw), ",", ":").values.to_pylist()

    texts = [(name, each) for name, each in draw.drawn.items() if message.skey.endswith(f":{name}")]
    return draw.pairs(message.pkey, inner, "|", "^")


def _values(message: Any, count: int, draw: _Draw) -> Sequence[str]:
    """Values that lookup and match features can use."""
    words = _vocabulary(message)
    if words:
        return [words[at] for at in draw.rng.integers(0, len(words), count)]
    if message.num_buckets or message.hash_bucket_size:
        return list(map(str, draw.rng.integers(0, min(message.num_buckets or MOST_IDS, MOST_IDS), count)))
    edges = message.boundaries or (0.5, 5.0)
    numbers = draw.rng.uniform(edges[0] - 1, edges[-1] + 1, (count, message.value_dim or 1))
    return [getattr(message, "value_separator", "").join(f"{each:.3f}" for each in row) for row in numbers]


def _combined(message: feature_pb2.CombineFeature, place: int, draw: _Draw) -> Drawn:
    """One to three words or numbers, whose sum fits."""
    shape = Shape(1 if message.num_buckets and message.value_map else 0, message.separator)
    if message.value_map:
        words = sorted(message.value_map)
        return draw.tokens(lambda ids: [words[at] for at in ids], len(words), shape)
    if message.num_buckets:
        return _ids(max(message.num_buckets // 3, 1), shape, draw)
    edges = message.boundaries or (0.5, 5.0)
    return draw.numbers(edges[0], edges[-1] + 1.0, shape)


_FEW = np.array([f"word{number}" for number in range(20)], dtype=object)
# message -> what its inputs hold, for those that read something else than values which are ids or numbers
_MAKERS: dict[str, Callable[[Any, int, _Draw], Drawn]] = {
    "ComboFeature": _crossed,
    "LookupFeature": _looked_up,
    "MatchFeature": _matched,
    "CombineFeature": _combined,
    "ExprFeature": _variable,
    "OverlapFeature": _text,
    "KvDotProduct": _weighted,
    "BoolMaskFeature": _masked,
    "TokenizeFeature": _text,
    "CustomFeature": _text,
}


def _ids(size: int, shape: Shape, draw: _Draw) -> Drawn:
    """Ids below `size`, as integers where a cell holds just one."""
    if shape.count == 1 and not shape.weighted:
        return draw.integers(size)
    return draw.tokens(lambda ids: list(map(str, ids.tolist())), size, shape)


def _words(message: Any, shape: Shape, draw: _Draw) -> Drawn:
    """Values that the bucketiser of a feature knows."""
    vocabulary = _vocabulary(message)
    if vocabulary:
        return draw.tokens(lambda ids: [vocabulary[at] for at in ids], len(vocabulary), shape)
    if getattr(message, "num_buckets", 0):
        return _ids(message.num_buckets, shape, draw)
    return draw.tokens(lambda ids: [f"{message.feature_name}_{at}" for at in ids], MOST_IDS, shape)


def _vocabulary(message: Any) -> list[str]:
    if getattr(message, "vocab_list", None):
        return list(message.vocab_list)
    if getattr(message, "vocab_dict", None):
        return sorted(message.vocab_dict)
    if getattr(message, "vocab_file", ""):
        return list(read_vocabulary(vocabulary_path(message)))
    return []


@dataclass(frozen=True)
class _Target:
    """What a model expects of a label column."""

    num_class: int = 1
    is_number: bool = False
    only_where: str = ""


def _labels(config: EasyRecConfig, signal: Floats, rng: np.random.Generator) -> dict[str, pa.Array]:
    """Label columns: whole numbers for classes, floats for regression; 0 wherever a task's space says it is not in."""
    targets = {name: _Target() for name in config.data_config.label_fields} | dict(_targets(config))
    made = {name: _label(target, signal, rng) for name, target in targets.items()}
    return {
        name: pa.array(values * (made[target.only_where] > 0) if (target := targets[name]).only_where else values)
        for name, values in made.items()
    }


def _label(target: _Target, signal: Floats, rng: np.random.Generator) -> npt.NDArray[Any]:
    noisy = STRENGTH * signal + rng.logistic(size=len(signal))  # its sign is Bernoulli(sigmoid(STRENGTH * signal))
    if target.is_number:
        return noisy.astype(np.float32)
    if target.num_class <= 2:
        return (noisy > 0.5).astype(np.int64)
    edges = np.quantile(noisy, np.linspace(0, 1, target.num_class + 1)[1:-1])
    return np.searchsorted(edges, noisy).astype(np.int64)


def _targets(config: EasyRecConfig) -> Iterator[tuple[str, _Target]]:
    """The labels of the task towers, or that of a model with a single task."""
    model = config.model_config
    towers = list(_with_label(model))
    for tower in towers:
        yield (
            tower.label_name,
            _Target(tower.num_class, _is_number(tower), getattr(tower, "task_space_indicator_label", "")),
        )
    if not towers and config.data_config.label_fields:
        yield config.data_config.label_fields[0], _Target(model.num_class, _is_number(model))


def _is_number(task: Any) -> bool:
    return any(loss.WhichOneof("loss") in ("l2_loss", "huber_loss", "ziln_loss") for loss in task.losses)


def _with_label(message: Message) -> Iterator[Any]:
    """All messages inside one that name a label."""
    if "label_name" in message.DESCRIPTOR.fields_by_name:
        yield message
    for field, value in message.ListFields():
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for inner in value if field.is_repeated else [value]:
                yield from _with_label(inner)
