"""Rows of images that a cluster computes: chunks of names go out, rows come back in their order."""

import os
import socket
import tempfile
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from effnet.cluster.machines import Cluster
from effnet.cluster.mapping import Listener, map_on_cluster
from effnet.errors import DataError, EffnetError
from effnet.files import digest_of
from effnet.inference.answers import Model, batches
from effnet.inference.places import Place
from effnet.inference.rows import ERROR, IMAGE, Row
from effnet.inference.tofile import FileModel, answer, in_order

IMAGES_PER_CHUNK = 256  # at least: whole batches, so that each image is in the batch that it is in alone
AHEAD = 64  # chunks that may be begun behind the oldest one; their rows wait in memory


class Load(Protocol):
    """Loads a model from a file, on whatever machine it is called."""

    def __call__(self, path: Path) -> Model:
        """Return the model."""


@dataclass(frozen=True)
class Chunk:
    """Images that a worker has at a time."""

    number: int
    places: tuple[Place, ...]
    seen: tuple[Path, int] | None
    """A file of them and its size, as this machine sees it."""

    def __str__(self) -> str:
        return f"the {len(self.places)} images from {self.places[0]} on"


@dataclass(frozen=True)
class RemoteRows:
    """Makes rows wherever it is called; the model file goes along."""

    content: NDArray[np.uint8]
    """The bytes of the model file, `(N,)`: workers of a machine share them."""
    name: str
    """Digest and suffix of the file."""
    load: Load
    columns: tuple[str, ...]
    num_threads: int

    def __call__(self, chunk: Chunk) -> list[Row]:
        """Return the rows of a chunk.

        Raises:
            DataError: this machine does not see the images.
            EffnetError: as `load`; or a storage fails.

        """
        if chunk.seen is not None and _size(chunk.seen[0]) != chunk.seen[1]:
            raise _unseen(socket.gethostname(), chunk.seen[0])
        model = loaded(self)
        task = partial(answer, model, self.columns)
        with model.computing():
            made = in_order(task, batches(chunk.places, model.batch_size), self.num_threads)
            return [row for rows in made for row in rows]


_LOADED: dict[str, Model] = {}
"""The model that this process computed last; a worker has many chunks of one model."""


def loaded(rows: RemoteRows) -> Model:
    """Load the model, once in each process."""
    if rows.name not in _LOADED:
        with tempfile.TemporaryDirectory(prefix="effnet-") as folder:
            path = Path(folder) / rows.name
            rows.content.tofile(path)
            model = rows.load(path)
        _LOADED.clear()
        _LOADED[rows.name] = model
    return _LOADED[rows.name]


@dataclass(frozen=True)
class OnCluster:
    """Has rows computed by a cluster: the option `compute` of `predict_to`."""

    cluster: Cluster
    load: Load
    listener: Listener

    def __call__(
        self, model: FileModel, names: tuple[str, ...], places: Iterable[Place]
    ) -> Generator[list[Row], None, None]:
        """Yield the rows of the images, chunk by chunk.

        Raises:
            EffnetError: the cluster cannot be joined, does not see the images, or no worker survives a chunk.

        """
        assert model.path is not None  # a condition of `predict_to`
        function = RemoteRows(
            content=np.fromfile(model.path, np.uint8),
            name=f"{digest_of(model.path)}{model.path.suffix}",
            load=self.load,
            columns=names,
            num_threads=max(1, int(self.cluster.cpus)),
        )
        waiting: dict[int, list[Row]] = {}
        following = 0
        answers = map_on_cluster(
            function, chunks(places, model.batch_size), self.cluster, self.listener, max_ahead=AHEAD
        )
        for chunk, rows in answers:
            if isinstance(rows, EffnetError):
                raise rows
            waiting[chunk.number] = rows
            while following in waiting:
                yield _checked(waiting.pop(following))
                following += 1


def chunks(places: Iterable[Place], batch_size: int) -> Iterator[Chunk]:
    """Yield the images in chunks of whole batches, the last one shorter."""
    size = -(-IMAGES_PER_CHUNK // batch_size) * batch_size
    for number, some in enumerate(batches(places, size)):
        seen = ((place, _size(place)) for place in some if isinstance(place, Path))
        yield Chunk(number, tuple(some), next(((path, n) for path, n in seen if n is not None), None))


def _size(path: Path) -> int | None:
    try:
        return os.stat(path).st_size
    except OSError:
        return None


def _checked(rows: list[Row]) -> list[Row]:
    """Return rows, unless a machine could not find a file that is here.

    Raises:
        DataError: so it was.

    """
    for row in rows:
        if row[ERROR] == "no such file" and _size(Path(row[IMAGE])) is not None:
            raise _unseen("a machine of the cluster", Path(row[IMAGE]))
    return rows


def _unseen(host: str, path: Path) -> DataError:
    return DataError(
        f"{host} does not see {path} as it is here; put the images where all machines see them under the "
        f"same path, or give URLs"
    )
