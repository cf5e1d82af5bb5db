"""Compile the CPU kernels with the machine's C++ compiler: once, in seconds, then kept in a cache."""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
from functools import cache
from pathlib import Path

from effnet.errors import EffnetError
from effnet.files import cache_folder, write_bytes

SOURCE = Path(__file__).with_name("kernels.cpp")
COMPILERS = ("c++", "g++", "clang++")
FLAGS = ("-std=c++17", "-O3", "-march=native", "-fopenmp", "-shared", "-fPIC")
TIMEOUT = 120.0  # seconds


class NoKernelsError(EffnetError):
    """The kernels cannot be compiled or loaded here; torch computes instead, more slowly."""


@cache
def load_kernels() -> ctypes.CDLL:
    """Load the kernels, compiled for this machine; compile them if that was not done before.

    Raises:
        NoKernelsError: no compiler, or it fails; says which and why.

    """
    if platform.system() != "Linux":  # elsewhere torch's OpenMP is another one, and two in a process collide
        raise NoKernelsError(f"the CPU kernels are made for Linux, not for {platform.system()}")
    compiler = find_compiler()
    path = cache_folder() / "kernels" / f"{_key(compiler)}.so"
    if not path.exists():
        write_bytes(path, lambda temporary: _compile(compiler, temporary))
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise NoKernelsError(f"cannot load {path}: {error}; remove it and try again") from error


def find_compiler() -> str:
    """Return the C++ compiler: `$CXX`, or the first that is installed.

    Raises:
        NoKernelsError: there is none.

    """
    names = (given,) if (given := os.environ.get("CXX")) else COMPILERS
    for name in names:
        if (found := shutil.which(name)) is not None:
            return found
    raise NoKernelsError(f"no C++ compiler ({', '.join(names)}) is installed")


def _key(compiler: str) -> str:
    """Hash what the result depends on; a home folder may be shared by machines with different processors."""
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False).stdout
    parts = (
        SOURCE.read_text(encoding="utf-8"),
        *FLAGS,
        compiler,
        version,
        platform.machine(),
        *cpu_features(),
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def cpu_features() -> tuple[str, ...]:
    """Name the processor's instruction sets as Linux does: `avx512_bf16`, `amx_bf16`, `bf16`, …"""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return tuple(value.split())
    return ()


def _compile(compiler: str, target: Path) -> None:
    command = [compiler, *FLAGS, "-o", str(target), str(SOURCE)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise NoKernelsError(f"{compiler} took more than {TIMEOUT:.0f} seconds") from None
    if done.returncode:
        raise NoKernelsError(f"{' '.join(command)} failed: {done.stderr.strip()[:500]}")
