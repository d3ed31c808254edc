"""Bucketizers: map values to rows of a table by hash, identity, vocabulary or boundaries.

A bucketizer maps whole columns; `one` maps a single word in the same way and serves the default values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.config.options import words
from tzrec.config.rules.bucketizer import set_bucketizers
from tzrec.config.vocabulary import read_vocabulary, vocabulary_path
from tzrec.errors import ConfigError, Problem
from tzrec.features.arrays import FloatArray, Int64Array
from tzrec.features.bad_rows import InvalidValues
from tzrec.features.jagged import Elements
from tzrec.features.numbers import parse_integer, parse_number, to_float32, to_integers
from tzrec.features.text.spans import Spans, to_decimals
from tzrec.protos import data_pb2


class Bucketizer:
    """Maps elements to ids in `[0, rows)`."""

    rows: int

    def __call__(self, elements: Elements) -> tuple[Int64Array, list[InvalidValues]]:
        """Return ids `(N,)`, arbitrary for invalid values."""
        raise NotImplementedError

    def one(self, word: str) -> int:
        """Return the id of a single word.

        Raises:
            ValueError: it has none; the message is the reason.
        """
        raise NotImplementedError

    def describe(self, row: int) -> str:
        """Describe the values that have this id, for a table of a report."""
        return str(row)

    def encoded_values(self, elements: Elements) -> Elements:
        """Return the values that data for FG_BUCKETIZE holds in place of these elements, `(N,)`."""
        return elements


class Identity(Bucketizer):
    """`num_buckets`: integers that are ids already."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.out_of_range = f"out of range [0, {rows})"

    def __call__(self, elements: Elements) -> tuple[Int64Array, list[InvalidValues]]:
        ids, invalid = to_integers(elements)
        unsigned = ids.view(np.uint64)  # a negative id becomes a huge one: one comparison serves both ends
        if len(ids) and unsigned.max() >= self.rows:
            invalid.append(InvalidValues(self.out_of_range, unsigned >= self.rows))
        return ids, invalid

    def one(self, word: str) -> int:
        value = parse_integer(word)
        if not 0 <= value < self.rows:
            raise ValueError(self.out_of_range)
        return value


class Hash(Bucketizer):
    """`hash_bucket_size`: hash of the text, numbers in decimal, modulo the rows.

    Args:
        rows: rows of the table.
        as_integer: read text as a number first, so that "007" and "7" are one id.
        farm: hash with FarmHash's Fingerprint64, as TensorFlow does, instead of MurmurHash64A, as libstdc++ does.
    """

    def __init__(self, rows: int, as_integer: bool = False, farm: bool = False) -> None:
        self.rows = rows
        self.as_integer = as_integer
        self.farm = farm

    def __call__(self, elements: Elements) -> tuple[Int64Array, list[InvalidValues]]:
        invalid: list[InvalidValues] = []
        if not isinstance(elements, Spans) or self.as_integer:
            values, invalid = to_integers(elements)
            if not self.farm:
                from tzrec.features.kernels import parse

                return parse.hash_integers(values, self.rows), invalid
            elements = to_decimals(values)
        return self._hash(elements), invalid

    def one(self, word: str) -> int:
        return int(self._hash(Spans.repeat(str(parse_integer(word)) if self.as_integer else word, 1))[0])

    def _hash(self, spans: Spans) -> Int64Array:
        return spans.farm_hash(self.rows) if self.farm else spans.hash(self.rows)


class Vocabulary(Bucketizer):
    """`vocab_list`, `vocab_dict`, `vocab_file`: listed words have ids, all others share the id `oov`."""

    def __init__(self, ids: Mapping[str, int], oov: int, rows: int, as_integer: bool = False) -> None:
        self.rows = rows
        self.oov = oov
        self.as_integer = as_integer
        self._ids = dict(ids)
        self._words = pa.array(self._ids.keys(), pa.large_string())
        # one more at the end, for index -1: words that are not listed
        self._id_by_index = np.array([*self._ids.values(), oov], np.int64)

    def __call__(self, elements: Elements) -> tuple[Int64Array, list[InvalidValues]]:
        invalid: list[InvalidValues] = []
        if isinstance(elements, Spans) and not self.as_integer:
            words = elements.to_arrow()
        else:
            values, invalid = to_integers(elements)
            words = pa.array(values).cast(pa.large_string())
        indices = pc.index_in(words, value_set=self._words).fill_null(-1).to_numpy(zero_copy_only=False)
        return self._id_by_index[indices], invalid

    def describe(self, row: int) -> str:
        words = [word or "missing" for word, i in self._ids.items() if i == row]
        return " | ".join(words[:3]) or ("not listed" if row == self.oov else str(row))

    def one(self, word: str) -> int:
        return self._ids.get(str(parse_integer(word)) if self.as_integer else word, self.oov)


