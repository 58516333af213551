"""Checking a backward pass that was written for another library: torch.autograd.Function and jax.custom_vjp.

Either library is imported only when its adapter is called. Their code is not recorded: what is wrong is told, by
differences of forward, and no line is named.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from ...errors import OptionError
from ...messages import say
from .check import check_derivation
from .outcome import Outcome


def check_torch(function: Any, inputs: dict[str, Any], **options: Any) -> Outcome:
    """Check a subclass of torch.autograd.Function.

    Args:
        function: the subclass; its `apply` is called with the inputs in order and gives one tensor.
        inputs: arrays by name, in the order of the arguments; float64 ones are differentiated.
        options: as for `check_derivation`.
    """
    torch = _library("torch")

    def tensors(p: dict[str, Any]) -> dict[str, Any]:
        found = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in p.items()}
        return {k: t.requires_grad_() if k in p and _is_float(p[k]) else t for k, t in found.items()}

    def forward(p: dict[str, Any]) -> dict[str, Any]:
        return {"out": function.apply(*tensors(p).values()).detach().numpy()}

    def backward(p: dict[str, Any], cache: dict[str, Any], g: Any) -> dict[str, Any]:
        given = tensors(p)
        wanted = {k: t for k, t in given.items() if _is_float(p[k])}
        out = function.apply(*given.values())
        found = torch.autograd.grad(out, list(wanted.values()), torch.as_tensor(g, dtype=out.dtype), allow_unused=True)
        return {"d" + k: d.numpy() for k, d in zip(wanted, found, strict=True) if d is not None}

    return check_derivation(forward, backward, inputs, **options)


def check_jax(function: Any, inputs: dict[str, Any], **options: Any) -> Outcome:
    """Check a function with jax.custom_vjp; arguments as for `check_torch`. Needs jax_enable_x64."""
    jax = _library("jax")

    def forward(p: dict[str, Any]) -> dict[str, Any]:
        return {"out": np.asarray(function(*p.values()))}

    def backward(p: dict[str, Any], cache: dict[str, Any], g: Any) -> dict[str, Any]:
        names = [k for k in p if _is_float(p[k])]

        def of_floats(*xs: Any) -> Any:
            return function(*{**p, **dict(zip(names, xs, strict=True))}.values())

        out, pull = jax.vjp(of_floats, *(p[k] for k in names))
        return {"d" + k: np.asarray(d) for k, d in zip(names, pull(jax.numpy.asarray(g, out.dtype)), strict=True)}

    return check_derivation(forward, backward, inputs, **options)


def _library(name: str) -> Any:
    """The library that the learner's code is written for."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise OptionError(say("finder.cannot.library", name=name)) from None


def _is_float(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"
