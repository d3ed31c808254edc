"""Compile the protos when the package is built or installed; all other settings are in pyproject.toml.

`python setup.py proto` compiles them in place, as `make proto` does. All of tzrec/protos is generated and not in git,
so the list of packages is derived from protos/.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Command, find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
PROTOS = ROOT / "protos"
PROTO_INDEX = '''"""Messages of a config, and the values of its enums, by name; each is imported on its first use."""

import importlib

_MODULES = {{
{modules}}}
__all__ = list(_MODULES)


def __getattr__(name):
    if name not in _MODULES:
        raise AttributeError(f"module 'tzrec.protos' has no attribute {{name!r}}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__():
    return sorted(_MODULES)
'''


def sources() -> list[Path]:
    """List the .proto files, as paths below protos/."""
    return sorted(path.relative_to(PROTOS) for path in PROTOS.rglob("*.proto"))


def imported_by(source: Path) -> list[Path]:
    """List a .proto file and those that it imports, directly or not: their messages have different names."""
    text = (PROTOS / source).read_text()
    imports = [Path(name) for name in re.findall(r'^import "(tzrec/.+)";', text, re.MULTILINE)]
    return list(dict.fromkeys([source, *(path for inner in imports for path in imported_by(inner))]))


def packages() -> list[str]:
    """List the packages on disk and those generated from protos/, whose folders setuptools expects to exist."""
    folders = sorted({path.parent for path in sources()})
    for folder in folders:
        (ROOT / folder).mkdir(parents=True, exist_ok=True)
    generated = [".".join(folder.parts) for folder in folders]
    return sorted({*find_packages(include=["tzrec", "tzrec.*"]), *generated})


def compile_protos() -> None:
    """Write tzrec/protos/**/x_pb2.py and .pyi and their index, and delete generated files without a .proto.

    descriptors.binpb has the comments, which the modules have not: `tzrec schema` and `tzrec new` show them.
    """
    names = [path.as_posix() for path in sources()]
    python = ["-Iprotos", "--python_out=.", "--pyi_out=."]
    comments = ["--include_source_info", "--descriptor_set_out=tzrec/protos/descriptors.binpb"]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *python, *comments, *names], cwd=ROOT, check=True)
    expected = {ROOT / path.with_name(f"{path.stem}_pb2{ext}") for path in sources() for ext in (".py", ".pyi")}
    for path in (ROOT / "tzrec" / "protos").rglob("*_pb2.py*"):
        if path.suffix in (".py", ".pyi") and path not in expected:
            path.unlink()
    write_index()


def write_index() -> None:
    """Write tzrec/protos/__init__.py, which has all messages of a config by name, and its types for editors."""
    messages = {}
    for source in imported_by(Path("tzrec/protos/pipeline.proto")):
        module = ".".join(source.with_name(f"{source.stem}_pb2").parts)
        stub = (ROOT / source.with_name(f"{source.stem}_pb2.pyi")).read_text()
        names = re.findall(r"^class (\w+)\(|^([A-Z]\w*): [A-Z]\w*$", stub, re.MULTILINE)  # and values of enums
        messages |= dict.fromkeys(("".join(name) for name in names), module)
    names = sorted(messages)
    index = PROTO_INDEX.format(modules="".join(f'    "{name}": "{messages[name]}",\n' for name in names))
    types = "".join(f"from {messages[name]} import {name} as {name}\n" for name in names)
    (ROOT / "tzrec/protos/__init__.py").write_text(index)
    (ROOT / "tzrec/protos/__init__.pyi").write_text(types)


class Proto(Command):
    """The command `python setup.py proto`."""

    description = "compile protos/ into tzrec/protos"
    user_options = []

    def initialize_options(self) -> None:
        """No options."""

    def finalize_options(self) -> None:
        """No options."""

    def run(self) -> None:
        """Compile the protos."""
        compile_protos()


class BuildPy(build_py):
    """Copy the modules after compiling the protos; editable installs run this command as well."""

    def run(self) -> None:
        """Compile the protos, then copy the modules, and the example configs of `tzrec new` and `tzrec demo`."""
        compile_protos()
        super().run()
        if not self.editable_mode:
            shutil.copytree("examples/configs", Path(self.build_lib) / "tzrec/example_configs", dirs_exist_ok=True)


os.chdir(ROOT)
setup(packages=packages(), cmdclass={"build_py": BuildPy, "proto": Proto})
