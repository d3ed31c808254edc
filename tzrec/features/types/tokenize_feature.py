"""tokenize_feature: the tokens of a text, as ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np
import pyarrow as pa

from tzrec.config.vocabulary import vocabulary_path
from tzrec.errors import DataError
from tzrec.features.arrays import Int64Array
from tzrec.features.bad_rows import BadRows
from tzrec.features.base import Feature
from tzrec.features.bucketize import Identity
from tzrec.features.column import Column
from tzrec.features.encoders.sparse import Default, SparseEncoder, make_encoded_ids_encoder, make_table
from tzrec.features.inputs import read_input
from tzrec.features.jagged import Jagged
from tzrec.features.text.cleaning import TextCleaner
from tzrec.features.text.spans import Spans
from tzrec.features.text.tokenizer import open_tokenizer
from tzrec.features.text.words import read_words
from tzrec.protos import data_pb2, feature_pb2


class TokenizeFeature(Feature):
    """Token ids of a text, or of all texts of a list; the table has a row for each token of the vocabulary.

    A row without any token takes those of default_value.
    """

    is_sparse = True

    def __init__(self, config: feature_pb2.TokenizeFeature, data: data_pb2.DataConfig) -> None:
        source = read_input(config, data)
        self._tokenizer = open_tokenizer(config.tokenizer_type, vocabulary_path(config))
        self._clean = TextCleaner(config.text_normalizer) if config.HasField("text_normalizer") else None
        self.name = config.feature_name
        self.inputs = (source,)
        self.table = make_table(config, self._tokenizer.rows)
        self.is_stub = config.stub_type
        self._is_encoded = data.fg_mode == data_pb2.FG_NONE
        if self._is_encoded:
            self.encoder = make_encoded_ids_encoder(source.name, self._tokenizer.rows, config, data)
            return
        ids = self._tokenize([config.default_value])[0] if config.default_value else np.empty(0, np.int64)
        self.encoder = SparseEncoder(source.name, Identity(self._tokenizer.rows), "", Default(ids))

    def encode(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Column:
        column = self.inputs[0].name
        array = columns[column]
        if self._is_encoded:
            return self.encoder.encode(array, bad)
        texts = read_words(array, column, "", bad)
        ids, counts = self._tokenize(_to_strings(texts, column))
        lengths = np.bincount(texts.row_indices(), weights=counts, minlength=len(array)).astype(np.int32)
        return self.encoder.finish(Jagged(ids, lengths), array, bad)

    def _tokenize(self, texts: Sequence[str]) -> tuple[Int64Array, Int64Array]:
        """Return the token ids of all texts, text after text `(N,)`, and the number of tokens of each text."""
        if self._clean is not None:
            texts = [self._clean(text) for text in texts]
        ids_by_text = self._tokenizer.encode(texts)
        counts = np.fromiter(map(len, ids_by_text), np.int64, len(ids_by_text))
        return np.fromiter(chain.from_iterable(ids_by_text), np.int64, int(counts.sum())), counts


def _to_strings(texts: Jagged, column: str) -> list[str]:
    assert isinstance(texts.elements, Spans)
    try:
        return texts.elements.to_arrow().to_pylist()  # type: ignore[no-any-return]
    except UnicodeDecodeError as error:
        raise DataError(f'column "{column}" holds text that is not UTF-8: {error.object[:40]!r}') from None
