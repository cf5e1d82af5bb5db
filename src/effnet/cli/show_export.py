"""What `effnet show` says of an exported network beside what it says of its model file."""

from effnet.cli.output import console
from effnet.inference.onnxfile import OnnxFile


def print_export(file: OnnxFile) -> None:
    """Print how a network was exported, of which model file, and how near it came to that."""
    export = file.export
    source = f" from the model file of SHA-256 {export['source'][:12]}…" if export["source"] else ""
    console().print(
        f"[bold]exported[/] {export['precision']}, takes {export['input']} images, "
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
