"""The state of a running training: what must survive a crash, in one checked file, and the one before it."""

import hashlib
import json
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from effnet.errors import EffnetError
from effnet.files import sync_folder, tensor_metadata, write_bytes

STATE_FILE = "training.state"
PREVIOUS_FILE = "training.previous.state"
NEXT_FILE = "training.next.state"  # the newest, whole, for the moment in which the others get their new names
DAMAGED_FILE = "training.damaged.state"
TEACHER_FILE = "teacher.safetensors"  # a copy, so that going on needs no file from elsewhere
FORMAT_VERSION = 5
_DIGEST_BYTES = 32
_KEY = "state"


class StateError(EffnetError):
    """A training state is missing or damaged."""


@dataclass(frozen=True)
class State:
    """What a training needs to go on exactly where it was.

    Randomness needs no place here: it is a function of (seed, epoch, image index) and (seed, step).
    """

    info: Mapping[str, Any]
    """JSON values: configuration, data set, position, results so far."""
    arrays: Mapping[str, NDArray[Any]]
    """Weights, their average, the best ones, the optimizer's memory."""


def save(folder: Path, state: State) -> None:
    """Write the state, whole or not at all; the one before stays beside it.

    There are two whole states at any moment: a kill and a damaged file together lose nothing.
    The file is the SHA-256 of its content, then the content in safetensors format.

    Raises:
        EffnetError: the folder cannot be written to or the disk is full; both older states are as they were.

    """
    info = json.dumps({"format_version": FORMAT_VERSION, **state.info})
    content = save_arrays(dict(state.arrays), {_KEY: info})
    digest = hashlib.sha256(content).digest()

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            file.write(digest)
            file.write(content)

    newest, last = folder / NEXT_FILE, folder / STATE_FILE
    write_bytes(newest, write)
    try:
        if last.exists():
            last.replace(folder / PREVIOUS_FILE)
        newest.replace(last)
    except OSError as error:
        raise EffnetError(f"cannot write {last}: {error.strerror}") from error
    sync_folder(folder)


def exists(folder: Path) -> bool:
    """Tell whether a folder holds the state of an unfinished training."""
    return any((folder / name).exists() for name in (NEXT_FILE, STATE_FILE, PREVIOUS_FILE))


def load(folder: Path) -> tuple[State, str | None]:
    """Read the last good state of a folder.

    Returns:
        The state, and a sentence about damage when the newest one could not be used.

    Raises:
        StateError: there is none, or both are damaged.

    """
    if not exists(folder):
        raise StateError(f"{folder} holds no unfinished training ({STATE_FILE})")
    problems = []
    newest = (NEXT_FILE,) if (folder / NEXT_FILE).exists() else ()  # saving it was broken off
    for name in (*newest, STATE_FILE, PREVIOUS_FILE):
        try:
            state = _read(folder / name)
        except StateError as error:
            problems.append(str(error))
        else:
            return state, f"{'; '.join(problems)}: the state before it is taken" if problems else None
    raise StateError("; ".join(problems))


def set_damaged_aside(folder: Path) -> None:
    """Give a damaged newest state another name; whoever calls holds the folder, and goes on with another one.

    The next state that is saved would make it the one before, and a kill at that moment leave no good one.
    """
    for path in (folder / NEXT_FILE, folder / STATE_FILE):
        if path.exists():
            try:
                _read(path)
            except StateError:
                with suppress(OSError):  # in a folder that cannot be written to nothing will be saved
                    path.replace(path.with_name(DAMAGED_FILE))


def remove(folder: Path) -> None:
    """Remove the states of a finished training."""
    for name in (NEXT_FILE, STATE_FILE, PREVIOUS_FILE, DAMAGED_FILE, TEACHER_FILE):
        (folder / name).unlink(missing_ok=True)


def resume_command(folder: Path) -> str:
    """Return the command that goes on with the unfinished training in a folder."""
    return shlex.join(["effnet", "train", "--resume", str(folder)])


def _read(path: Path) -> State:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StateError(f"{path.name} cannot be read ({error.strerror})") from None
    digest, content = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != digest:
        raise StateError(f"{path.name} is damaged (checksum)")
    try:
        return _parse(path, content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise StateError(f"{path.name} is damaged ({error})") from None


def _parse(path: Path, content: bytes) -> State:
    info = json.loads(tensor_metadata(content)[_KEY])
    if info["format_version"] != FORMAT_VERSION:
        raise StateError(
            f"{path.name} has format version {info['format_version']}, not {FORMAT_VERSION}; go on with the "
            f"effnet that wrote it"
        )
    return State(info, load_arrays(content))
