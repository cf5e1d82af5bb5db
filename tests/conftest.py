"""Settings for all tests; set before torch is imported."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

import chromium
from effnet.cli.main import SPIN_COUNT
from effnet.cluster.connection import joined
from effnet.cluster.machines import Cluster

os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)

settings.register_profile("effnet", deadline=None, max_examples=50)
settings.load_profile("effnet")


@pytest.fixture(scope="session")
def browser() -> Iterator[chromium.Browser]:
    """Return a browser for pages; see `chromium.py`."""
    if chromium.CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with chromium.started() as running:
        yield running


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Return a Ray cluster of two cores on this machine, which takes seconds to start."""
    with pytest.MonkeyPatch.context() as patch:
        places = [str(Path(__file__).parent / "cluster"), *filter(None, [os.environ.get("PYTHONPATH")])]
        patch.setenv("PYTHONPATH", os.pathsep.join(places))  # where workers find the functions of tests
        with joined("local", num_cpus=2):
            yield Cluster("local")
