"""Where stored images live: in memory if they fit, else in a stream; the choice is stated."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import PIL
import torch

from effnet.config import DataConfig
from effnet.data.broken import skipped
from effnet.data.cache import NO_CACHE, DecodedCache
from effnet.data.datasets import Samples
from effnet.data.memory import free_memory, free_on_machine
from effnet.data.pixels import PixelFormat, Pixels, PixelSource, Reading, Storage, read_pixels
from effnet.data.stream import Stream
from effnet.data.windows import Windows, windows_of
from effnet.data.workers import num_workers
from effnet.errors import DataError
from effnet.files import cache_folder

SHARE = 0.5  # of the free memory; the rest is for the network, its activations and other programs
CACHE_FORMAT = 1  # raised when decoding or resizing changes


def open_pixels(samples: Samples, form: PixelFormat, reading: Reading) -> PixelSource:
    """Decode images into memory, or, when they do not fit, prepare to stream them.

    Raises:
        DataError: more images than allowed are unreadable, or they must be in memory and do not fit.

    """
    config = reading.config
    needed, free = len(samples) * form.num_bytes, free_memory(reading.device)
    if config.storage == "memory" and needed > free:
        raise DataError(
            f"{figures(samples, needed, free)}; take data.storage = 'auto' instead of 'memory', "
            f"a lower --resolution or fewer images"
        )
    if config.storage == "stream" or (config.storage == "auto" and needed > SHARE * free):
        why = f"{len(samples):,} images" if config.storage == "stream" else figures(samples, needed, free)
        reading.say(f"{why}: streaming them from {crew(num_workers(config.workers))}")
        return Stream(samples, form, reading)
    cache = open_cache(samples, form, reading.say)
    pixels = read_pixels(samples, form, max_broken=config.max_broken, on_read=reading.on_read, cache=cache)
    for problem in pixels.broken:
        reading.say(skipped(problem))
    return replace(pixels, windows=windows_in_memory(samples, pixels, config)).to(reading.device)


def windows_in_memory(samples: Samples, pixels: Pixels, config: DataConfig) -> Windows | None:
    """Return the windows of the images that could be read: memory has the order of a stream."""
    windows = windows_of(samples, config)
    if windows is None or len(pixels) == len(samples):
        return windows
    readable = set(pixels.names)
    return windows.take(np.flatnonzero([name in readable for name in samples.names]))


def place(samples: Samples, form: PixelFormat, reading: Reading, num_processes: int) -> Storage:
    """Choose where images live that each of so many processes on this machine needs.

    In memory if the copies of all fit, on the machine and, one each, on a device of their own.
    """
    if reading.config.storage != "auto":
        return reading.config.storage
    needed = len(samples) * form.num_bytes
    fits = needed * num_processes <= SHARE * free_on_machine() and needed <= SHARE * free_memory(
        reading.device
    )
    return "memory" if fits else "stream"


def figures(samples: Samples, needed: int, free: int) -> str:
    """Say how much memory the images need and how much there is."""
    return f"{len(samples):,} decoded images need {needed / 1e9:.1f} GB of {free / 1e9:.1f} GB free"


def crew(count: int) -> str:
    """Name the processes that decode."""
    return "this process" if count == 0 else f"{count} worker{'s' if count > 1 else ''}"


def open_cache(samples: Samples, form: PixelFormat, say: Callable[[str], None]) -> DecodedCache:
    """Return the cache of files stored in this form; where images are no files, one that keeps nothing."""
    if samples.files is None:
        return NO_CACHE
    preprocess = form.preprocess
    decided_by = [
        CACHE_FORMAT, PIL.__version__, str(samples.files.root), form.side, preprocess.mode,
        preprocess.resized_short_side, preprocess.interpolation,
        *([form.least_side, torch.__version__] if form.draft else []),
    ]  # fmt: skip
    digest = hashlib.sha256(json.dumps(decided_by).encode()).hexdigest()
    return DecodedCache(cache_folder() / "decoded" / digest[:32], say)
