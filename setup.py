"""Compile the protos when the package is built or installed; all other settings are in pyproject.toml.

`python setup.py proto` compiles them in place, as `make proto` does. All of tzrec/protos is generated and not in git,
so the list of packages is derived from protos/.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Command, find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
PROTOS = ROOT / "protos"


def sources() -> list[Path]:
    """List the .proto files, as paths below protos/."""
    return sorted(path.relative_to(PROTOS) for path in PROTOS.rglob("*.proto"))


def packages() -> list[str]:
    """List the packages on disk and those generated from protos/, whose folders setuptools expects to exist."""
    folders = sorted({path.parent for path in sources()})
    for folder in folders:
        (ROOT / folder).mkdir(parents=True, exist_ok=True)
    generated = [".".join(folder.parts) for folder in folders]
    return sorted({*find_packages(include=["tzrec", "tzrec.*"]), *generated})


def compile_protos() -> None:
    """Write tzrec/protos/**/x_pb2.py and .pyi, and delete generated files without a .proto.

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
