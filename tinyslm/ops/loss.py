"""Losses. `reduction` is "mean", "sum" or "none", as in PyTorch."""

from typing import Any

import numpy as np

from ..device import Kernel, array_module, backend, to_host
from ..engine import is_grad_enabled, op
from ..errors import OptionError, ShapeError, require_whole
from ..tensor import Tensor, constant, raw
from .elementwise import log, sigmoid, where
from .index import from_0, host_from_0
from .softmax import log_softmax, softmax

REDUCTIONS = ("mean", "sum", "none")


def _check_reduction(reduction: str, more: tuple[str, ...] = ()) -> None:
    if reduction not in REDUCTIONS + more:
        raise OptionError(f"reduction: expected one of {', '.join(REDUCTIONS + more)}; got {reduction!r}")


def _same_shape(name: str, input: tuple, target: tuple, reduction: str, more: tuple[str, ...] = ()) -> None:
    _check_reduction(reduction, more)
    if input != target:
        raise ShapeError(f"{name}: expected a target of the input's shape {input}, got {target}")


def _reduce(rows: Any, reduction: str) -> Any:
    return rows if reduction == "none" else rows.sum() if reduction == "sum" else rows.mean()


def _back(g: Tensor, n: int, reduction: str) -> Tensor:
    """The cotangent of each element before the reduction."""
    return g / n if reduction == "mean" else g


# -- cross-entropy ----------------------------------------------------------------------------------------------------


@op(
    r"L = -\frac{1}{\sum_i w_{t_i}} \sum_i w_{t_i} \ln \operatorname{softmax}(x_i)_{t_i}",
    indices=("target",),
    floats=True,
)
def cross_entropy(xp, logits, target, weight=None, ignore_index=-100, label_smoothing=0.0, reduction="mean"):
    """Cross-entropy of class numbers against logits; softmax and logarithm are fused, so p = 0 never meets ln.

    Derivative with respect to the logits of one sample: p - y (formula A1).

    Args:
        logits: (..., V). The classes stand in the last dimension, also for sequences (B, T, V).
        target: (...) integers from 0 to V-1, or `ignore_index`.
        weight: (V,) factor per class, or None. The mean divides by the weights of the targets.
        ignore_index: targets with this number count neither in the loss nor in the mean.
        label_smoothing: share of the target that is spread over all classes, in [0, 1] (Szegedy et al. 2016).
        reduction: "mean", "sum" or "none". The mean over no target, where all are ignored, is NaN; its gradient is 0.
    """
    q, total = _soft_targets(logits, target, weight, ignore_index, label_smoothing)
    logp = log_softmax.forward(xp, logits)
    rows = -(q * xp.where(q == 0, 0, logp)).sum(axis=-1)
    if reduction == "mean":
        with np.errstate(divide="ignore", invalid="ignore"):
            return (rows.sum() / total).astype(logits.dtype)
    return _reduce(rows, reduction)


@cross_entropy.shape
def _cross_entropy_shape(logits, target, weight, ignore_index, label_smoothing, reduction):
    constant("cross_entropy", "weight", weight)
    _check_reduction(reduction)
    if not (isinstance(label_smoothing, (int, float, np.number)) and 0 <= label_smoothing <= 1):
        raise OptionError(f"cross_entropy: expected a label_smoothing from 0 to 1, got {label_smoothing!r}")
    require_whole(ignore_index, "ignore_index", of="cross_entropy")
    if weight is not None and np.shape(raw(weight)) != logits[-1:]:
        raise ShapeError(f"cross_entropy: expected one weight per class {logits[-1:]}, got {np.shape(raw(weight))}")
    if not logits or logits[:-1] != target:
        raise ShapeError(
            f"cross_entropy: one class number per row of logits.\n  Expected: target {logits[:-1]} for logits {logits}"
            f"\n  Got: target {target}"
        )
    _check_classes("cross_entropy", logits)


@cross_entropy.vjp
def cross_entropy_vjp(g, y, logits, target, weight, ignore_index, label_smoothing, reduction):
    q, total = _soft_targets(logits._data, target._data, weight, ignore_index, label_smoothing)
    if reduction == "mean":
        g = g / _divisor(total)
    g = g.unsqueeze(-1) if reduction == "none" else g
    share = Tensor.wrap(q.sum(axis=-1, keepdims=True))
    # A row that doesn't count may hold anything: softmax of -inf alone is NaN, and 0 times that is, too.
    counted = where(Tensor.wrap(target._data != ignore_index).unsqueeze(-1), logits, 0)
    return g * (softmax(counted) * share - Tensor.wrap(q)), None


def _check_classes(name: str, logits: tuple) -> None:
    if logits[-1:] == (0,):
        raise ShapeError(
            f"{name}: expected at least one class.\n  Expected: (..., V) with V of at least 1\n  Got: {logits}"
        )


def _divisor(total: Any) -> Any:
    """The weight of all targets; 1 where all are ignored, since the gradient is then 0."""
    return Tensor.wrap(array_module().where(total == 0, 1, total)) if backend() == "cuda" else float(total) or 1.0


def _soft_targets(x: Any, target: Any, weight: Any, ignore_index: int, smoothing: float) -> tuple[Any, Any]:
    """The weighted distribution (..., V) that each row is compared with, and the total weight of all targets."""
    xp, classes = array_module(), x.shape[-1]
    seen = target != ignore_index
    t = xp.where(seen, target, 0)
    from_0("cross_entropy", "classes", t, classes)
    w = xp.ones(classes, x.real.dtype) if weight is None else xp.asarray(raw(weight), x.real.dtype)
    one_hot = t[..., None] == xp.arange(classes)
    q = ((1 - smoothing) * one_hot + smoothing / classes) * w * seen[..., None]
    return q.astype(x.real.dtype), (w[t] * seen).sum()


