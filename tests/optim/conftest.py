"""Run a test on both backends, the kernels serving arrays of every size."""

import pytest

import tinyslm as ts


@pytest.fixture(params=["numpy", "numba"])
def backend(request):
    """Each backend in turn."""
    if not ts.device.probe(request.param).works:
        pytest.skip(f"{request.param} is not available")
    with ts.use(request.param, small=0):
        yield request.param
