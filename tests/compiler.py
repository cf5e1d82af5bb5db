"""Whether this machine can compile the CPU kernels, for the tests that need them."""

import pytest

from effnet.network.native.build import NoKernelsError, load_kernels


def have_kernels() -> bool:
    try:
        load_kernels()
    except NoKernelsError:
        return False
    return True


needs_kernels = pytest.mark.skipif(not have_kernels(), reason="no C++ compiler")
