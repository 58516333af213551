"""Shared settings: deterministic property tests, the folder of real data, the caches out of the way."""

import os
from pathlib import Path

# Several test processes share the cores: each keeps to one thread in NumPy's matrix products.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

import tinyslm as ts
from tinyslm.errors import BackendError

settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    max_examples=40,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("repeatable")


def pytest_addoption(parser):
    help = "run everything on this backend: numpy, numba, or cuda on a machine with a GPU"
    parser.addoption("--backend", choices=ts.device.NAMES, help=help)


def pytest_configure(config):
    name = config.getoption("--backend")
    if name is None:
        return
    try:
        ts.use(name)
    except BackendError as error:
        raise pytest.UsageError(str(error)) from None
    os.environ["TINYSLM_BACKEND"] = name  # for the processes that tests start


DATA = Path(os.environ.get("TINYSLM_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def real_data():
    """The folder of real data sets that are not part of the repository; tests that need it skip without it."""
    if not DATA.is_dir():
        pytest.skip(f"the real data sets are not here: {DATA} (set TINYSLM_TEST_DATA)")
    return DATA


@pytest.fixture(params=["numpy", "numba"])
def backend(request):
    """Each backend in turn, the kernels serving arrays of every size; with --backend only that one."""
    name = request.config.getoption("--backend") or request.param
    if request.config.getoption("--backend") and request.param != "numpy":
        pytest.skip("with --backend each test runs once")
    if not ts.device.probe(name).works:
        pytest.skip(f"{name} is not available")
    with ts.use(name, small=0):
        yield name
