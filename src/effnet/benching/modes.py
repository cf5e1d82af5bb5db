"""The modes in which another library's network is run: those that its users take, the fast ones too."""

from dataclasses import dataclass
from typing import Literal

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
