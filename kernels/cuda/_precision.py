"""Which arithmetic the matrix products inside kernels use; `tinyslm/precision.py` is the switch for it."""

from __future__ import annotations

import functools

import numpy as np

from ...errors import warn
from ._launch import gpu

FORMATS = {"highest": 0, "high": 1, "medium": 2}  # float32, TF32, bfloat16: FORMAT in `mma.cuh`
OLDEST = 80  # the first architecture whose tensor cores take TF32 and bfloat16


class Precision:
    """What has been chosen."""

    name = "highest"


def product_format(dtype: np.dtype) -> int:
    """The format for products of such numbers: 0 for their own, 1 for TF32, 2 for bfloat16."""
    wanted = FORMATS[Precision.name]
    if not wanted or dtype != np.float32:
        return 0
    if gpu().architecture < OLDEST:
        _say(gpu().architecture)
        return 0
    return wanted


@functools.cache
def _say(architecture: int) -> None:
    warn(
        f"This GPU (sm_{architecture}) has no tensor cores for TF32 and bfloat16; those from sm_{OLDEST} on have them. "
        "Products are computed in float32.",
    )
