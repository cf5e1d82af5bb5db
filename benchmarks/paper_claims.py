"""The abstract's "8.4x smaller and 6.1x faster": each number published, counted, or measured here.

    python benchmarks/paper_claims.py

The paper compares B7 with GPipe (Huang et al. 2018). GPipe's network is not here, so its numbers stay
published ones, and no measured number is divided by one of them. B7's latency is measured as the paper's
Table 4 does: one image at a time on one core, mean of 20 runs, in plain float32.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch

from effnet.benching.machine import cpu_name
from effnet.benching.run import bench
from effnet.benching.table4 import TABLE_4
from effnet.device import environment
from effnet.spec.cost import cost
from recording import RESULTS, append, stamp

CPU = torch.device("cpu")
NETWORK = "b7"


@dataclass(frozen=True)
class Published:
    """What the paper prints."""

    place: str
    gpipe: float
    b7: float
    factor: float
    """How much smaller or faster, as printed."""

    @property
    def quotient(self) -> float:
        """The factor, computed from the two numbers."""
        return self.gpipe / self.b7


HALF = TABLE_4[1]  # GPipe and B7
PARAMS = Published("Table 2", gpipe=557e6, b7=66e6, factor=8.4)  # Figure 1 prints 556 M for GPipe
LATENCY = Published("Table 4", HALF.other_seconds, HALF.network_seconds, HALF.factor)


def measure(name: str, runs: int) -> list[float]:
    """Return the seconds of predictions of one image on one core, after some that warm up."""
    (row,) = bench(name, device="cpu", threads=1, batch=(1,), rounds=runs, seconds=0.0).rows
    if row.failure:
        raise SystemExit(f"{name}: {row.failure}")
    return [seconds for turn in row.turns for seconds in turn]


def lines(params: int, seconds: list[float]) -> list[str]:
    """Return the table."""
    spread = f" ± {stdev(seconds):.2f}" if len(seconds) > 1 else ""
    rows = [
        ("claim", "GPipe", "B7", "factor", "where the numbers are from"),
        ("8.4x smaller", f"{PARAMS.gpipe / 1e6:.0f} M", f"{PARAMS.b7 / 1e6:.0f} M", f"{PARAMS.quotient:.2f}",
         f"published, {PARAMS.place}; factor computed from them"),
        ("", f"{PARAMS.gpipe / 1e6:.0f} M", f"{params:,}", f"{PARAMS.gpipe / params:.2f}",
         "GPipe published; B7 counted here, exactly"),
        ("6.1x faster", f"{LATENCY.gpipe:.1f} s", f"{LATENCY.b7:.1f} s", f"{LATENCY.quotient:.2f}",
         f"published, {LATENCY.place}; factor computed from them"),
        ("", "–", f"{fmean(seconds):.2f} s{spread}", "–",
         f"B7 measured here, {len(seconds)} runs; GPipe's network is not here"),
    ]  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--no-record", action="store_true")
    arguments = parser.parse_args()
    seconds, counted = measure(NETWORK, arguments.runs), cost(NETWORK)
    print("\n".join(lines(counted.params, seconds)))
    row: dict[str, Any] = {
        **stamp(),
        "network": NETWORK,
        "params": counted.params,
        "macs": counted.macs,
        "seconds": seconds,
        "environment": environment(CPU) | {"threads": 1, "cpu": cpu_name()},
    }
    if not arguments.no_record:
        append("paper_claims", row, arguments.results)


if __name__ == "__main__":
    main()
