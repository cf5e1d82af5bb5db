"""Settings for all tests; set before torch is imported."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

import chromium
from effnet.cli.main import SPIN_COUNT

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
