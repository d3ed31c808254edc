"""`tzrec doctor`: what is wrong with this installation, and the cure.

Two halves: `gather` looks at the machine, the checks are pure functions of what it saw.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import tzrec
from tzrec import cli, env

# torch, torchrec and fbgemm are one release under two numberings
RELEASES = {"2.11": "1.6", "2.12": "1.7", "2.13": "1.8", "2.14": "1.9"}
FBGEMM = ("fbgemm-gpu-cpu", "fbgemm-gpu")
PACKAGES = ("torch", "torchrec", *FBGEMM, "protobuf", "pyarrow", "numba", "tensordict")
MODULES = ("torch", "fbgemm_gpu", "torchrec", "tensordict", "pyarrow", "numba", "tzrec.protos.pipeline_pb2")
REINSTALL = (
    "pip uninstall -y torchrec fbgemm-gpu fbgemm-gpu-cpu && "
    "pip install torch==2.13.0 && pip install --no-deps torchrec==1.8.0 fbgemm-gpu-cpu==1.8.0"
)


@dataclass(frozen=True)
class Facts:
    """What was seen.

    Attributes:
        python: version of the interpreter.
        packages: distribution name -> version, the installed ones of PACKAGES.
        broken: module -> why it cannot be imported; empty when all of MODULES can.
        gpu: whether torch sees a GPU that it can use.
        gloo: why a process group with gloo cannot be made; empty when it can.
        compiler: path of a C++ compiler, or None.
        cores: processor cores this process may use.
        threads: threads torch would use for one operation.
        directory: where model directories are to be written.
        unwritable: why nothing can be written there; empty when it can.
        sources: newest modification time of protos/*.proto, None when this is not a checkout.
        compiled: oldest modification time of the modules made from them, None when there are none.
    """

    python: tuple[int, int]
    packages: Mapping[str, str]
    broken: Mapping[str, str]
    gpu: bool
    gloo: str
    compiler: str | None
    cores: int
    threads: int
    directory: str
    unwritable: str
    sources: float | None
    compiled: float | None


@dataclass(frozen=True)
class Finding:
    """One line of the answer; without a cure it is good news."""

    name: str
    text: str
    cure: str = ""

    def __str__(self) -> str:
        if not self.cure:
            return f"ok       {self.name:<10} {self.text}"
        return f"problem  {self.name:<10} {self.text}\n         {'cure:':<10} {self.cure}"


def python(facts: Facts) -> Finding:
    """Python 3.10 to 3.13."""
    text = f"{facts.python[0]}.{facts.python[1]}"
    fits = (3, 10) <= facts.python < (3, 14)
    return Finding("python", text, "" if fits else "make .venv with Python 3.10 to 3.13: make PYTHON=python3.12 venv")


def fbgemm(facts: Facts) -> Finding:
    """Exactly one of the two builds of fbgemm: they unpack into the same folder and break each other."""
    found = [f"{name} {facts.packages[name]}" for name in FBGEMM if name in facts.packages]
    if len(found) == 2:
        why = " overwrite each other; a plain `pip install torchrec` brings the CUDA build along"
        return Finding("fbgemm", " and ".join(found) + why, REINSTALL)
    if not found:
        return Finding(
            "fbgemm", "not installed", "pip install --no-deps fbgemm-gpu-cpu==1.8.0 (CUDA: fbgemm-gpu==1.8.0)"
        )
    return Finding("fbgemm", found[0])


def gpu(facts: Facts) -> Finding:
    """Where torch sees a GPU training goes there, and needs the operators for it."""
    if facts.gpu and "fbgemm-gpu" not in facts.packages:
        cure = "make clean && make GPU=1 venv; or hide the GPU: CUDA_VISIBLE_DEVICES="
        return Finding("gpu", "torch sees a GPU, but fbgemm is the CPU build", cure)
    return Finding("gpu", "used" if facts.gpu else "none; everything runs on the CPU")


def versions(facts: Facts) -> Finding:
    """torch, torchrec and fbgemm of one release."""
    missing = [name for name in ("torch", "torchrec") if name not in facts.packages]
    if missing:
        return Finding("versions", f"{' and '.join(missing)} not installed", REINSTALL)
    torch = facts.packages["torch"]
    others = {name: facts.packages[name] for name in ("torchrec", *FBGEMM) if name in facts.packages}
    text = ", ".join(f"{name} {version}" for name, version in {"torch": torch, **others}.items())
    release = RELEASES.get(_minor(torch))
    if release is None or any(_minor(version) != release for version in others.values()):
        wanted = f"torch {_minor(torch)} goes with {release}" if release else "this torch has no known partner"
        return Finding("versions", f"{text}: {wanted}", REINSTALL)
    return Finding("versions", text)


def imports(facts: Facts) -> Finding:
    """Everything needed can be imported."""
    if not facts.broken:
        return Finding("imports", "the operators load")
    module, why = next(iter(facts.broken.items()))
    cure = "make proto" if module.startswith("tzrec.protos") else REINSTALL
    return Finding("imports", f"{', '.join(facts.broken)}: {why.splitlines()[0] if why else 'fails'}", cure)


def gloo(facts: Facts) -> Finding:
    """Ranks on CPU can talk to each other."""
    cure = "let the host's own name resolve (/etc/hosts), or set GLOO_SOCKET_IFNAME=lo" if facts.gloo else ""
    return Finding("gloo", facts.gloo or "a process group can be made", cure)


def compiler(facts: Facts) -> Finding:
    """Export compiles C++."""
    cure = "" if facts.compiler else "export needs one; on Debian: apt-get install g++"
    return Finding("compiler", facts.compiler or "no C++ compiler", cure)


def threads(facts: Facts) -> Finding:
    """No more threads than cores: with more, fbgemm's Adagrad becomes about ten times slower."""
    text = f"{facts.cores} cores, {facts.threads} threads"
    return Finding("threads", text, f"OMP_NUM_THREADS={facts.cores}" if facts.threads > facts.cores else "")


def directory(facts: Facts) -> Finding:
    """Model directories can be written."""
    cure = "give a directory that can be written: tzrec doctor --directory DIR" if facts.unwritable else ""
    return Finding("directory", f"{facts.directory}: {facts.unwritable or 'can be written'}", cure)


def protos(facts: Facts) -> Finding:
    """The protos are compiled, and not older than their sources."""
    if facts.compiled is None:
        return Finding("protos", "not compiled", "make proto (or: pip install --editable .)")
    if facts.sources is not None and facts.sources > facts.compiled:
        return Finding("protos", "older than protos/*.proto", "make proto")
    return Finding("protos", "compiled")


CHECKS: tuple[Callable[[Facts], Finding], ...] = (
    python,
    versions,
    fbgemm,
    gpu,
    imports,
    gloo,
    compiler,
    threads,
    directory,
    protos,
)


def _minor(version: str) -> str:
    return ".".join(version.split("+")[0].split(".")[:2])


def _installed() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _broken() -> dict[str, str]:
    found = {}
    for module in MODULES:
        try:
            importlib.import_module(module)
        except Exception as error:  # a broken shared library may raise anything
            found[module] = f"{type(error).__name__}: {error}"
    return found


def _try_gloo() -> str:
    import torch
    import torch.distributed as dist

    try:
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        dist.all_reduce(torch.zeros(1))
        dist.destroy_process_group()
    except (RuntimeError, ValueError) as error:
        return str(error).splitlines()[0]
    return ""


def _try_write(directory: str) -> str:
    try:
        with tempfile.TemporaryFile(dir=directory):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def _times(folder: Path, pattern: str) -> list[float]:
    return [path.stat().st_mtime for path in folder.rglob(pattern)]


def gather(directory: str) -> Facts:
    """Look at this machine: imports torch and writes a temporary file."""
    package = Path(tzrec.__file__).parent
    broken = _broken()
    torch = sys.modules.get("torch") if "torch" not in broken else None
    return Facts(
        python=sys.version_info[:2],
        packages=_installed(),
        broken=broken,
        gpu=bool(torch and torch.cuda.is_available()),
        gloo=_try_gloo() if torch else "torch cannot be imported",
        compiler=shutil.which("g++") or shutil.which("clang++"),
        cores=env.cores(),
        threads=torch.get_num_threads() if torch else 0,
        directory=directory,
        unwritable=_try_write(directory),
        sources=max(_times(package.parent / "protos", "*.proto"), default=None),
        compiled=min(_times(package / "protos", "*_pb2.py"), default=None),
    )


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """`tzrec doctor`."""
    flags = cli.parser("doctor", "Find what is wrong with this installation; exit status 1 when something is.")
    flags.add_argument("--directory", default=".", metavar="DIR", help="where model directories are to be written")
    args = flags.parse_args(argv)
    facts = gather(args.directory)
    findings = [check(facts) for check in CHECKS]
    print("\n".join(map(str, findings)))
    return 1 if any(finding.cure for finding in findings) else 0


if __name__ == "__main__":
    sys.exit(main())
