"""Weights from a file of any library, as arrays. Nothing in the file is executed."""

import pickle
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from effnet.errors import ModelFileError, some

SAFETENSORS, PICKLES = (".safetensors",), (".pth", ".pt", ".bin", ".ckpt", ".tar")

# Where trainings put the weights, the average of them first, as timm's `load_state_dict` takes it.
PARTS = (
    "state_dict_ema",
    "model_ema",
    "state_dict",
    "model_state_dict",
    "model",
    "network",
    "net",
    "weights",
)

# What wrappers put before every name: DataParallel, torch.compile, Lightning and others.
PREFIXES = ("module.", "_orig_mod.", "model.", "network.", "net.")


@dataclass(frozen=True)
class Weights:
    """What a file holds."""

    arrays: Mapping[str, NDArray[Any]]
    """By name; numbers with a fraction are float32."""
    notes: tuple[str, ...]
    """What was done to get at them."""


def read(path: Path) -> Weights:
    """Read the weights of a `.safetensors` file, or of one that `torch.save` wrote.

    Raises:
        ModelFileError: no such file, damaged, cut off, without weights, or it wants code to be executed.

    """
    if not path.is_file():
        raise ModelFileError(f"{path}: no such file" if not path.exists() else f"{path}: not a regular file")
    content = _read_safetensors(path) if path.suffix in SAFETENSORS else _read_pickle(path)
    tensors, notes = _unwrapped(path, content)
    _check_kind(path, tensors)
    arrays = {name: _array(tensor) for name, tensor in tensors.items()}
    endless = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if endless:
        raise ModelFileError(f"{path}: weights that are not finite numbers: {some(endless, limit=3)}")
    return Weights(arrays, notes)


def _read_safetensors(path: Path) -> object:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFileError(
            f"{path}: damaged or cut off, or no safetensors file ({error}); bring it again"
        ) from None


def _read_pickle(path: Path) -> object:
    """Read what `torch.save` wrote, by torch's unpickler for weights: it builds tensors and calls nothing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles in newer ways than torch.save's, which are refused
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not _is_pickle(path) or "Unsupported" not in str(error):
            raise _damaged(path, error) from None
        raise ModelFileError(
            f"{path}: not only weights: loading it would execute code, so it is not loaded; save the weights "
            f"alone, with torch.save(model.state_dict(), FILE), or bring a .safetensors file"
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from None


def _is_pickle(path: Path) -> bool:
    """Tell by the first bytes whether a file is a pickle, or the zip archive that torch puts one into."""
    with path.open("rb") as file:
        return file.read(2) in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def _damaged(path: Path, error: Exception) -> ModelFileError:
    first_line = str(error).strip().split("\n")[0].split(". ")[0][:100] or type(error).__name__
    return ModelFileError(
        f"{path}: damaged or cut off, or no file of weights ({first_line}); bring it again: "
        f"{', '.join((*SAFETENSORS, *PICKLES))} are read"
    )


def _unwrapped(path: Path, content: object) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Find the weights in what was saved, and take the same beginning off all their names."""
    notes = []
    part = next((part for part in PARTS if _is_mapping(content, part)), None)
    if part is not None and isinstance(content, Mapping):
        content = content[part]
        notes.append(f"taken from its part {part!r}")
    tensors = dict(_tensors(content))
    if not tensors:
        raise ModelFileError(f"{path}: there are no weights in it, where a state dict has tensors by name")
    while prefix := next((p for p in PREFIXES if all(name.startswith(p) for name in tensors)), None):
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
        notes.append(f"without the {prefix!r} before each name")
    return tensors, tuple(notes)


def _is_mapping(content: object, part: str) -> bool:
    return isinstance(content, Mapping) and isinstance(content.get(part), Mapping)


def _tensors(content: object) -> Iterator[tuple[str, Tensor]]:
    if isinstance(content, Mapping):
        for name, value in content.items():
            if isinstance(name, str) and isinstance(value, Tensor):
                yield name, value


def _check_kind(path: Path, tensors: Mapping[str, Tensor]) -> None:
    strange = [
        name
        for name, tensor in tensors.items()
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex() or tensor.is_meta
    ]
    if strange:
        raise ModelFileError(f"{path}: weights that are no plain numbers: {some(strange, limit=3)}")


def _array(tensor: Tensor) -> NDArray[Any]:
    """Return a tensor as an array: whatever has a fraction as float32."""
    plain = tensor.detach().to("cpu")
    array: NDArray[Any] = (plain.float() if plain.is_floating_point() else plain).contiguous().numpy()
    return array
