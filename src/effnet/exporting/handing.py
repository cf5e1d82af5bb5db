"""Handing a model on: as weights for another library, or as a folder for a hub of models."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from effnet import modelfile
from effnet.errors import UsageError
from effnet.exporting.card import config_text, readme_text
from effnet.exporting.libraries import Builder, builder
from effnet.files import check_folder, check_out, write_bytes, write_text
from effnet.weightfile import Arrays

Target = Literal["timm", "torchvision", "hub"]
WEIGHTS = (".safetensors", ".pth")
FOLDER_FILES = ("model.safetensors", "config.json", "README.md")


@dataclass(frozen=True)
class HandedOn:
    """What was written, and how it is used."""

    target: Target
    paths: tuple[Path, ...]
    usage: str
    """Python that loads it."""


def export_to(model: str | Path, out: str | Path, *, target: Target) -> HandedOn:
    """Write a model file for others.

    Args:
        model: a model file.
        out: for `timm` and `torchvision` the file of weights, `.safetensors` or `.pth`, which the library
            loads with `strict=True`; for `hub` a folder, new or empty.
        target: timm, torchvision or hub.

    Raises:
        UsageError: the library has no such network, or `out` is no name for that.
        ModelFileError: the model file is missing or damaged.
        EffnetError: something cannot be written.

    """
    path = Path(out)
    if target == "hub":
        return _to_hub(Path(model), path)
    _check_file(path)
    header, arrays = modelfile.load(Path(model))
    built = builder(target, header.spec, header.num_classes)
    names = built.layout.translation(header.spec)
    _write_weights(path, {names[ours]: array for ours, array in arrays.items()})
    return HandedOn(target, (path,), _usage(built, path))


def _check_file(path: Path) -> None:
    if path.suffix not in WEIGHTS:
        raise UsageError(f"--out {path}: the name must end in {' or '.join(WEIGHTS)}")
    check_out(path)


def _write_weights(path: Path, arrays: Arrays) -> None:
    import torch
    from safetensors.torch import save_file

    tensors = {name: torch.from_numpy(array).contiguous() for name, array in arrays.items()}

    def as_safetensors(temporary: Path) -> None:
        save_file(tensors, temporary, {"format": "pt"})

    def as_pickle(temporary: Path) -> None:
        torch.save(tensors, temporary)

    write: Callable[[Path], None] = as_safetensors if path.suffix == ".safetensors" else as_pickle
    write_bytes(path, write)


def _usage(built: Builder, path: Path) -> str:
    """Return the lines that load the weights in the library."""
    if path.suffix == ".safetensors":
        return (
            f"{built.imports}\nfrom safetensors.torch import load_file\nnetwork = {built.code}\n"
            f'network.load_state_dict(load_file("{path.name}"), strict=True)'
        )
    return (
        f"{built.imports}\nimport torch\nnetwork = {built.code}\n"
        f'network.load_state_dict(torch.load("{path.name}", weights_only=True), strict=True)'
    )


def _to_hub(model: Path, folder: Path) -> HandedOn:
    """Write the folder of a repository."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"--out {folder}: is there already; it takes a new or empty folder")
    header, arrays = modelfile.load(model)
    check_folder(folder)
    weights, config, readme = paths = tuple(folder / name for name in FOLDER_FILES)
    modelfile.save(weights, header, arrays)
    write_text(config, config_text(header))
    write_text(readme, readme_text(header))
    return HandedOn("hub", paths, "effnet import OWNER/NAME --out model.safetensors")
