"""Compiles the protos into the package when it is built or installed; everything else is in pyproject.toml.

`python setup.py proto` compiles them in place (that is `make proto`). tzrec/protos is generated as a whole and kept
out of git, so the list of packages is made from protos/, not found on disk.
"""

import os
import subprocess
import sys
from pathlib import Path

from setuptools import Command, find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
PROTOS = ROOT / "protos"


def sources() -> list[Path]:
    """The .proto files, as paths below protos/."""
    return sorted(path.relative_to(PROTOS) for path in PROTOS.rglob("*.proto"))


def packages() -> list[str]:
    """The packages on disk, and the ones that the protos make: setuptools wants to see their folders."""
    folders = sorted({path.parent for path in sources()})
    for folder in folders:
        (ROOT / folder).mkdir(parents=True, exist_ok=True)
    made = [".".join(folder.parts) for folder in folders]
    return sorted({*find_packages(include=["tzrec", "tzrec.*"]), *made})


def compile_protos() -> None:
    """Write tzrec/protos/**/x_pb2.py and .pyi, and drop what no .proto stands for any more."""
    names = [path.as_posix() for path in sources()]
    command = [sys.executable, "-m", "grpc_tools.protoc", "-Iprotos", "--python_out=.", "--pyi_out=.", *names]
    subprocess.run(command, cwd=ROOT, check=True)
    expected = {ROOT / path.with_name(f"{path.stem}_pb2{ext}") for path in sources() for ext in (".py", ".pyi")}
    for path in (ROOT / "tzrec" / "protos").rglob("*_pb2.py*"):
        if path.suffix in (".py", ".pyi") and path not in expected:
            path.unlink()


class Proto(Command):
    """`python setup.py proto`."""

    description = "compile protos/ into tzrec/protos"
    user_options = []

    def initialize_options(self) -> None:
        """Nothing to choose."""

    def finalize_options(self) -> None:
        """Nothing to choose."""

    def run(self) -> None:
        """Compile."""
        compile_protos()


class BuildPy(build_py):
    """The usual copying of modules, after the protos are compiled; editable installs come through here as well."""

    def run(self) -> None:
        """Compile, then copy."""
        compile_protos()
        super().run()


os.chdir(ROOT)
setup(packages=packages(), cmdclass={"build_py": BuildPy, "proto": Proto})
