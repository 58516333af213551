"""How the learning rate changes over time.

A schedule is a function from the number of the step (0, 1, 2, ...) to a factor of the learning rate. Schedules compose:
`warmup(100, then=cosine(900))` rises over 100 steps and falls over the 900 that follow.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..errors import CheckpointError, OptionError
from .optimizer import Optimizer

Schedule = Callable[[int], float]


def constant(factor: float = 1.0) -> Schedule:
    """Always `factor`."""
    return lambda step: factor


def linear(total: int, end: float = 0.0) -> Schedule:
    """From 1 in a straight line to `end` at step `total`, then `end`: with 0 it is A2's 1 - t/T."""
    _at_least_one("total", total)
    return lambda step: 1 + (end - 1) * min(step / total, 1.0)


def cosine(total: int, end: float = 0.0) -> Schedule:
    """Half a cosine from 1 to `end` at step `total`, and on at `end` (Loshchilov & Hutter 2017)."""
    _at_least_one("total", total)
    return lambda step: end + (1 - end) * 0.5 * (1 + math.cos(math.pi * min(step / total, 1.0)))


def step_decay(every: int, gamma: float = 0.1) -> Schedule:
    """Times `gamma` after every so many steps: gamma^(step // every)."""
    _at_least_one("every", every)
    return lambda step: gamma ** (step // every)


def inverse_sqrt(start: int = 1) -> Schedule:
    """sqrt(start / (start + t)): from 1 down with the root of time (Vaswani et al. 2017, §5.3)."""
    _at_least_one("start", start)
    return lambda step: math.sqrt(start / (start + step))


def warmup(steps: int, then: Schedule | None = None) -> Schedule:
    """Rise in a straight line, (t + 1) / steps, for so many steps; then `then` from its start (or 1)."""
    _at_least_one("steps", steps)
    after = then or constant()
    return lambda step: (step + 1) / steps if step < steps else after(step - steps)


def product(*schedules: Schedule) -> Schedule:
    """The product of several schedules."""
    return lambda step: math.prod(schedule(step) for schedule in schedules)


def _at_least_one(name: str, value: int) -> None:
    if not value >= 1:
        raise OptionError(f"{name}: expected at least 1 step, got {value}")


class LRScheduler:
    """Sets each group's `lr` to its learning rate at the start times schedule(step). Call `step()` after each update.

    Args:
        optimizer: whose learning rates; they are set for step 0 at once.
        schedule: from the number of the step to a factor.
    """

    def __init__(self, optimizer: Optimizer, schedule: Schedule):
        self.optimizer, self.schedule = optimizer, schedule
        self.base_lrs = [group["lr"] for group in optimizer.param_groups]
        self.last_step = 0
        self._set()

    def _set(self) -> None:
        factor = self.schedule(self.last_step)
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = base * factor

    def step(self) -> None:
        """Go on to the next step."""
        self.last_step += 1
        self._set()

    def get_last_lr(self) -> list[float]:
        """The learning rates in force, one per group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """What has to be saved, ready for JSON; the schedule itself is a function and is given again on loading."""
        return {"last_step": self.last_step, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where a saved schedule stood."""
        if len(state["base_lrs"]) != len(self.base_lrs):
            raise CheckpointError(
                f"Expected {len(self.base_lrs)} groups in the schedule's state, got {state['base_lrs']}"
            )
        self.last_step, self.base_lrs = int(state["last_step"]), list(state["base_lrs"])
        self._set()
