"""The CUDA kernels' tests run on the emulator in `tests/cuda_sim`, or on a GPU where TINYSLM_TEST_GPU is set."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cuda_sim"))
