"""The stage table: a network laid out like the paper's Table 1, alone or before and after scaling."""

from rich.table import Table

from effnet.cli.output import big, table
from effnet.errors import UsageError
from effnet.spec.cost import row_costs, row_sizes
from effnet.spec.families import usual_classes
from effnet.spec.netspec import NetSpec
from effnet.spec.resize import Multipliers

Row = tuple[str, int, int]
"""Operator, channels, repeats."""


def count_classes(given: int | None, spec: NetSpec) -> int:
    """Return the number of classes that costs are counted for: CIFAR-10's for networks of small images."""
    if given is not None and given < 1:
        raise UsageError(f"--classes {given}: must be at least 1")
    return given or usual_classes(spec)


def rows(spec: NetSpec) -> list[Row]:
    """Return the rows of the table without sizes and costs: stem, stages, head."""
    stem = (f"conv {spec.stem.kernel_size}×{spec.stem.kernel_size}", spec.stem.out_channels, 1)
    stages = [
        (f"{s.block}{s.expand_ratio} {s.kernel_size}×{s.kernel_size}", s.out_channels, s.repeats)
        for s in spec.stages
    ]
    return [stem, *stages, ("conv 1×1", spec.head.out_channels, 1)]


def strides(spec: NetSpec) -> list[int]:
    """Return the stride of each row."""
    return [spec.stem.stride, *(stage.stride for stage in spec.stages), 1]


def spec_table(spec: NetSpec, num_classes: int) -> Table:
    """Lay out one network, with the cost of each row."""
    columns = ["#", "operator", "stride", "output", "channels", "layers", "params", "MACs", "activations"]
    made = table(
        f"{spec.name}: {spec.in_channels}×{spec.resolution}×{spec.resolution} images", columns, left=2
    )
    costs = row_costs(spec, num_classes)
    costs = (*costs[:-2], costs[-2] + costs[-1])  # the paper's stage 9 is head and classifier
    for index, ((operator, channels, repeats), stride, size, spent) in enumerate(
        zip(rows(spec), strides(spec), row_sizes(spec)[:-1], costs, strict=True), start=1
    ):
        made.add_row(
            str(index), operator, str(stride), f"{size}×{size}", str(channels), str(repeats),
            big(spent.params), big(spent.macs), big(spent.activations),
        )  # fmt: skip
    return made


def stage_table(before: NetSpec, after: NetSpec, exact: Multipliers, num_classes: int) -> Table:
    """Lay out a network before and after scaling, with exact values where rounding moved them."""
    made = table("", ["#", "operator", "channels", "layers", "output", "MACs"], left=2)
    sizes = zip(row_sizes(before), row_sizes(after), strict=True)
    costs = zip(row_costs(before, num_classes), row_costs(after, num_classes), strict=True)
    pairs = zip(rows(before), rows(after), sizes, costs, strict=False)  # the classifier has no row of its own
    for index, (old, new, size, spent) in enumerate(pairs, start=1):
        is_stage = 1 < index < len(before.stages) + 2
        made.add_row(
            str(index),
            old[0],
            change(old[1], new[1], old[1] * exact.width),
            change(old[2], new[2], old[2] * exact.depth if is_stage else 1.0),
            f"{size[0]} → {size[1]}",
            f"{big(spent[0].macs)} → {big(spent[1].macs)}",
        )
    return made


def change(old: int, new: int, exact: float) -> str:
    """Write a number before and after, with the exact value where rounding moved it: 40 → 48 (44.0)."""
    return f"{old} → {new}" + ("" if abs(new - exact) < 1e-9 else f" ({exact:.1f})")