class _WithGradient(Kernel):
    """Makes the gradient along with the loss: a copy of the logits, which is not made under `no_grad`."""

    def compute(self, arrays: list, attrs: dict[str, Any], instead: Any) -> tuple[Any, Any, Any]:
        return super().compute(arrays, {**attrs, "keep": is_grad_enabled()}, instead)


cross_entropy.kernel("numba", "loss:cross_entropy", _WithGradient, steps=16)
cross_entropy.kernel("cuda", "loss:cross_entropy")


# -- the others -------------------------------------------------------------------------------------------------------


@op(r"L = \frac1n \sum_i \left[\ln(1 + e^{x_i}) - y_i x_i\right]", analytic=False)
def binary_cross_entropy_with_logits(xp, input, target, reduction="mean"):
    """Binary cross-entropy of logits: -y ln p - (1 - y) ln(1 - p) with p = sigmoid(x), in a form that never overflows.

    Derivative with respect to x: p - y.

    Args:
        input: logits, any shape.
        target: the same shape, numbers in [0, 1]. That is not looked at, as in PyTorch: with others the formula gives a
            number, too, but no cross-entropy; it may be negative and has no least value.
        reduction: "mean", "sum" or "none".
    """
    rows = xp.maximum(input, 0) - input * target + xp.log1p(xp.exp(-xp.abs(input)))
    return _reduce(rows, reduction)


@binary_cross_entropy_with_logits.shape
def _bce_shape(input, target, reduction):
    _same_shape("binary_cross_entropy_with_logits", input, target, reduction)


@binary_cross_entropy_with_logits.vjp
def bce_vjp(g, y, input, target, reduction):
    g = _back(g, input.size, reduction)
    return g * (sigmoid(input) - target), lambda: -g * input


@op(r"L = \frac1n \sum_i (x_i - y_i)^2")
def mse_loss(xp, input, target, reduction="mean"):
    """Mean squared error. Derivative: 2 (x - y) / n."""
    return _reduce((input - target) ** 2, reduction)


@mse_loss.shape
def _mse_shape(input, target, reduction):
    _same_shape("mse_loss", input, target, reduction)


@mse_loss.vjp
def mse_vjp(g, y, input, target, reduction):
    slope = 2 * _back(g, input.size, reduction) * (input - target)
    return slope, lambda: -slope


@op(r"L = \sum_i p_i (\ln p_i - x_i), \quad x = \ln q", kinks="where p = 0 a term is 0")
def kl_div(xp, input, target, reduction="batchmean"):
    """Kullback-Leibler divergence of q from p: `input` holds ln q, `target` holds p.

    Args:
        input: logarithms of probabilities (B, ...).
        target: probabilities of the same shape.
        reduction: "batchmean" divides the sum by B, which is the divergence; "mean" divides by all elements.
    """
    rows = target * (xp.log(xp.where(target == 0, 1, target)) - input)
    return rows.sum() / len(input) if reduction == "batchmean" else _reduce(rows, reduction)


@kl_div.shape
def _kl_shape(input, target, reduction):
    _same_shape("kl_div", input, target, reduction, ("batchmean",))


@kl_div.vjp
def kl_vjp(g, y, input, target, reduction):
    g = g / len(input) if reduction == "batchmean" else _back(g, input.size, reduction)
    return -g * target, lambda: g * (log(where(target.eq(0), 1.0, target)) + 1 - input)


def nll_loss(log_probs: Tensor, target: Any, ignore_index: int = -100, reduction: str = "mean") -> Tensor:
    """Negative log-likelihood of class numbers given log-probabilities (..., V); a mean over targets that count."""
    require_whole(ignore_index, "ignore_index", of="nll_loss")
    _check_classes("nll_loss", log_probs.shape)
    classes = np.asarray(to_host(raw(target)))
    seen = classes != ignore_index
    host_from_0("nll_loss", "classes", classes[seen], log_probs.shape[-1])
    picked = log_probs.reshape(-1, log_probs.shape[-1])[np.arange(classes.size), np.where(seen, classes, 0).ravel()]
    rows = -picked * Tensor.wrap(seen.ravel().astype(log_probs.dtype))
    if reduction == "none":
        return rows.reshape(classes.shape)
    return rows.sum() / float(seen.sum()) if reduction == "mean" else rows.sum()


# -- test inputs ------------------------------------------------------------------------------------------------------


@cross_entropy.samples
def _cross_entropy_samples(rng):
    target = np.array([1, 0, 3, 3])
    yield (rng.normal(size=(4, 5)), target), {}
    yield (rng.normal(size=(4, 5)), np.array([1, -100, 3, 0])), {"label_smoothing": 0.1, "reduction": "sum"}
    weight = rng.uniform(0.5, 2, 5)
    yield (rng.normal(size=(2, 2, 5)), target.reshape(2, 2)), {"weight": weight, "reduction": "none"}
    yield (rng.normal(size=(4, 5)), target), {"weight": weight, "label_smoothing": 0.2, "ignore_index": 3}


def _loss_samples(target, *reductions):
    def make(rng):
        for reduction in reductions or REDUCTIONS:
            yield (rng.normal(size=(3, 2)), target(rng)), {"reduction": reduction}

    return make


binary_cross_entropy_with_logits.samples(_loss_samples(lambda rng: rng.uniform(0.1, 0.9, (3, 2))))
mse_loss.samples(_loss_samples(lambda rng: rng.normal(size=(3, 2))))
kl_div.samples(_loss_samples(lambda rng: rng.dirichlet([1, 1], 3), *REDUCTIONS, "batchmean"))
