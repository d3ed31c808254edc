"""Agreement of schema and code: fields are read, rejected or marked, and facts about components exist once."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest
import torch
from google.protobuf.descriptor import Descriptor, FieldDescriptor, OneofDescriptor

from tests.fixtures.package_modules import PACKAGE, package_modules
from tzrec import registry
from tzrec.config import options
from tzrec.config.rules.fields import is_within
from tzrec.config.schema import is_map, is_message, message_type
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.protos.serve_pb2 import ServeConfig
from tzrec.protos.tune_pb2 import TuneConfig

ROOT = Path(__file__).parents[2]


@cache
def trees() -> dict[str, ast.Module]:
    """Parse all handwritten modules; syntax trees by path."""
    return {str(path.relative_to(PACKAGE)): ast.parse(path.read_text()) for path in package_modules()}


def names_in(tree: ast.Module) -> Iterator[str]:
    """Attributes, keywords, parameters and strings of a module, except docstrings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, (ast.keyword, ast.arg)) and node.arg:
            yield node.arg
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def is_supported(field: FieldDescriptor) -> bool:
    """True if check accepts the field: it is not rejected and, as a component, it is implemented."""
    return not options.field_rule(field).unsupported and registry.is_implemented(field)


@cache
def messages() -> dict[str, Descriptor]:
    """Messages of supported fields, from the roots down."""
    messages_by_name: dict[str, Descriptor] = {}
    queue: list[Descriptor] = [EasyRecConfig.DESCRIPTOR, ServeConfig.DESCRIPTOR, TuneConfig.DESCRIPTOR]
    while queue:
        message = queue.pop()
        if message.full_name not in messages_by_name and message.file.package == "tzrec.protos":
            messages_by_name[message.full_name] = message
            queue += [message_type(field) for field in message.fields if is_message(field) and is_supported(field)]
    return messages_by_name


def fields() -> list[FieldDescriptor]:
    """Supported fields of these messages; members of oneofs that the naming rule finds are read by it."""
    return [
        field
        for message in messages().values()
        if not message.GetOptions().map_entry
        for field in message.fields
        if is_supported(field) and not registry.requirements_in(field.containing_oneof)
    ]


def test_fields_are_read_rejected_or_marked() -> None:
    names = {name for tree in trees().values() for name in names_in(tree)}
    # messages of optimizers are passed to torch as a whole
    for optimizer in (torch.optim.Adam, torch.optim.SGD):
        names.update(inspect.signature(optimizer).parameters)
    marked = ("ignored", "descriptive")
    unread = [
        field.full_name
        for field in fields()
        if field.name not in names and not any(getattr(options.field_rule(field), mark) for mark in marked)
    ]
    assert unread == [], "read these fields, or reject or mark them by an option of protos/tzrec/protos/options.proto"


@pytest.mark.parametrize("name", ["in_order", "save_checkpoints_timestamp_quorum"])
def test_fields_without_effect_have_a_reason(name: str) -> None:
    (field,) = [field for field in fields() if field.name == name]
    assert options.field_rule(field).ignored


def test_defaults_follow_their_rules() -> None:
    violations = []
    for field in fields():
        rule = options.field_rule(field)
        if field.has_default_value and isinstance(field.default_value, str):
            key = field.default_value.lower() if rule.ignore_case else field.default_value
            violations += [field.full_name] if rule.one_of and key not in rule.one_of else []
        elif field.has_default_value and not is_within(rule, field.default_value):
            violations.append(field.full_name)
    assert violations == []


def test_rules_match_the_types_of_their_fields() -> None:
    number_rules = {"min", "max", "exclusive_min", "exclusive_max", "increasing", "element_default"}
    text_rules = {"one_of", "cuda_only", "unsupported_words", "ignore_case", "refers_to", "grammar"}
    for message in messages().values():
        for name, rule in options.field_rules(message).items():
            field = message.fields_by_name[name]
            set_options = {option.name for option, _ in rule.ListFields()}
            is_text = field.type == FieldDescriptor.TYPE_STRING
            assert not set_options & (number_rules if is_text or is_message(field) else text_rules), field.full_name
            assert set(rule.cuda_only) <= set(rule.one_of), field.full_name
            assert not is_map(field), field.full_name


