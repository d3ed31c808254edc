"""Rules of docs/glossary.md that a program can check: class names, docstrings, test names, and lines of prose."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GENERATED = "docs/config_reference.md"
DOCUMENTS = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "docs/**/*.md", "experiments/*/README.md")
    for path in ROOT.glob(pattern)
    if path != ROOT / GENERATED and path.parent != ROOT / "docs" / "config"
)

PROSE_COLUMNS = 120
QUESTION = re.compile(r"(What|Whether|How|Where|Which|Who|Whose)\b")
UNCLEAR = {"each", "found", "here", "made", "others", "said", "strange", "told", "wanted", "where", "whole"}


def python_files(folder: str) -> list[Path]:
    """List the handwritten Python files of a folder of the repository, with their paths from the root."""
    return [path.relative_to(ROOT) for path in sorted((ROOT / folder).rglob("*.py")) if "protos" not in path.parts]


def folder_of(path: Path) -> str:
    """Return the folder that a file is checked with, such as `tzrec/data` for `tzrec/data/text_schema.py`."""
    return "/".join(path.parts[:-1][:2] if path.parts[0] in ("tzrec", "tests") else path.parts[:1])


def by_folder(roots: Iterable[str]) -> list[object]:
    """Make one test parameter for each folder that holds Python files: its files, named after the folder."""
    files: dict[str, list[Path]] = defaultdict(list)
    for path in (path for root in roots for path in python_files(root)):
        files[folder_of(path)].append(path)
    return [pytest.param(paths, id=name) for name, paths in sorted(files.items())]


def repeated_classes(sources: dict[str, str]) -> dict[str, list[str]]:
    """Map each class name that several classes have to their files; nested and private classes count as well."""
    paths: dict[str, list[str]] = defaultdict(list)
    for path, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef):
                paths[node.name].append(path)
    return {name: files for name, files in paths.items() if len(files) > 1}


def question_docstrings(source: str) -> list[str]:
    """List the first lines of the docstrings that begin with a question word."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = [ast.get_docstring(node) or "" for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)]
    return [text.splitlines()[0] for text in docstrings if QUESTION.match(text)]


def unclear_names(source: str) -> list[str]:
    """List the pronouns, adverbs and participles used as names; variables of comprehensions do not count."""
    tree = ast.parse(source)
    loops = [node for node in ast.walk(tree) if isinstance(node, ast.comprehension)]
    ignored = {id(name) for loop in loops for name in ast.walk(loop.target)}
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and id(node) not in ignored:
            names.append(node.id)
        elif isinstance(node, ast.arg):
            names.append(node.arg)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.append(node.name)
    return sorted({name for name in names if name.strip("_").lower() in UNCLEAR})


def vague_test_names(source: str) -> list[str]:
    """List the test functions with fewer than three words, and those called `test_by_hand...` or `test_it_...`."""
    functions = [node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    tests = [name for name in functions if name.startswith("test_")]
    return [name for name in tests if len(name.split("_")) < 3 or re.match(r"test_(by_hand|it_)", name)]


def long_lines(text: str) -> Iterator[str]:
    """Yield the lines of prose in a Markdown text that are too long; code, tables and targets of links do not count."""
    is_code = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            is_code = not is_code
        shown = re.sub(r"\]\([^)]*\)|https?://\S+", "", line)
        if not is_code and not line.lstrip().startswith("|") and len(shown) > PROSE_COLUMNS:
            yield line


def test_class_names_in_package_are_unique() -> None:
    assert repeated_classes({str(path): (ROOT / path).read_text() for path in python_files("tzrec")}) == {}


@pytest.mark.parametrize("files", by_folder(["tzrec", "tests", "experiments", "examples"]))
def test_docstrings_begin_with_no_question_word(files: list[Path]) -> None:
    lines = {str(path): question_docstrings((ROOT / path).read_text()) for path in files}
    assert {path: first_lines for path, first_lines in lines.items() if first_lines} == {}


@pytest.mark.parametrize("files", by_folder(["tzrec", "experiments", "examples"]))
def test_names_in_code_say_what_things_are(files: list[Path]) -> None:
    names = {str(path): unclear_names((ROOT / path).read_text()) for path in files}
    assert {path: unclear for path, unclear in names.items() if unclear} == {}


@pytest.mark.parametrize("files", by_folder(["tests"]))
def test_names_of_tests_are_descriptive(files: list[Path]) -> None:
    names = {str(path): vague_test_names((ROOT / path).read_text()) for path in files}
    assert {path: vague for path, vague in names.items() if vague} == {}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_lines_of_prose_fit_in_width(document: str) -> None:
    assert list(long_lines((ROOT / document).read_text())) == []


def test_classes_in_glossary_exist() -> None:
    rows = [line for line in (ROOT / "docs" / "glossary.md").read_text().splitlines() if line.startswith("|")]
    names = {name for line in rows for name in re.findall(r"`([A-Z]+[a-z]\w*)`", line)}
    source = "\n".join((ROOT / path).read_text() for path in python_files("tzrec"))
    assert {
        name for name in names if not re.search(rf"^(class {name}\b|{name}(: TypeAlias)? = )", source, re.M)
    } == set()


def test_repeated_classes_finds_private_and_nested_classes() -> None:
    sources = {"a.py": "class _A: pass", "b.py": "class B:\n    class _A: pass", "c.py": "class C: pass"}
    assert repeated_classes(sources) == {"_A": ["a.py", "b.py"]}


@pytest.mark.parametrize("word", ["What", "Whether", "How", "Where", "Which", "Who"])
def test_question_docstrings_finds_each_question_word(word: str) -> None:
    line = f"{word} it is."
    assert question_docstrings(f'"""{line}"""') == [line]
    assert question_docstrings(f'class A:\n    def f():\n        """{line}"""') == [line]
    assert question_docstrings(f'def f():\n    """Return {word.lower()}."""\ndef g():\n    """{word}xyz."""') == []


@pytest.mark.parametrize(
    "source",
    ["found = 1", "for found in x: pass", "def f(found): pass", "def _found(): pass", "class Found: pass", "FOUND = 1"],
)
def test_unclear_names_finds_name(source: str) -> None:
    assert [name.strip("_").lower() for name in unclear_names(source)] == ["found"]


def test_unclear_names_accepts_comprehension() -> None:
    assert unclear_names("tables = [each for each in here]\nfounded = 1") == []


@pytest.mark.parametrize("name", ["test_auc", "test_by_hand", "test_it_travels", "test_by_hand_again"])
def test_vague_test_names_finds_vague_name(name: str) -> None:
    assert vague_test_names(f"class TestA:\n    def {name}(): pass") == [name]


def test_vague_test_names_accepts_three_words() -> None:
    assert vague_test_names("def test_auc_of_constant_scores_is_half(): pass\ndef by_hand(): pass") == []


def test_long_lines_finds_long_prose() -> None:
    text = "x " * PROSE_COLUMNS
    assert list(long_lines(f"short\n{text}\n- [{text}](y)\n")) == [text, f"- [{text}](y)"]


def test_long_lines_ignores_code_tables_and_links() -> None:
    text = "x" * (PROSE_COLUMNS + 1)
    assert list(long_lines(f"```\n{text}\n```\n| {text} |\n[name]({text})\nhttps://{text}\n")) == []
