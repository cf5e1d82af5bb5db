"""Settings for all tests; set before torch is imported."""

import os

from hypothesis import settings

from effnet.cli.main import SPIN_COUNT

os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)

settings.register_profile("effnet", deadline=None, max_examples=50)
settings.load_profile("effnet")
