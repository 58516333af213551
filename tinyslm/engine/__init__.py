"""The engine: operations, the graph they record, and the pass backward through it.

Read in this order: `operation.py` (what an operation is), `record.py` (computing and recording one), `backward.py`
(the pass through the graph), `functional.py` (grad, vjp, jvp); `modes.py` and `where.py` are small helpers.
"""

from .backward import backward, topological_order
from .functional import grad, jvp, vjp
from .modes import detect_anomaly, enable_grad, is_grad_enabled, no_grad
from .operation import Op, composed, composition_forward, composition_rule, op
from .record import Node, apply, replay

__all__ = [
    "Node",
    "Op",
    "apply",
    "backward",
    "composed",
    "composition_forward",
    "composition_rule",
    "detect_anomaly",
    "enable_grad",
    "grad",
    "is_grad_enabled",
    "jvp",
    "no_grad",
    "op",
    "replay",
    "topological_order",
    "vjp",
]
