"""The paper's Table 3: MobileNets and a ResNet scaled, what they cost by our count beside what is printed."""

from dataclasses import asdict
from typing import Any

from effnet.cli.output import console, print_json, table
from effnet.spec import netspec
from effnet.spec.table3 import TABLE_3, CountedRow, count

ROUNDING = (
    "channels to the nearest multiple of 8, never below 90 % (of a bottleneck the inner ones; its output is "
    "4 times that), repeats up, resolution to the nearest multiple of 4"
)
COUNTED = ("MACs", "rounded", "FLOPS", "difference", "exact", "top-1, published")
ASSUMED = "the paper prints no factors for this row; these are MobileNetV1's"


def show_table(json: bool) -> None:
    """Print the table, for a person or as one JSON object."""
    counted = [count(row) for row in TABLE_3]
    if json:
        print_json({"rows": [row_dict(row) for row in counted], "rounding": ROUNDING})
    else:
        print_table(counted)


def row_dict(row: CountedRow) -> dict[str, Any]:
    """Return a row as JSON values; what the paper says is under `published`."""
    published = row.published
    return {
        "base": published.base,
        "exact": asdict(published.factors),
        "factors_printed": published.factors_printed,
        "spec": netspec.to_dict(row.spec),
        "cost": asdict(row.cost),
        "exact_macs": row.exact_macs,
        "published": {"giga_flops": published.giga_flops, "top1": published.top1},
        "difference": row.difference,
        "rounds_to_published": row.rounds_to_published,
    }


def print_table(counted: list[CountedRow]) -> None:
    """Print the table, the rounding rule, and how to read it."""
    columns = [*("network", "d", "w", "r", "blocks", "pixels"), *COUNTED]
    made = table("Table 3 of the paper: MACs counted here, FLOPS and top-1 as published", columns)
    for row in counted:
        published = row.published
        made.add_row(
            published.base + ("" if published.factors_printed else " *"),
            *(f"{factor:g}" for factor in asdict(published.factors).values()),
            str(row.spec.num_blocks),
            str(row.spec.resolution),
            f"{row.cost.macs / 1e9:.3f} G",
            f"{row.cost.macs / 1e9:.1f} G",
            f"{published.giga_flops} B",
            f"{row.difference:+.1%}",
            f"{row.exact_macs / 1e9:.3f} G",
            f"{published.top1} %",
        )
    out = console()
    out.print(made)
    out.print(
        f"\nRounding: {ROUNDING}.\n"
        f"rounded: our MACs to one decimal, as the paper prints FLOPS. exact: the base's MACs × d·w²·r².\n"
        f"* {ASSUMED}.\n"
        f"top-1 is published, not measured here. Why some FLOPS differ: docs/paper.md, section 5.1.\n"
        f"One row as a network: effnet scale mobilenet-v2 --phi 1 --alpha 4 --beta 1 --gamma 1"
    )
