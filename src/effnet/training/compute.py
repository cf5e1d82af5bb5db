"""How a network computes while it trains: number format, native kernels, compilation, where each pays."""

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import nn

from effnet.config import TrainConfig
from effnet.files import cache_folder
from effnet.network.native.build import NoKernelsError, cpu_features, load_kernels
from effnet.training.reporter import Reporter


@dataclass(frozen=True)
class Compute:
    """A way to compute; the default is torch's plain float32."""

    device_type: str = "cpu"
    dtype: torch.dtype = torch.float32
    """Number format of convolutions and matrix products; weights and sums stay float32."""
    native: bool = False
    """Whether blocks train with the CPU kernels."""
    compiled: bool = False
    """Whether the training step runs through torch.compile."""
    reason: str = ""
    """Why the CPU kernels are not used, though they were asked for."""

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context in which a network is run."""
        enabled = self.dtype != torch.float32
        return torch.autocast(self.device_type, dtype=self.dtype if enabled else None, enabled=enabled)

    def forward(self, network: nn.Module) -> nn.Module:
        """Return what to call in place of the network in training; it shares the weights."""
        if not self.compiled:
            return network
        kept = str(cache_folder() / "inductor")  # outlives a reboot
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", kept)
        return torch.compile(network)  # type: ignore[return-value]

    def words(self) -> str:
        """Say it in a few words; where they differ, the bits of the results do."""
        words = [f"{str(self.dtype).removeprefix('torch.')} on {self.device_type}"]
        words += ["own kernels"] * self.native + ["compiled"] * self.compiled
        return ", ".join(words)

    def describe(self) -> str:
        """Say it, and why it is not faster."""
        return self.words() + (f" ({self.reason})" if self.reason else "")


PLAIN = Compute()


def choose(config: TrainConfig, device: torch.device) -> Compute:
    """Choose the fastest way on a device, as far as the configuration leaves it open.

    What pays was measured (docs/decisions/0006): on a CPU bfloat16 does with the kernels and an instruction
    set for it, and never without; compiling does not.
    """
    compiled = config.compile == "on" or (config.compile == "auto" and device.type == "cuda")
    native, reason = False, ""
    if device.type == "cpu" and config.native and not compiled:
        native, reason = _try_kernels()
    return Compute(device.type, _dtype(config, device, native), native, compiled, reason)


def announce_compute(reporter: Reporter, compute: Compute, before: str | None) -> None:
    """Say how it is computed, and warn if the state that it goes on from was computed otherwise.

    `before` is what `words` said then; None if there is no state, or an older one.
    """
    reporter.message(f"computing in {compute.describe()}")
    if before not in (None, compute.words()):
        reporter.message(
            f"warning: computed in {before} before, in {compute.words()} from here; "
            f"the results will not be bit for bit those of a run that never stopped"
        )


def _try_kernels() -> tuple[bool, str]:
    try:
        load_kernels()
    except NoKernelsError as error:
        return False, f"without the faster kernels: {error}"
    return True, ""


def _dtype(config: TrainConfig, device: torch.device, native: bool) -> torch.dtype:
    if config.precision != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[config.precision]
    pays = has_bfloat16(device) and (native or device.type != "cpu")
    return torch.bfloat16 if pays else torch.float32


def has_bfloat16(device: torch.device) -> bool:
    """Tell whether a device computes products of bfloat16 itself."""
    return (device.type == "cuda" and _cuda_has_bfloat16()) or (device.type == "cpu" and _cpu_has_bfloat16())


def _cuda_has_bfloat16() -> bool:
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def _cpu_has_bfloat16() -> bool:
    """Tell whether the processor multiplies bfloat16: by AVX-512, AMX, or an ARM's vectors."""
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(cpu_features())


def use_kernels(network: nn.Module, native: bool) -> None:
    """Let the blocks of a network train with the CPU kernels, or not."""
    for module in network.modules():
        if hasattr(module, "native"):
            setattr(module, "native", native)  # noqa: B010 (a module may have any attribute, says mypy)
