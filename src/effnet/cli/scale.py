"""`effnet scale`: a network before and after, exact and rounded, and what rounding made of the target."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from math import log
from pathlib import Path
from typing import Annotated, Any

import tyro

from effnet.cli.coefficients import CoefficientFlags
from effnet.cli.output import big, console, print_json, table
from effnet.cli.parse import parse
from effnet.cli.stages import change, count_classes, stage_table
from effnet.errors import UsageError
from effnet.spec import netspec
from effnet.spec.cost import Cost, cost
from effnet.spec.families import B0, NETWORKS, OFFICIAL_TABLE, OfficialRow, get_spec
from effnet.spec.netspec import NetSpec
from effnet.spec.resize import Multipliers
from effnet.spec.scale import PAPER, Coefficients, multipliers, scale


@dataclass(frozen=True)
class ScaleForm:
    """Scale a network: depth × alpha^phi, width × beta^phi, resolution × gamma^phi (paper, equation 3)."""

    base: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="BASE")]
    """Network to start from: a name from `effnet show`, or a .json file."""
    phi: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None
    """Compound coefficient: any number, negative makes the network smaller."""
    scaling: Annotated[CoefficientFlags, tyro.conf.arg(name="")] = field(default_factory=CoefficientFlags)
    classes: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Number of classes that the costs are for; 1000, or 10 for networks of small images, when not given."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the scaled network to this .json file, for `effnet train --model FILE`."""
    explain: bool = False
    """Compare an official network with the formula instead."""
    json: bool = False
    """Print one JSON object."""


def run(args: Sequence[str]) -> None:
    """Run the command."""
    form = parse(ScaleForm, "scale", args)
    if form.explain and form.phi is not None:
        raise UsageError("--explain compares at the φ that the network stands for; leave --phi out")
    if form.explain:
        explain(form)
    elif form.phi is None:
        raise UsageError("effnet scale needs --phi X, any number (see effnet scale --help)")
    else:
        compare(form, form.phi)


def compare(form: ScaleForm, phi: float) -> None:
    """Scale and print both networks."""
    coefficients = form.scaling.read()
    before = get_spec(form.base)
    after = scale(before, phi, coefficients)
    count_classes(form.classes, before)  # before anything is printed or written
    if form.out is not None:
        if form.out.suffix != ".json":
            raise UsageError(f"--out {form.out}: the name must end in .json")
        netspec.save(after, form.out)
    if form.json:
        print_json(as_dict(before, after, multipliers(phi, coefficients), form))
    else:
        print_comparison(before, after, multipliers(phi, coefficients), form)


def as_dict(before: NetSpec, after: NetSpec, exact: Multipliers, form: ScaleForm) -> dict[str, Any]:
    """Return the comparison as JSON values."""
    count = count_classes(form.classes, before)
    costs = cost(before, count), cost(after, count)
    return {
        "exact": asdict(exact) | {"cost_factor": exact.cost_factor},
        "before": {"spec": netspec.to_dict(before), "cost": asdict(costs[0])},
        "after": {"spec": netspec.to_dict(after), "cost": asdict(costs[1])},
        "cost_factor": costs[1].macs / costs[0].macs,
    }


def print_comparison(before: NetSpec, after: NetSpec, exact: Multipliers, form: ScaleForm) -> None:
    """Print what was exact, what rounding made of it, and the two costs."""
    out = console()
    resolution = change(before.resolution, after.resolution, before.resolution * exact.resolution)
    out.print(
        f"[bold]{before.name} → {after.name}[/]: depth × {exact.depth:.3f}, width × {exact.width:.3f}, "
        f"resolution × {exact.resolution:.3f}\nresolution {resolution}; exact values in brackets\n"
    )
    count = count_classes(form.classes, before)
    out.print(stage_table(before, after, exact, count), "")
    costs = table("", ["", "before", "after", "factor", "target"])
    for name, old, new, target in _cost_rows(cost(before, count), cost(after, count), exact):
        costs.add_row(name, big(old), big(new), f"× {new / old:.3f}", target)
    costs.add_row("dropout, drop-path", *(f"{s.dropout:.3g}, {s.drop_path:.3g}" for s in (before, after)))
    out.print(costs)
    made, wanted = cost(after, count).macs / cost(before, count).macs, exact.cost_factor
    out.print(f"\nRounding made × {made:.3f} of the target × {wanted:.3f}: {made / wanted - 1:+.1%} MACs.")
    if form.out is not None:
        out.print(f"Written to {form.out}; train it with: effnet train DATA --model {form.out}")


