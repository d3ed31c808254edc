from __future__ import annotations

import sys
from pathlib import Path

import pytest
from google.protobuf import text_format

from tzrec.errors import SetupError
from tzrec.features.text.cleaning import TextCleaner
from tzrec.protos import feature_pb2


def clean(config: str, text: str) -> str:
    return TextCleaner(text_format.Parse(config, feature_pb2.TextNormalizer()))(text)


@pytest.mark.parametrize(
    ("option", "text", "expected"),
    [
        ("TEXT_LOWER2UPPER", "aBc é 雪", "ABC É 雪"),
        ("TEXT_UPPER2LOWER", "aBc É 雪", "abc é 雪"),
        ("TEXT_SBC2DBC", "ＡＢｃ　１２！～雪", "ABc 12!~雪"),
        ("TEXT_FILTER", "a-b, (c)! $5+“雪”。\t🎿 d\x00\ne", "ab c 5雪\t d\ne"),
        ("TEXT_SPLITCHRS", "ab雪山c 水", "ab 雪 山 c 水"),
        ("TEXT_REMOVE_SPACE", " a b\t\u3000雪\n", "ab雪"),
    ],
)
def test_operation_changes_text(option: str, text: str, expected: str) -> None:
    assert clean(f"norm_options: {option}", text) == expected


def test_traditional_chinese_is_simplified() -> None:
    pytest.importorskip("opencc")
    assert clean("norm_options: TEXT_CHT2CHS", "漢字轉換 abc") == "汉字转换 abc"
    assert clean("", "ａb，漢") == "AB汉"  # without options: upper case, half width, simplified, special ones dropped


def test_operations_keep_their_order() -> None:
    assert clean("norm_options: [TEXT_SPLITCHRS, TEXT_REMOVE_SPACE]", "a雪 b") == "a雪b"
    assert clean("norm_options: [TEXT_REMOVE_SPACE, TEXT_SPLITCHRS]", "a雪 b") == "a 雪 b"


def test_texts_beyond_max_length_are_unchanged() -> None:
    config = "norm_options: TEXT_LOWER2UPPER max_length: 3"
    assert [clean(config, text) for text in ("abc", "abcd")] == ["ABC", "abcd"]


def test_stop_characters_of_file_are_removed(tmp_path: Path) -> None:
    (tmp_path / "stop").write_text("a\n雪!\n", encoding="utf-8")
    config = f'norm_options: TEXT_FILTER stop_char_file: "{tmp_path}/stop"'
    assert clean(config, "abc雪!?\n") == "bc?\n"


def test_missing_opencc_error_names_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opencc", None)
    with pytest.raises(SetupError, match=r"needs the package opencc: pip install 'tzrec\[text\]'"):
        clean("norm_options: TEXT_CHT2CHS", "a")
