"""From values to rows of a table: hash, identity, vocabulary, boundaries.

A bucketizer maps whole columns; `one` says the same for a single word and serves the default values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.config.vocabulary import read_vocabulary, vocabulary_path
from tzrec.errors import ConfigError, Problem
from tzrec.features.arrays import BoolArray, FloatArray, Int64Array
from tzrec.features.jagged import Elements
from tzrec.features.text.spans import Spans, decimals
from tzrec.protos import data_pb2

NOT_AN_INTEGER = "not an integer"
NOT_A_NUMBER = "not a number"
NOT_FINITE = "not finite"
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class InvalidValues:
    """Elements that have no bucket, `(N,)` true, and why."""

    reason: str
    mask: BoolArray


class Bucketizer:
    """Maps elements to ids in `[0, rows)`."""

    rows: int

    def __call__(self, elements: Elements) -> tuple[Int64Array, list[InvalidValues]]:
        """Ids `(N,)`, arbitrary where a fault says so."""
        raise NotImplementedError

    def one(self, word: str) -> int:
        """Id of a single word.

        Raises:
            ValueError: it has none; the message is the reason.
        """
        raise NotImplementedError


def integers(elements: Elements) -> tuple[Int64Array, list[InvalidValues]]:
    """Elements as int64; floats count when they are whole, for pandas turns integers with gaps into floats."""
    if isinstance(elements, Spans):
        values, good = elements.integers()
    elif elements.dtype.kind == "f":
        # -2**63 is a float64, 2**63 - 1 is not: the next float64 above the range is 2**63 itself
        good = (elements == np.trunc(elements)) & (elements >= -(2.0**63)) & (elements < 2.0**63)
        values = np.where(good, elements, 0).astype(np.int64)
    else:
        return elements, []
    return values, _faults(NOT_AN_INTEGER, ~good)


def floats(elements: Elements) -> tuple[FloatArray, list[InvalidValues]]:
    """Elements as finite numbers."""
    if isinstance(elements, Spans):
        values, good = elements.floats()
        return values, _faults(NOT_A_NUMBER, ~good)
    if elements.dtype.kind == "f":
        return elements, _faults(NOT_FINITE, ~np.isfinite(elements))
    return elements, []


def scaled(
    elements: Elements, normalize: Callable[[FloatArray], FloatArray] | None
) -> tuple[FloatArray, list[InvalidValues]]:
    """Elements as normalized float32 `(N,)`."""
    values, faults = floats(elements)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is a fault
        numbers = (normalize(values) if normalize else values).astype(np.float32, copy=False)
    infinite = ~np.isfinite(numbers)
    for fault in faults:
        infinite &= ~fault.mask
    return numbers, faults + _faults(NOT_FINITE, infinite)


def _faults(reason: str, mask: BoolArray) -> list[InvalidValues]:
    return [InvalidValues(reason, mask)] if mask.any() else []


def whole(word: str) -> int:
    """A word as an integer, by the rules of `integers`.

    Raises:
        ValueError: it is none.
    """
    digits, _, zeros = word.strip(" ").partition(".")
    sign = digits[:1] in ("-", "+")
    if not (digits[sign:].isascii() and digits[sign:].isdigit()) or zeros.strip("0"):
        raise ValueError(NOT_AN_INTEGER)
    return int(digits)


class Identity(Bucketizer):
    """`num_buckets`: integers that are ids already."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.out_of_range = f"out of range [0, {rows})"

    def __call__(self, elements: Elements) -> tuple[Int64Array, list[InvalidValues]]:
        ids, faults = integers(elements)
        unsigned = ids.view(np.uint64)  # a negative id becomes a huge one: one comparison serves both ends
        if len(ids) and unsigned.max() >= self.rows:
            faults.append(InvalidValues(self.out_of_range, unsigned >= self.rows))
        return ids, faults

    def one(self, word: str) -> int:
        value = whole(word)
        if not 0 <= value < self.rows:
            raise ValueError(self.out_of_range)
        return value


class Hash(Bucketizer):
    """`hash_bucket_size`: hash of the text, numbers in decimal, modulo the rows.

    With `as_integer` text is read as a number first, so that "007" and "7" are one id. With `farm` the hash is
    FarmHash's Fingerprint64 instead of MurmurHash64A.
    """

    def __init__(self, rows: int, as_integer: bool = False, farm: bool = False) -> None:
        self.rows = rows
        self.as_integer = as_integer
        self.farm = farm

    def __call__(self, elements: Elements) -> tuple[Int64Array, list[InvalidValues]]:
        faults: list[InvalidValues] = []
        if not isinstance(elements, Spans) or self.as_integer:
            values, faults = integers(elements)
            if not self.farm:
                from tzrec.features.kernels import parse

                return parse.hash_integers(values, self.rows), faults
            elements = decimals(values)
        return (elements.farm_hash(self.rows) if self.farm else elements.hash(self.rows)), faults

    def one(self, word: str) -> int:
        spans = Spans.repeat(str(whole(word)) if self.as_integer else word, 1)
        return int((spans.farm_hash(self.rows) if self.farm else spans.hash(self.rows))[0])


class Vocabulary(Bucketizer):
    """`vocab_list`, `vocab_dict`, `vocab_file`: listed words have ids, all others share one."""

    def __init__(self, ids: Mapping[str, int], oov: int, rows: int, as_integer: bool = False) -> None:
        self.rows = rows
        self.oov = oov
        self.as_integer = as_integer
        self._ids = dict(ids)
        self._words = pa.array(self._ids.keys(), pa.large_string())
        # one more at the end, for index -1: words that are not listed
        self._rows_of = np.array([*self._ids.values(), oov], np.int64)

    def __call__(self, elements: Elements) -> tuple[Int64Array, list[InvalidValues]]:
        faults: list[InvalidValues] = []
        if isinstance(elements, Spans) and not self.as_integer:
            words = elements.arrow()
        else:
            values, faults = integers(elements)
            words = pa.array(values).cast(pa.large_string())
        found = pc.index_in(words, value_set=self._words).fill_null(-1).to_numpy(zero_copy_only=False)
        return self._rows_of[found], faults

    def one(self, word: str) -> int:
        return self._ids.get(str(whole(word)) if self.as_integer else word, self.oov)


