"""Losses as modules; the formulas and gradients stand at the operations. All take logits, none takes probabilities."""

from typing import Any

from .. import ops
from ..tensor import Tensor
from .module import Module


class _Loss(Module):
    def __init__(self, reduction: str = "mean"):
        self.reduction = reduction

    def extra_repr(self) -> str:
        """How the rows are put together."""
        return f"reduction={self.reduction!r}"


class CrossEntropyLoss(_Loss):
    """L = -ln softmax(x)_t: logits (..., V), target (...) of class numbers. V stands last, also in (B, T, V).

    Args:
        weight: (V,) factor per class, or None.
        ignore_index: targets with this number do not count.
        label_smoothing: share of the target that is spread over all classes.
        reduction: "mean", "sum" or "none".
    """

    def __init__(
        self,
        weight: Any = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
    ):
        super().__init__(reduction)
        self.weight, self.ignore_index, self.label_smoothing = weight, ignore_index, label_smoothing

    def forward(self, logits: Tensor, target: Any) -> Tensor:
        """(..., V) and integers (...) -> one number, or (...) with reduction "none"."""
        return ops.cross_entropy(
            logits,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            reduction=self.reduction,
        )


class BCEWithLogitsLoss(_Loss):
    """L = ln(1 + e^x) - y x: logits and targets in [0, 1] of one shape; `reduction` "mean", "sum" or "none"."""

    def forward(self, input: Tensor, target: Any) -> Tensor:
        """Two of one shape -> one number, or that shape with reduction "none"."""
        return ops.binary_cross_entropy_with_logits(input, target, reduction=self.reduction)


class MSELoss(_Loss):
    """L = (x - y)²: two of one shape; `reduction` "mean", "sum" or "none"."""

    def forward(self, input: Tensor, target: Any) -> Tensor:
        """Two of one shape -> one number, or that shape with reduction "none"."""
        return ops.mse_loss(input, target, reduction=self.reduction)


class KLDivLoss(_Loss):
    """L = sum p (ln p - x) with x = ln q; `reduction` "batchmean" (the divergence), "mean", "sum" or "none"."""

    def __init__(self, reduction: str = "batchmean"):
        super().__init__(reduction)

    def forward(self, input: Tensor, target: Any) -> Tensor:
        """Log-probabilities ln q and probabilities p of one shape (B, ...)."""
        return ops.kl_div(input, target, reduction=self.reduction)
