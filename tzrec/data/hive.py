"""Partition folders as Hive and Spark write them: `dt=2024-05-01/hour=3/part-0.parquet`.

The folders of a file give columns that have one value for all of its rows. A path chooses a range of them by
`dt=2024-05-01..2024-05-07`: both ends are included, and either can be left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

import pyarrow as pa

from tzrec.errors import DataError

NULL = "__HIVE_DEFAULT_PARTITION__"
"""Folder name of rows without a value."""

Partitions = tuple[tuple[str, str | None], ...]
"""Names and values of the partition columns of a file; None for null."""

_KEY = re.compile(r"(?P<key>[^=*?\[\]{}/]+)=(?P<value>.*)", re.DOTALL)
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?[0-9]+")
_UNQUOTED = " !$&'()+,;@"
"""What Spark does not write as %-escapes either."""
_INT64_DIGITS = 18
_MAX_VALUES = 5


def partitions_of(path: str) -> Partitions:
    """Read the partition columns of a file from the folders of its path, `key=value`, with %-escapes decoded."""
    if "=" not in path:
        return ()
    matches = (_KEY.fullmatch(folder) for folder in path.split("/")[:-1])
    pairs = {unquote(match["key"]): unquote(match["value"]) for match in matches if match}
    return tuple((key, None if value == NULL else value) for key, value in pairs.items())


def partition_folder(partitions: Partitions) -> str:
    """Write the folders of partition columns as `partitions_of` reads them, with a slash behind each; "" for none."""
    pairs = (
        (quote(key, safe=_UNQUOTED), NULL if value is None else quote(value, safe=_UNQUOTED))
        for key, value in partitions
    )
    return "".join(f"{key}={value}/" for key, value in pairs)


def partition_type(values: Iterable[str | None]) -> pa.DataType:
    """Determine the type of a partition column: int64 if all values are integers without leading zeros, else text."""
    known = [value for value in values if value is not None]
    is_integer = known and all(_INTEGER.fullmatch(value) and len(value) <= _INT64_DIGITS for value in known)
    return pa.int64() if is_integer else pa.string()


@dataclass(frozen=True)
class PartitionRange:
    """A folder `key=start..stop` of an input path.

    Numbers are compared as numbers, everything else as text; a stop that is shorter than a value includes all values
    that begin with it, so that `dt=2024-01..2024-02` ends with the last day of February.

    Attributes:
        text: the folder as it was given.
        key: name of the column.
        start: least value; "" for no limit.
        stop: greatest value; "" for no limit.
    """

    text: str
    key: str
    start: str
    stop: str

    @classmethod
    def parse(cls, folder: str) -> PartitionRange | None:
        """Parse a folder of an input path; None if it is no range.

        Raises:
            DataError: it is a malformed range, or a range in another notation.
        """
        match = _KEY.fullmatch(folder)
        if match is None or ".." not in match["value"]:
            return None
        start, _, stop = match["value"].partition("..")
        example = f"write {match['key']}=FROM..TO, such as {match['key']}=2024-01-01..2024-01-07"
        problem = ""
        if re.search(r"[*?\[\]{}]", start + stop):
            problem = "the ends of a range are values, without wildcards or brackets"
        elif ".." in stop or not start + stop:
            problem = "a range has two ends, of which one can be left out"
        elif start and stop and _is_after(start, stop):
            problem = "it ends before it begins"
        if problem:
            raise DataError(f'"{folder}" is not a range of partitions: {problem}; {example}')
        return cls(folder, match["key"], unquote(start), unquote(stop))

    def __contains__(self, value: str | None) -> bool:
        if value is None:
            return False
        if all(_NUMBER.fullmatch(end) for end in (self.start, self.stop) if end):
            if not _NUMBER.fullmatch(value):
                return False
            return not (self.start and int(value) < int(self.start)) and not (self.stop and int(value) > int(self.stop))
        return self.start <= value and (not self.stop or value[: len(self.stop)] <= self.stop)

    def no_match_text(self, values: Sequence[str | None], parent: str) -> str:
        """Describe the values that there are, none of which is in the range.

        Args:
            values: of all folders of this key.
            parent: the folder that contains them.
        """
        known = sorted({value for value in values if value is not None})
        if not known:
            return f'; "{parent}" has no folder "{self.key}=..."'
        shown = known if len(known) <= _MAX_VALUES else [known[0], "...", known[-1]]
        return f'; "{self.text}" contains none of its values: {", ".join(shown)}'


def _is_after(start: str, stop: str) -> bool:
    if _NUMBER.fullmatch(start) and _NUMBER.fullmatch(stop):
        return int(start) > int(stop)
    return start[: len(stop)] > stop


def refuse_bracket_ranges(patterns: Sequence[str]) -> None:
    """Refuse ranges in the notation of other tools, which commas and wildcards would take apart.

    Raises:
        DataError: a partition folder has a bracket that does not close before the next comma, or braces.
    """
    for pattern in patterns:
        for folder in pattern.split("/"):
            match = _KEY.fullmatch(folder)
            if match and ("{" in match["value"] or match["value"].count("[") != match["value"].count("]")):
                raise DataError(
                    f'"{folder}": brackets and braces do not choose partitions; write {match["key"]}=FROM..TO for a '
                    f"range, such as {match['key']}=2024-01-01..2024-01-07, or a comma list of paths"
                )


def cast_partition(key: str, value: str | None, kind: pa.DataType, file_name: str) -> pa.Scalar:
    """Convert the value of a partition folder to the type of its column.

    Raises:
        DataError: the value is not of this type.
    """
    if value is None:
        return pa.scalar(None, kind)
    try:
        return pa.scalar(value, pa.string()).cast(kind)
    except pa.ArrowException as error:
        raise DataError(f'{file_name}: partition column "{key}": "{value}" is not {kind}') from error


def partition_types(partitions: Sequence[Partitions], declared: Mapping[str, pa.DataType]) -> dict[str, pa.DataType]:
    """Determine the types of the partition columns of files: declared, or the narrowest for all values.

    Args:
        partitions: of each file.
        declared: types of data_config.input_fields.
    """
    values: dict[str, set[str | None]] = {}
    for pairs in partitions:
        for key, value in pairs:
            values.setdefault(key, set()).add(value)
    return {key: declared.get(key) or partition_type(items) for key, items in values.items()}
