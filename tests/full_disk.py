"""A disk that is full, for the tests of all that writes."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def small_files_only() -> Iterator[None]:
    """Let no file grow beyond 4 kB, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
