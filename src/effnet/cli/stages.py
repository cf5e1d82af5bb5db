"""The stage table: a network laid out like the paper's Table 1, alone or before and after scaling."""

from rich.table import Table

from effnet.cli.output import big, table
from effnet.errors import UsageError
from effnet.spec.cost import Cost, row_costs, row_sizes, row_strides
from effnet.spec.families import usual_classes
from effnet.spec.netspec import POOL_SIZE, NetSpec, Stage
from effnet.spec.resize import Multipliers

Row = tuple[str, int, int]
"""Operator, channels, repeats."""


def count_classes(given: int | None, spec: NetSpec) -> int:
    """Return the number of classes that costs are counted for: CIFAR-10's for networks of small images."""
    if given is not None and given < 1:
        raise UsageError(f"--classes {given}: must be at least 1")
    return given or usual_classes(spec)


def rows(spec: NetSpec, num_classes: int) -> list[Row]:
    """Return the rows of the table without sizes and costs: stem, stages, and the head or the classifier.

    The classifier is in the head's row, as in the paper's stage 9; without a head it has a row of its own.
    """
    stem = f"conv {spec.stem.kernel_size}×{spec.stem.kernel_size}"
    pool = f", pool {POOL_SIZE}×{POOL_SIZE}" if spec.stem.pool else ""
    stages = [(operator(stage), stage.out_channels, stage.repeats) for stage in spec.stages]
    last = ("linear", num_classes, 1) if spec.head is None else ("conv 1×1", spec.head.out_channels, 1)
    return [(stem + pool, spec.stem.out_channels, 1), *stages, last]


def operator(stage: Stage) -> str:
    """Write a block with what tells it from others of its kind: mbconv6 3×3, separable 3×3."""
    expands = stage.block not in ("separable", "basic")
    ratio = str(stage.expand_ratio) if expands else ""
    return f"{stage.block}{ratio} {stage.kernel_size}×{stage.kernel_size}"


def strides(spec: NetSpec) -> tuple[int, ...]:
    """Return the stride of each row."""
    return (*row_strides(spec), 1) if spec.head is None else row_strides(spec)


def costs(spec: NetSpec, num_classes: int) -> tuple[Cost, ...]:
    """Return the cost of each row."""
    counted = row_costs(spec, num_classes)
    return counted if spec.head is None else (*counted[:-2], counted[-2] + counted[-1])


def spec_table(spec: NetSpec, num_classes: int) -> Table:
    """Lay out one network, with the cost of each row."""
    columns = ["#", "operator", "stride", "output", "channels", "layers", "params", "MACs", "activations"]
    made = table(
        f"{spec.name}: {spec.in_channels}×{spec.resolution}×{spec.resolution} images", columns, left=2
    )
    sizes = zip(strides(spec), row_sizes(spec), strict=False)  # the classifier's, where it has no row
    for index, ((name, channels, repeats), (stride, size), spent) in enumerate(
        zip(rows(spec, num_classes), sizes, costs(spec, num_classes), strict=True), start=1
    ):
        made.add_row(
            str(index), name, str(stride), f"{size}×{size}", str(channels), str(repeats),
            big(spent.params), big(spent.macs), big(spent.activations),
        )  # fmt: skip
    return made


def stage_table(before: NetSpec, after: NetSpec, exact: Multipliers, num_classes: int) -> Table:
    """Lay out a network before and after scaling, with exact values where rounding moved them."""
    made = table("", ["#", "operator", "channels", "layers", "output", "MACs"], left=2)
    pairs = zip(rows(before, num_classes), rows(after, num_classes), strict=True)
    sizes = zip(row_sizes(before), row_sizes(after), strict=True)
    spent = zip(costs(before, num_classes), costs(after, num_classes), strict=True)
    for index, ((old, new), size, cost) in enumerate(zip(pairs, sizes, spent, strict=False), start=1):
        is_stage = 1 < index < len(before.stages) + 2
        has_width = old[0] != "linear"  # the classes stay
        made.add_row(
            str(index),
            old[0],
            change(old[1], new[1], old[1] * (exact.width if has_width else 1.0)),
            change(old[2], new[2], old[2] * (exact.depth if is_stage else 1.0)),
            f"{size[0]} → {size[1]}",
            f"{big(cost[0].macs)} → {big(cost[1].macs)}",
        )
    return made


def change(old: int, new: int, exact: float) -> str:
    """Write a number before and after, with the exact value where rounding moved it: 40 → 48 (44.0)."""
    return f"{old} → {new}" + ("" if abs(new - exact) < 1e-9 else f" ({exact:.1f})")
