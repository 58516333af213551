"""Shared settings: deterministic property tests, the folder of real data, the caches out of the way."""

import os
from pathlib import Path

# Several test processes share the cores: each keeps to one thread in NumPy's matrix products.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

import tinyslm as ts

settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    max_examples=40,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("repeatable")

DATA = Path(os.environ.get("TINYSLM_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def real_data():
    """The folder of real data sets that are not part of the repository; tests that need it skip without it."""
    if not DATA.is_dir():
        pytest.skip(f"the real data sets are not here: {DATA} (set TINYSLM_TEST_DATA)")
    return DATA


@pytest.fixture(params=["numpy", "numba"])
def backend(request):
    """Each backend in turn, the kernels serving arrays of every size."""
    if not ts.device.probe(request.param).works:
        pytest.skip(f"{request.param} is not available")
    with ts.use(request.param, small=0):
        yield request.param
