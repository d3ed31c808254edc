"""`tzrec doctor`: find problems of this installation and their fixes.

`gather` inspects the machine; the checks are pure functions of the facts that it returns.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import math
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from tzrec import cli, env
from tzrec.errors import UsageError
from tzrec.formatting import format_bytes
from tzrec.torchrec_adapter import RELEASES

if TYPE_CHECKING:
    from tzrec.run.matmul import MatmulRates, Processor

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""Package index of builds of torch without CUDA, which PyPI does not have for Linux on x86."""
FBGEMM = ("fbgemm-gpu-cpu", "fbgemm-gpu")
PACKAGES = ("torch", "torchrec", *FBGEMM, "protobuf", "pyarrow", "numba", "tensordict")
OF_RELEASE = ("fbgemm_gpu", "torchrec")
"""Modules that are not imported beside a torch of another release: they would print pages of errors."""
MODULES = ("torch", *OF_RELEASE, "tensordict", "pyarrow", "numba", "tzrec.protos.pipeline_pb2")


@dataclass(frozen=True)
class Facts:
    """Facts about the machine and its packages.

    Attributes:
        python: version of the interpreter.
        packages: distribution name -> version, the installed ones of PACKAGES.
        broken: module -> error of its import; empty if all of MODULES can be imported.
        gpu: True if torch can use a GPU.
        is_cuda_torch: True if torch was built for CUDA.
        gloo: error of a gloo process group; empty if one can be created.
        compiler: path of a C++ compiler, or None.
        cores: processor cores this process may use.
        cpu_quota: cores' worth of processor time that a container allows; infinity without a quota.
        memory: bytes this process can still allocate.
        threads: threads torch would use for one operation.
        spin: waiting of idle OpenMP threads.
        openmp: libraries of OpenMP that torch has loaded.
        processor: model of the processor; None if torch cannot be imported.
        rates: of matrix products; None if they were not measured.
        directory: parent of model directories.
        unwritable: error of a write to it; empty if it is writable.
        sources: newest modification time of protos/*.proto, None if this is not a checkout.
        compiled: oldest modification time of the compiled protos, None if there are none.
    """

    python: tuple[int, int]
    packages: Mapping[str, str]
    broken: Mapping[str, str]
    gpu: bool
    is_cuda_torch: bool
    gloo: str
    compiler: str | None
    cores: int
    cpu_quota: float
    memory: float
    threads: int
    spin: env.OpenMPSpin
    openmp: tuple[str, ...]
    processor: Processor | None
    rates: MatmulRates | None
    directory: str
    unwritable: str
    sources: float | None
    compiled: float | None


@dataclass(frozen=True)
class Finding:
    """Result of one check; a problem if it has a fix.

    Attributes:
        name: of the check.
        text: what was found.
        fix: what to do; empty if there is no problem.
        is_of_packages: True if `--fix` mends it, with the commands of `package_commands`.
    """

    name: str
    text: str
    fix: str = ""
    is_of_packages: bool = False

    def __str__(self) -> str:
        if not self.fix:
            return f"ok       {self.name:<10} {self.text}"
        return f"problem  {self.name:<10} {self.text}\n         {'fix:':<10} {self.fix}"


def package_commands(facts: Facts) -> list[list[str]]:
    """List the arguments of pip that install torch, torchrec and fbgemm of one release.

    A supported torch is kept. torchrec is installed without its dependencies: they name the CUDA build of fbgemm, which
    is written over the CPU build.
    """
    torch = _minor(facts.packages.get("torch", ""))
    build = FBGEMM[1] if facts.gpu else FBGEMM[0]
    installed = [name for name in ("torchrec", *FBGEMM) if name in facts.packages]
    release = RELEASES.get(torch)
    commands = [["uninstall", "-y", *installed]] if installed else []
    if release is None:
        torch, release = max(RELEASES.items())
        index = [] if facts.gpu else ["--extra-index-url", CPU_INDEX]
        commands.append(["install", f"torch=={torch}.*", *index])
    return [*commands, ["install", "--no-deps", f"torchrec=={release}.*", f"{build}=={release}.*"]]


def _packages_problem(name: str, text: str, facts: Facts) -> Finding:
    lines = [shlex.join(["pip", *arguments]) for arguments in package_commands(facts)]
    return Finding(name, text, f"tzrec doctor --fix, which runs: {' && '.join(lines)}", is_of_packages=True)


def python(facts: Facts) -> Finding:
    """Check for Python 3.10 to 3.13."""
    text = f"{facts.python[0]}.{facts.python[1]}"
    fits = (3, 10) <= facts.python < (3, 14)
    return Finding("python", text, "" if fits else "create .venv with Python 3.10 to 3.13: make PYTHON=python3.12 venv")


def fbgemm(facts: Facts) -> Finding:
    """Check for exactly one of the two builds of fbgemm, which overwrite each other in the same folder."""
    builds = [f"{name} {facts.packages[name]}" for name in FBGEMM if name in facts.packages]
    if len(builds) == 2:
        why = " overwrite each other; a plain `pip install torchrec` adds the CUDA build"
        return _packages_problem("fbgemm", " and ".join(builds) + why, facts)
    if not builds:
        return _packages_problem("fbgemm", "not installed", facts)
    return Finding("fbgemm", builds[0])


