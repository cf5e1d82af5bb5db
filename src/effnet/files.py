"""Writing files so that nothing is ever lost: the old content stays until the new one is safe on disk."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from effnet.errors import EffnetError, UsageError


def write_bytes(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, flush it to the disk, then rename it to `path`.

    Args:
        path: the file to write.
        write: fills the temporary file it is given.

    Raises:
        EffnetError: the folder cannot be written to or the disk is full; `path` is as it was before.

    """
    temporary: Path | None = None
    path = path.resolve()  # a link stays a link
    try:
        if path.exists() and not path.is_file():
            raise EffnetError(f"cannot write {path}: it is there, and not a regular file")
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix, delete=False
        ) as file:
            temporary = Path(file.name)
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise EffnetError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def cache_folder(variable: str = "EFFNET_CACHE") -> Path:
    """Return where what can be made or fetched again is kept: `effnet` in the user's cache.

    Args:
        variable: name of the environment variable that names another folder.

    Raises:
        EffnetError: it lies in a home folder, and there is none, as in some containers.

    """
    given = os.environ.get(variable)
    folder = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "effnet"
    try:
        return folder.expanduser()
    except RuntimeError:
        raise EffnetError(f"there is no home folder for {folder}; set ${variable} to a folder") from None


def check_folder(folder: Path) -> None:
    """Make a folder that results will go to, before the work that makes them.

    Raises:
        EffnetError: it cannot be made or written to.

    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EffnetError(f"cannot write to {folder}: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise EffnetError(f"cannot write to {folder}: no permission")


def check_out(path: Path) -> None:
    """Check where --out is to be written, before the work that makes it.

    Raises:
        UsageError: it is a folder, or there is no folder for it.

    """
    if path.is_dir():
        raise UsageError(f"--out {path}: is a folder; it takes the name of a file")
    if not path.parent.is_dir():
        raise UsageError(f"--out {path}: there is no folder {path.parent}; make it first")


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal.

    Raises:
        OSError: it cannot be read.

    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy_file(path: Path, target: Path) -> None:
    """Copy a file, whole or not at all."""

    def write(temporary: Path) -> None:
        shutil.copyfile(path, temporary)

    write_bytes(target, write)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    write_bytes(path, lambda temporary: _write_text(temporary, text))


def write_content(path: Path, content: bytes) -> None:
    """Write these bytes, whole or not at all."""

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    write_bytes(path, write)


def tensor_metadata(content: bytes) -> dict[str, str]:
    """Return the metadata of the content of a safetensors file: a length, a JSON header, then numbers.

    Raises:
        ValueError, KeyError: it is none, or has no metadata.

    """
    size = int.from_bytes(content[:8], "little")
    metadata: dict[str, str] = json.loads(content[8 : 8 + size])["__metadata__"]
    return metadata


def read_marked(
    path: Path, mark: Mapping[str, int], *, kinds: tuple[str, str], remedy: str
) -> dict[str, Any]:
    """Read a JSON object that carries the mark of its kind and version.

    Args:
        path: the file.
        mark: one key and its value, which the object must have.
        kinds: what was to be read, and what the file is not, for messages.
        remedy: how to get such a file.

    Raises:
        UsageError: no such file, not JSON, or without the mark.

    """
    content, kind = kinds
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: cannot read {content}: {error}") from error
    if not isinstance(data, dict) or not mark.items() <= data.items():
        raise UsageError(f"{path}: not {kind}; {remedy}")
    return data


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _umask() -> int:
    """Temporary files are private; a finished file gets the permissions the user asked for."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sync_folder(folder: Path) -> None:
    """Make the rename itself durable; only POSIX systems let a folder be opened."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
