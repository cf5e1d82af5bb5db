"""What `effnet show` says of an exported network beside what it says of its model file."""

from collections.abc import Mapping
from typing import Any

from rich.markup import escape

from effnet.cli.output import console
from effnet.errors import ModelFileError, some
from effnet.inference.onnxfile import InputKind, OnnxFile

TAKEN: Mapping[InputKind, str] = {"normalised": "normalised images", "pixels": "pixels"}


def print_export(file: OnnxFile) -> None:
    """Print how a network was exported, of which model file, and how near it came to that."""
    export = file.export
    source = f" from the model file of SHA-256 {export['source'][:12]}…" if export["source"] else ""
    console().print(
        f"[bold]exported[/] {export['precision']}, takes {TAKEN[file.input_kind]}, "
        f"{len(file.content) / 1e6:.1f} MB{source}",
        highlight=False,
    )
    parity = export["parity"]
    if isinstance(parity.get("agreement"), float):
        difference = parity.get("share")
        apart = f", logits differ by {difference:.1e} of their range" if isinstance(difference, float) else ""
        console().print(
            f"[bold]proved[/] the same class as torch for {parity['agreement']:.2%} of the images{apart}"
        )
    if isinstance(parity.get("accuracy"), dict):
        try:
            text = compared(parity, parity["accuracy"])
        except (KeyError, TypeError, ValueError):
            raise ModelFileError(
                f"{file.path}: the record of the export is damaged; export it anew"
            ) from None
        console().print(f"[bold]compared[/] {escape(text)}", highlight=False)


def compared(record: Mapping[str, Any], accuracy: Mapping[str, Any]) -> str:
    """Say what int8 lost, of the record that an export left in the file."""
    (before, after), (low, high) = accuracy["top1"], accuracy["interval"]
    floats = f"{some(record['floats'])} in float32" if record["floats"] else "all blocks in int8"
    return (
        f"with float32 on {accuracy['num_images']:,} images ({accuracy['part']}): {before:.2%} before, "
        f"{after:.2%} now (95% interval of the difference {points(low)} to {points(high)} points), the same "
        f"answer for {accuracy['agreement']:.1%}; {floats}"
    )


def points(share: float) -> str:
    """Write a difference of shares in points, with its sign; nothing is no minus."""
    return f"{100 * share:+.2f}" if abs(share) >= 5e-5 else "+0.00"