@cache
def oneofs() -> dict[str, OneofDescriptor]:
    """All oneofs of supported messages by name."""
    return {f"{message.name}.{oneof.name}": oneof for message in messages().values() for oneof in message.oneofs}


@cache
def members_by_oneof() -> dict[str, frozenset[str]]:
    """Names of the members of every oneof."""
    return {name: frozenset(field.name for field in oneof.fields) for name, oneof in oneofs().items()}


def lists_of_members(tree: ast.Module) -> Iterator[tuple[int, str, list[str]]]:
    """Literals that list at least three members of a oneof: line, oneof and members.

    A dict is allowed if its values are functions, with or without arguments: it is the implementation of the members.
    """
    for node in ast.walk(tree):
        elements: Sequence[ast.expr | None] = []
        if isinstance(node, ast.Dict) and not all(map(is_function, node.values)):
            elements = node.keys
        elif isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            elements = node.elts
        constants = [element.value for element in elements if isinstance(element, ast.Constant)]
        words = {value for value in constants if isinstance(value, str)}
        for name, members in members_by_oneof().items() if len(words) >= 3 else ():
            if len(words & members) >= 3:
                yield node.lineno, name, sorted(words & members)
                break


def is_function(node: ast.expr) -> bool:
    """True for the name of a function, or a tuple that begins with one."""
    first = node.elts[0] if isinstance(node, ast.Tuple) and node.elts else node
    return isinstance(first, ast.Name)


def test_no_module_lists_members_of_a_oneof() -> None:
    lists_by_path = {path: list(lists_of_members(tree)) for path, tree in trees().items()}
    assert {path: lists for path, lists in lists_by_path.items() if lists} == {}, "derive them from the descriptors"


@pytest.mark.parametrize(
    "text",
    [
        'LOSSES = ("l2_loss", "jrc_loss", "bpr_loss")',
        'LOSSES = {"l2_loss": 1, "jrc_loss": 1, "bpr_loss": 1}',
        'LOSSES = {"l2_loss": torch.optim.SGD, "jrc_loss": 1, "bpr_loss": 1}',
    ],
)
def test_lists_of_members_finds_literal(text: str) -> None:
    assert len(list(lists_of_members(ast.parse(text)))) == 1


def test_lists_of_members_accepts_functions_by_member() -> None:
    text = 'RULES = {"l2_loss": _l2, "jrc_loss": (_jrc, {}), "bpr_loss": _bpr}'
    assert list(lists_of_members(ast.parse(text))) == []


def test_requirements_belong_to_components() -> None:
    named = {
        f"{registry.requirements_in(oneof)}.{field.name.removeprefix('sequence_')}".replace(".schedule.", ".")
        for oneof in oneofs().values()
        for field in oneof.fields
    }
    modules = [path for path in PACKAGE.rglob("requirements/*.py") if path.stem != "__init__"]
    assert modules
    packages = {path: ".".join(path.relative_to(PACKAGE.parent).parent.parent.parts) for path in modules}
    assert [str(path) for path in modules if f"{packages[path]}.{path.stem}" not in named] == []


def test_check_imports_no_torch() -> None:
    config = sorted(ROOT.glob("examples/configs/*.config"))[0]
    flags = ["--pipeline_config", str(config), "--device", "cpu"]
    command = [sys.executable, "-X", "importtime", "-m", "tzrec.check", *flags]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line for line in result.stderr.splitlines() if line.startswith("import time:")]
    modules = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
    assert "tzrec" in modules
    assert not {"torch", "torchrec", "fbgemm_gpu"} & modules


def test_rules_of_all_examples_import_no_torch() -> None:
    code = (
        "import sys, tzrec.config.check as c\n"
        "problems = [p for path in sys.argv[1:] for p in c.check(c.load_source(path))]\n"
        "print(len(problems), *sys.modules)"
    )
    configs = [str(path) for path in sorted(ROOT.glob("examples/configs/*.config"))]
    result = subprocess.run([sys.executable, "-c", code, *configs], capture_output=True, text=True, check=True)
    count, *modules = result.stdout.split()
    assert (len(configs) > 20, count) == (True, "0")
    assert not {"torch", "numpy", "pyarrow", "numba"} & set(modules)
