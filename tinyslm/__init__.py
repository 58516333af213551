"""tinyslm: an engine for small language models that one person can read in a weekend, and trust.

    import tinyslm as ts

    w = ts.tensor([[0.1, 0.2]], requires_grad=True)
    loss = (w @ ts.tensor([[3.0], [4.0]])).tanh().sum()
    loss.backward()
    print(w.grad)

Importing this loads NumPy and nothing else that is heavy; numba, matplotlib and the rest wait until they are used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from . import _start as _start  # before NumPy, which takes its time
from . import device, errors, ops
from .device import use
from .engine import Op, detect_anomaly, enable_grad, grad, is_grad_enabled, jvp, no_grad, op, vjp
from .ops import *
from .precision import matmul_precision
from .tensor import Tensor, tensor

if TYPE_CHECKING:
    from . import check, checkpoint, data, lesson, metrics, models, nn, optim, plot, recipes, text, training
    from .check.gradcheck import gradcheck as gradcheck
    from .check.gradcheck import gradgradcheck as gradgradcheck
    from .kernels.cpu._parallel import get_num_threads as get_num_threads
    from .kernels.cpu._parallel import set_num_threads as set_num_threads

__version__ = "0.1.0"
__all__ = [
    "Op",
    "Tensor",
    "check",
    "checkpoint",
    "data",
    "detect_anomaly",
    "device",
    "enable_grad",
    "errors",
    "get_num_threads",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "is_grad_enabled",
    "jvp",
    "lesson",
    "matmul_precision",
    "metrics",
    "models",
    "nn",
    "no_grad",
    "op",
    "ops",
    "optim",
    "plot",
    "recipes",
    "set_num_threads",
    "tensor",
    "text",
    "training",
    "use",
    "vjp",
]
__all__ += ops.__all__

_LATER = (
    "check", "checkpoint", "data", "lesson", "metrics", "models", "nn", "optim", "plot", "recipes", "text", "training",
)  # fmt: skip
_FROM = {
    "gradcheck": ".check",
    "gradgradcheck": ".check",
    "get_num_threads": ".kernels.cpu._parallel",
    "set_num_threads": ".kernels.cpu._parallel",
}


def __getattr__(name: str) -> Any:
    """Import a part of the library when it is first named."""
    if name in _LATER:
        return importlib.import_module(f".{name}", __name__)
    if name in _FROM:
        return getattr(importlib.import_module(_FROM[name], __name__), name)
    raise AttributeError(f"module 'tinyslm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER, *_FROM})
