"""Keep freed memory in the process instead of handing it back to the system after every operation.

The C library of Linux (glibc) gives memory of 128 KB and more back as soon as an array is dropped. The next array of
that size comes page by page, each cleared by the system at its first touch: in a training step of a Transformer a third
of all time went there. Two settings let it keep what was freed, up to a gigabyte; the peak stays what it was.
TINYSLM_KEEP_MEMORY=0 leaves the settings alone, and so do other C libraries.
"""

import ctypes
import os

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # the names and numbers of malloc.h
MOST, MOST_OF_OLDER = 1 << 30, 1 << 25  # bytes


def keep_memory() -> bool:
    """Ask glibc to keep freed memory; True where it does."""
    if os.environ.get("TINYSLM_KEEP_MEMORY") == "0":
        return False
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - others have a mallopt, too, with other numbers
        # Setting either one switches off the threshold that adapts itself, so an older glibc needs the number it takes.
        kept = any(library.mallopt(M_MMAP_THRESHOLD, size) == 1 for size in (MOST, MOST_OF_OLDER))
        return kept and library.mallopt(M_TRIM_THRESHOLD, MOST) == 1
    except (OSError, TypeError, AttributeError):  # another C library; Windows has none under this name
        return False
