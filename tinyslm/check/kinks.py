"""Which elements of a large input stand at a kink, found by halving a direction again and again.

Along a smooth direction |f(x + hu) + f(x - hu) - 2 f(x)| / h falls with h; where an element sits at a kink it stays. A
direction that shows a kink is split in two until single elements are left.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .numeric import Line

STEP = 1e-6
MOST = 4000  # directions looked at


def kinked_elements(line: Callable[[np.ndarray], Line], direction: np.ndarray) -> np.ndarray:
    """Flat positions of the elements of `direction` (n,) whose line has a kink at 0.

    Args:
        line: a direction (n,) -> the line along it.
        direction: one without zeros.
    """
    found: list[int] = []
    parts = [np.arange(direction.size)]
    for _ in range(MOST):
        if not parts:
            break
        part = parts.pop()
        along = np.zeros_like(direction)
        along[part] = direction[part]
        if has_kink(line(along)):
            if len(part) == 1:
                found.append(int(part[0]))
            else:
                parts += np.array_split(part, 2)
    return np.array(sorted(found), int)


@np.errstate(all="ignore")
def has_kink(line: Line, step: float = STEP) -> bool:
    """True when the bend of a curve at 0 does not shrink with the step."""
    wide, narrow = (np.abs(line(h) + line(-h)) / h for h in (step, step / 4))
    return bool(((narrow > 0.7 * wide) & (wide > 1e3 * line.rounding() / step)).any())
