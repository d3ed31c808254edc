"""TextCleaner: what a text goes through before it is cut into tokens."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

from tzrec.errors import ConfigError, Problem, SetupError
from tzrec.protos import feature_pb2 as pb

Step = Callable[[str], str]

_STANDARD = (pb.TEXT_LOWER2UPPER, pb.TEXT_SBC2DBC, pb.TEXT_CHT2CHS, pb.TEXT_FILTER)
_HALF_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: ord(" ")}
_CHINESE = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f"
_BESIDE_CHINESE = re.compile(rf"(?<=\S)(?=[{_CHINESE}])|(?<=[{_CHINESE}])(?=\S)")
_SPACES = re.compile(r"\s+")


class TextCleaner:
    """Applies the steps of a TextNormalizer, in their order; texts longer than max_length stay as they are.

    Raises:
        ConfigError: the file of characters to drop cannot be read.
        SetupError: a step needs a package that is not installed.
    """

    def __init__(self, config: pb.TextNormalizer) -> None:
        self._longest = config.max_length
        self._steps = [_step(option, config) for option in config.norm_options or _STANDARD]

    def __call__(self, text: str) -> str:
        """The text after all steps."""
        if self._longest and len(text) > self._longest:
            return text
        for step in self._steps:
            text = step(text)
        return text


def _step(option: int, config: pb.TextNormalizer) -> Step:
    if option == pb.TEXT_CHT2CHS:
        return _simplifier()
    if option == pb.TEXT_FILTER:
        table = _listed(config.stop_char_file) if config.stop_char_file else _Special()
        return lambda text: text.translate(table)
    return _STEPS[option]


def _simplifier() -> Step:
    """Traditional Chinese to simplified, by the tables of OpenCC."""
    try:
        import opencc
    except ImportError:
        raise SetupError("TEXT_CHT2CHS needs the package opencc: pip install 'tzrec[text]'") from None
    return opencc.OpenCC("t2s").convert  # type: ignore[no-any-return]


class _Special(dict[int, str | None]):
    """Drops punctuation, symbols and control characters; learns each character when it first comes."""

    def __missing__(self, code: int) -> str | None:
        letter = chr(code)
        dropped = unicodedata.category(letter)[0] in "PSC" and not letter.isspace()
        self[code] = None if dropped else letter
        return self[code]


def _listed(path: str) -> dict[int, None]:
    """Drops the characters of a file, its line ends aside."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise ConfigError([Problem("text_normalizer.stop_char_file", f"{path} cannot be read: {reason}")]) from None
    return {ord(letter): None for letter in text if letter not in "\r\n"}


_STEPS: dict[int, Step] = {
    pb.TEXT_LOWER2UPPER: str.upper,
    pb.TEXT_UPPER2LOWER: str.lower,
    pb.TEXT_SBC2DBC: lambda text: text.translate(_HALF_WIDTH),
    pb.TEXT_SPLITCHRS: lambda text: _BESIDE_CHINESE.sub(" ", text),
    pb.TEXT_REMOVE_SPACE: lambda text: _SPACES.sub("", text),
}
