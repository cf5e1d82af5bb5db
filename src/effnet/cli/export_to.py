"""`effnet export --target`: a model file as weights for another library, or as a folder for a hub."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from effnet.cli.output import console, print_json

if TYPE_CHECKING:  # it loads torch
    from effnet.exporting.handing import HandedOn, Target


def run_to(model: Path, out: Path, target: "Target", *, as_json: bool) -> None:
    """Hand a model on, and say how it is used."""
    from effnet.exporting.handing import export_to

    handed = export_to(model, out, target=target)
    if as_json:
        print_json({"target": target, "paths": [str(path) for path in handed.paths], "usage": handed.usage})
    else:
        show(handed)


def show(handed: "HandedOn") -> None:
    """Print what was written, and how it is used."""
    out = console()
    for path in handed.paths:
        kilobytes = path.stat().st_size / 1e3
        size = f"{kilobytes / 1e3:.1f} MB" if kilobytes >= 100 else f"{kilobytes:.1f} kB"
        out.print(f"[bold]{escape(str(path))}[/]: {size}")
    if handed.target != "hub":
        out.print(f"\n{handed.usage}", markup=False)
        return
    folder = handed.paths[0].parent
    out.print(
        f"\nFill in what README.md marks with FILL IN, the licence too. Then: hf upload OWNER/NAME {folder}\n"
        f"and everybody: {handed.usage}",
        markup=False,
    )
