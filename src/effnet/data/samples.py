"""Labelled images by name, and a data set made of them; nothing is decoded until it is asked for."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from effnet.data.scan import Files, join


@dataclass(frozen=True)
class Samples:
    """Labelled images that are not decoded yet."""

    names: tuple[str, ...]
    """Unique name of each image: for a folder its path below the folder, with forward slashes."""
    labels: NDArray[np.int64]
    """Index into the class names, `(N,)`."""
    read: Callable[[str], Image.Image]
    """Decodes the image of a name; raises DataError with the reason. It can be pickled, for workers."""
    files: Files | None = None
    """How they lie on the disk; None where images are no files."""
    shards: NDArray[np.int64] | None = None
    """Number of the shard that each lies in, `(N,)`; None where any image is as near as any other."""

    def __len__(self) -> int:
        return len(self.names)

    def take(self, indices: NDArray[np.int64]) -> "Samples":
        """Return the images at these positions, in this order."""
        files = None if self.files is None else self.files.take(indices)
        shards = None if self.shards is None else self.shards[indices]
        return Samples(tuple(self.names[i] for i in indices), self.labels[indices], self.read, files, shards)

    def named(self, names: frozenset[str]) -> "Samples":
        """Return the images whose name is in the set, in the order they stand here."""
        return self.take(np.flatnonzero([name in names for name in self.names]))


@dataclass(frozen=True)
class DataSet:
    """A data set as found: its classes, and its images by split, or all in one part named `all`."""

    name: str
    class_names: tuple[str, ...]
    parts: Mapping[str, Samples]
    source: str
    """What opens it again: its name, or its absolute path."""
    recipe: str | None = None
    """Recipe made for this data set, if there is one."""

    @property
    def is_split(self) -> bool:
        """Whether the data set brings its own split into training and held-out images."""
        return "train" in self.parts

    def fingerprint(self) -> str:
        """Return a hash of classes, image names and labels; the pixels are not read."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        content = [list(self.class_names)]
        for part, samples in self.parts.items():
            content.append([part, *samples.names, *map(str, samples.labels.tolist())])
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def all_samples(self) -> Samples:
        """Return the images of all parts together."""
        parts = tuple(self.parts.values())
        names = tuple(name for part in parts for name in part.names)
        labels = np.concatenate([part.labels for part in parts])
        files = [part.files for part in parts if part.files is not None]
        shards = [part.shards for part in parts if part.shards is not None]
        return Samples(
            names,
            labels,
            parts[0].read,
            join(files) if files else None,
            np.concatenate(shards) if shards else None,
        )
