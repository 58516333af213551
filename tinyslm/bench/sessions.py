"""Steps that many workloads share: training a model, and one operation forward and backward.

Ours and PyTorch's stand below each other, so that one can see that they do the same. A training step is: forget the
gradients, forward, backward, update.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..tensor import tensor
from .workload import Arrays, weights_of

# -- training ---------------------------------------------------------------------------------------------------------


class _Training:
    """What both training sessions share: the outcome is the loss."""

    advance: Callable[[], Any]

    def step(self) -> float:
        """One step; the loss before it."""
        return self.advance().item()

    def outcome(self, loss: float) -> np.ndarray:
        """The loss after some steps."""
        return np.asarray(loss)


class Training(_Training):
    """A training step of tinyslm.

    Args:
        model: takes over the weights among the arrays.
        loss: called with the model; one number.
        optimizer: makes the optimizer from the parameters.
    """

    def __init__(self, arrays: Arrays, model: Any, loss: Callable[[Any], Any], optimizer: Callable[[Any], Any]):
        model.load_state_dict(weights_of(arrays))
        self.model, self.loss, self.optimizer = model.train(), loss, optimizer(model.parameters())

    def advance(self) -> Any:
        """One step; the loss before it, which is not read."""
        self.optimizer.zero_grad()
        loss = self.loss(self.model)
        loss.backward()
        self.optimizer.step()
        return loss

    def tensors(self) -> dict[str, np.ndarray]:
        """All gradients, by PyTorch's names."""
        named = self.model.named_parameters()
        return {f"gradient of {_torch_name(name)}": p.grad.numpy() for name, p in named}


def _torch_name(name: str) -> str:
    # PyTorch has two biases that are only ever added up, ours has one, save the GRU's candidate.
    return name.replace("bias_hn_l", "bias_hh_l").replace("bias_l", "bias_ih_l")


class TorchTraining(_Training):
    """A training step of PyTorch, with the arguments of `Training`; `compiled`: by torch.compile."""

    def __init__(
        self,
        arrays: Arrays,
        model: Any,
        loss: Callable[[Any], Any],
        optimizer: Callable[[Any], Any],
        compiled: bool = False,
    ):
        import torch

        state = {name: torch.as_tensor(np.array(a)) for name, a in weights_of(arrays).items()}
        model.load_state_dict(state)
        self.gru_rows = _freeze_second_biases(model)
        self.model = model
        self.loss = torch.compile(loss) if compiled else loss
        self.optimizer = optimizer([p for p in model.parameters() if p.requires_grad])

    def advance(self) -> Any:
        """One step; the loss before it, which is not read."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(self.model)
        loss.backward()
        self.optimizer.step()
        return loss

    def tensors(self) -> dict[str, np.ndarray]:
        """All gradients by name; of a GRU's second biases the part that ours has as well."""
        named = [(n, p) for n, p in self.model.named_parameters() if p.grad is not None]
        return {f"gradient of {n}": p.grad.cpu().numpy()[self.gru_rows.get(n, 0) :] for n, p in named}


def _freeze_second_biases(model: Any) -> dict[str, int]:
    """Let PyTorch train one bias per gate, as we do: two would be the same model with twice the learning rate.

    The second bias of a GRU's candidate is a true one: it stays, and the gradient of the other two thirds is set to 0.
    Returns the row from which each such bias counts.
    """
    import torch

    rows = {}
    for path, module in model.named_modules():
        gru = isinstance(module, torch.nn.GRU)
        for name, p in module.named_parameters(recurse=False):
            if "bias_hh" in name and gru:
                rows[f"{path}.{name}"] = len(p) * 2 // 3
                p.register_hook(_keep_last_third(p))
            elif "bias_hh" in name:
                p.requires_grad_(False)
    return rows


