"""What the cells of a feature's inputs must hold, so that the feature can make something of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tzrec.config.rules.bucketizer import num_table_rows
from tzrec.config.vocabulary import read_vocabulary, vocabulary_path
from tzrec.data.synthetic.cells import FEW, MOST_IDS, Cells, Draw, Shape
from tzrec.features.text.tokenizer import open_tokenizer
from tzrec.protos import data_pb2, feature_pb2
from tzrec.protos.feature_pb2 import TokenizeFeature


def cells_of(message: Any, place: int, data: data_pb2.DataConfig, draw: Draw) -> Cells:
    """Cells of the input of a feature at this place among its inputs."""
    maker = _maker(message, data)
    if maker is not None:
        return maker(message, place, draw)
    encoded = data.fg_mode == data_pb2.FG_NONE
    separator = getattr(message, "value_separator", getattr(message, "separator", ""))
    separator = data.fg_encoded_multival_sep if encoded else separator
    shape = Shape(_count(message), separator, getattr(message, "weighted", False))
    rows = table_rows(message)
    if not rows:
        return draw.numbers(0.5, 5.0, shape)
    if encoded:
        return _ids(rows, shape, draw)
    if getattr(message, "boundaries", None):
        return draw.numbers(message.boundaries[0], message.boundaries[-1] + 1.0, shape)
    return _words(message, shape, draw)


def may_be_empty(message: Any, data: data_pb2.DataConfig) -> bool:
    """Whether a cell may hold nothing: not where it must be a number, nor in ids that are made already."""
    if _maker(message, data) is not None:
        return True
    return bool(table_rows(message)) and data.fg_mode != data_pb2.FG_NONE and not getattr(message, "boundaries", None)


def may_step_be_empty(message: Any, data: data_pb2.DataConfig, single: bool, as_list: bool) -> bool:
    """Whether a step may hold nothing, of which a list of single values cannot tell."""
    if data.fg_mode == data_pb2.FG_NONE:
        return bool(table_rows(message)) and not single
    return may_be_empty(message, data) and not (single and as_list)


def table_rows(message: Any) -> int:
    """Rows of the table that a feature asks for, 0 where it has none."""
    if isinstance(message, TokenizeFeature):
        return open_tokenizer(message.tokenizer_type, Path(message.asset_dir) / message.vocab_file).rows
    if getattr(message, "vocab_file", ""):
        return max(read_vocabulary(vocabulary_path(message)).values()) + 1
    for name, size in (("zch", "zch_size"), ("dynamicemb", "max_capacity")):
        if name in message.DESCRIPTOR.fields_by_name and message.HasField(name):
            return int(getattr(getattr(message, name), size))
    return num_table_rows(message)


def _count(message: Any) -> int:
    """Values of a cell, 0 for one to three; a number without a table has a fixed width."""
    if isinstance(message, TokenizeFeature):
        return int(message.tokens_as_sequence)  # a token at each step
    known = "value_dim" in message.DESCRIPTOR.fields_by_name and message.HasField("value_dim")
    return int(message.value_dim) if known and (message.value_dim or table_rows(message)) else 1


def _variable(message: feature_pb2.ExprFeature, place: int, draw: Draw) -> Cells:
    """Numbers above 0, of which formulas can take logarithms."""
    return draw.numbers(1.0, 5.0, Shape())


def _text(message: Any, place: int, draw: Draw) -> Cells:
    """One to three of a few words, so that two columns have some in common."""
    return draw.tokens(FEW, Shape(0, getattr(message, "separator", " ")))


def _weighted(message: feature_pb2.KvDotProduct, place: int, draw: Draw) -> Cells:
    return draw.tokens(FEW, Shape(0, message.separator, weighted=True))


def _masked(message: feature_pb2.BoolMaskFeature, place: int, draw: Draw) -> Cells:
    """Three values, or what lets them through."""
    shape = Shape(3, message.separator)
    return _words(message, shape, draw) if place == 0 else draw.tokens(["true", "false"], shape)


def _crossed(message: Any, place: int, draw: Draw) -> Cells:
    """One of a few words, so that pairs of them and keys occur often."""
    return draw.tokens(FEW, Shape())


def _looked_up(message: feature_pb2.LookupFeature, place: int, draw: Draw) -> Cells:
    """A map with values that fit, or keys."""
    if place > 0:
        return _crossed(message, place, draw)
    return draw.maps(message.key, lambda inner: _values(message, inner), "\x1d", ":")


def _matched(message: feature_pb2.MatchFeature, place: int, draw: Draw) -> Cells:
    """A map of maps, or keys."""
    if place > 0:
        return _crossed(message, place, draw)

    def inner(cells: Draw) -> Sequence[str]:
        return cells.maps(message.skey, lambda pairs: _values(message, pairs), ",", ":").values.to_pylist()

    return draw.maps(message.pkey, inner, "|", "^")


def _values(message: Any, draw: Draw) -> Sequence[str]:
    """Values that lookup and match features can use, one for each cell."""
    words, count = _vocabulary(message), draw.rows
    if words:
        return [words[at] for at in draw.rng.integers(0, len(words), count)]
    if message.num_buckets or message.hash_bucket_size:
        return list(map(str, draw.rng.integers(0, min(message.num_buckets or MOST_IDS, MOST_IDS), count)))
    edges = message.boundaries or (0.5, 5.0)
    numbers = draw.rng.uniform(edges[0] - 1, edges[-1] + 1, (count, message.value_dim or 1))
    return [getattr(message, "value_separator", "").join(f"{each:.3f}" for each in row) for row in numbers]


def _combined(message: feature_pb2.CombineFeature, place: int, draw: Draw) -> Cells:
    """One to three words or numbers, whose sum fits."""
    shape = Shape(1 if message.num_buckets and message.value_map else 0, message.separator)
    if message.value_map:
        return draw.tokens(sorted(message.value_map), shape)
    if message.num_buckets:
        return _ids(max(message.num_buckets // 3, 1), shape, draw)
    edges = message.boundaries or (0.5, 5.0)
    return draw.numbers(edges[0], edges[-1] + 1.0, shape)


def _as_text(message: feature_pb2.CustomFeature, place: int, draw: Draw) -> Cells:
    """Words that reach an operator as one text."""
    return replace(_text(message, place, draw), only_text=True)


Maker = Callable[[Any, int, Draw], Cells]
# message -> what its inputs hold, for those that read something else than values which are ids or numbers
_MAKERS: dict[str, Maker] = {
    "ComboFeature": _crossed,
    "LookupFeature": _looked_up,
    "MatchFeature": _matched,
    "CombineFeature": _combined,
    "ExprFeature": _variable,
    "OverlapFeature": _text,
    "KvDotProduct": _weighted,
    "BoolMaskFeature": _masked,
    "TokenizeFeature": _text,
    "CustomFeature": _as_text,
}


def _maker(message: Any, data: data_pb2.DataConfig) -> Maker | None:
    """None where the data holds what the feature makes: ids, or with FG_BUCKETIZE what these are made from."""
    made = data.fg_mode == data_pb2.FG_NONE
    if data.fg_mode == data_pb2.FG_BUCKETIZE:
        made = not isinstance(message, TokenizeFeature)
    return None if made else _MAKERS.get(message.DESCRIPTOR.name)


def _ids(size: int, shape: Shape, draw: Draw) -> Cells:
    """Ids below `size`; those with weights are text."""
    if shape.weighted:
        return draw.tokens([*map(str, range(min(size, MOST_IDS)))], shape)
    return draw.integers(size, shape)


def _words(message: Any, shape: Shape, draw: Draw) -> Cells:
    """Values that the bucketiser of a feature knows."""
    vocabulary = _vocabulary(message)
    if vocabulary:
        return draw.tokens(vocabulary, shape)
    if getattr(message, "num_buckets", 0):
        return _ids(message.num_buckets, shape, draw)
    return draw.tokens([f"{message.feature_name}_{at}" for at in range(MOST_IDS)], shape)


def _vocabulary(message: Any) -> list[str]:
    if getattr(message, "vocab_list", None):
        return list(message.vocab_list)
    if getattr(message, "vocab_dict", None):
        return sorted(message.vocab_dict)
    if getattr(message, "vocab_file", ""):
        return list(read_vocabulary(vocabulary_path(message)))
    return []