class Boundaries(Bucketizer):
    """`boundaries`: the number of edges <= value, compared in float32 as the edges are."""

    def __init__(self, edges: Sequence[float], normalize: Callable[[FloatArray], FloatArray] | None = None) -> None:
        self.rows = len(edges) + 1
        self._edges = np.array(edges, np.float32)
        self._normalize = normalize

    def __call__(self, elements: Elements) -> tuple[Int64Array, list[InvalidValues]]:
        numbers, faults = self.compared(elements)
        return np.searchsorted(self._edges, numbers, side="right").astype(np.int64, copy=False), faults

    def compared(self, elements: Elements) -> tuple[FloatArray, list[InvalidValues]]:
        """The normalized numbers, float32 `(N,)`, that are compared with the edges."""
        return scaled(elements, self._normalize)

    def one(self, word: str) -> int:
        """Id of a default value, which bypasses the normalizer."""
        return int(np.searchsorted(self._edges, np.float32(number(word)), side="right"))


def number(word: str) -> float:
    """A word as a finite number.

    Raises:
        ValueError: it is none.
    """
    try:
        value = float(word.replace("_", "?"))  # Python reads 1_000, nobody else does
    except ValueError:
        raise ValueError(NOT_A_NUMBER) from None
    if not abs(value) <= _LARGEST:
        raise ValueError(NOT_FINITE)
    return value


def from_config(config: Any, data: data_pb2.DataConfig) -> Bucketizer:
    """The bucketizer that the fields of a feature message choose.

    Raises:
        ConfigError: none or several are chosen, one is not implemented, or its ids do not fit.
    """
    found = chosen(config)
    known = [name for name in NAMES if name in config.DESCRIPTOR.fields_by_name]
    if len(found) != 1:
        said = f"{' and '.join(found)} are set" if found else "none is set"
        raise _problem("", f"needs exactly one of {', '.join(known)}; {said}")
    if found[0] == "hash_bucket_size":
        farm = data.string_hash == data_pb2.STRING_HASH_FARM64
        return Hash(rows_of(config, "hash_bucket_size"), _as_integer(config), farm)
    if found[0] not in _MAKERS:
        raise _problem(found[0], f"not implemented yet; use one of {', '.join(known)}")
    return _MAKERS[found[0]](config)


def chosen(config: Any) -> list[str]:
    """The bucketizers that are set in a feature message."""
    return [name for name in _FIELDS if _is_set(config, name)]


def _is_set(config: Any, name: str) -> bool:
    field = config.DESCRIPTOR.fields_by_name.get(name)
    if field is None:
        return False
    return bool(getattr(config, name)) if field.is_repeated else config.HasField(name)


def _problem(name: str, message: str) -> ConfigError:
    return ConfigError([Problem(name, message)])


def rows_of(config: Any, name: str) -> int:
    """The rows a field asks for.

    Raises:
        ConfigError: there can be no such table.
    """
    rows = getattr(config, name)
    if not 0 < rows < 1 << 63:
        raise _problem(name, f"{rows} rows; a table has at least one and less than 2^63")
    return int(rows)


def _as_integer(config: Any) -> bool:
    kind = getattr(config, "fg_value_type", "").lower()
    if kind not in ("", "string", "int32", "int64"):
        raise _problem("fg_value_type", f'"{config.fg_value_type}" is not one of string, int32, int64')
    return kind.startswith("int")


def _from_vocab_list(config: Any) -> Bucketizer:
    """Without default_bucketize_value rows 0 and 1 are the default and all unlisted words."""
    words = list(config.vocab_list)
    if config.HasField("default_bucketize_value"):
        oov = config.default_bucketize_value
    else:
        words, oov = [config.default_value, "<OOV>", *words], 1
    ids = {word: i for i, word in enumerate(words)}  # a default that is listed keeps its later place
    return _vocabulary(config, ids, oov, len(words))


def _from_vocab_dict(config: Any) -> Bucketizer:
    """Without default_bucketize_value rows 0 and 1 are the default and all unlisted words."""
    ids = dict(config.vocab_dict)
    rows = max(ids.values()) + 1
    if config.HasField("default_bucketize_value"):
        return _vocabulary(config, ids, config.default_bucketize_value, rows)
    low = sorted(word for word, i in ids.items() if i < 2)
    if low:
        raise _problem(
            "vocab_dict",
            f'"{low[0]}" has index {ids[low[0]]}; 0 is the default value and 1 every unlisted word, so indices start '
            "at 2 unless default_bucketize_value is set",
        )
    ids[config.default_value] = 0  # also where it is listed: the opposite of vocab_list
    return _vocabulary(config, ids, 1, rows)


def _from_vocab_file(config: Any) -> Bucketizer:
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


_MAKERS: dict[str, Callable[[Any], Bucketizer]] = {
    "num_buckets": lambda config: Identity(rows_of(config, "num_buckets")),
    "vocab_list": _from_vocab_list,
    "vocab_dict": _from_vocab_dict,
    "vocab_file": _from_vocab_file,
}
NAMES = ("hash_bucket_size", *_MAKERS)
_FIELDS = (*NAMES, "zch", "dynamicemb")
