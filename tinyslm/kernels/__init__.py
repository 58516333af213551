"""Fast kernels: `tinyslm.kernels.cpu` (numba) and `tinyslm.kernels.cuda` (CUDA C++).

In an installed package the two lie beside this file. In a checkout they lie in the top-level folder `kernels/`, which
has no `__init__.py` of its own so that nobody else's package called `kernels` is ever shadowed; the line below, the
one bit of path magic in the project, makes them importable from there.
"""

from pathlib import Path

if not (Path(__file__).parent / "cpu").is_dir():
    __path__.append(str(Path(__file__).parents[2] / "kernels"))
