"""The memory that predicting one batch takes: read off a fresh process that does nothing else."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from effnet.device import STATUS, status
from effnet.errors import EffnetError
from effnet.sizing.budget.latency import Conditions, exported
from effnet.spec import netspec
from effnet.spec.netspec import NetSpec

COMMAND = (sys.executable, "-m", "effnet.sizing.budget.process")


def can_measure(given: Conditions) -> bool:
    """Tell whether the system says how much memory a process took: Linux does, and CUDA for its GPUs."""
    return given.device.type == "cuda" or (given.device.type == "cpu" and STATUS.exists())


def peak_bytes(spec: NetSpec, given: Conditions, folder: Path) -> int:
    """Return the most memory that a process takes that predicts one batch, its libraries included.

    On a GPU it is the GPU's memory that torch takes for weights and activations. Files that the runtime needs
    are put into `folder`.

    Raises:
        EffnetError: the process failed, as it does when its memory runs out.

    """
    asked = {
        "runtime": given.runtime,
        "device": given.device.type,
        "threads": given.num_threads,
        "classes": given.num_classes,
        "shape": [given.batch, spec.in_channels, spec.resolution, spec.resolution],
        "spec": netspec.to_dict(spec),
    }
    if given.runtime == "torch":
        return _peak_of(asked)
    return _peak_of(asked | {"model": str(exported(spec, given, folder))})


def _peak_of(asked: dict[str, Any]) -> int:
    """Let a process predict, and read its peak while it waits."""
    with subprocess.Popen(
        COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None  # both are pipes
        assert process.stdout is not None
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        if answer:
            on_gpu: int | None = json.loads(answer)["on_gpu"]
            return status("VmHWM", Path(f"/proc/{process.pid}/status")) if on_gpu is None else on_gpu
        _, problem = process.communicate()
    raise EffnetError(
        f"the memory of {asked['spec']['name']} cannot be measured: a process that predicts with it failed "
        f"({problem.strip().splitlines()[-1] if problem.strip() else f'exit code {process.returncode}'})"
    )
