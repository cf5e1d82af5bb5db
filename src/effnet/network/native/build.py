"""Compile the CPU kernels with the machine's C++ compiler: once, in seconds, then kept in a cache."""

import ctypes
import hashlib
import os
import platform
import shlex
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
_DIGEST_BYTES = 32

Command = tuple[str, ...]


class NoKernelsError(EffnetError):
    """The kernels cannot be compiled or loaded here; torch computes instead, more slowly."""


@cache
def load_kernels() -> ctypes.CDLL:
    """Load the kernels, compiled for this machine; compile them if that was not done before.

    Raises:
        NoKernelsError: no compiler, or it fails, or the cache cannot be used; says which and why.

    """
    if platform.system() != "Linux":  # elsewhere torch's OpenMP is another one, and two in a process collide
        raise NoKernelsError(f"the CPU kernels are made for Linux, not for {platform.system()}")
    compiler = find_compiler()
    try:
        path = cache_folder() / "kernels" / f"{_key(compiler)}.so"
        if not _is_whole(path):
            write_bytes(path, lambda temporary: _compile(compiler, temporary))
        return ctypes.CDLL(str(path))
    except NoKernelsError:
        raise
    except EffnetError as error:
        raise NoKernelsError(f"{error}; $EFFNET_CACHE may name another folder") from error
    except OSError as error:
        raise NoKernelsError(str(error)) from error


def find_compiler() -> Command:
    """Return the command of the C++ compiler: `$CXX`, such as `ccache g++`, or the first that is installed.

    Raises:
        NoKernelsError: there is none.

    """
    given = os.environ.get("CXX", "").strip()
    for name in (given,) if given else COMPILERS:
        first, *rest = _words(name)
        if (found := shutil.which(first)) is not None:
            return found, *rest
    raise NoKernelsError(
        f"the C++ compiler that $CXX names, {given}, is not installed"
        if given
        else f"no C++ compiler ({', '.join(COMPILERS)}) is installed"
    )


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise NoKernelsError(f"$CXX is not a command ({error}): {command}") from None


def _key(compiler: Command) -> str:
    """Hash what the result depends on; a home folder may be shared by machines with different processors."""
    version = _run(*compiler, "--version").stdout
    source = SOURCE.read_text(encoding="utf-8")
    parts = (source, *FLAGS, *compiler, version, platform.machine(), *cpu_features())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def cpu_features() -> tuple[str, ...]:
    """Name the processor's instruction sets as Linux does: `avx512_bf16`, `amx_bf16`, `bf16`, …"""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return tuple(value.split())
    return ()


def _compile(compiler: Command, target: Path) -> None:
    """Fill `target` with the library and, behind it, its digest; who loads a library reads no further."""
    done = _run(*compiler, *FLAGS, "-o", str(target), str(SOURCE))
    library = target.read_bytes() if done.returncode == 0 else b""
    if not library:
        reason = f"exit status {done.returncode}: {_error_in(done.stderr)}"
        raise NoKernelsError(f"{shlex.join(compiler)} cannot compile {SOURCE.name}, {reason}")
    target.write_bytes(library + hashlib.sha256(library).digest())


def _error_in(output: str) -> str:
    """Return the line of a compiler's output that says what is wrong."""
    lines = output.strip().splitlines() or ["it does not say why"]
    return next((line for line in lines if "error" in line), lines[-1])[:300]


def _is_whole(path: Path) -> bool:
    """Tell whether a library is there as it was compiled: to load a damaged one may kill the process."""
    if not path.is_file():
        return False
    content = path.read_bytes()
    return hashlib.sha256(content[:-_DIGEST_BYTES]).digest() == content[-_DIGEST_BYTES:]


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", check=False, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired:
        raise NoKernelsError(f"{command[0]} took more than {TIMEOUT:g} seconds") from None
