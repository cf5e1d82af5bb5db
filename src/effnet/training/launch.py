"""Starting the processes of a training on this machine, by torch's elastic launcher."""

import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from effnet.errors import EffnetError

ENDING = "EFFNET_ENDING"
"""Variable that names the file in which a process leaves its exit code when starting again mends nothing."""
GRACE_SECONDS = "60"  # for a step and a save, before a process is killed


@dataclass(frozen=True)
class Launch:
    """Which processes to start, and how often again when one of them dies."""

    count: int
    max_restarts: int


def launch(wanted: Launch, arguments: Sequence[str]) -> int:
    """Run `effnet` with these arguments in several processes that form a group; return its exit code.

    When one of them dies, all are ended and started again: the same command goes on from the last state.

    Raises:
        EffnetError: a process died again after the last restart.

    """
    # A store of the launcher's would keep addresses of processes that are gone: see `check_restarts`.
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", GRACE_SECONDS)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, num_cores() // wanted.count)))
    with tempfile.TemporaryDirectory(prefix="effnet-") as folder:
        ending = Path(folder) / "code"
        os.environ[ENDING] = str(ending)
        try:
            ended = run_agent(wanted, arguments)
        finally:
            del os.environ[ENDING]  # it is for the processes: this one has no launcher
        return int(ending.read_text(encoding="ascii")) if ending.exists() else ended


def run_agent(wanted: Launch, arguments: Sequence[str]) -> int:
    """Start the processes and wait for them; return 0, or 128 + the signal that this process was ended by."""
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    def hear(number: int, frame: FrameType | None) -> None:
        raise SignalException("asked to stop", sigval=signal.Signals(number))

    if hasattr(signal, "SIGUSR1"):
        signal.signal(signal.SIGUSR1, hear)  # the launcher hears the others itself
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=wanted.count,
        run_id=f"effnet-{os.getpid()}",
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        local_addr="127.0.0.1",
        max_restarts=wanted.max_restarts,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "effnet", *arguments)
    except SignalException as stop:
        return 128 + stop.sigval
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if Path(os.environ[ENDING]).exists():
            return 1
        how = f"by {failure.signal_name()}" if failure.exitcode < 0 else f"with exit code {failure.exitcode}"
        raise EffnetError(
            f"process {rank} of {wanted.count} ended {how} after {wanted.max_restarts} restarts "
            f"(--max-restarts); the last saved state stays, and the same command goes on with it"
        ) from error
    return 0


def tell_launcher(code: int, *, stopped: bool) -> bool:
    """Let the launcher end all processes with an exit code, instead of starting them again.

    Returns:
        Whether there is a launcher of ours that takes the code.

    Args:
        code: the exit code.
        stopped: whether all processes end by themselves, having agreed to stop.

    """
    place = os.environ.get(ENDING)
    if place is None:
        return False
    try:
        with open(place, "x", encoding="ascii") as file:
            file.write(str(code))
    except FileExistsError:  # another process was first
        return True
    if not stopped:
        os.kill(os.getppid(), signal.SIGTERM)
    return True


def num_cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
