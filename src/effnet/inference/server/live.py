"""The model that answers, and the watch over its file: a changed one is taken up without a pause."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from effnet import files
from effnet.errors import EffnetError, ModelFileError
from effnet.inference.runtime import OnnxClassifier, load
from effnet.inference.server.logs import bug, log
from effnet.inference.server.pace import best_batch, prove

State = tuple[int, int, int]
"""What tells that a file is another one: time of change, inode, size."""


@dataclass(frozen=True, eq=False)
class Served:
    """A model that has proved that it answers."""

    classifier: OnnxClassifier
    version: str
    """SHA-256 of the file that was given, in hexadecimal."""
    loaded: str
    """When, in UTC."""
    batch: int
    """How many images it computes together at most."""


class LiveModel:
    """The model in use, and what became of the last change of its file."""

    def __init__(
        self,
        path: Path,
        *,
        threads: int | None = None,
        max_batch: int | None = None,
        ready_file: Callable[[Path], Path] = lambda path: path,
    ) -> None:
        """Load a model file.

        Args:
            path: the file to serve and to watch.
            threads: that compute.
            max_batch: most images to compute together; measured when not given.
            ready_file: makes of it the ONNX file to load; may take long.

        Raises:
            ModelFileError: the file cannot be used.

        """
        self.path = path
        self.problem: str | None = None
        """Why the file as it is now is not the model in use; None when it is."""
        self._threads = threads
        self._max_batch = max_batch
        self._ready_file = ready_file
        self._known = state_of(path)
        self.current = self._open(None)

    async def watch(self, seconds: float, told: Callable[[str], None]) -> None:
        """Look at the file again and again; take up what is new, and keep the old model if that fails.

        Args:
            seconds: between two looks. A file must stay the same from one to the next before it is read.
            told: what became of each change: `taken`, `refused`, `same`, `gone`.

        """
        before = self._known
        while True:
            await asyncio.sleep(seconds)
            now = await asyncio.to_thread(state_of, self.path)
            if now == before and now != self._known:
                told(await asyncio.to_thread(self.take_up))
            before = now

    def take_up(self) -> str:
        """Load the file as it is now, and answer with it from now on; return what became of it."""
        self._known = state_of(self.path)
        if self._known is None:
            return self._keep("gone", "the model file is gone")
        try:
            if digest_of(self.path) == self.current.version:
                self.problem = None
                return "same"
            taken = self._open(self.current)
        except EffnetError as error:
            return self._keep("refused", f"the changed model file was refused: {self._told(error)}")
        except Exception as error:
            bug("model failed", error)
            return self._keep("refused", "the changed model file was refused: it cannot be loaded")
        self.current, self.problem = taken, None
        log("model taken up", version=taken.version, network=taken.classifier.header.spec.name)
        return "taken"

    def _keep(self, outcome: str, problem: str) -> str:
        self.problem = problem
        log("model kept", "error", problem=problem, version=self.current.version)
        return outcome

    def _told(self, error: EffnetError) -> str:
        """Say what is wrong without the folders of this machine."""
        return re.sub(r"(?<!\S)/(?:[^/\s:]+/)+", "", str(error).replace(f"{self.path.parent}/", ""))

    def _open(self, before: Served | None) -> Served:
        version = digest_of(self.path)
        classifier = load(self._ready_file(self.path), num_threads=self._threads)
        prove(classifier)
        loaded = datetime.now(UTC).isoformat(timespec="seconds")
        return Served(classifier, version, loaded, self._batch_for(classifier, before))

    def _batch_for(self, classifier: OnnxClassifier, before: Served | None) -> int:
        """Return how many images to compute together; not measured again for the same network."""
        if self._max_batch is not None:
            return self._max_batch
        if before is not None and before.classifier.header.spec == classifier.header.spec:
            return before.batch
        return best_batch(classifier)


def state_of(path: Path) -> State | None:
    """Return what changes with a file, None while there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises:
        ModelFileError: it cannot be read.

    """
    try:
        return files.digest_of(path)
    except (FileNotFoundError, NotADirectoryError):
        raise ModelFileError(f"{path}: no such file") from None
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read: {error.strerror}") from None
