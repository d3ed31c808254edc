"""Archives of machine code: what is refused before the loader unpacks one."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.fixtures.small_model import exported_package
from tzrec.errors import PackageError
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.serving.archive import archive_problem
from tzrec.serving.assets import copy_file, locate_assets


def archive(path: Path, *names: str, compression: int = zipfile.ZIP_STORED, content: bytes = b"x") -> Path:
    with zipfile.ZipFile(path, "w", compression) as writer:
        for name in names:
            writer.writestr(name, content)
    return path


def test_archive_problem_of_exported_program_is_empty() -> None:
    assert archive_problem(exported_package() / "model.pt2") == ""


@pytest.mark.parametrize(
    "name", ["../x.so", "model/../../x", "/etc/x", "a//b", "a/./b", "a\\b", "a\nb", "a/" + "x" * 300, "model/../x"]
)
def test_archive_problem_of_name_outside_names_it(name: str, tmp_path: Path) -> None:
    problem = archive_problem(archive(tmp_path / "model.pt2", "model/version", name))
    assert problem.startswith("model.pt2: ") and "is not the name of a file inside of the archive" in problem


def test_archive_problem_of_compressed_member_names_it(tmp_path: Path) -> None:
    bomb = archive(tmp_path / "model.pt2", "a/b", compression=zipfile.ZIP_DEFLATED, content=bytes(1 << 24))
    assert archive_problem(bomb) == "model.pt2: 'a/b' is compressed or encrypted"


def test_archive_problem_of_link_names_it(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("a/b")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "model.pt2", "w") as writer:
        writer.writestr(link, "/etc/passwd")
    assert archive_problem(tmp_path / "model.pt2") == "model.pt2: 'a/b' is a link"


def test_archive_problem_of_pickle_names_it(tmp_path: Path) -> None:
    problem = archive_problem(archive(tmp_path / "model.pt2", "a/data.pkl"))
    assert problem == "model.pt2: 'a/data.pkl' is a pickle, which runs code"


def test_archive_problem_of_overlapping_members_tells_both_sizes(tmp_path: Path) -> None:
    path = archive(tmp_path / "model.pt2", "a/1", content=b"y" * 1000)
    with zipfile.ZipFile(path, "a") as writer:
        first = writer.infolist()[0]
        for number in range(2, 6):
            again = zipfile.ZipInfo(f"a/{number}")
            for name in ("header_offset", "file_size", "compress_size", "CRC"):
                setattr(again, name, getattr(first, name))
            writer.filelist.append(again)
        writer.writestr("a/6", b"")
    assert "unpacks to 5,000 bytes, more than the" in archive_problem(path)


def test_archive_problem_of_other_files_tells_the_reason(tmp_path: Path) -> None:
    (tmp_path / "junk.pt2").write_bytes(bytes(range(256)))
    assert (
        archive_problem(tmp_path / "junk.pt2") == "junk.pt2 is not an archive of machine code: File is not a zip file"
    )
    assert archive_problem(tmp_path / "none.pt2") == "none.pt2 cannot be read: No such file or directory"


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a\0b"])
def test_locate_assets_of_file_outside_the_package_raises(name: str, tmp_path: Path) -> None:
    config = EasyRecConfig()
    config.feature_configs.add().tokenize_feature.vocab_file = name
    with pytest.raises(PackageError, match="names a file outside the package"):
        locate_assets(config, tmp_path)


def test_copy_file_under_name_of_another_directory_raises(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text("{}")
    (tmp_path / "draft").mkdir()
    with pytest.raises(PackageError, match="is not a name"):
        copy_file(tmp_path / "t.json", "../OUTSIDE", tmp_path / "draft")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["draft", "t.json"]
