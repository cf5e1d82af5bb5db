"""Other libraries, and the modes in which their networks are run: those of users, the fast ones too."""

from dataclasses import dataclass
from typing import Literal

Library = Literal["timm", "torchvision"]
ModeName = Literal["eager", "channels_last", "bf16", "compiled", "compiled-bf16"]


@dataclass(frozen=True)
class Mode:
    """How torch computes a network."""

    channels_last: bool = True
    bf16: bool = False
    """Whether autocast takes bfloat16 for convolutions and products."""
    compiled: bool = False
    """Whether torch.compile makes one program of it."""


MODES: dict[ModeName, Mode] = {
    "eager": Mode(channels_last=False),
    "channels_last": Mode(),
    "bf16": Mode(bf16=True),
    "compiled": Mode(compiled=True),
    "compiled-bf16": Mode(bf16=True, compiled=True),
}
