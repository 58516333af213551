"""Files that are either the old one or the new one, never half of it."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path`; on success it is synced and renamed to `path`, on failure removed.

    Whoever reads `path` meanwhile, or after a crash or a full disk, finds the old content whole.
    """
    target = Path(path)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8 with line feeds, atomically."""
    with atomic_write(path) as file:
        file.write(text.encode("utf-8"))


def _umask() -> int:
    # mkstemp makes private files; give the result the mode an ordinary open() would have given it.
    mask = os.umask(0)
    os.umask(mask)
    return mask
