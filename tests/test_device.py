"""Memory that is freed while a network computes stays with the process; afterwards it does not."""

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc is set")

PREPARE = """
from pathlib import Path
import torch
from effnet.device import kept_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])

def kept():
    before = resident()
    torch.ones(12_000_000)  # 48 MB, freed at once
    return resident() - before

cpu, gpu = torch.device("cpu"), torch.device("cuda")
"""
BLOCK = 11_000  # pages: a little less than the 11,719 of 48 MB, some of which was there before
FEW = 1_000


def printed_by(*lines: str) -> list[int]:
    """Return what a fresh process prints: settings of malloc hold for a whole process."""
    code = "\n".join([PREPARE, *lines])
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE)
    return [int(word) for word in done.stdout.split()]


def test_freed_memory_is_kept() -> None:
    usual, pages = printed_by("print(kept())", "with kept_memory(cpu): print(kept())")
    assert usual < FEW
    assert pages > BLOCK


def test_on_a_gpu_nothing_changes() -> None:
    (pages,) = printed_by("with kept_memory(gpu): print(kept())")
    assert pages < FEW


def test_the_outermost_decides_when_it_ends() -> None:
    (pages,) = printed_by("with kept_memory(cpu):", "  with kept_memory(cpu): pass", "  print(kept())")
    assert pages > BLOCK


def test_at_the_end_memory_goes_back_and_all_is_as_before() -> None:
    lines = ("with kept_memory(cpu):", "  kept()", "  print(resident())", "print(resident(), kept())")
    during, after, pages = printed_by(*lines)
    assert during - after > BLOCK
    assert pages < FEW


def test_an_error_ends_it_too() -> None:
    failing = ("try:", "  with kept_memory(cpu): raise KeyError", "except KeyError: print(kept())")
    after, again = printed_by(*failing, "with kept_memory(cpu): print(kept())")
    assert after < FEW
    assert again > BLOCK
