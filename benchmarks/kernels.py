"""Each kernel of `effnet.network.native` against torch's own operation, forward and backward, layer by layer.

    python benchmarks/kernels.py [--threads 2] [--batch 64]

The layers are those of b0-cifar. Rounds are interleaved; printed is the median of each.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from effnet.network.native import ops

ROUNDS = 7
Operation = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Case:
    """A layer: its name, its input's channels and side, and two ways to compute it."""

    name: str
    channels: int
    side: int
    torch_way: Operation
    native_way: Operation


def depthwise(channels: int, side: int, kernel: int, stride: int) -> Case:
    weight = torch.randn(channels, 1, kernel, kernel, requires_grad=True)
    pad = kernel // 2
    return Case(
        f"depthwise {kernel}×{kernel}/{stride}",
        channels,
        side,
        lambda x: F.conv2d(x, weight.to(x.dtype), None, stride, pad, groups=channels),
        lambda x: ops.depthwise_conv(x, weight, stride, pad),
    )


def norm(channels: int, side: int) -> Case:
    layer = nn.BatchNorm2d(channels)
    return Case(
        "batch norm + SiLU",
        channels,
        side,
        lambda x: F.silu(layer(x)),
        lambda x: ops.batch_norm(x, layer, silu=True),
    )


def gates(channels: int, side: int) -> Case:
    reduce, expand = nn.Conv2d(channels, channels // 24, 1), nn.Conv2d(channels // 24, channels, 1)

    def torch_way(x: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=x.dtype == torch.bfloat16):
            gate: Tensor = expand(F.silu(reduce(x.mean((2, 3), keepdim=True)))).sigmoid()
            return x * gate

    return Case(
        "squeeze-and-excite", channels, side, torch_way, lambda x: ops.squeeze_excite(x, reduce, expand)
    )


CASES = (
    depthwise(96, 32, 3, 1),
    depthwise(144, 32, 5, 1),
    depthwise(240, 32, 3, 2),
    depthwise(480, 16, 5, 1),
    depthwise(672, 16, 5, 2),
    depthwise(1152, 8, 5, 1),
    norm(144, 32),
    norm(672, 16),
    norm(1152, 8),
    gates(144, 32),
    gates(672, 16),
)


def seconds(operation: Operation, x: Tensor) -> tuple[float, float]:
    """Time one forward and one backward."""
    started = perf_counter()
    y = operation(x)
    between = perf_counter()
    y.backward(torch.ones_like(y))  # type: ignore[no-untyped-call]
    return between - started, perf_counter() - between


def row(case: Case, dtype: torch.dtype, batch: int) -> list[str]:
    """Measure a case; return its cells."""
    x = torch.randn(batch, case.channels, case.side, case.side, dtype=dtype)
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    ways = (case.torch_way, case.native_way)
    for way in ways:
        seconds(way, x)  # warm up
    rounds = [[seconds(way, x) for way in ways] for _ in range(ROUNDS)]
    cells = []
    for direction in (0, 1):
        theirs, ours = (median(r[way][direction] for r in rounds) * 1e3 for way in (0, 1))
        cells += [f"{theirs:.1f}", f"{ours:.1f}", f"× {theirs / ours:.1f}"]
    return [case.name, f"{case.channels}, {case.side}×{case.side}", *cells]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch", type=int, default=64)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for dtype in (torch.bfloat16, torch.float32):
        title = (
            f"{str(dtype).removeprefix('torch.')}, batch {arguments.batch}, {arguments.threads} threads: ms"
        )
        columns = ("layer", "channels, side", "forward torch", "ours", "", "backward torch", "ours", "")
        table = Table(*columns, title=title)
        for case in CASES:
            table.add_row(*row(case, dtype, arguments.batch))
        Console(width=110).print(table)


if __name__ == "__main__":
    main()
