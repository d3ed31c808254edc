"""Runner of machine code that leaves Python to other threads: torch's C++ runner behind a class of torch.

torch's own binding of the runner holds Python's lock during the whole call, so that a server neither reads requests nor
encodes features while it scores. Methods of classes that are registered with torch run without the lock. The class
is compiled once for each version of torch and machine, kept in the cache of the compiler, and copied into each package.
"""

from __future__ import annotations

import hashlib
import platform
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from tzrec import env
from tzrec.errors import first_line
from tzrec.log import logger
from tzrec.serving.draft import PackageDraft
from tzrec.serving.package_manifest import Content
from tzrec.torchrec_adapter import compiler_cache, cpp_compiler, load_package

KIND, FILE = "runner", "runner.so"
_MAX_CONCURRENT_RUNS = 8
_SOURCE = """
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/custom_class.h>

namespace {

using Tensors = std::vector<at::Tensor>;

struct ProgramRunner : torch::CustomClassHolder {
  ProgramRunner(const std::string& path, int64_t num_runners) : loader(path, "model", false, num_runners) {}

  Tensors run(const Tensors& inputs) { return loader.run(inputs); }

  std::vector<std::string> get_constant_fqns() { return loader.get_constant_fqns(); }

  void load_constants(const c10::Dict<std::string, at::Tensor>& tensors) {
    std::unordered_map<std::string, at::Tensor> constants;
    for (const auto& entry : tensors) constants.emplace(entry.key(), entry.value());
    loader.load_constants(constants, false, true, true, false);
  }

  torch::inductor::AOTIModelPackageLoader loader;
};

}  // namespace

TORCH_LIBRARY(NAMESPACE, library) {
  library.class_<ProgramRunner>("ProgramRunner")
      .def(torch::init<const std::string&, int64_t>())
      .def("run", &ProgramRunner::run)
      .def("get_constant_fqns", &ProgramRunner::get_constant_fqns)
      .def("load_constants", &ProgramRunner::load_constants);
}
"""
_NAMESPACE = f"tzrec_{hashlib.sha256(_SOURCE.encode()).hexdigest()[:12]}"
_registering = threading.Lock()
_registered: set[str] = set()


def add_runner(draft: PackageDraft) -> None:
    """Add the compiled class to a package; without it a package works too, but its runs hold Python's lock."""
    try:
        library = _compiled()
    except subprocess.CalledProcessError as error:
        logger.warning("export  scoring will hold Python's lock: %s", first_line(error.stderr.decode(errors="replace")))
        return
    draft.add(KIND, FILE, library, _made_for())


def open_machine_code(path: Path, constants: Mapping[str, torch.Tensor], contents: Mapping[str, Content]) -> Any:
    """Load machine code with its weights, whose memory it uses.

    Args:
        path: of the machine code.
        constants: weights by name; others may be among them.
        contents: of the manifest of its package. With a runner for this torch and machine, several threads may run the
            machine code at the same time, without Python's lock.

    Raises:
        RuntimeError: it cannot be loaded.
        KeyError: a weight is missing.
    """
    content = contents.get(KIND)
    if content is not None and content.about == _made_for() and _is_registered(path.with_name(content.file)):
        num_runners = min(env.available_cpus(), _MAX_CONCURRENT_RUNS)
        model = getattr(torch.classes, _NAMESPACE).ProgramRunner(str(path), num_runners)
        model.load_constants({name: constants[name] for name in model.get_constant_fqns()})
        return model
    model = load_package(str(path))
    needed = {name: constants[name] for name in model.get_constant_fqns()}
    model.load_constants(needed, False, True, True, False)  # raises if one is missing; uses the mapped memory
    return model


def _made_for() -> dict[str, str]:
    """Describe the installation that a compiled class fits: it calls C++ functions of this very torch."""
    return {"torch": str(torch.__version__), "machine": platform.machine(), "namespace": _NAMESPACE}


def _is_registered(library: Path) -> bool:
    """Register the class, once for all packages; False if it cannot be loaded here."""
    with _registering:
        if _NAMESPACE not in _registered:
            try:
                torch.classes.load_library(str(library))
            except OSError as error:
                logger.warning("scoring will hold Python's lock: %s cannot be loaded: %s", library, first_line(error))
                return False
            _registered.add(_NAMESPACE)
        return True


def _compiled() -> Path:
    """Compile the class, or find it in the cache.

    Raises:
        CalledProcessError: the compiler failed.
    """
    name = hashlib.sha256(repr((_made_for(), cpp_compiler())).encode()).hexdigest()[:16]
    library = compiler_cache() / f"tzrec_runner_{name}.so"
    if library.is_file():
        return library
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        source, draft = Path(folder) / "runner.cpp", Path(folder) / library.name
        source.write_text(_SOURCE.replace("NAMESPACE", _NAMESPACE))
        root = Path(torch.__file__).parent
        command = [cpp_compiler(), "-std=c++20", "-O1", "-shared", "-fPIC", str(source), "-o", str(draft)]
        command += [f"-I{root}/include", f"-I{root}/include/torch/csrc/api/include", f"-L{root}/lib"]
        subprocess.run([*command, "-ltorch_cpu", "-lc10"], check=True, capture_output=True)
        draft.replace(library)  # another export may be compiling it as well
    return library
