"""Sets larger than memory: what is read of shards and parquet files does not stay, measured by the system."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kinds_of_data import write_parquet, write_tar
from PIL import Image

from image_files import encoded

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="measured by Linux's peak of a process")

COUNT = 240
STREAMED = """
import resource, sys
import numpy as np, torch
from effnet.config import DataConfig
from effnet.data.datasets import open_dataset
from effnet.data.pixels import PixelFormat, Reading
from effnet.data.storage import open_pixels
from effnet.imaging.preprocess import Preprocess

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

torch.set_num_threads(1)
samples = open_dataset(sys.argv[1]).parts["all"]
form = PixelFormat(Preprocess(512), 512)
pixels = open_pixels(samples, form, Reading(DataConfig(storage="stream", workers=0), torch.device("cpu")))
order = np.random.default_rng(0).permutation(len(samples))
rows = [order[start : start + 8] for start in range(0, len(order), 8)]
for count, (images, _) in enumerate(pixels.batches(rows)):
    if count == 3:
        before = peak()
print(peak() - before, len(samples) * form.num_bytes >> 20)
"""
OPENED = """
import resource, sys
from effnet.data.datasets import open_dataset
import pyarrow.parquet
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
open_dataset(sys.argv[1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024 - before)
"""


def run(code: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    monkeypatch.setenv("EFFNET_CACHE", str(path.parent / "cache"))
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [int(word) for word in done.stdout.split()]


def test_a_stream_of_shards_keeps_no_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = encoded(Image.new("RGB", (700, 600), "red"), "JPEG")
    members: dict[str, bytes] = {}
    for index in range(COUNT):
        members |= {f"{index:04d}.jpg": photo, f"{index:04d}.cls": str(index % 2).encode()}
    grown, decoded = run(STREAMED, write_tar(tmp_path / "a.tar", members), monkeypatch)
    assert decoded > 150  # megabytes, all images together
    assert grown < 90  # what is decoded at once, and what the allocator keeps


def test_taking_images_out_of_a_parquet_file_keeps_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(0)
    table: dict[str, list[Any]] = {
        "image": [generator.bytes(1 << 20) for _ in range(160)],
        "label": [0, 1] * 80,
    }
    (grown,) = run(OPENED, write_parquet(tmp_path / "a.parquet", table), monkeypatch)
    assert grown < 100  # megabytes, of 160
