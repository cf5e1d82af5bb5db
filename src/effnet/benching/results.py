"""What was measured: a row for each contender and batch, as values."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from statistics import median
from typing import Any

from effnet.sizing.budget.timing import Latency, summarise
from effnet.spec.cost import Cost


@dataclass(frozen=True)
class Ratio:
    """How many times as fast something is as something else, in turns with it."""

    median: float
    low: float
    """In the round in which it did worst."""
    high: float


@dataclass(frozen=True)
class Row:
    """One contender with batches of one size."""

    network: str
    resolution: int
    num_classes: int
    cost: Cost
    program: str
    batch: int
    """Images of a prediction or of a training step."""
    turns: tuple[tuple[float, ...], ...] = ()
    """Seconds of each run, turn by turn."""
    start_seconds: float | None = None
    """From building, libraries loaded, to the end of the first run, compilation included."""
    peak_bytes: int | None = None
    """Most memory of its process with all libraries, or of a GPU, while it runs."""
    difference: float | None = None
    """How far its logits are from the first program's, as a share of what another batch changes."""
    failure: str = ""
    """Why there is no result; empty where there is one."""

    @cached_property
    def latency(self) -> Latency | None:
        """Seconds of a run; None if it had no turn."""
        runs = [seconds for turn in self.turns for seconds in turn]
        return summarise(runs) if runs else None

    def images_per_second(self) -> float | None:
        """Return the throughput at the median."""
        return None if self.latency is None else self.batch / self.latency.median

    def ratio(self, other: "Row") -> Ratio | None:
        """Return how many times as fast it is as another one, round by round; None if one had no turn."""
        rounds = [
            median(theirs) / median(ours) for ours, theirs in zip(self.turns, other.turns, strict=False)
        ]
        return Ratio(median(rounds), min(rounds), max(rounds)) if rounds else None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values; times are milliseconds, memory is megabytes of 1,000,000 bytes."""
        latency = self.latency
        timed = None
        if latency is not None:
            timed = {
                "median_ms": 1e3 * latency.median,
                "low_ms": 1e3 * latency.low,
                "high_ms": 1e3 * latency.high,
                "runs": latency.num_runs,
                "turns_ms": [[round(1e3 * seconds, 4) for seconds in turn] for turn in self.turns],
            }
        return {
            "network": self.network,
            "resolution": self.resolution,
            "num_classes": self.num_classes,
            **asdict(self.cost),
            "program": self.program,
            "batch": self.batch,
            "latency": timed,
            "images_per_second": self.images_per_second(),
            "memory_mb": None if self.peak_bytes is None else self.peak_bytes / 1e6,
            "start_seconds": self.start_seconds,
            "difference": self.difference,
            "failure": self.failure or None,
        }


@dataclass(frozen=True)
class Benchmark:
    """The result of a benchmark."""

    task: str
    """train or infer."""
    rows: tuple[Row, ...]
    conditions: Mapping[str, Any]
    """Machine, versions, rounds and seconds of a turn."""
    table4: bool = False
    """Whether the paper's Table 4 was asked for."""
    stopped: int | None = None
    """The signal that ended it early; what was measured by then is here."""

    @property
    def failures(self) -> list[str]:
        """Who has no result, and why."""
        return [f"{row.network}, {row.program}: {row.failure}" for row in self.rows if row.failure]

    @property
    def largest_difference(self) -> float | None:
        """How far logits of one network differ at most, bfloat16 aside; None where nothing was compared."""
        found = [row.difference for row in self.rows if not row.failure and "bf16" not in row.program]
        compared = [difference for difference in found if difference is not None]
        return max(compared) if compared else None

    @property
    def batches(self) -> list[int]:
        """Sizes of batches, in the order of measuring."""
        return list(dict.fromkeys(row.batch for row in self.rows))

    def of_batch(self, batch: int) -> list[Row]:
        """Return the rows of batches of one size."""
        return [row for row in self.rows if row.batch == batch]

    def reference(self, row: Row) -> Row:
        """Return the row that another one is compared with.

        Where a network has several programs, that is the first one on it; else the first row of all.
        """
        rows = self.of_batch(row.batch)
        same = [other for other in rows if other.network == row.network]
        return same[0] if self.has_peers(rows) else rows[0]

    @staticmethod
    def has_peers(rows: Sequence[Row]) -> bool:
        """Tell whether any network has several programs."""
        return len({(row.network, row.batch) for row in rows}) < len(rows)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        from effnet.benching.table4 import compare

        return {
            "task": self.task,
            "conditions": dict(self.conditions),
            "stopped": self.stopped,
            "rows": [row.to_dict() for row in self.rows],
            **({"table4": [claim.to_dict() for claim in compare(self)]} if self.table4 else {}),
        }
