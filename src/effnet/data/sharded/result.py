"""What sharding is asked for, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass as value
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from effnet.data.sharded.index import Index
from effnet.data.sharded.pieces import Smaller
from effnet.errors import UsageError, bad_value


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class ShardSettings:
    """How shards are written."""

    shard_mb: Annotated[float, Field(gt=0, le=1_000_000)] = 256
    """Size of a shard in megabytes (10^6 bytes); one image may make it larger."""
    resize: Annotated[int, Field(ge=8, le=16384)] | None = None
    """Make photos with a longer short side that small, as JPEG; all others stay as they are."""
    quality: Annotated[int, Field(ge=1, le=95)] = 90
    """Quality of JPEG with --resize."""
    max_broken: Annotated[float, Field(ge=0.0, le=1.0)] = 0.01
    """Share of unreadable images that may be skipped, each one named; more is an error."""
    workers: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Threads that read and check images; one per core, at most 16, when not given."""

    @property
    def num_bytes(self) -> int:
        """Size of a shard in bytes."""
        return round(self.shard_mb * 1e6)

    @property
    def smaller(self) -> Smaller | None:
        """How large photos are made smaller."""
        return None if self.resize is None else Smaller(self.resize, self.quality)


def build_settings(settings: Mapping[str, Any]) -> ShardSettings:
    """Check settings.

    Raises:
        UsageError: an unknown one, or a value that is not allowed.

    """
    try:
        return ShardSettings(**settings)
    except ValidationError as error:
        raise UsageError(bad_value(error.errors()[0])) from None


@value(frozen=True)
class ShardResult:
    """A set of shards."""

    folder: Path | str
    """Where it is: a folder, or a URL."""
    index: Index
    verified: bool = False
    """Whether all shards were read again, and were as the index says."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "folder": str(self.folder),
            "images": self.index.num_images,
            "bytes": self.index.num_bytes,
            "class_names": list(self.index.class_names),
            "parts": {
                part: {"images": sum(entry.images for entry in of), "shards": len(of)}
                for part, of in self.index.parts.items()
            },
            "skipped": list(self.index.skipped),
            "made": self.index.made,
            "verified": self.verified,
        }
