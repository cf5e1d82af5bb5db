"""`effnet budget`: the largest network within limits, and those around it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from rich.table import Table

from effnet.cli.coefficients import CoefficientFlags
from effnet.cli.limits import LimitFlags
from effnet.cli.output import big, console, print_json, table
from effnet.cli.parse import parse
from effnet.cli.progress import TerminalReporter
from effnet.errors import UsageError
from effnet.spec import netspec

if TYPE_CHECKING:  # they load torch
    from effnet.sizing.budget.sized import Row, Sized


@dataclass(frozen=True)
class BudgetForm:
    """Find the largest phi whose network keeps all limits, as measured on this machine.

    Give at least one limit. Latency and memory are those of predicting one batch as `effnet predict` does.
    """

    base: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="BASE")]
    """Network to scale: a name from `effnet show`, or a .json file."""
    limits: Annotated[LimitFlags, tyro.conf.arg(name="")] = field(default_factory=LimitFlags)
    batch: int = 1
    """Images that are predicted at once."""
    device: str = "auto"
    """Where to predict: auto, cpu, cuda, mps."""
    runtime: Literal["torch", "onnxruntime"] = "torch"
    """What predicts; onnxruntime needs the extra `export`, and uses as many threads as torch."""
    data: Annotated[str | None, tyro.conf.arg(metavar="DATA")] = None
    """Data set to train on, by name or folder: its classes and channels count; its training can be timed."""
    recipe: Annotated[str | None, tyro.conf.arg(metavar="NAME|FILE")] = None
    """Recipe of that training; chosen by the data when not given."""
    classes: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Number of classes: 1000, or 10 for networks of small images, when neither this nor --data is given."""
    resolution: Annotated[int | None, tyro.conf.arg(metavar="PIXELS")] = None
    """Side of the images, fixed; when not given, it scales with phi."""
    scaling: Annotated[CoefficientFlags, tyro.conf.arg(name="")] = field(default_factory=CoefficientFlags)
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the network to this .json file, for `effnet train DATA --model FILE`."""
    json: bool = False
    """Print one JSON object."""


def run(args: Sequence[str]) -> None:
    """Run the command."""
    form = parse(BudgetForm, "budget", args)
    if form.out is not None and form.out.suffix != ".json":
        raise UsageError(f"--out {form.out}: the name must end in .json")
    from effnet.sizing.budget.run import budget

    with TerminalReporter(quiet=form.json) as reporter:
        sized = budget(form.base, reporter=reporter, **settings(form))
    if form.out is not None:
        netspec.save(sized.spec, form.out)
    show(sized, form)


def settings(form: BudgetForm) -> dict[str, Any]:
    """Return what the Python API is given, under the same names."""
    names = ("batch", "device", "runtime", "data", "recipe", "classes", "resolution")
    given = {name: getattr(form, name) for name in names}
    return {**vars(form.limits), **given, "coefficients": form.scaling.read()}


def show(sized: "Sized", form: BudgetForm) -> None:
    """Print the answer for a program or a person."""
    if form.json:
        print_json(sized.to_dict())
        return
    out = console()
    out.print(rows(sized), "")
    out.print(f"[bold]{sized.words()}[/]")
    if form.out is not None:
        out.print(f"Written to {form.out}; train it with: effnet train DATA --model {form.out}")
    else:
        out.print("For `effnet train DATA --model FILE`: --out FILE.json writes it.")


def rows(sized: "Sized") -> Table:
    """Lay out the networks around the chosen one."""
    place = sized.conditions
    title = f"{sized.base.name}, batches of {place['batch']}, {place['runtime']} on {place['device']}"
    columns = [
        "", "φ", "pixels", "params", "MACs", "activations",
        "ms, median", "quartiles", "images/s", "MB", "minutes", "breaks",
    ]  # fmt: skip
    made = table(title, columns)
    for row in sized.table:
        made.add_row(*cells(row, sized))
    made.columns[-1].justify = "left"
    return made


def cells(row: "Row", sized: "Sized") -> list[str]:
    """Return a row of the table; times in milliseconds."""
    latency = row.latency
    return [
        "→" if row == sized.chosen else "",
        f"{row.phi:g}",
        str(row.spec.resolution),
        *(big(row.costs[name] or 0.0) for name in ("params", "macs", "activations")),
        f"{1e3 * latency.median:.4g}",
        f"{1e3 * latency.low:.4g}–{1e3 * latency.high:.4g}",
        f"{row.throughput(sized.conditions['batch']):,.4g}",
        number(row.costs["memory_mb"], ",.0f"),
        number(row.costs["train_minutes"], ".3g"),
        ", ".join(kind.words for kind in row.breaks),
    ]


def number(value: float | None, form: str) -> str:
    """Write a number that may not be known."""
    return "–" if value is None else format(value, form)