def _cost_rows(old: Cost, new: Cost, exact: Multipliers) -> list[tuple[str, int, int, str]]:
    return [
        ("parameters", old.params, new.params, ""),
        ("MACs", old.macs, new.macs, f"× {exact.cost_factor:.3f}"),
        ("activations", old.activations, new.activations, ""),
    ]


def explain(form: ScaleForm) -> None:
    """Print the official row of a network beside what the formula gives at the φ it stands for."""
    row = next((row for row in OFFICIAL_TABLE if row.name == form.base.removesuffix("-cifar")), None)
    if row is None or form.base not in NETWORKS:
        names = ", ".join(f"{row.name}, {row.name}-cifar" for row in OFFICIAL_TABLE)
        raise UsageError(f"--explain takes an official network: {names}; not {form.base!r}")
    official = NETWORKS[form.base]
    formula = scale(NETWORKS[form.base.replace(row.name, "b0", 1)], row.phi, form.scaling.read())
    if form.json:
        print_json(explain_dict(row, official, formula, form))
        return
    print_explanation(row, official, formula, form)


def phi_of(factor: float, coefficient: float) -> float | None:
    """Return the φ at which `coefficient` gives `factor`; None when the coefficient is 1."""
    return log(factor) / log(coefficient) if coefficient > 1 else None


def explain_dict(row: OfficialRow, official: NetSpec, formula: NetSpec, form: ScaleForm) -> dict[str, Any]:
    """Return the explanation as JSON values."""
    count = count_classes(form.classes, official)
    return {
        "phi": row.phi,
        "dimensions": [
            {
                "name": name,
                "official": factor,
                "formula": coefficient**row.phi,
                "phi": phi_of(factor, coefficient),
            }
            for name, factor, coefficient in _dimensions(row, form.scaling.read())
        ],
        "official": {"spec": netspec.to_dict(official), "cost": asdict(cost(official, count))},
        "formula": {"spec": netspec.to_dict(formula), "cost": asdict(cost(formula, count))},
    }


def _dimensions(row: OfficialRow, by: Coefficients) -> list[tuple[str, float, float]]:
    return [
        ("depth", row.depth, by.alpha),
        ("width", row.width, by.beta),
        ("resolution", row.resolution / B0.resolution, by.gamma),
    ]


def print_explanation(row: OfficialRow, official: NetSpec, formula: NetSpec, form: ScaleForm) -> None:
    """Print the explanation for a person."""
    out = console()
    out.print(
        f"[bold]{official.name}[/] is a row of the official code's table, not a value of the formula. Its "
        f"width and resolution stand for φ ≈ {row.phi:g}.\n"
    )
    dimensions = table("", ["", "official", f"formula, φ = {row.phi:g}", "official stands for φ ="])
    for name, factor, coefficient in _dimensions(row, form.scaling.read()):
        phi = phi_of(factor, coefficient)
        fitted = "any" if phi is None else f"{phi:.2f}"
        dimensions.add_row(name, f"× {factor:.3f}", f"× {coefficient**row.phi:.3f}", fitted)
    out.print(dimensions, "")
    costs = table("", ["", "official", "formula"])
    count = count_classes(form.classes, official)
    ours, theirs = cost(formula, count), cost(official, count)
    for name in ("params", "macs", "activations"):
        costs.add_row(name, big(getattr(theirs, name)), big(getattr(ours, name)))
    costs.add_row("resolution", str(official.resolution), str(formula.resolution))
    costs.add_row("blocks", str(official.num_blocks), str(formula.num_blocks))
    costs.add_row("dropout", f"{official.dropout:g}", f"{formula.dropout:.3g}")
    out.print(costs)
    out.print(
        f"\nWhy they differ: the paper asks for alpha·beta²·gamma² ≈ 2, its coefficients give "
        f"{PAPER.cost_factor:.3f}; and the published networks were set by hand, depth ever shorter "
        f"towards B7 (3.1 where 1.2⁷ = {1.2**7:.2f}).\nTake the official one to load published weights, "
        f"the formula (effnet scale b0 --phi X) for any size in between."
    )
