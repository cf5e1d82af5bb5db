"""What a large picture took is given back, whatever lives beside it."""

import subprocess
import sys

import pytest

# After the first large block glibc takes such ones from the heap, where what stays keeps holes of 5 MB.
SCRIPT = """
import numpy as np
from effnet.inference.server.memory import return_large_blocks

def resident():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))

if {gives_back}:
    return_large_blocks()
np.ones(9 << 20, np.uint8)
before = resident()
pairs = [(np.ones(5 << 20, np.uint8), np.ones(100_000, np.uint8)) for _ in range(8)]
kept = [small for _, small in pairs]
del pairs
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the malloc of glibc")
@pytest.mark.parametrize(("gives_back", "least", "most"), [(True, 0, 4), (False, 10, 50)])
def test_large_blocks_leave_no_holes(gives_back: bool, least: float, most: float) -> None:
    command = [sys.executable, "-c", SCRIPT.format(gives_back=gives_back)]
    stayed = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert least <= stayed <= most  # megabytes
