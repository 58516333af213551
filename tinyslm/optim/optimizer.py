"""What all optimizers share: groups of parameters, their settings, and the state that is saved between steps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..device import on_device
from ..errors import AnomalyError, CheckpointError, OptionError, ShapeError
from ..tensor import Array, Tensor

Params = Iterable[Tensor] | Iterable[dict[str, Any]]
Settings = dict[str, Any]
Members = list[tuple[Tensor, dict[str, Any]]]  # parameters with their state


class Optimizer:
    """Changes parameters by their gradients. A subclass writes `update` for one array.

    Args:
        params: the parameters, or groups of them: dictionaries with "params" and settings of their own.
        settings: the settings of every group that has none of its own; `lr` among them.
        check_finite: refuse a step whose gradients hold NaN or Inf, naming the parameter, before anything changes.

    Raises:
        OptionError: no parameters, something that is none, one named twice, or a setting outside its range.
    """

    not_negative: tuple[str, ...] = ("lr", "weight_decay")

    def __init__(self, params: Params, settings: Settings, check_finite: bool = False):
        self.param_groups = [self._group(g, settings) for g in _as_groups(params)]
        self.check_finite = check_finite
        _check_parameters(self.parameters())
        self.state: list[dict[str, Any]] = [{} for _ in self.parameters()]

    def _group(self, group: dict[str, Any], settings: Settings) -> dict[str, Any]:
        unknown = set(group) - {"params", *settings}
        if unknown:
            raise OptionError(f"{type(self).__name__} has no setting {sorted(unknown)}; expected some of {[*settings]}")
        group = {**settings, **group, "params": list(group["params"])}
        self.check_settings(group)
        return group

    def check_settings(self, group: Settings) -> None:
        """Refuse settings outside their range."""
        for name in self.not_negative:
            if name in group and not _is_setting(group[name]):
                raise OptionError(
                    f"{type(self).__name__}: expected {name} as a finite number of at least 0, got {group[name]!r}"
                )

    def parameters(self) -> list[Tensor]:
        """The parameters of all groups, in the order of their state."""
        return [p for group in self.param_groups for p in group["params"]]

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for p in self.parameters():
            p.grad = None

    def step(self, grad_scale: Any = 1.0) -> None:
        """Change every parameter that has a gradient; those without are left as they are, their state too.

        Args:
            grad_scale: factor by which every gradient is multiplied first; on a GPU it may lie there, as an array (1,).

        Raises:
            ShapeError: a gradient that was set by hand has not its parameter's shape; nothing was changed.
            OptionError: a loss or a function was given, which is neither needed nor called.
        """
        _check_scale(grad_scale)
        for p in self.parameters():
            _check_shape(p)
        if self.check_finite:
            _check_finite(self.parameters())
        states = iter(self.state)
        for group in self.param_groups:
            pairs = zip(group["params"], states)  # noqa: B905 - the states go on in the next group
            members = [(p, state) for p, state in pairs if p.grad is not None]
            for _, state in members:
                state["step"] = state.get("step", 0) + 1
            self.update_all(members, group, grad_scale)
            for p, _ in members:
                p.touch()

    def update_all(self, members: Members, group: Settings, grad_scale: Any) -> None:
        """Change the parameters of a group, given with their states, by their gradients."""
        for p, state in members:
            if p.grad is not None:
                to_device(p, state)
                self.update(p._data, on_device(p.grad._data), state, group, grad_scale)

    def update(self, p: Array, g: Array, state: dict[str, Any], group: Settings, grad_scale: Any) -> None:
        """Change the array `p` in place by the gradient `g`, which is only read."""
        raise NotImplementedError(f"{type(self).__name__} has no update(). Expected: a method that changes one array")

    # -- saving and loading -------------------------------------------------------------------------------------------

    def state_arrays(self) -> dict[str, np.ndarray]:
        """Copies of the arrays of the state by name, such as "3.exp_avg" for the fourth parameter."""
        return {
            f"{i}.{name}": Tensor.wrap(value).numpy()
            for i, state in enumerate(self.state)
            for name, value in state.items()
            if name != "step"
        }

    def state_json(self) -> dict[str, Any]:
        """The rest of the state, ready for JSON: settings of the groups, and each parameter's number of steps."""
        groups = []
        for group in self.param_groups:
            settings = {k: list(v) if isinstance(v, tuple) else v for k, v in group.items() if k != "params"}
            groups.append({**settings, "params": len(group["params"])})
        steps = [state.get("step", 0) for state in self.state]
        return {"optimizer": type(self).__name__, "param_groups": groups, "steps": steps}

    def state_dict(self) -> dict[str, Any]:
        """The whole state: {"arrays": ..., "json": ...}."""
        return {"arrays": self.state_arrays(), "json": self.state_json()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave; see `load_state`."""
        self.load_state(state["arrays"], state["json"])

    def load_state(self, arrays: Mapping[str, np.ndarray], plain: Mapping[str, Any]) -> None:
        """Take over `state_arrays` and `state_json`, bit for bit; training goes on as if it had never stopped.

        Raises:
            CheckpointError: they belong to another optimizer, or to other parameters.
        """
        self._check_state(arrays, plain)
        for group, saved in zip(self.param_groups, plain["param_groups"], strict=True):
            group.update({k: tuple(v) if isinstance(v, list) else v for k, v in saved.items() if k != "params"})
        self.state = [{"step": n} if n else {} for n in plain["steps"]]
        for name, array in arrays.items():
            index, _, key = name.partition(".")
            self.state[int(index)][key] = on_device(np.array(array))

    def _check_state(self, arrays: Mapping[str, np.ndarray], plain: Mapping[str, Any]) -> None:
        mine = self.state_json()
        for what, a, b in [
            ("optimizer", mine["optimizer"], plain["optimizer"]),
            ("sizes of the groups", *[[g["params"] for g in j["param_groups"]] for j in (mine, plain)]),
        ]:
            if a != b:
                raise CheckpointError(f"The optimizer's state does not fit: {what}\n  Expected: {a}\n  Got: {b}")
        params = self.parameters()
        for name, array in arrays.items():
            shape = params[int(name.partition(".")[0])].shape
            if array.shape != shape:
                raise CheckpointError(f"The optimizer's {name} does not fit\n  Expected: {shape}\n  Got: {array.shape}")

    def __repr__(self) -> str:
        groups = [
            f"{sum(p.size for p in g['params']):,} numbers, "
            + ", ".join(f"{k}={v}" for k, v in g.items() if k != "params")
            for g in self.param_groups
        ]
        return f"{type(self).__name__}({'; '.join(groups)})"


def _is_setting(value: Any) -> bool:
    try:
        return bool(0 <= value < math.inf)
    except TypeError:
        return False


def _as_groups(params: Any) -> list[dict[str, Any]]:
    if hasattr(params, "parameters") or not isinstance(params, Iterable):
        what = f"a {type(params).__name__}" if params is not None else "None"
        raise OptionError(f"params: expected a list of parameters, got {what}; pass model.parameters()")
    if isinstance(params, Tensor):
        raise OptionError("params: expected a list of parameters, got a single tensor; write [tensor]")
    params = list(params)
    if not params:
        raise OptionError("params: expected at least one parameter, got none; pass model.parameters()")
    return params if isinstance(params[0], dict) else [{"params": params}]


def _check_parameters(params: list[Tensor]) -> None:
    if not params:
        raise OptionError("params: expected at least one parameter, got empty groups")
    for p in params:
        if not isinstance(p, Tensor) or p.node is not None:
            raise OptionError(f"params: expected parameters (tensors that are no results), got {p!r}")
    if len({id(p) for p in params}) < len(params):
        raise OptionError("params: a parameter is named twice, it would be changed twice. Expected: each one once")


def _check_finite(params: list[Tensor]) -> None:
    for i, p in enumerate(params):
        if p.grad is not None and not np.isfinite(p.grad._data).all():
            raise AnomalyError(
                f"The gradient of parameter {i} {p.name or ''}{p.shape} holds NaN or Inf; nothing was changed.\n"
                "  Remedy: a smaller lr, clip_grad_norm_, or ts.detect_anomaly() to find the operation that made it"
            )


def _check_scale(grad_scale: Any) -> None:
    if isinstance(grad_scale, Tensor) or callable(grad_scale):
        what = "a tensor" if isinstance(grad_scale, Tensor) else "a function"
        raise OptionError(
            f"step: the gradients are taken from the parameters.\n  Expected: loss.backward(), then step() alone\n"
            f"  Got: step({what})"
        )


def _check_shape(p: Tensor) -> None:
    if p.grad is not None and p.grad.shape != p.shape:
        raise ShapeError(f"The gradient of a parameter {p.name or ''} has another shape than the parameter\n"
                         f"  Expected: {p.shape}\n  Got: {p.grad.shape}")  # fmt: skip


def to_device(p: Tensor, state: dict[str, Any]) -> None:
    """Parameters and what is kept about them follow the backend in force."""
    p._data = on_device(p._data)
    for name, value in state.items():
        if name != "step":
            state[name] = on_device(value)


def state_array(state: dict[str, Any], name: str, like: Array) -> Array:
    """The array `name` of a parameter's state, in the parameter's number type; zeros at the first step."""
    if name not in state:
        state[name] = np.zeros_like(like)
    elif state[name].dtype != like.dtype:
        state[name] = state[name].astype(like.dtype)
    return state[name]


def scaled(g: Array, p: Array, grad_scale: Any, weight_decay: float) -> Array:
    """The gradient times grad_scale, plus weight_decay times p: the gradient of L + weight_decay/2 |p|²."""
    if not isinstance(grad_scale, (int, float)):
        g = g * grad_scale.astype(g.dtype, copy=False)
    elif grad_scale != 1:
        g = g * grad_scale
    return g + weight_decay * p if weight_decay else g
