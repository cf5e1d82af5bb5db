"""What an operator decides about a server; each default stands here, once."""

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

MEGA = 1_000_000


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class ServeSettings:
    """Where the server listens, and how much it takes on."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 is every one of this machine."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    """Port to listen on; 0 takes a free one and says which."""
    allow_host: tuple[str, ...] = ()
    """Names, besides those of this machine, that requests may call a server on loopback (a proxy's name)."""
    max_batch: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Most images that are computed together; by default as many as are fastest here, which is measured."""
    max_wait_ms: Annotated[float, Field(ge=0.0, le=1000.0)] = 5.0
    """Longest time that a batch waits for images that are still being decoded."""
    queue: Annotated[int, Field(ge=1, le=100_000)] = 128
    """Images in hand, decoded or computed or waiting; who comes beyond is told to come again."""
    max_images: Annotated[int, Field(ge=1, le=1000)] = 16
    """Images in one request."""
    max_body_mb: Annotated[float, Field(gt=0.0, le=2000.0)] = 20.0
    """Size of one request's body."""
    max_held_mb: Annotated[float, Field(gt=0.0, le=1_000_000.0)] = 256.0
    """Size of all bodies that are held at the same time."""
    max_megapixels: Annotated[float, Field(gt=0.0, le=178.0)] = 64.0
    """Largest image that is decoded. Each thread may decode one, and 64 megapixels take up to 0.8 GB of
    memory, 1.5 GB as WebP."""
    timeout: Annotated[float, Field(gt=0.0, le=3600.0)] = 30.0
    """Seconds for a request to arrive, and for its answer to be taken; who is slower is cut off."""
    connections: Annotated[int, Field(ge=1, le=100_000)] = 512
    """Connections at the same time."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Threads that decode, and threads that compute; one each for a core of this process by default."""
    drain_seconds: Annotated[float, Field(ge=0.0, le=3600.0)] = 1.0
    """After SIGTERM, seconds in which /readyz says no and requests are still taken."""
    watch_seconds: Annotated[float, Field(gt=0.0, le=3600.0)] = 1.0
    """How often the model file is looked at; a changed one is taken up."""

    @property
    def body_bytes(self) -> int:
        """Bytes of one request's body."""
        return int(self.max_body_mb * MEGA)

    @property
    def held_bytes(self) -> int:
        """Bytes of all bodies together; one at least."""
        return max(int(self.max_held_mb * MEGA), self.body_bytes)

    @property
    def max_pixels(self) -> int:
        """Pixels of one image."""
        return int(self.max_megapixels * MEGA)
