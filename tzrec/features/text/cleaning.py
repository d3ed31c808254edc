"""TextCleaner: normalization of texts before tokenization."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

from tzrec.errors import ConfigError, Problem, SetupError
from tzrec.protos import feature_pb2 as pb

Operation = Callable[[str], str]

_STANDARD = (pb.TEXT_LOWER2UPPER, pb.TEXT_SBC2DBC, pb.TEXT_CHT2CHS, pb.TEXT_FILTER)
_HALF_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: ord(" ")}
_CHINESE = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f"
_BESIDE_CHINESE = re.compile(rf"(?<=\S)(?=[{_CHINESE}])|(?<=[{_CHINESE}])(?=\S)")
_SPACES = re.compile(r"\s+")


class TextCleaner:
    """Applies the operations of a TextNormalizer in their order; texts longer than max_length are unchanged.

    Raises:
        ConfigError: the file of characters to remove cannot be read.
        SetupError: an operation needs a package that is not installed.
    """

    def __init__(self, config: pb.TextNormalizer) -> None:
        self._max_length = config.max_length
        self._operations = [_make_operation(option, config) for option in config.norm_options or _STANDARD]

    def __call__(self, text: str) -> str:
        """Return the text after all operations."""
        if self._max_length and len(text) > self._max_length:
            return text
        for operation in self._operations:
            text = operation(text)
        return text


def _make_operation(option: int, config: pb.TextNormalizer) -> Operation:
    if option == pb.TEXT_CHT2CHS:
        return _simplifier()
    if option == pb.TEXT_FILTER:
        table = _read_characters(config.stop_char_file) if config.stop_char_file else _SpecialCharacters()
        return lambda text: text.translate(table)
    return _OPERATIONS[option]


def _simplifier() -> Operation:
    """Convert traditional Chinese to simplified, by the tables of OpenCC."""
    try:
        import opencc
    except ImportError:
        raise SetupError("TEXT_CHT2CHS needs the package opencc: pip install 'tzrec[text]'") from None
    return opencc.OpenCC("t2s").convert  # type: ignore[no-any-return]


class _SpecialCharacters(dict[int, str | None]):
    """Translation table that removes punctuation, symbols and control characters; filled on first use of each."""

    def __missing__(self, code: int) -> str | None:
        letter = chr(code)
        is_special = unicodedata.category(letter)[0] in "PSC" and not letter.isspace()
        self[code] = None if is_special else letter
        return self[code]


def _read_characters(path: str) -> dict[int, None]:
    """Read a translation table that removes the characters of a file, but not line ends."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise ConfigError([Problem("text_normalizer.stop_char_file", f"{path} cannot be read: {reason}")]) from None
    return {ord(letter): None for letter in text if letter not in "\r\n"}


_OPERATIONS: dict[int, Operation] = {
    pb.TEXT_LOWER2UPPER: str.upper,
    pb.TEXT_UPPER2LOWER: str.lower,
    pb.TEXT_SBC2DBC: lambda text: text.translate(_HALF_WIDTH),
    pb.TEXT_SPLITCHRS: lambda text: _BESIDE_CHINESE.sub(" ", text),
    pb.TEXT_REMOVE_SPACE: lambda text: _SPACES.sub("", text),
}
