"""Imported weights give the logits of the library that wrote them."""

from pathlib import Path

import pytest
import torch
from torch import nn

from effnet.evaluation.classifier import load
from effnet.importing.run import import_model
from foreign import FAST, SLOW, Foreign, random_foreign
from peers import logits_error, relative_error

# 1e-4 is promised. In float64 rounding does not hide anything: a wrong eps makes 7e-3.
TOLERANCE = 1e-9
EVERY = [*FAST, *(pytest.param(foreign, marks=pytest.mark.slow) for foreign in SLOW)]


def imported(foreign: Foreign, peer: nn.Module, folder: Path) -> nn.Module:
    """Import what a library saved, and load the model file."""
    source, out = folder / "theirs.pth", folder / "ours.safetensors"
    torch.save(peer.state_dict(), source)
    import_model(source, out, variant=foreign.variant)
    return load(out, device="cpu").network.eval()


def normalisation(network: nn.Module) -> set[tuple[float, float | None]]:
    """Epsilon and momentum of all batch normalisations."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    return {(norm.eps, norm.momentum and round(norm.momentum, 9)) for norm in norms}


def sensitivity(peer: nn.Module, images: torch.Tensor) -> float:
    """How far a network moves by rounding alone: V2-L by 1e-6, at a size that its statistics are not of."""
    with torch.inference_mode():
        return relative_error(peer(images * (1 + 1e-15)), peer(images))


@pytest.mark.parametrize("foreign", EVERY, ids=str)
def test_logits_are_the_library_s_at_an_even_and_at_an_odd_resolution(
    foreign: Foreign, tmp_path: Path
) -> None:
    with torch.device("meta"):
        expected = normalisation(foreign.build())
    peer = random_foreign(foreign, 64)
    ours = imported(foreign, peer, tmp_path)
    assert normalisation(ours) == expected
    images = torch.randn(2, 3, 81, 81, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert logits_error(ours.double(), peer.double(), images[..., :64, :64]) < TOLERANCE
    assert logits_error(ours, peer, images) < min(1e-4, max(TOLERANCE, 10 * sensitivity(peer, images)))


def test_logits_agree_in_float32_at_the_resolution_of_the_network(tmp_path: Path) -> None:
    foreign = FAST[1]
    peer = random_foreign(foreign, 224)
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    assert logits_error(imported(foreign, peer, tmp_path), peer, images) < 1e-4


def test_another_variant_does_not_compute_the_same(tmp_path: Path) -> None:
    peer = random_foreign(FAST[1], 64)
    wrong = imported(FAST[0], peer, tmp_path)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    assert logits_error(wrong, peer, images) > 1e-3
