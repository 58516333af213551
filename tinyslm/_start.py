"""Ctrl-C while the command `tinyslm` is still being imported: it ends without a word, with code 130.

The first thing that `import tinyslm` looks at, since NumPy alone takes a tenth of a second. In a program of another
name this changes nothing.
"""

import contextlib
import os
import signal
import sys

INTERRUPTED = 130


def is_the_command() -> bool:
    """Whether this process is `tinyslm` or `python -m tinyslm`."""
    called = sys.argv[0] if sys.argv else ""  # "-m" while Python looks for the module
    name = os.path.splitext(os.path.basename(called))[0]  # noqa: PTH119, PTH122 - pathlib is not loaded yet
    return name == "tinyslm" or (called == "-m" and _module() == "tinyslm")


def _module() -> str:
    words = sys.orig_argv
    return words[words.index("-m") + 1] if "-m" in words[:-1] else ""


def leave_quietly() -> None:
    """Until `listen`, let Ctrl-C end the command at once, unless the process was told to ignore it."""
    if is_the_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        with contextlib.suppress(ValueError):  # not in the main thread: then somebody else's program
            signal.signal(signal.SIGINT, _leave)


def listen() -> None:
    """From here on Ctrl-C is a KeyboardInterrupt, as always."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(number: int, frame: object) -> None:
    os._exit(INTERRUPTED)  # nothing is open yet


leave_quietly()
