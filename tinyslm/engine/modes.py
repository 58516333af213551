"""Modes: whether operations are recorded, and whether the first NaN or Inf stops the work."""

from __future__ import annotations

from contextlib import ContextDecorator
from contextvars import ContextVar, Token

recording: ContextVar[bool] = ContextVar("recording", default=True)
anomaly: ContextVar[bool] = ContextVar("anomaly", default=False)


class _mode(ContextDecorator):
    """Sets a context variable for a block or a function, and restores it after."""

    variable: ContextVar[bool]
    value: bool

    def __enter__(self) -> _mode:
        self.tokens: list[Token[bool]] = getattr(self, "tokens", [])
        self.tokens.append(self.variable.set(self.value))
        return self

    def __exit__(self, *error: object) -> None:
        self.variable.reset(self.tokens.pop())


class no_grad(_mode):
    """Nothing inside is recorded: `with ts.no_grad():`, or `@ts.no_grad()` on a function."""

    variable, value = recording, False


class enable_grad(_mode):
    """Record again inside a `no_grad` block."""

    variable, value = recording, True


class detect_anomaly(_mode):
    """Stop at the first NaN or Inf, naming the operation and the line of your code that made it."""

    variable, value = anomaly, True


def is_grad_enabled() -> bool:
    """True where operations are recorded."""
    return recording.get()
