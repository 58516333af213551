"""Shared settings: deterministic property tests, the folder of real data, the caches out of the way."""

import os
import sys
from functools import cache
from pathlib import Path

# Several test processes share the cores: each keeps to one thread in NumPy's matrix products.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # PyTorch's

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


FAKE = "fake-cuda"


def pytest_addoption(parser):
    help = "run everything on this backend: numpy, numba, cuda on a machine with a GPU, or fake-cuda without one"
    parser.addoption("--backend", choices=(*ts.device.NAMES, FAKE), help=help)


def pytest_configure(config):
    name = config.getoption("--backend")
    if name == FAKE:
        return use_fake_gpu()
    if name is None:
        return
    try:
        ts.use(name)
    except BackendError as error:
        raise pytest.UsageError(str(error)) from None
    os.environ["TINYSLM_BACKEND"] = name  # for the processes that tests start


def use_fake_gpu():
    """In this process, "cuda" computes on arrays as strict as CuPy's, and its kernels run on the emulator."""
    sys.path.insert(0, str(Path(__file__).parent / "cuda_sim"))
    import emulator
    from fake_cupy import FakeCupy
    from tinyslm.kernels.cuda import _launch

    if emulator.missing():
        raise pytest.UsageError(emulator.missing())
    xp = FakeCupy(cache(emulator.RawModule))
    _launch.choose_gpu(_launch.Gpu(xp, xp.RawModule, shared_limit=232_448, processors=132, graphs=True))
    ts.device._found["cuda"] = ts.device.Found("cuda", True, FAKE)
    ts.use("cuda")


# A kernel takes seconds to compile, and two processes that need it at once both do. So one process begins with the
# tests that need them all, and compiles each once; the others begin with what needs none. Short files come last: with
# them no process is left alone at the end.
COMPILING = ("kernels/",)
ORDER = (COMPILING, ("cuda/", "check/", "derivations/"), ("test_course.py", "test_cli", "audit/", "bench/", "models/"))
LAST = ("data/", "text/", "cuda_sim/", "test_metrics.py", "test_unicode_math.py", "test_messages.py")


def _turn(nodeid):
    file = nodeid.split("tests/", 1)[-1]
    early = [i for i, names in enumerate(ORDER) if file.startswith(names)]
    return early[0] if early else len(ORDER) + file.startswith(LAST)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: _turn(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """File by file in the order above, and the files that compile as one."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class InTurn(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return "kernels" if _turn(nodeid) == 0 else super()._split_scope(nodeid)

    config.option.loadscopereorder = False  # else by the number of tests
    return InTurn(config, log)


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
    name = (request.config.getoption("--backend") or request.param).removeprefix("fake-")
    if request.config.getoption("--backend") and request.param != "numpy":
        pytest.skip("with --backend each test runs once")
    if not ts.device.probe(name).works:
        pytest.skip(f"{name} is not available")
    with ts.use(name, small=0):
        yield name
