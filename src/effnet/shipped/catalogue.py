"""The trained networks that come with the package: a name stands for a file wherever a model file does."""

from importlib.resources import files
from pathlib import Path

from effnet.errors import UsageError

# name -> what it is, for `effnet show`. Beside each name.safetensors lies its card, name.md.
SHIPPED = {"cifar10-small": "photos of 32×32 pixels in the ten classes of CIFAR-10, to try every command"}


def is_shipped(path: Path) -> bool:
    """Tell whether a path is the bare name of a network that comes with the package."""
    return str(path) in SHIPPED


def located(path: Path) -> Path:
    """Return the file that a MODEL means: one in the package for the name of a network there, else the path.

    Raises:
        UsageError: something of that name is here too. Which one is meant cannot be told, and a guess would
            change its meaning with the folder that a command runs in.

    """
    if not is_shipped(path):
        return path
    if path.exists():
        kind, example = ("folder", path / "model.safetensors") if path.is_dir() else ("file", path.resolve())
        raise UsageError(
            f"{path} is a network that comes with effnet, and also a {kind} here: for yours write its file "
            f"in full, such as {example}; for effnet's rename yours, or work in another folder"
        )
    return _folder() / f"{path}.safetensors"


def card_of(path: Path) -> Path | None:
    """Return the card of a network of the package, by its name or its file; None for any other path."""
    if not (is_shipped(path) or is_packaged(path)):
        return None
    return _folder() / f"{path.stem}.md"


def is_packaged(path: Path) -> bool:
    """Tell whether a file is one of the package, which stays as it is."""
    return path.resolve().parent == _folder() and path.stem in SHIPPED


def _folder() -> Path:
    return Path(str(files("effnet.shipped"))).resolve()
