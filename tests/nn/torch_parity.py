"""Hold a module against its PyTorch counterpart: same weights, same inputs, outputs and every gradient."""

import numpy as np
import torch

import tinyslm as ts

torch.set_num_threads(1)


def share(ours, theirs, second_bias_zero=True):
    """Give both the same weights, by the state dict; the second bias of PyTorch's recurrent layers becomes zero."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, p in theirs.named_parameters():
            p.uniform_(-0.5, 0.5)
            if "bias_hh" in name and second_bias_zero:
                # The GRU's candidate (the last third) has a true second bias; it stays.
                gru = isinstance(theirs, torch.nn.GRU)
                p[: len(p) * 2 // 3 if gru else len(p)] = 0
    ours.load_state_dict({name: t.numpy() for name, t in theirs.state_dict().items()})


def compare(ours, theirs, inputs, dtype, our_call=None, their_call=None, seed=0):
    """The largest error of every output and gradient, each relative to the largest value of the reference."""
    rng = np.random.default_rng(seed)
    arrays = [np.asarray(a, dtype) if np.asarray(a).dtype.kind == "f" else np.asarray(a) for a in inputs]
    xs = [ts.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    ys = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    mine = _flat((our_call or ours)(*xs))
    ref = _flat((their_call or theirs)(*ys))
    assert len(mine) == len(ref)
    errors = {
        f"output {i}": error(a.numpy(), b.detach().numpy()) for i, (a, b) in enumerate(zip(mine, ref, strict=True))
    }
    weights = [rng.normal(size=a.shape).astype(dtype) for a in mine]
    sum((a * w).sum() for a, w in zip(mine, weights, strict=True)).backward()
    sum((b * torch.tensor(w)).sum() for b, w in zip(ref, weights, strict=True)).backward()
    errors |= {
        f"input {i}": error(x.grad.numpy(), y.grad.numpy())
        for i, (x, y) in enumerate(zip(xs, ys, strict=True))
        if x.requires_grad
    }
    if ours is not None:
        their_grads = {name: p.grad for name, p in theirs.named_parameters()}
        for name, p in ours.named_parameters():
            errors[name] = error(p.grad.numpy(), reference_grad(name, their_grads))
    return errors


def reference_grad(name, grads):
    """PyTorch's gradient of our parameter `name`."""
    if "bias_hn" in name:
        both = grads[name.replace("bias_hn", "bias_hh")]
        return both[len(both) * 2 // 3 :].numpy()
    if name not in grads:
        name = name.replace("bias_l", "bias_ih_l")
    return grads[name].numpy()


def error(mine, ref):
    """The largest difference over the largest reference value."""
    assert mine.shape == ref.shape and mine.dtype == ref.dtype, (mine.shape, ref.shape, mine.dtype, ref.dtype)
    scale = np.abs(ref).max(initial=0)
    return float(np.abs(mine - ref).max(initial=0) / (scale or 1))


def _flat(result):
    if isinstance(result, (tuple, list)):
        return [t for part in result for t in _flat(part)]
    return [result]
