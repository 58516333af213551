"""The GPU kernels: CUDA C++ in `*.cu`, one file for each family of ops, and beside each the host side that launches it.

As in `kernels/cpu`, every op NAME has a pair. `NAME_forward(*arrays, **attributes)` returns `(out, saved)`, and
`NAME_backward(g, out, saved, arrays, needs, **attributes)` returns one gradient, or None, for each input array. Nothing
here waits for the device. Start with `softmax.cu` and `softmax.py`; `common.cuh` and `_launch.py` hold what the
families share. The CUDA emulator in `tests/cuda_sim` runs all of it where there is no GPU.
"""
