"""Which library wrote weights, and which network they are of: from names and shapes alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from effnet.errors import ModelFileError, some
from effnet.layouts.catalogue import COUNTER, LAYOUTS, Layout, Shapes
from effnet.layouts.layers import LayerName
from effnet.spec.netspec import NetSpec

NAMED = 3  # differing tensors that a message names


@dataclass(frozen=True)
class Recognised:
    """What weights are."""

    layout: Layout
    spec: NetSpec
    """The network, with the channels of its input as they are."""
    num_classes: int | None
    """Outputs of the classifier; None where the weights have none."""


def recognise(shapes: Mapping[str, tuple[int, ...]], spec: NetSpec | None = None) -> Recognised:
    """Find the layout and the network of weights.

    Args:
        shapes: of all tensors, by name.
        spec: the network, where it is known; else one of those that the libraries have.

    Raises:
        ModelFileError: they match none. The message has the nearest and the first names that differ.

    """
    if not shapes:
        raise ModelFileError("there are no weights in it")
    candidates = tuple(_candidates(shapes, spec))
    if not candidates:
        raise ModelFileError(f"{_strange(shapes)}, and no library calls the blocks of {_name(spec)} so")
    for candidate, expected in candidates:
        if not _differences(shapes, expected):
            return candidate
    nearest, expected = max(candidates, key=lambda pair: _likeness(shapes, pair[1]))
    if not _likeness(shapes, expected):
        known = some(f"{layout.name} ({layout.library})" for layout in LAYOUTS.values())
        raise ModelFileError(f"{_strange(shapes)}; known layouts: {known}")
    differing = _differences(shapes, expected)
    raise ModelFileError(
        f"no known network; the nearest is {nearest.spec.name} as {nearest.layout.library} has it, but "
        f"{len(differing)} tensors differ: {some(differing, limit=NAMED)}"
    )


def _candidates(
    shapes: Mapping[str, tuple[int, ...]], spec: NetSpec | None
) -> Iterator[tuple[Recognised, Shapes]]:
    """Yield what the weights could be, with the shapes that they would have."""
    for layout in LAYOUTS.values():
        for network in layout.networks if spec is None else (spec,):
            if layout.can_name(network):
                names = tuple(layout.names(network))
                stem, classifier = _weight(shapes, names[0]), _weight(shapes, names[-1])
                fitted = replace(network, in_channels=stem[1]) if len(stem) > 1 else network
                num_classes = classifier[0] if classifier else None
                expected = layout.shapes(fitted, num_classes or 1)
                if num_classes is None:
                    expected = {name: shape for name, shape in expected.items() if not _of(names[-1], name)}
                yield Recognised(layout, fitted, num_classes), expected


def _weight(shapes: Mapping[str, tuple[int, ...]], layer: LayerName) -> tuple[int, ...]:
    """Return the shape of a layer's weight, empty where it is missing or nothing that could be one."""
    shape = shapes.get(f"{layer.conv}.weight", ())
    return shape if all(shape) else ()


def _of(layer: LayerName, name: str) -> bool:
    return name.startswith(f"{layer.conv}.")


def _differences(shapes: Mapping[str, tuple[int, ...]], expected: Shapes) -> list[str]:
    """Say which tensors differ, in the order of computation; what is unknown comes last."""
    differing = []
    for name, shape in expected.items():
        if name not in shapes:
            if not name.endswith(COUNTER):
                differing.append(f"{name} is missing")
        elif shapes[name] != shape:
            differing.append(f"{name} is {_written(shapes[name])} (expected {_written(shape)})")
    return [*differing, *(f"{name} is unknown" for name in shapes if name not in expected)]


def _likeness(shapes: Mapping[str, tuple[int, ...]], expected: Shapes) -> float:
    """Return the share of tensors that are the same, of all that are in one or the other."""
    same = sum(shapes.get(name) == shape for name, shape in expected.items() if not name.endswith(COUNTER))
    return same / len(expected.keys() | shapes.keys())


def _strange(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return f"no known layout has these names: {some(shapes, limit=NAMED)}"


def _name(spec: NetSpec | None) -> str:
    return "a network" if spec is None else spec.name


def _written(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "a single number"