def gpu(facts: Facts) -> Finding:
    """Check that fbgemm has operators for the GPU that training would use."""
    if facts.gpu and "fbgemm-gpu" not in facts.packages:
        problem = _packages_problem("gpu", "torch can use a GPU, but fbgemm is the CPU build", facts)
        return dataclasses.replace(problem, fix=f"{problem.fix}; or hide the GPU: CUDA_VISIBLE_DEVICES=")
    if facts.gpu:
        return Finding("gpu", "used")
    smaller = f"; torch is a CUDA build, one without it is 5 GB smaller: {CPU_INDEX}" if facts.is_cuda_torch else ""
    return Finding("gpu", f"none; everything runs on the CPU{smaller}")


def _are_of_one_release(packages: Mapping[str, str]) -> bool:
    release = RELEASES.get(_minor(packages.get("torch", "")))
    return all(_minor(packages[name]) == release for name in ("torchrec", *FBGEMM) if name in packages)


def versions(facts: Facts) -> Finding:
    """Check that torch, torchrec and fbgemm are of one release."""
    missing = [name for name in ("torch", "torchrec") if name not in facts.packages]
    if missing:
        return _packages_problem("versions", f"{' and '.join(missing)} not installed", facts)
    torch = facts.packages["torch"]
    partners = {name: facts.packages[name] for name in ("torchrec", *FBGEMM) if name in facts.packages}
    text = ", ".join(f"{name} {version}" for name, version in {"torch": torch, **partners}.items())
    release = RELEASES.get(_minor(torch))
    if release is None or not _are_of_one_release(facts.packages):
        expected = f"torch {_minor(torch)} requires {release}" if release else "this torch is not supported"
        return _packages_problem("versions", f"{text}: {expected}", facts)
    return Finding("versions", text)


def imports(facts: Facts) -> Finding:
    """Check that all modules can be imported."""
    if not facts.broken:
        return Finding("imports", "the operators load")
    module, why = next(iter(facts.broken.items()))
    text = f"{', '.join(facts.broken)}: {why.splitlines()[0] if why else 'fails'}"
    if module.startswith("tzrec.protos"):
        return Finding("imports", text, "make proto")
    return _packages_problem("imports", text, facts)


def gloo(facts: Facts) -> Finding:
    """Check that ranks can communicate on CPU."""
    fix = "make the host name resolvable (/etc/hosts), or set GLOO_SOCKET_IFNAME=lo" if facts.gloo else ""
    return Finding("gloo", facts.gloo or "a process group can be created", fix)


def compiler(facts: Facts) -> Finding:
    """Check for the C++ compiler that export needs."""
    fix = "" if facts.compiler else "export needs one; on Debian: apt-get install g++"
    return Finding("compiler", facts.compiler or "no C++ compiler", fix)


def threads(facts: Facts) -> Finding:
    """Check that there are no more threads than cores: fbgemm's Adagrad would be about ten times slower.

    A CPU quota is no problem: training divides the cores that it allows among the ranks.
    """
    if not math.isinf(facts.cpu_quota):
        return Finding("threads", f"a CPU quota of {facts.cpu_quota:g} cores, so training takes {facts.cores} of them")
    text = f"{facts.cores} cores, {facts.threads} threads"
    return Finding("threads", text, f"OMP_NUM_THREADS={facts.cores}" if facts.threads > facts.cores else "")


def memory(facts: Facts) -> Finding:
    """Show the memory that is left, also under the limit of a container."""
    text = "not known on this system" if math.isinf(facts.memory) else f"{format_bytes(facts.memory)} available"
    return Finding("memory", text)


def openmp(facts: Facts) -> Finding:
    """Show the waiting of idle OpenMP threads, with advice where another setting is better on a shared machine."""
    foreign = [name for name in facts.openmp if not name.startswith("libgomp")]
    if foreign:
        text = (
            f"{', '.join(foreign)}, which ignores train_config.openmp_spin_count; beside busy processes KMP_BLOCKTIME=0"
        )
        return Finding("openmp", f"{text} in the shell is faster")
    advice = (
        "; beside busy processes training is faster without these variables" if _spins_long(facts.spin.shell) else ""
    )
    return Finding("openmp", f"{facts.spin}{advice}")


def matmul(facts: Facts) -> Finding:
    """Show the library of fp32 matrix products, and compare it with measured rates if there are any."""
    if facts.processor is None:
        return Finding("matmul", "torch cannot be imported")
    backend, rates = facts.processor.backend, facts.rates
    text = f"fp32 matrix products by {backend.value} on {facts.processor}"
    if rates is None:
        return Finding("matmul", text)
    text += f"; measured: {rates}"
    if rates.fastest is backend or rates.is_close:
        return Finding("matmul", text)
    return Finding(
        "matmul", f"{text}: {rates.fastest.value} is faster", f"train_config.cpu_matmul: {rates.fastest.field}"
    )


