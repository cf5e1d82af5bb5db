"""How long a network takes to predict one batch, here and now: by runs that are timed one by one."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Literal

import numpy as np
import torch

from effnet.device import pick_device, to_device
from effnet.errors import MissingExtraError, UsageError, unknown_name
from effnet.evaluation.metrics import predict_probs
from effnet.exporting.onnx import INPUT, OUTPUT, open_session, write_onnx
from effnet.network.model import ConvNet
from effnet.sizing.budget.timing import Clock, Latency, Run, summarise, times, warm_up
from effnet.spec.netspec import NetSpec

RuntimeName = Literal["torch", "onnxruntime"]

MAX_READY = 6  # networks kept in memory, to be timed in turns


@dataclass(frozen=True)
class Conditions:
    """Under which networks are measured."""

    device: torch.device
    runtime: RuntimeName
    batch: int
    """Images that are predicted at once."""
    num_classes: int

    @property
    def num_threads(self) -> int:
        """Threads of a CPU that compute."""
        return torch.get_num_threads()

    def words(self) -> str:
        """Say them in a few words."""
        threads = f", {self.num_threads} thread{'s' * (self.num_threads > 1)}"
        images = f"{self.batch} image{'s' * (self.batch > 1)}"
        place = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type
        return f"{images} at once, {self.runtime} on {place}{threads if self.device.type == 'cpu' else ''}"


def conditions(device: str, runtime: str, batch: int, num_classes: int) -> Conditions:
    """Check under which conditions to measure.

    Raises:
        UsageError: unknown, out of range, or not available on this machine.
        MissingExtraError: the runtime is not installed.

    """
    if runtime not in RUNTIMES:
        raise unknown_name("runtime", runtime, RUNTIMES)
    for name, value in (("batch", batch), ("classes", num_classes)):
        if not 1 <= value <= 65_536:
            raise UsageError(f"--{name} {value}: must be from 1 to 65536")
    if runtime == "onnxruntime":
        need_onnxruntime()
        if device not in ("auto", "cpu"):
            raise UsageError(f"--runtime onnxruntime computes on the CPU here; leave --device {device} out")
        device = "cpu"
    return Conditions(pick_device(device), runtime, batch, num_classes)  # type: ignore[arg-type]  # it is in RUNTIMES


def need_onnxruntime() -> None:
    """Make sure that networks can be exported and computed.

    Raises:
        MissingExtraError: they cannot.

    """
    try:
        import onnx  # noqa: F401
        import onnxruntime
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"--runtime onnxruntime needs {error.name}; install it with: pip install 'effnet[export]'"
        ) from None
    onnxruntime.set_default_logger_severity(3)  # errors: it warns of machines without a GPU


def torch_run(spec: NetSpec, given: Conditions, folder: Path) -> Run:
    """Build a network and return its prediction of one batch, as `effnet predict` computes it.

    No file is needed for it: `folder` stays empty.
    """
    network = to_device(ConvNet(spec, given.num_classes), given.device).eval()
    images = torch.rand(given.batch, spec.in_channels, spec.resolution, spec.resolution)
    return lambda: predict_probs(network, images, given.device)


def onnxruntime_run(spec: NetSpec, given: Conditions, folder: Path) -> Run:
    """Return a network's computation of one batch by onnxruntime, with as many threads as torch has."""
    session = open_session(exported(spec, given, folder), given.num_threads)
    images = np.random.default_rng(0).random(
        (given.batch, spec.in_channels, spec.resolution, spec.resolution), np.float32
    )
    return lambda: session.run([OUTPUT], {INPUT: images})


def exported(spec: NetSpec, given: Conditions, folder: Path) -> Path:
    """Export a network into a folder, or find it there; return its file."""
    path = folder / f"{hash(spec):x}.onnx"
    if not path.exists():
        write_onnx(ConvNet(spec, given.num_classes), path)
    return path


RUNTIMES: dict[str, Callable[[NetSpec, Conditions, Path], Run]] = {
    "torch": torch_run,
    "onnxruntime": onnxruntime_run,
}


class Timer:
    """Times networks, several of them in turns, and keeps all times of each."""

    def __init__(self, prepare: Callable[[NetSpec], Run], clock: Clock = perf_counter) -> None:
        """Time networks; `prepare` builds one and returns its prediction of a batch."""
        self.prepare = prepare
        self.clock = clock
        self.taken: dict[NetSpec, list[float]] = {}
        self.ready: OrderedDict[NetSpec, Run] = OrderedDict()

    def run_of(self, spec: NetSpec) -> Run:
        """Return a network's prediction, warmed up; the last few stay in memory."""
        if spec not in self.ready:
            while len(self.ready) >= MAX_READY:
                self.ready.popitem(last=False)
            run = self.prepare(spec)
            warm_up(run, self.clock)
            self.ready[spec] = run
        self.ready.move_to_end(spec)
        return self.ready[spec]

    def measure(self, specs: Sequence[NetSpec], seconds: float, *, rounds: int) -> None:
        """Time each network in each round for so many seconds, one after the other.

        What disturbs the machine for a while then disturbs all of them.
        """
        for _ in range(rounds):
            for spec in specs:
                run = self.run_of(spec)
                self.taken.setdefault(spec, []).extend(times(run, seconds, self.clock))

    def latency(self, spec: NetSpec) -> Latency:
        """Return what is known of a network that was measured."""
        return summarise(self.taken[spec])
