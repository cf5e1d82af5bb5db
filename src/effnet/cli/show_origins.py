"""Where the weights of a model file came from and what it builds on, for `effnet show`."""

from collections.abc import Mapping
from typing import Any

from rich.markup import escape

from effnet.cli.output import console
from effnet.errors import ModelFileError
from effnet.modelfile import ModelHeader

CLASSIFIERS = {
    "kept": "with their classifier",
    "reordered": "with their classifier, its rows reordered",
    "replaced": "with a new classifier",
}


def print_import(header: ModelHeader) -> None:
    """Print where imported weights came from, and what was changed of them."""
    imported = header.training.get("imported")
    if isinstance(imported, dict):
        kind = f", variant {imported['variant']}" if imported.get("variant") else ""
        changes = "".join(f"; {change}" for change in imported.get("changes", []))
        console().print(
            f"[bold]imported[/] from {escape(str(imported.get('source')))} ({imported.get('library')}{kind})"
            f"{escape(changes)}"
        )


def print_half(header: ModelHeader) -> None:
    """Print that weights were brought to half precision, and what that changed.

    Raises:
        ModelFileError: the record of it is damaged.

    """
    half = header.training.get("half")
    if half is None:
        return
    try:
        source, parity = half["source"][:12], half["parity"]
        text = (
            f"of the model file of SHA-256 {source}…: the same class for {parity['agreement']:.2%} of "
            f"{parity['num_random'] + parity['num_real']:,} images, logits differ by at most "
            f"{parity['share']:.1e} of their range"
        )
    except (KeyError, TypeError, ValueError):
        raise ModelFileError(
            "the record of half precision is damaged; write it anew: effnet export --target half"
        ) from None
    console().print(f"[bold]rounded[/] kernels to float16, {escape(text)}")


def sizing_words(sizing: Mapping[str, Any]) -> str:
    """Say how a network was chosen: the limits, and what was measured."""
    within = ", ".join(f"{name} {value:g}" for name, value in sizing["limits"].items())
    place, latency = sizing["conditions"], sizing["measured"]["latency"]["median_ms"]
    return (
        f"phi = {sizing['phi']:g} of {sizing['base']}, the largest within {within}; "
        f"measured {latency:.4g} ms "
        f"a batch of {place['batch']}, by {place['runtime']} on {place['accelerator'] or place['device']}"
    )


def print_origins(training: Mapping[str, Any]) -> None:
    """Print which weights a training began with, who taught it, and whether it was a regression only."""
    out = console()
    if (source := training.get("from")) is not None:
        out.print(f"[bold]from[/] {named(source)}, {CLASSIFIERS.get(source.get('head', ''), '')}")
    if (teacher := training.get("teacher")) is not None:
        out.print(f"[bold]taught by[/] {named(teacher)}")
    if (probe := training.get("probe")) is not None:
        out.print(
            f"[bold]probe[/] logistic regression on {probe.get('num_features')} features, "
            f"C = {short(probe.get('C'))}"
        )


def learning_words(header: ModelHeader) -> str:
    """Say how a network learned: for how many epochs and by what, or that only a classifier was fitted."""
    config, optim = header.training["config"], header.training["config"]["optim"]
    if "probe" in header.training:
        return "the classifier alone, without epochs"
    epochs = header.metrics.get("epochs", config["epochs"])
    return f"{epochs} epochs of batch {config['batch_size']}, {optim['name']} at {optim['lr']:g}"


def short(value: object) -> str:
    """Write a number with three digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def named(origin: Mapping[str, Any]) -> str:
    """Name a model file: network, where it was, the start of its checksum."""
    digest = str(origin.get("sha256", ""))[:12]
    return f"{escape(str(origin.get('network')))} of {escape(str(origin.get('source')))} (SHA-256 {digest}…)"
