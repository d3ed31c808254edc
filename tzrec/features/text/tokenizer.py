"""Tokenizer: from texts to ids by a vocabulary file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tzrec.config.options import words
from tzrec.errors import ConfigError, Problem, SetupError
from tzrec.protos.feature_pb2 import TokenizeFeature

Encode = Callable[[Sequence[str]], list[list[int]]]

TYPES = words(TokenizeFeature, "tokenizer_type")


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer.

    Attributes:
        rows: tokens of the vocabulary, special ones included.
        encode: maps texts to the ids of each, without special tokens around them.
    """

    rows: int
    encode: Encode


def open_tokenizer(kind: str, path: Path) -> Tokenizer:
    """Read a tokenizer.

    Args:
        kind: "bpe" for a JSON file of the package tokenizers, "sentencepiece" for a model of the package sentencepiece.
        path: the file.

    Raises:
        ConfigError: there is no such kind, or the file cannot be read.
        SetupError: the package is not installed.
    """
    if kind not in TYPES:
        raise ConfigError([Problem("tokenizer_type", f'"{kind}" is not one of {", ".join(TYPES)}')])
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError([Problem("vocab_file", f"{path} cannot be read: {error.strerror}")]) from None
    try:
        return (_open_bpe if kind == "bpe" else _open_sentencepiece)(data)
    except ImportError:
        package = "tokenizers" if kind == "bpe" else "sentencepiece"
        raise SetupError(f"tokenizer_type {kind} needs the package {package}: pip install 'tzrec[text]'") from None
    except Exception as error:  # the packages pass on exceptions of any type from C++ and Rust
        reason = str(error).splitlines()[0][:200]
        raise ConfigError([Problem("vocab_file", f"{path} is not a {kind} tokenizer: {reason}")]) from None


def _open_bpe(data: bytes) -> Tokenizer:
    import tokenizers

    tokenizer: Any = tokenizers.Tokenizer.from_buffer(data)

    def encode(texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    return Tokenizer(tokenizer.get_vocab_size(), encode)


def _open_sentencepiece(data: bytes) -> Tokenizer:
    import sentencepiece

    processor: Any = sentencepiece.SentencePieceProcessor(model_proto=data)
    return Tokenizer(processor.vocab_size(), lambda texts: processor.encode(list(texts)) if texts else [])
