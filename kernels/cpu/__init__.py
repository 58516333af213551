"""The CPU kernels: plain loops that numba compiles, one file for each family of ops.

Every op NAME has a pair. `NAME_forward(*arrays, **attributes)` returns `(out, saved)`, and
`NAME_backward(g, out, saved, arrays, needs, **attributes)` returns one gradient, or None, for each input array.
Start with `softmax.py`; `_math.py`, `_jit.py` and `_parallel.py` hold what the families share.
"""

from ._malloc import keep_memory

keep_memory()
