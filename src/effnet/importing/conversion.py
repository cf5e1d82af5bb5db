"""From the weights of a library to a draft of a model: names, numerics, preprocessing, classes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet.errors import ModelFileError, UsageError, some
from effnet.imaging.preprocess import Preprocess
from effnet.importing.class_names import NUM_IMAGENET, imagenet
from effnet.importing.draft import BIAS, WEIGHT, Draft
from effnet.importing.origin import Origin
from effnet.importing.variants import Variant, published, variants
from effnet.importing.weights import Weights
from effnet.layouts.catalogue import COUNTER
from effnet.layouts.recognition import Recognised, recognise
from effnet.modelfile import ModelHeader
from effnet.spec.netspec import NetSpec


class UnknownVariantError(UsageError):
    """Weights are of a kind that the file does not tell."""


@dataclass(frozen=True)
class Converted:
    """A draft, and what was understood on the way."""

    draft: Draft
    notes: tuple[str, ...]


def convert(
    origin: Origin, weights: Weights, *, spec: NetSpec | None = None, variant: str | None = None
) -> Converted:
    """Turn weights into a draft. The outputs of a classifier without known names are called by number.

    Args:
        origin: where they are from.
        weights: as they are.
        spec: the network, where it is none of those that libraries have.
        variant: the kind of weights, by name.

    Raises:
        ModelFileError: they match no layout, or have numbers that are none.
        UnknownVariantError: there are several kinds of such weights, and none is named.

    """
    try:
        found = recognise({name: array.shape for name, array in weights.arrays.items()}, spec)
    except ModelFileError as error:
        raise ModelFileError(f"{origin.source}: {error}") from None
    chosen, why = choose(origin, found, variant)
    network = found.spec if chosen is None else chosen.applied_to(found.spec)
    preprocess = origin.preprocess() or (
        Preprocess(network.resolution) if chosen is None else chosen.preprocess(found.spec)
    )
    kind = "" if chosen is None else f", variant {chosen.name}"
    notes = (
        f"{found.spec.name} as {found.layout.library} has it{kind}{why}",
        *weights.notes,
        *_notes_on(origin, network),
    )
    header = ModelHeader(
        spec=replace(network, resolution=preprocess.resolution),
        preprocess=_for_channels(preprocess, network.in_channels),
        class_names=names_of(origin, found.num_classes),
        training={"imported": record(origin, found, chosen)},
    )
    return Converted(Draft(header, translated(found, weights.arrays)), notes)


def choose(origin: Origin, found: Recognised, name: str | None) -> tuple[Variant | None, str]:
    """Tell the kind of weights, and by what it was told; None for a network that is not of the library's.

    Raises:
        UsageError: no kind of that name.
        UnknownVariantError: it is not told.

    """
    choices = variants(found.layout.name, found.spec)
    known = ", ".join(choice.about(found.spec) for choice in choices)
    if name is not None:
        for choice in choices:
            if choice.name == name:
                return choice, ""
        raise UsageError(f"--variant {name}: of {found.spec.name} there are: {known or 'none'}")
    if len(choices) < 2:
        return (choices[0], "") if choices else (None, "")
    if origin.architecture is not None:
        wanted = "tf" if origin.architecture.startswith("tf_") else "timm"
        described = next((choice for choice in choices if choice.name == wanted), None)
        if described is not None:
            return described, ", by its config.json"
    official = published(choices, origin.path.stem, origin.sha256)
    if official is not None:
        return official, ", by its name, which has the hash of its content"
    raise UnknownVariantError(
        f"{origin.source}: {found.spec.name} as {found.layout.library} has it, but the file does not say "
        f"which of these; choose with --variant: {known}"
    )


def _notes_on(origin: Origin, network: NetSpec) -> tuple[str, ...]:
    """Say what timm does with these weights that is not done here."""
    facts, notes = origin.facts, []
    if facts.get("crop_mode") == "squash":
        notes.append("note: timm squashes images into a square for these weights; here the middle is cut out")
    larger = facts.get("test_input_size")
    if larger:
        notes.append(f"note: trained smaller than tested: timm reports it at --resolution {larger[-1]} too")
    return tuple(notes)


def _for_channels(preprocess: Preprocess, channels: int) -> Preprocess:
    """Return preprocessing for as many channels as the stem has; other weights than RGB's say no means."""
    if len(preprocess.mean) == channels:
        return preprocess
    mean, std = (sum(values) / len(values) for values in (preprocess.mean, preprocess.std))
    return replace(preprocess, mean=(mean,) * channels, std=(std,) * channels)


def names_of(origin: Origin, num_classes: int | None) -> tuple[str, ...]:
    """Return names for the outputs: those that are told, ImageNet's for 1000, else numbers."""
    told = origin.class_names
    if told is not None and len(told) == num_classes:
        return told
    if num_classes == NUM_IMAGENET:
        return tuple(name for _, name in imagenet())
    return tuple(str(number) for number in range(num_classes or 1))


def are_told(origin: Origin, header: ModelHeader) -> bool:
    """Tell whether the names of the outputs are known, and no numbers."""
    return header.class_names != tuple(map(str, range(header.num_classes))) or bool(origin.class_names)


def translated(found: Recognised, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Give weights our names. A missing counter of batches is 0; a missing classifier stays missing."""
    renamed = {}
    for ours, theirs in found.layout.translation(found.spec).items():
        if ours in (WEIGHT, BIAS) and found.num_classes is None:
            continue
        if ours.endswith(COUNTER):
            renamed[ours] = np.asarray(arrays.get(theirs, 0), np.int64)
        else:
            renamed[ours] = arrays[theirs]
    strange = [
        name for name, array in renamed.items() if not name.endswith(COUNTER) and array.dtype != np.float32
    ]
    if strange:
        raise ModelFileError(f"weights that are no real numbers, such as int8: {some(strange, limit=3)}")
    return renamed


def record(origin: Origin, found: Recognised, chosen: Variant | None) -> dict[str, Any]:
    """Return what the model file says of its origin, in JSON values."""
    return {
        "source": origin.name,
        "revision": origin.revision,
        "sha256": origin.sha256,
        "library": found.layout.library,
        "layout": found.layout.name,
        "variant": None if chosen is None else chosen.name,
        "architecture": origin.architecture,
        "license": origin.facts.get("license"),
        "changes": [],
    }
