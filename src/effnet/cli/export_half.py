"""`effnet export --target half`: a model file of half the size."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from effnet.cli.output import console, print_json
from effnet.cli.progress import TerminalReporter
from effnet.errors import some

if TYPE_CHECKING:  # it loads torch
    from effnet.exporting.half import Halved


def run_half(model: Path, out: Path, check_on: str | None, *, as_json: bool) -> None:
    """Write the file, and say how near its answers are."""
    from effnet.exporting.half import export_half

    with TerminalReporter(quiet=as_json) as reporter:
        halved = export_half(model, out, check_on=check_on, listener=reporter)
    if as_json:
        print_json(halved.to_dict())
    else:
        show(halved)


def show(halved: "Halved") -> None:
    """Print what was written, the proof, and what to do next."""
    out, (before, after) = console(), (count / 1e6 for count in halved.num_bytes)
    parity = halved.parity
    out.print(
        f"[bold]{escape(str(halved.path))}[/]: weights of {after:.2f} MB instead of {before:.2f}, kernels in "
        f"float16; computed in float32, as any model file"
    )
    if halved.kept:
        out.print(f"in float32 stay {some(halved.kept, limit=3)}: float16 would lose too much", markup=False)
    ties = f" (counting {parity.num_ties} with two classes nearer than allowed)" if parity.num_ties else ""
    real = f" and {parity.num_real:,} real" if parity.num_real else ""
    out.print(
        f"proof: {parity.num_random:,} random{real} images: logits differ by at most "
        f"{parity.difference:.2g}, {parity.share:.1e} of their range (allowed {parity.limit:.0e}), the most "
        f"probable class is the same for {parity.agreement:.2%}{ties}",
        markup=False,
    )
    if halved.top1 is not None:
        out.print(f"right on the real ones: {halved.top1[0]:.2%} before, {halved.top1[1]:.2%} now")
    else:
        out.print("--check-on DATA proves it on real images too")
