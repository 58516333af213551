"""The command `tinyslm`, one file per command."""

from .main import main

__all__ = ["main"]