def directory(facts: Facts) -> Finding:
    """Check that model directories can be written."""
    fix = "choose a writable directory: tzrec doctor --directory DIR" if facts.unwritable else ""
    return Finding("directory", f"{facts.directory}: {facts.unwritable or 'writable'}", fix)


def protos(facts: Facts) -> Finding:
    """Check that the protos are compiled and not older than their sources."""
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
    memory,
    openmp,
    matmul,
    directory,
    protos,
)


def _minor(version: str) -> str:
    return ".".join(version.split("+")[0].split(".")[:2])


def _installed() -> dict[str, str]:
    installed = {}
    for name in PACKAGES:
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return installed


def _broken(packages: Mapping[str, str]) -> dict[str, str]:
    skipped = () if _are_of_one_release(packages) else OF_RELEASE
    errors = {}
    for module in (module for module in MODULES if module not in skipped):
        try:
            import_module(module)
        except Exception as error:  # a broken shared library may raise anything
            errors[module] = f"{type(error).__name__}: {error}"
    return errors


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


def _spins_long(variables: str) -> bool:
    """Return True for variables of the shell that let idle threads spin for longer than tzrec does."""
    values = dict(word.split("=", 1) for word in variables.split())
    count = values.get("GOMP_SPINCOUNT", "").lower()
    if count:
        return not count.isdecimal() or int(count) > 10 * env.OPENMP_SPIN_COUNT
    return values.get("OMP_WAIT_POLICY", "").lower() == "active"


def _openmp_libraries() -> tuple[str, ...]:
    """Return the names of the OpenMP libraries in this process; none where the system does not tell."""
    maps = Path("/proc/self/maps")
    paths = {Path(line.split()[-1]) for line in maps.read_text().splitlines()} if maps.exists() else set()
    return tuple(sorted(path.name for path in paths if path.name.startswith(("libgomp", "libomp.", "libiomp"))))


def gather(directory: str, should_measure: bool = False) -> Facts:
    """Inspect this machine: import torch, write a temporary file, and measure matrix products if asked to."""
    package = Path(__file__).parent
    env.set_openmp_spin()
    packages = _installed()
    broken = _broken(packages)
    torch = sys.modules.get("torch") if "torch" not in broken else None
    processor = rates = None
    if torch:
        from tzrec.run.matmul import Processor, measure_rates

        processor = Processor.read()
        rates = measure_rates() if should_measure else None
    return Facts(
        python=sys.version_info[:2],
        packages=packages,
        broken=broken,
        gpu=bool(torch and torch.cuda.is_available()),
        is_cuda_torch=bool(torch and torch.version.cuda),
        gloo=_try_gloo() if torch else "torch cannot be imported",
        compiler=shutil.which("g++") or shutil.which("clang++"),
        cores=env.available_cpus(),
        cpu_quota=env.cpu_quota(),
        memory=env.available_memory(),
        threads=torch.get_num_threads() if torch else 0,
        spin=env.openmp_spin(),
        openmp=_openmp_libraries(),
        processor=processor,
        rates=rates,
        directory=directory,
        unwritable=_try_write(directory),
        sources=max(_times(package.parent / "protos", "*.proto"), default=None),
        compiled=min(_times(package / "protos", "*_pb2.py"), default=None),
    )


def reinstall(facts: Facts) -> None:
    """Install torch, torchrec and fbgemm of one release with pip, or with uv in an environment that has no pip.

    Raises:
        UsageError: neither is there, or an installation failed.
    """
    # not find_spec: setuptools takes a search for pip for an installation, and then refuses to be imported
    if any(importlib.metadata.distributions(name="pip")):
        installer, environment = [sys.executable, "-m", "pip"], []
    elif uv := shutil.which("uv"):
        installer, environment = [uv, "pip"], ["--python", sys.executable]
    else:
        raise UsageError("tzrec doctor --fix needs pip or uv; in this environment: python -m ensurepip")
    for arguments in package_commands(facts):
        print(f"run      {shlex.join(['pip', *arguments])}", flush=True)
        status = subprocess.run([*installer, *arguments, *environment]).returncode
        if status:
            raise UsageError(f"tzrec doctor --fix: {shlex.join(['pip', *arguments])} failed with status {status}")


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Print one line per check; return 1 if there is a problem."""
    flags = cli.parser("doctor", "Find problems of this installation and their fixes; exit status 1 if there are any.")
    flags.add_argument("--directory", default=".", metavar="DIR", help="parent of model directories")
    flags.switch("--measure_matmul", "measure the libraries of matrix products and compare them with the one in use")
    flags.switch("--fix", "install torch, torchrec and fbgemm of one release if they do not fit together")
    args = flags.parse_args(argv)
    facts = gather(args.directory, args.measure_matmul)
    findings = [check(facts) for check in CHECKS]
    print("\n".join(map(str, findings)), flush=True)
    if args.fix and any(finding.is_of_packages for finding in findings):
        reinstall(facts)
        # in a new process: this one has imported what was there before
        return subprocess.run([sys.executable, "-m", "tzrec", "doctor", "--directory", args.directory]).returncode
    return 1 if any(finding.fix for finding in findings) else 0


if __name__ == "__main__":
    cli.leave(main())
