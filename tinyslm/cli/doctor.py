"""`tinyslm doctor`: what is installed, which backends work, why not, and the fix."""

from __future__ import annotations

import importlib.metadata
import os
import platform

from rich.markup import escape
from rich.table import Table as Grid

from .. import __version__, device, precision
from ..data import cache_dir
from ..errors import BackendError
from .console import choose_backend, open_console

PACKAGES = ("numpy", "numba", "matplotlib", "safetensors", "rich", "typer", "platformdirs")


def doctor() -> None:
    """Show versions, backends and folders, with the remedy for what does not work."""
    console = open_console()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    console.print(f"tinyslm {__version__}, Python {platform.python_version()}, {platform.platform()}, {cores} cores")
    console.print(", ".join(f"{name} {_version(name)}" for name in PACKAGES), markup=False)
    grid = Grid("backend", "works", "version", "why not, and the remedy", box=None)
    for found in device.report():
        mark, fix = ("yes", "") if found.works else ("no", escape(f"{found.why}. Remedy: {found.remedy}"))
        grid.add_row(found.name, mark, found.version, fix)
    console.print(grid)
    if device.probe("cuda").works:
        console.print(precision.describe_gpu(), markup=False)
    console.print(f"in use: {_in_use()}", markup=False)
    console.print(f"data sets are kept in {cache_dir()}", markup=False, soft_wrap=True)


def _in_use() -> str:
    try:
        choose_backend()
    except BackendError as error:
        return f"none; {error}"
    name = device.backend()
    if name == "numba" and not device.probe(name).works:  # nobody asked for it: it is installed, and does not import
        return "numpy"
    return f"numba (kernels from the work of {device.SMALL:,} elements on)" if name == "numba" else name


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "missing: pip install " + name
