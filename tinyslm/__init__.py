"""tinyslm: an engine for small language models that one person can read in a weekend, and trust.

    import tinyslm as ts

    w = ts.tensor([[0.1, 0.2]], requires_grad=True)
    loss = (w @ ts.tensor([[3.0], [4.0]])).tanh().sum()
    loss.backward()
    print(w.grad)

Importing this loads NumPy and nothing else that is heavy; numba, matplotlib and the rest wait until they are used.
"""

from . import device, errors, ops
from .device import use
from .engine import Op, detect_anomaly, enable_grad, grad, is_grad_enabled, jvp, no_grad, op, vjp
from .ops import *
from .tensor import Tensor, tensor

__version__ = "0.1.0"
