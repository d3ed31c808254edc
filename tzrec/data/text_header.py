"""HeaderReader: the columns of a text file, by its first line or by data_config.input_fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tzrec.data.text_file import TextFile, TextSyntax, first_lines, line_end
from tzrec.data.text_schema import declared_fields
from tzrec.errors import DataError
from tzrec.protos import data_pb2

_HEADER_BYTES = 1 << 20
"""Longest header whose quoted cells may span lines."""
_LINES_TO_COUNT = 100
"""Lines at the start of a file without a header that tell whether it has the labels."""


@dataclass(frozen=True)
class TextHeader:
    """Columns of one file.

    Attributes:
        names: of the cells of a row; none if the file is empty.
        line: the text of a line with these names.
    """

    names: Sequence[str]
    line: bytes


class HeaderReader:
    """Reader of the headers of text files.

    Attributes:
        config: says where the names are.
        syntax: of the files.
    """

    def __init__(self, config: data_pb2.DataConfig) -> None:
        self.config = config
        self.syntax = TextSyntax.of(config)
        self._declared = list(declared_fields(config))

    def read(self, text: TextFile) -> TextHeader:
        """Determine the names of the cells of a file from its start, and drop its header.

        Raises:
            DataError: neither a header nor the config holds the names.
        """
        if self.config.with_header:
            line = self._take_header(text)
            return TextHeader(self.syntax.split(line), line)
        if not self._declared:
            raise DataError(
                f"{text.file.name}: the names of its columns are unknown; set data_config.with_header, "
                "or list all columns in file order in data_config.input_fields"
            )
        return self.of_names(self._names_without_labels(text) or self._declared)

    def of_names(self, names: Sequence[str]) -> TextHeader:
        """Create the header of a file without a header line."""
        return TextHeader(names, self.syntax.delimiter.join(names).encode())

    def _take_header(self, text: TextFile) -> bytes:
        """Take the first record that is not empty; b"" if there is none."""
        while True:
            begin = end = len(text.data) - len(text.data.lstrip(b"\r\n"))
            while end < min(len(text.data), begin + _HEADER_BYTES):
                end = line_end(text.data, end)
                header = text.data[begin:end].rstrip(b"\r\n")
                if (end < len(text.data) or text.is_last) and self.syntax.closes(header):
                    text.skip(end)
                    return header
            if text.is_last or len(text.data) > begin + _HEADER_BYTES:
                header = text.data[begin : line_end(text.data, begin)]  # a quote that never closes
                text.skip(begin + len(header))
                return header.rstrip(b"\r\n")
            text.fill()

    def _names_without_labels(self, text: TextFile) -> list[str]:
        """The declared names without the labels, if most lines have so many cells: rows to score need no labels."""
        lines = first_lines(text.data, 0, len(text.data), _LINES_TO_COUNT)
        count_by_cells = Counter(len(self.syntax.split(line)) for line in lines if line)
        most = count_by_cells.most_common(1)[0][0] if count_by_cells else 0
        labels, weights = self.config.label_fields, self.config.sample_weight_fields
        for targets in ([*labels], [*labels, *weights]):
            names = [name for name in self._declared if name not in targets]
            if len(names) == most < len(self._declared):
                return names
        return []