class Boundaries(Bucketizer):
    """`boundaries`: the number of edges <= value, compared in float32, the type of the edges."""

    def __init__(self, edges: Sequence[float], normalize: Callable[[FloatArray], FloatArray] | None = None) -> None:
        self.rows = len(edges) + 1
        self._edges = np.array(edges, np.float32)
        self._normalize = normalize

    def __call__(self, elements: Elements) -> tuple[Int64Array, list[InvalidValues]]:
        numbers, invalid = to_float32(elements, self._normalize)
        return np.searchsorted(self._edges, numbers, side="right").astype(np.int64, copy=False), invalid

    def describe(self, row: int) -> str:
        low = f"{self._edges[row - 1]:.4g}" if row else ""
        high = f"{self._edges[row]:.4g}" if row < len(self._edges) else ""
        return f"{low} to below {high}" if low and high else f"below {high}" if high else f"from {low}"

    def encoded_values(self, elements: Elements) -> Elements:
        """Return the normalized numbers, float32 `(N,)`, that are compared with the edges."""
        return to_float32(elements, self._normalize)[0]

    def one(self, word: str) -> int:
        """Return the id of a default value, which is not normalized."""
        return int(np.searchsorted(self._edges, np.float32(parse_number(word)), side="right"))


def make_bucketizer(config: Any, data: data_pb2.DataConfig) -> Bucketizer:
    """Build the bucketizer that the fields of a feature message choose.

    Raises:
        ConfigError: none or several are chosen, one is not implemented, or its ids do not fit.
    """
    chosen = set_bucketizers(config)
    available = [name for name in BUCKETIZERS if name in config.DESCRIPTOR.fields_by_name]
    if len(chosen) != 1:
        received = f"{' and '.join(chosen)} are set" if chosen else "none is set"
        raise _problem("", f"needs exactly one of {', '.join(available)}; {received}")
    if chosen[0] not in _MAKERS:
        raise _problem(chosen[0], f"not implemented yet; use one of {', '.join(available)}")
    return _MAKERS[chosen[0]](config, data)


def _problem(name: str, message: str) -> ConfigError:
    return ConfigError([Problem(name, message)])


def table_rows(config: Any, name: str) -> int:
    """Read the number of table rows from a field.

    Raises:
        ConfigError: it is not a possible size of a table.
    """
    rows = getattr(config, name)
    if not 0 < rows < 1 << 63:
        raise _problem(name, f"{rows} rows; a table has at least one and less than 2^63")
    return int(rows)


def _as_integer(config: Any) -> bool:
    kind = getattr(config, "fg_value_type", "").lower()
    kinds = words(type(config), "fg_value_type") if kind else ("",)
    if kind not in kinds:
        raise _problem("fg_value_type", f'"{config.fg_value_type}" is not one of {", ".join(filter(None, kinds))}')
    return kind.startswith("int")


def _from_hash_bucket_size(config: Any, data: data_pb2.DataConfig) -> Bucketizer:
    farm = data.string_hash == data_pb2.STRING_HASH_FARM64
    return Hash(table_rows(config, "hash_bucket_size"), _as_integer(config), farm)


def _from_vocab_list(config: Any, data: data_pb2.DataConfig) -> Bucketizer:
    """Build from vocab_list; without default_bucketize_value rows 0 and 1 are the default and all unlisted words."""
    words = list(config.vocab_list)
    if config.HasField("default_bucketize_value"):
        oov = config.default_bucketize_value
    else:
        words, oov = [config.default_value, "<OOV>", *words], 1
    ids = {word: i for i, word in enumerate(words)}  # a default that is listed keeps its later row
    return _vocabulary(config, ids, oov, len(words))


def _from_vocab_dict(config: Any, data: data_pb2.DataConfig) -> Bucketizer:
    """Build from vocab_dict; without default_bucketize_value rows 0 and 1 are the default and all unlisted words."""
    ids = dict(config.vocab_dict)
    rows = max(ids.values()) + 1
    if config.HasField("default_bucketize_value"):
        return _vocabulary(config, ids, config.default_bucketize_value, rows)
    reserved = sorted(word for word, i in ids.items() if i < 2)
    if reserved:
        raise _problem(
            "vocab_dict",
            f'"{reserved[0]}" has index {ids[reserved[0]]}; 0 is the default value and 1 every unlisted word, so '
            "indices start at 2 unless default_bucketize_value is set",
        )
    ids[config.default_value] = 0  # also if it is listed, unlike vocab_list
    return _vocabulary(config, ids, 1, rows)


def _from_vocab_file(config: Any, data: data_pb2.DataConfig) -> Bucketizer:
    if not config.HasField("default_bucketize_value"):
        raise _problem("vocab_file", "needs default_bucketize_value: the id of words that are not in the file")
    try:
        ids = read_vocabulary(vocabulary_path(config))
    except ValueError as error:
        raise _problem("vocab_file", str(error)) from None
    return _vocabulary(config, ids, config.default_bucketize_value, max(ids.values()) + 1)


def _vocabulary(config: Any, ids: Mapping[str, int], oov: int, rows: int) -> Bucketizer:
    if oov >= rows:
        raise _problem("default_bucketize_value", f"{oov} is outside of the vocabulary's {rows} rows")
    return Vocabulary(ids, oov, rows, _as_integer(config))


_MAKERS: dict[str, Callable[[Any, data_pb2.DataConfig], Bucketizer]] = {
    "hash_bucket_size": _from_hash_bucket_size,
    "num_buckets": lambda config, data: Identity(table_rows(config, "num_buckets")),
    "vocab_list": _from_vocab_list,
    "vocab_dict": _from_vocab_dict,
    "vocab_file": _from_vocab_file,
}
BUCKETIZERS = tuple(_MAKERS)