def _keep_last_third(p: Any) -> Callable[[Any], Any]:
    keep = p.detach().new_zeros(p.shape)
    keep[len(p) * 2 // 3 :] = 1
    return lambda gradient: gradient * keep


class JaxTraining(_Training):
    """A training step of JAX: the whole step is one compiled function, Adam is written out.

    Args:
        arrays: with the weights.
        loss: called with the weights by name; one number.
        leave_out: ends of names that are no weights here, such as PyTorch's second biases.
        decay: AdamW's weight decay.
    """

    def __init__(self, arrays: Arrays, loss: Callable[[Any], Any], leave_out: str = "\n", decay: float = 0.0):
        import jax
        from jax import numpy as jnp

        weights = {n: jnp.asarray(a) for n, a in weights_of(arrays).items() if leave_out not in n}
        zeros = {n: jnp.zeros_like(a) for n, a in weights.items()}
        self.state: Any = (weights, zeros, {n: jnp.zeros_like(a) for n, a in weights.items()}, jnp.zeros(()))

        def step(state: Any) -> Any:
            value, gradients = jax.value_and_grad(loss)(state[0])
            return _jax_adam(state, gradients, decay), value, gradients

        self.update = jax.jit(step, donate_argnums=0)

    def step(self) -> float:
        """One step; the loss before it."""
        self.state, loss, self.gradients = self.update(self.state)
        return float(loss)

    def tensors(self) -> dict[str, np.ndarray]:
        """All gradients by name."""
        return {f"gradient of {name}": np.asarray(g) for name, g in self.gradients.items()}


def _jax_adam(state: Any, gradients: Any, decay: float, lr: float = 1e-3, b1: float = 0.9, b2: float = 0.999) -> Any:
    """Weights, means, squares and the number of steps after a step of Adam (AdamW where there is a decay)."""
    from jax import numpy as jnp

    weights, means, squares, t = state
    t = t + 1
    means = {n: b1 * m + (1 - b1) * gradients[n] for n, m in means.items()}
    squares = {n: b2 * v + (1 - b2) * gradients[n] ** 2 for n, v in squares.items()}
    roots = {n: jnp.sqrt(v / (1 - b2**t)) + 1e-8 for n, v in squares.items()}
    weights = {n: w * (1 - lr * decay) - lr / (1 - b1**t) * means[n] / roots[n] for n, w in weights.items()}
    return weights, means, squares, t


# -- one operation ----------------------------------------------------------------------------------------------------


class _Operation:
    """What both share: the outcome is the output and the gradients again."""

    inputs: dict[str, Any]
    y: Any

    def outcome(self, loss: float) -> np.ndarray:
        """The sum of the output."""
        return np.asarray(self.tensors()["output"], np.float64).sum()

    def tensors(self) -> dict[str, np.ndarray]:
        """The output and the inputs' gradients."""
        raise NotImplementedError


class Operation(_Operation):
    """One operation forward and backward in tinyslm.

    Args:
        inputs: float32 arrays by name; they ask for gradients.
        function: takes them as tensors and returns one.
        cotangent: what is sent backward, of the output's shape; None where it is one number.
    """

    def __init__(self, inputs: Mapping[str, np.ndarray], function: Callable[..., Any], cotangent: Any = None):
        self.inputs = {name: tensor(a, requires_grad=True) for name, a in inputs.items()}
        self.function = function
        self.cotangent = None if cotangent is None else tensor(cotangent)

    def step(self) -> float:
        """Forward and backward."""
        for x in self.inputs.values():
            x.zero_grad()
        self.y = self.function(*self.inputs.values())
        self.y.backward(self.cotangent)
        return 0.0

    def tensors(self) -> dict[str, np.ndarray]:
        """The output and the inputs' gradients."""
        gradients = {f"gradient of {name}": x.grad.numpy() for name, x in self.inputs.items() if x.grad is not None}
        return {"output": self.y.numpy(), **gradients}


class TorchOperation(_Operation):
    """The same in PyTorch."""

    def __init__(
        self,
        inputs: Mapping[str, np.ndarray],
        function: Callable[..., Any],
        cotangent: Any = None,
        compiled: bool = False,
    ):
        import torch

        self.inputs = {name: torch.tensor(a, requires_grad=True) for name, a in inputs.items()}
        self.function = torch.compile(function) if compiled else function
        self.cotangent = None if cotangent is None else torch.tensor(cotangent)

    def step(self) -> float:
        """Forward and backward."""
        for x in self.inputs.values():
            x.grad = None
        self.y = self.function(*self.inputs.values())
        self.y.backward(self.cotangent)
        return 0.0

    def tensors(self) -> dict[str, np.ndarray]:
        """The output and the inputs' gradients."""
        gradients = {f"gradient of {name}": x.grad.cpu().numpy() for name, x in self.inputs.items()}
        return {"output": self.y.detach().cpu().numpy(), **gradients}


def torch_modules(**modules: Any) -> Any:
    """A PyTorch module that only holds others, by name: the names make the state dict fit ours."""
    import torch

    model = torch.nn.Module()
    for name, module in modules.items():
        setattr(model, name, torch.nn.ModuleList(module) if isinstance(module, Sequence) else module)
    return model
