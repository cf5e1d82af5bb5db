"""`effnet import`: weights of other libraries as a model file."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from rich.markup import escape

from effnet.cli.output import big, console, print_json
from effnet.cli.parse import parse
from effnet.cli.progress import TerminalReporter
from effnet.imaging import preprocess as preprocessing
from effnet.spec.cost import cost

if TYPE_CHECKING:  # it loads torch
    from effnet.importing.run import Imported


@dataclass(frozen=True)
class ImportForm:
    """Turn weights of timm, torchvision or efficientnet_pytorch into a whole model file.

    Library and network are recognised by the names and shapes of the weights. Padding, batch normalisation,
    preprocessing and ImageNet's class names come with them. Nothing in a file is executed.
    """

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """A file (.safetensors, .pth, .pt), a folder with model.safetensors, or a name on the hub, such as
    timm/efficientnet_b0.ra_in1k."""
    out: Annotated[Path, tyro.conf.arg(metavar="FILE.safetensors")]
    """The model file to write."""
    variant: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Kind of published weights where the file does not tell it; without it, an error lists the choices."""
    network: Annotated[str | None, tyro.conf.arg(metavar="NAME|FILE.json")] = None
    """The network, where it is one of your own and none that the libraries have."""
    classes: Annotated[str | None, tyro.conf.arg(metavar="FILE|imagenet|imagenet-synsets")] = None
    """Names of the outputs, one on each line; by default those that come with the weights, or ImageNet's."""
    num_classes: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Put a new head with N outputs on, untrained, for fine-tuning."""
    channels: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Adapt the stem to images of N channels: kernels are summed for 1, else repeated and made smaller."""
    resolution: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Side of the images in pixels, instead of the one that the weights were tested at."""
    revision: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Branch, tag or commit on the hub. For private repositories set HF_TOKEN."""
    json: bool = False
    """Print one JSON object."""


def run(args: Sequence[str]) -> None:
    """Run the command."""
    form = parse(ImportForm, "import", args)
    from effnet.importing.run import import_model

    wish = {name: value for name, value in asdict(form).items() if name not in ("source", "out", "json")}
    with TerminalReporter(quiet=form.json) as reporter:
        imported = import_model(form.source, form.out, listener=reporter, **wish)
    if form.json:
        print_json(to_dict(imported))
    else:
        show(imported)


def to_dict(imported: "Imported") -> dict[str, Any]:
    """Return what was imported in JSON values."""
    header = imported.header
    return {
        "path": str(imported.path),
        "network": header.spec.name,
        "num_classes": header.num_classes,
        "preprocess": preprocessing.to_dict(header.preprocess),
        "imported": dict(header.training.get("imported", {})),
        "notes": list(imported.notes),
    }


def show(imported: "Imported") -> None:
    """Print what was written, what was understood, and what to do next."""
    out, header = console(), imported.header
    spent = cost(header.spec, header.num_classes, header.preprocess.resolution)
    out.print(
        f"[bold]{escape(str(imported.path))}[/]: {header.spec.name}, {big(spent.params)} parameters, "
        f"{big(spent.macs)} MACs, {header.num_classes} classes"
    )
    for note in imported.notes:
        out.print(f"  {note}", markup=False)
    spec, pre = header.spec, header.preprocess
    out.print(
        f"  {spec.padding} padding, BN eps {spec.bn_eps:g}; short side to {pre.resized_short_side} "
        f"({pre.interpolation}), middle {pre.resolution}×{pre.resolution}, {pre.colours}, mean {pre.mean}, "
        f"std {pre.std}",
        markup=False,
    )
    out.print(f"\nTry: effnet predict {imported.path} PHOTO\n     effnet show {imported.path}", markup=False)
