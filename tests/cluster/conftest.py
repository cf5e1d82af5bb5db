"""One Ray cluster of two cores on this machine for all tests here; it takes seconds to start."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from effnet.cluster.connection import joined
from effnet.cluster.mapping import Cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with pytest.MonkeyPatch.context() as patch:
        places = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        patch.setenv("PYTHONPATH", os.pathsep.join(places))  # where workers find the functions of tests
        with joined("local", num_cpus=2):
            yield Cluster("local")
