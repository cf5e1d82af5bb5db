"""The CPU kernels are compiled once; whatever hinders that is a stated reason, never a crash."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE

import pytest
import torch
from native_layers import backward, compute, images, inner, norm

from compiler import needs_kernels
from effnet.network.native import build
from effnet.network.native.build import NoKernelsError, find_compiler, load_kernels

pytestmark = needs_kernels


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the kernels; to be copied, not loaded."""
    folder = tmp_path_factory.mktemp("compiled")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EFFNET_CACHE", str(folder))
        load_kernels.cache_clear()
        load_kernels()
    load_kernels.cache_clear()
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache; nothing is loaded before or after."""
    monkeypatch.setenv("EFFNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CXX", raising=False)
    load_kernels.cache_clear()
    yield tmp_path / "cache"
    load_kernels.cache_clear()


def library(cache: Path) -> Path:
    """Return the only file of a cache."""
    (path,) = (path for path in cache.rglob("*") if path.is_file())
    return path


def script(folder: Path, lines: str) -> Path:
    """Write a program that takes the place of the compiler."""
    path = folder / "compiler"
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(0o755)
    return path


def reason() -> str:
    """Return why there are no kernels, in one line."""
    with pytest.raises(NoKernelsError) as caught:
        load_kernels()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_kernels_are_compiled_once(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (compiler,) = find_compiler()
    log = tmp_path / "log"
    monkeypatch.setenv("CXX", str(script(tmp_path, f'echo "$@" >> {log}; exec {compiler} "$@"')))
    for _ in range(3):
        load_kernels.cache_clear()
        load_kernels()
    lines = log.read_text().splitlines()
    assert [line for line in lines if line != "--version"] == [line for line in lines if "-shared" in line]
    assert sum("-shared" in line for line in lines) == 1
    assert library(cache).suffix == ".so"


def test_the_library_in_the_cache_is_loaded_as_it_is(cache: Path, compiled: Path) -> None:
    shutil.copytree(compiled, cache)
    before = library(cache).stat()
    load_kernels()
    after = library(cache).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:],
        lambda data: b"",
    ],
    ids=["half", "a bit", "empty"],
)
def test_a_damaged_library_is_compiled_anew(damage: object, cache: Path, compiled: Path) -> None:
    assert callable(damage)
    shutil.copytree(compiled, cache)
    whole = library(cache).read_bytes()
    library(cache).write_bytes(damage(whole))
    assert load_kernels().norm_forward
    assert library(cache).read_bytes() == whole


@pytest.mark.parametrize("change", ["source", "flags", "compiler"])
def test_another_source_or_compiler_makes_another_library(
    change: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (compiler,) = find_compiler()
    before = build._key((compiler,))
    if change == "source":
        monkeypatch.setattr(build, "SOURCE", shutil.copy(build.SOURCE, tmp_path / "kernels.cpp"))
        build.SOURCE.write_text(build.SOURCE.read_text() + "// another\n")
    elif change == "flags":
        monkeypatch.setattr(build, "FLAGS", (*build.FLAGS, "-O2"))
    else:
        compiler = str(script(tmp_path, "echo compiler 99.0"))
    assert build._key((compiler,)) != before


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "/nonexistent -m64")
    assert reason() == "the C++ compiler that $CXX names, /nonexistent -m64, is not installed"


def test_no_compiler_at_all_says_which_ones_would_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert reason() == "no C++ compiler (c++, g++, clang++) is installed"


def test_a_command_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "'c++")
    assert reason() == "$CXX is not a command (No closing quotation): 'c++"


def test_the_compiler_may_have_arguments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (compiler,) = find_compiler()
    path = script(tmp_path, f'shift; exec {compiler} "$@"')
    monkeypatch.setenv("CXX", f"sh {path} --first -O1")
    assert load_kernels().norm_forward


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("echo note >&2; echo 'x.cpp: error: no' >&2; echo more >&2; exit 3", "3: x.cpp: error: no"),
        ("echo first >&2; echo last >&2; exit 1", "1: last"),
        ("exit 1", "1: it does not say why"),
        ("printf '\\377 error' >&2; exit 1", "1: � error"),
        ("kill -9 $$", "-9: it does not say why"),
    ],
    ids=["error", "last line", "silent", "not UTF-8", "killed"],
)
def test_a_compiler_that_fails_says_why(
    lines: str, expected: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", str(script(tmp_path, f'test "$1" = --version && exit; {lines}')))
    assert reason() == f"{tmp_path}/compiler cannot compile kernels.cpp, exit status {expected}"
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_a_compiler_that_makes_nothing_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", str(script(tmp_path, "exit 0")))
    assert reason().endswith("cannot compile kernels.cpp, exit status 0: it does not say why")


def test_a_compiler_that_is_no_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = script(tmp_path, "")
    path.write_bytes(b"\x7fELF nonsense")
    monkeypatch.setenv("CXX", str(path))
    assert reason() == f"[Errno 8] Exec format error: '{path}'"


@pytest.mark.parametrize("condition", ["true", 'test "$1" != --version'])
def test_a_compiler_that_hangs_is_left_alone(
    condition: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "TIMEOUT", 0.5)
    monkeypatch.setenv("CXX", str(script(tmp_path, f"{condition} && exec sleep 60")))
    assert reason() == f"{tmp_path}/compiler took more than 0.5 seconds"


def test_a_cache_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EFFNET_CACHE", "/dev/null/cache")
    assert reason().startswith("cannot write /dev/null/cache/kernels/")
    assert reason().endswith(".so: Not a directory; $EFFNET_CACHE may name another folder")


def test_a_cache_in_a_home_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EFFNET_CACHE", "~nobody-lives-here/cache")
    assert "there is no home folder for ~nobody-lives-here/cache" in reason()


def test_a_folder_in_place_of_the_library_is_named(cache: Path, compiled: Path) -> None:
    (cache / "kernels" / library(compiled).name).mkdir(parents=True)
    assert "it is there, and not a regular file" in reason()


def test_processors_that_do_not_round_to_bfloat16_get_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """There, bits are added; it must round ties to even and keep every NaN."""

    def results() -> list[torch.Tensor]:
        torch.manual_seed(0)
        layer, x = norm(24), images(4, 24, 16, 16, dtype=torch.bfloat16)
        with torch.no_grad():
            bits = torch.tensor([0x7FFFFFFF, -1, 0x7F800001, 0x7F800000], dtype=torch.int32)
            inner(layer).bias[:4] = bits.view(torch.float32)
        y = compute(layer, x)
        backward(y)
        return [y, *(value for value in (x.grad,) if value is not None)]

    (compiler,) = find_compiler()
    usual = results()
    monkeypatch.setenv("CXX", f"{compiler} -U__AVX512BF16__")
    load_kernels.cache_clear()
    for mine, theirs in zip(results(), usual, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0, equal_nan=True)
        assert mine[:, :3].isnan().all()


def test_two_programs_may_compile_at_the_same_time(cache: Path) -> None:
    code = "from effnet.network.native.build import load_kernels; print(load_kernels().norm_forward.__name__)"
    programs = [
        subprocess.Popen([sys.executable, "-c", code], stdout=PIPE, stderr=PIPE, text=True) for _ in range(2)
    ]
    outputs = [program.communicate(timeout=100) for program in programs]
    assert outputs == [("norm_forward\n", "")] * 2
    assert library(cache).suffix == ".so"
