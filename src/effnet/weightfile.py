"""Arrays in a safetensors file: opened with errors in words, checked, in half precision where asked for.

Weights may be stored as float16; whoever reads them gets float32.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from effnet.errors import ModelFileError, some
from effnet.shipped.catalogue import SHIPPED, located

_MAX_HEADER_BYTES = 100_000_000  # of the safetensors format

HALF_LIMIT = 2.0**-11
"""What float16 may change of a tensor, as a share of its norm. Rounding of normal numbers changes 2e-4;
more is lost where values are too large for it, or so small that it has fewer digits for them."""

Arrays = Mapping[str, NDArray[Any]]


def opened(path: Path) -> Any:
    """Open the safetensors file of a model for reading, as a context; a name of the package is its file.

    Raises:
        ModelFileError: missing, damaged, or no safetensors file.
        UsageError: the name of a network of the package, and of something here.

    """
    path = located(path)
    if path.is_dir():
        raise ModelFileError(
            f"{path} is a folder; a model file is a .safetensors file such as {path}/model.safetensors"
        )
    try:
        with path.open("rb"):  # for the reason: safetensors takes a file without permission for a missing one
            return safe_open(path, framework="numpy")
    except (FileNotFoundError, NotADirectoryError):
        known = "" if path.suffix else f"; with effnet comes {some(SHIPPED)}"
        raise ModelFileError(f"{path}: no such file{known}") from None
    except PermissionError:
        raise ModelFileError(f"{path}: no permission to read it") from None
    except (SafetensorError, OSError) as error:
        if _is_pickle(path):
            raise ModelFileError(
                f"{path}: not a model file but a pickle, as torch.save writes; loading one can execute code, "
                f"so effnet reads the .safetensors files of `effnet train` only"
            ) from None
        raise ModelFileError(
            f"{path}: not a model file, or damaged or cut off ({error}); copy it again, or take a "
            f".safetensors file that `effnet train` wrote"
        ) from error


def _is_pickle(path: Path) -> bool:
    """Tell by the first bytes whether a file is a pickle, or a zip archive, which torch puts one into.

    A safetensors file begins with the length of its header in eight bytes: a pickle would be far too long.
    """
    with path.open("rb") as file:
        start = file.read(8)
    is_header = int.from_bytes(start, "little") <= _MAX_HEADER_BYTES
    return start.startswith((b"\x80", b"PK")) and not is_header


def arrays_in(file: Any, path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of an opened file by their names, as they are stored.

    Raises:
        ModelFileError: they cannot be read, are of a type that is not stored, or no finite numbers.

    """
    try:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, TypeError, OSError) as error:  # TypeError: a type that numpy lacks
        raise ModelFileError(f"{path}: the weights cannot be read: {error}") from error
    foreign = [f"{name} ({array.dtype})" for name, array in arrays.items() if array.dtype.isbuiltin != 1]
    if foreign:  # some packages teach numpy types such as bfloat16, which nothing here computes with
        raise ModelFileError(f"{path}: weights of a type that is not stored: {some(foreign, limit=3)}")
    endless = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if endless:
        raise ModelFileError(f"{path}: weights that are not finite numbers: {some(endless, limit=3)}")
    return arrays


def widened(arrays: Arrays) -> dict[str, NDArray[Any]]:
    """Return arrays with float32 for float16, which changes no value."""
    return {
        name: array.astype(np.float32) if array.dtype == np.float16 else array
        for name, array in arrays.items()
    }


def halved(arrays: Arrays) -> dict[str, NDArray[Any]]:
    """Return arrays with float16 for float32 where little is lost: in kernels and matrices.

    Statistics, scales and shifts of batch normalisation stay float32, and so do biases: they are 3 % of a
    small network, and without them its logits differ by half as much. So does what loses more than
    `HALF_LIMIT`.
    """
    return {name: _halved(array) for name, array in arrays.items()}


def _halved(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype != np.float32 or array.ndim < 2:
        return array
    with np.errstate(over="ignore"):  # what becomes infinite is seen below
        half = array.astype(np.float16)
    lost = np.linalg.norm(half.astype(np.float64) - array)
    return half if lost <= HALF_LIMIT * np.linalg.norm(array.astype(np.float64)) else array
