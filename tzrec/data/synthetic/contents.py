"""Contents of synthetic cells, by the type of the feature that reads them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tzrec.config.rules.bucketizer import num_table_rows
from tzrec.config.vocabulary import read_vocabulary, vocabulary_path
from tzrec.data.synthetic.cells import MAX_IDS, WORDS, Cells, CellSampler, CellShape
from tzrec.features.text.tokenizer import open_tokenizer
from tzrec.protos import data_pb2, feature_pb2
from tzrec.protos.feature_pb2 import TokenizeFeature


def cells_of(message: Any, index: int, data: data_pb2.DataConfig, sampler: CellSampler) -> Cells:
    """Draw cells for the input of a feature at an index among its inputs."""
    draw = _special_draw(message, data)
    if draw is not None:
        return draw(message, index, sampler)
    is_encoded = data.fg_mode == data_pb2.FG_NONE
    separator = getattr(message, "value_separator", getattr(message, "separator", ""))
    separator = data.fg_encoded_multival_sep if is_encoded else separator
    shape = CellShape(_count(message), separator, getattr(message, "weighted", False))
    rows = table_rows(message)
    if not rows:
        return sampler.numbers(0.5, 5.0, shape)
    if is_encoded:
        return _ids(rows, shape, sampler)
    if getattr(message, "boundaries", None):
        return sampler.numbers(message.boundaries[0], message.boundaries[-1] + 1.0, shape)
    return _words(message, shape, sampler)


def can_be_empty(message: Any, data: data_pb2.DataConfig) -> bool:
    """True if a cell may be empty; false for numbers and for encoded ids."""
    if _special_draw(message, data) is not None:
        return True
    return bool(table_rows(message)) and data.fg_mode != data_pb2.FG_NONE and not getattr(message, "boundaries", None)


def can_element_be_empty(message: Any, data: data_pb2.DataConfig, is_single: bool, is_list: bool) -> bool:
    """True if an element of a sequence may be empty, which a list of single values cannot express."""
    if data.fg_mode == data_pb2.FG_NONE:
        return bool(table_rows(message)) and not is_single
    return can_be_empty(message, data) and not (is_single and is_list)


def table_rows(message: Any) -> int:
    """Rows of the table of a feature, 0 if it has none."""
    if isinstance(message, TokenizeFeature):
        return open_tokenizer(message.tokenizer_type, vocabulary_path(message)).rows
    if getattr(message, "vocab_file", ""):
        return max(read_vocabulary(vocabulary_path(message)).values()) + 1
    for name, size in (("zch", "zch_size"), ("dynamicemb", "max_capacity")):
        if name in message.DESCRIPTOR.fields_by_name and message.HasField(name):
            return int(getattr(getattr(message, name), size))
    return num_table_rows(message)


def _count(message: Any) -> int:
    """Values of a cell, 0 for a random number from one to three; a number without a table has a fixed dimension."""
    if isinstance(message, TokenizeFeature):
        return int(message.tokens_as_sequence)  # one token per element
    has_dim = "value_dim" in message.DESCRIPTOR.fields_by_name and message.HasField("value_dim")
    return int(message.value_dim) if has_dim and (message.value_dim or table_rows(message)) else 1


def _variable(message: Any, index: int, sampler: CellSampler) -> Cells:
    """Positive numbers, so that formulas can take logarithms."""
    return sampler.numbers(1.0, 5.0, CellShape())


def _text(message: Any, index: int, sampler: CellSampler) -> Cells:
    """One to three of a few words, so that two columns have words in common."""
    return sampler.tokens(WORDS, CellShape(0, getattr(message, "separator", " ")))


def _weighted(message: feature_pb2.KvDotProduct, index: int, sampler: CellSampler) -> Cells:
    return sampler.tokens(WORDS, CellShape(0, message.separator, weighted=True))


def _masked(message: feature_pb2.BoolMaskFeature, index: int, sampler: CellSampler) -> Cells:
    """Three values, or their mask."""
    shape = CellShape(3, message.separator)
    return _words(message, shape, sampler) if index == 0 else sampler.tokens(["true", "false"], shape)


def _word(message: Any, index: int, sampler: CellSampler) -> Cells:
    """One of a few words, so that pairs and keys occur often."""
    return sampler.tokens(WORDS, CellShape())


def _looked_up(message: feature_pb2.LookupFeature, index: int, sampler: CellSampler) -> Cells:
    """A map with valid values, or keys."""
    if index > 0:
        return _word(message, index, sampler)
    return sampler.maps(message.key, lambda inner: _values(message, inner), "\x1d", ":")


def _matched(message: feature_pb2.MatchFeature, index: int, sampler: CellSampler) -> Cells:
    """A map of maps, or keys."""
    if index > 0:
        return _word(message, index, sampler)

    def inner(sampler: CellSampler) -> Sequence[str]:
        return sampler.maps(message.skey, lambda pairs: _values(message, pairs), ",", ":").values.to_pylist()

    return sampler.maps(message.pkey, inner, "|", "^")


def _values(message: Any, sampler: CellSampler) -> Sequence[str]:
    """Valid values of lookup and match features, one for each cell."""
    words, count = _vocabulary(message), sampler.rows
    if words:
        return [words[index] for index in sampler.rng.integers(0, len(words), count)]
    if message.num_buckets or message.hash_bucket_size:
        return list(map(str, sampler.rng.integers(0, min(message.num_buckets or MAX_IDS, MAX_IDS), count)))
    edges = message.boundaries or (0.5, 5.0)
    numbers = sampler.rng.uniform(edges[0] - 1, edges[-1] + 1, (count, message.value_dim or 1))
    return [getattr(message, "value_separator", "").join(f"{number:.3f}" for number in row) for row in numbers]


def _combined(message: feature_pb2.CombineFeature, index: int, sampler: CellSampler) -> Cells:
    """One to three words or numbers, whose sum is a valid value."""
    shape = CellShape(1 if message.num_buckets and message.value_map else 0, message.separator)
    if message.value_map:
        return sampler.tokens(sorted(message.value_map), shape)
    if message.num_buckets:
        return _ids(max(message.num_buckets // 3, 1), shape, sampler)
    edges = message.boundaries or (0.5, 5.0)
    return sampler.numbers(edges[0], edges[-1] + 1.0, shape)


def _as_text(message: feature_pb2.CustomFeature, index: int, sampler: CellSampler) -> Cells:
    """Words in one text, as an operator receives them; numbers for a formula."""
    if message.operator_name == "SeqExpr":
        return _variable(message, index, sampler)
    return replace(_text(message, index, sampler), is_text=True)


SpecialDraw = Callable[[Any, int, CellSampler], Cells]
# message -> cells of its inputs, for features whose inputs are neither ids nor numbers
_SPECIAL_DRAWS: dict[str, SpecialDraw] = {
    "ComboFeature": _word,
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


def _special_draw(message: Any, data: data_pb2.DataConfig) -> SpecialDraw | None:
    """None where the data holds the output of the feature: ids, or with FG_BUCKETIZE the values before them."""
    is_output = data.fg_mode == data_pb2.FG_NONE
    if data.fg_mode == data_pb2.FG_BUCKETIZE:
        is_output = not isinstance(message, TokenizeFeature)
    return None if is_output else _SPECIAL_DRAWS.get(message.DESCRIPTOR.name)


def _ids(size: int, shape: CellShape, sampler: CellSampler) -> Cells:
    """Ids below `size`, as text if they have weights."""
    if shape.weighted:
        return sampler.tokens([*map(str, range(min(size, MAX_IDS)))], shape)
    return sampler.integers(size, shape)


def _words(message: Any, shape: CellShape, sampler: CellSampler) -> Cells:
    """Values that the bucketizer of a feature accepts."""
    vocabulary = _vocabulary(message)
    if vocabulary:
        return sampler.tokens(vocabulary, shape)
    if getattr(message, "num_buckets", 0):
        return _ids(message.num_buckets, shape, sampler)
    return sampler.tokens([f"{message.feature_name}_{index}" for index in range(MAX_IDS)], shape)


def _vocabulary(message: Any) -> list[str]:
    if getattr(message, "vocab_list", None):
        return list(message.vocab_list)
    if getattr(message, "vocab_dict", None):
        return sorted(message.vocab_dict)
    if getattr(message, "vocab_file", ""):
        return list(read_vocabulary(vocabulary_path(message)))
    return []
