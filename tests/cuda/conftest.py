"""The CUDA kernels' tests run on the emulator in `tests/cuda_sim`, or on a GPU where TINYSLM_TEST_GPU is set."""

import os
import sys
from pathlib import Path

import pytest

import tinyslm as ts

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cuda_sim"))


def pytest_configure(config):
    if os.environ.get("TINYSLM_TEST_GPU") and not (gpu := ts.device.probe("cuda")).works:
        pytest.exit(
            f"TINYSLM_TEST_GPU is set, but cuda is not available: {gpu.why}\n  Remedy: {gpu.remedy}", returncode=4
        )
