"""What machine and which versions a measurement was made with; no torch."""

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("torch", "timm", "torchvision", "onnxruntime")


def cpu_name() -> str:
    """Return the model name of the processor."""
    info = Path("/proc/cpuinfo")  # Linux; elsewhere Python knows better
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str | None]:
    """Return the versions of packages; None for one that is not installed."""
    return {package: _version(package) for package in packages}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
