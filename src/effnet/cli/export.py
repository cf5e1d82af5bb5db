"""`effnet export`: a model file as ONNX files that need no training code, or for another library."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from rich.markup import escape

from effnet.cli.export_half import run_half
from effnet.cli.export_to import run_to
from effnet.cli.output import console, print_json, table
from effnet.cli.parse import is_given, parse
from effnet.cli.progress import TerminalReporter
from effnet.cli.show_export import points
from effnet.errors import UsageError

if TYPE_CHECKING:  # they load torch
    from effnet.exporting.comparison import Comparison
    from effnet.exporting.result import Exported


ONNX_FLAGS = ("--check-on", "--embed-normalisation", "--int8", "--calibrate-on", "--max-drop")
FLAGS = {"onnx": ONNX_FLAGS, "half": ("--check-on",)}  # of each target; others have none


@dataclass(frozen=True)
class ExportForm:
    """Write a model file as ONNX, and prove that it answers as torch does.

    The file holds class names, preprocessing, network and metrics, so that it can be handed on: `effnet
    predict` and `effnet serve` need nothing else, and no torch. If the proof fails, no file is written.
    """

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """The model file that `effnet train` wrote, or cifar10-small, which comes with effnet."""
    out: Annotated[Path, tyro.conf.arg(metavar="FILE.onnx")]
    """The file to write; .safetensors for half, that or .pth for another library, a folder for a hub."""
    target: Literal["onnx", "half", "timm", "torchvision", "hub"] = "onnx"
    """What it becomes: half is a model file of half the size, its kernels in float16; timm and torchvision
    load the weights with strict=True; hub is a folder with a model card."""
    check_on: Annotated[str | None, tyro.conf.arg(metavar="DATA")] = None
    """Data set whose images go through the proof too, by name or folder; else random images alone do."""
    embed_normalisation: bool = False
    """Let the file take pixels, uint8, height × width × channels, and normalise them itself."""
    int8: bool = False
    """Also write FILE.int8.onnx, a quarter of the size, and compare both: accuracy, size, speed here."""
    calibrate_on: Annotated[str | None, tyro.conf.arg(metavar="DATA")] = None
    """Data set for int8: training images calibrate, validation images choose, test images judge at the end.
    By default the data of the training, where it is found by its name."""
    max_drop: Annotated[float, tyro.conf.arg(metavar="POINTS")] = 1.0
    """Accuracy that int8 may lose on validation images; blocks that lose too much stay in float32."""
    json: bool = False
    """Print one JSON object."""


def run(args: Sequence[str]) -> None:
    """Run the command."""
    form = parse(ExportForm, "export", args)
    for flag in ONNX_FLAGS:
        if flag not in FLAGS.get(form.target, ()) and is_given(flag, args):
            raise UsageError(f"{flag} is for ONNX files, not for --target {form.target}")
    if form.target == "half":
        run_half(form.model, form.out, form.check_on, as_json=form.json)
        return
    if form.target != "onnx":
        run_to(form.model, form.out, form.target, as_json=form.json)
        return
    if is_given("--max-drop", args) and not form.int8:
        raise UsageError("--max-drop is for --int8")
    from effnet.exporting.run import export

    with TerminalReporter(quiet=form.json) as reporter:
        exported = export(
            form.model,
            form.out,
            listener=reporter,
            int8=form.int8,
            calibrate_on=form.calibrate_on,
            check_on=form.check_on,
            embed_normalisation=form.embed_normalisation,
            max_drop=form.max_drop,
        )
    if form.json:
        print_json(exported.to_dict())
    else:
        show(exported)


def show(exported: "Exported") -> None:
    """Print what was written, the proof, and what to do next."""
    out = console()
    out.print(
        f"[bold]{escape(str(exported.path))}[/]: {megabytes(exported.num_bytes)}, takes {taken(exported)}"
    )
    out.print(proof(exported), markup=False)
    if exported.comparison is not None:
        show_comparison(exported, exported.comparison)
    out.print(
        f"\nTry: effnet predict {exported.recommended} PHOTO\n     effnet serve {exported.recommended}",
        markup=False,
    )


def taken(exported: "Exported") -> str:
    """Say what the files take."""
    shape = " × ".join(map(str, exported.shape))
    kind = "float32, normalised" if exported.input == "normalised" else "uint8 pixels, normalised inside"
    return f"any number of images of {shape}, {kind}"


def proof(exported: "Exported") -> str:
    """Say what was proved."""
    parity = exported.parity
    real = f" and {parity.num_real:,} real" if parity.num_real else ""
    ties = f" ({parity.num_ties} of them ties)" if parity.num_ties else ""
    return (
        f"proof: {parity.num_random:,} random{real} images through torch and onnxruntime: logits differ by "
        f"at most {parity.share:.1e} of their range (allowed {parity.limit:.0e}), the most probable class is "
        f"the same for {parity.agreement:.0%}{ties}"
    )


def show_comparison(exported: "Exported", comparison: "Comparison") -> None:
    """Print float32 and int8 side by side, and which one is faster here."""
    out, accuracy = console(), comparison.accuracy
    columns = [
        "file",
        "size",
        "ms, one image",
        "images/s in batches",
        f"{accuracy.part}, {accuracy.num_images:,} images",
    ]
    made = table("", columns)
    rows = zip(
        (exported.path, exported.int8_path),
        comparison.num_bytes,
        comparison.speed,
        accuracy.top1,
        strict=True,
    )
    for path, num_bytes, speed, top1 in rows:
        made.add_row(
            escape(str(path)),
            megabytes(num_bytes),
            f"{speed.milliseconds:.2f}",
            f"{speed.images_per_second:,.1f}",
            f"{top1:.2%}",
        )
    out.print("", made)
    low, high = map(points, accuracy.interval)
    floats = f"{len(comparison.floats)} blocks in float32" if comparison.floats else "all blocks in int8"
    gained = points(accuracy.top1[1] - accuracy.top1[0])
    out.print(
        f"int8 ({floats}, calibrated by {comparison.method}): {gained} points (95% interval {low} "
        f"to {high}), the same answer for {accuracy.agreement:.1%}; on the {comparison.num_choice:,} "
        f"validation images that it was chosen by {points(-comparison.drop / 100)} points",
        markup=False,
    )
    if accuracy.caution is not None:
        out.print(f"note: {accuracy.caution}", markup=False)
    faster, slower = (1, 0) if comparison.is_int8_faster else (0, 1)
    factor = comparison.speed[slower].milliseconds / comparison.speed[faster].milliseconds
    out.print(f"Faster here: {exported.recommended}, × {factor:.2f} for one image", markup=False)


def megabytes(num_bytes: int) -> str:
    """Write a size."""
    return f"{num_bytes / 1e6:.1f} MB"
