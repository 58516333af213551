"""RNN, LSTM and GRU, the fast and the plain kernels, against step-by-step NumPy and torch."""

import numpy as np
import pytest
from cpu_helpers import DTYPES, as_tuple, awkward, check_pair, close, numbers, with_threads
from hypothesis import given, settings
from hypothesis import strategies as st
from tinyslm.kernels.cpu import recurrent, recurrent_plain

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
PAIRS = {name: (getattr(recurrent, f"{name}_forward"), getattr(recurrent, f"{name}_backward")) for name in GATES}
PLAIN = {
    name: (getattr(recurrent_plain, f"{name}_forward"), getattr(recurrent_plain, f"{name}_backward")) for name in GATES
}
SIZES = [(3, 5, 4, 6), (1, 1, 1, 1), (2, 0, 3, 4), (0, 3, 2, 2), (2, 7, 5, 17)]  # B, T, D, H


def inputs(name, sizes, dtype):
    (b, t, d, h), n = sizes, GATES[name]
    states, inner = [(b, h)] * (2 if name == "lstm" else 1), [(h,)] * (name == "gru")
    shapes = [(b, t, d), *states, (n * h, d), (n * h, h), (n * h,), *inner]
    # Weights of a usual size: with larger ones the sequence is chaotic and multiplies every rounding error.
    return tuple(numbers(i, *shape, dtype=dtype, scale=0.5) for i, shape in enumerate(shapes))


def make_mask(sizes):
    return np.random.default_rng(9).random(sizes[:2]) < 0.6


def steps(xp, name, arrays, mask=None, reverse=False):
    """The formulas, one step at a time, for NumPy or torch arrays."""
    x, h, *rest = arrays
    c = rest.pop(0) if name == "lstm" else None
    w, u, b = rest[:3]

    def sigmoid(a):
        return 1 / (1 + xp.exp(-a))

    y = [xp.zeros_like(h)] * x.shape[1]
    for t in range(x.shape[1])[:: -1 if reverse else 1]:
        a, r = x[:, t] @ w.T + b, h @ u.T
        n, k = h.shape[1], c
        if name == "rnn":
            new = xp.tanh(a + r)
        elif name == "lstm":
            i, f, g, o = (v[:, j * n : j * n + n] for v in [a + r] for j in range(4))
            k = sigmoid(f) * c + sigmoid(i) * xp.tanh(g)
            new = sigmoid(o) * xp.tanh(k)
        else:
            reset, keep = sigmoid(a[:, :n] + r[:, :n]), sigmoid(a[:, n : 2 * n] + r[:, n : 2 * n])
            new = xp.tanh(a[:, 2 * n :] + reset * (r[:, 2 * n :] + rest[3]))
            new = (1 - keep) * new + keep * h
        on = None if mask is None else mask[:, t, None]
        y[t] = new if on is None else xp.where(on, new, xp.zeros_like(new))
        h = new if on is None else xp.where(on, new, h)
        c = k if on is None or c is None else xp.where(on, k, c)
    stack = xp.stack(y, 1) if y else x[:, :, :1] + h[:, None, :]  # without a step: an empty (B, 0, H)
    return (stack, h) if c is None else (stack, h, c)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", GATES)
def test_forward(name, masked, reverse, dtype):
    for sizes in SIZES:
        arrays = inputs(name, sizes, dtype)
        mask = make_mask(sizes) if masked else None
        out, _ = PAIRS[name][0](*arrays, mask=mask, reverse=reverse)
        want = steps(np, name, [a.astype(np.float64) for a in arrays], mask, reverse)
        for got, value in zip(out, want, strict=True):
            assert got.dtype == arrays[0].dtype
            close(got, value)


@pytest.mark.torch
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", GATES)
def test_gradients(name, masked, reverse, dtype):
    torch = pytest.importorskip("torch")
    for sizes in SIZES:
        mask = make_mask(sizes) if masked else None
        on = None if mask is None else torch.from_numpy(mask)

        def function(*tensors, on=on):
            # Adding 0 makes every output depend on the inputs, also when there is no step.
            return tuple(v + 0 * tensors[1].sum() for v in steps(torch, name, tensors, on, reverse))

        check_pair(PAIRS[name], function, inputs(name, sizes, dtype), mask=mask, reverse=reverse)


@pytest.mark.parametrize("name", GATES)
def test_missing_cotangents_are_zero_and_a_mask_may_be_an_input(name):
    sizes = (3, 5, 4, 6)
    arrays, mask = inputs(name, sizes, "float64"), make_mask(sizes)
    forward, backward = PAIRS[name]
    out, saved = forward(*arrays, mask)
    needs = (True,) * len(arrays) + (False,)
    for missing in range(len(out)):
        g = tuple(None if i == missing else np.ones_like(o) for i, o in enumerate(out))
        full = tuple(np.zeros_like(o) if v is None else v for o, v in zip(out, g, strict=True))
        short, long = (backward(v, out, saved, (*arrays, mask), needs) for v in (g, full))
        assert len(short) == len(needs) and short[-1] is None
        for a, b in zip(short[:-1], long[:-1], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.torch
@pytest.mark.parametrize("name", GATES)
def test_same_as_the_layers_of_torch(name):
    torch = pytest.importorskip("torch")
    x, h, *rest = inputs(name, (3, 5, 4, 6), "float64")
    state = [rest.pop(0)] if name == "lstm" else []
    w, u, b, *inner = rest
    layer = getattr(torch.nn, name.upper())(4, 6, batch_first=True, dtype=torch.float64)
    hidden_bias = np.zeros_like(b)
    if inner:
        hidden_bias[12:] = inner[0]
    for parameter, value in zip(layer.parameters(), (w, u, b, hidden_bias), strict=True):
        parameter.data = torch.from_numpy(value)
    start = [torch.from_numpy(a)[None] for a in (h, *state)]
    y, last = layer(torch.from_numpy(x), tuple(start) if state else start[0])
    out, _ = PAIRS[name][0](x, h, *state, w, u, b, *inner)
    close(out[0], y.detach().numpy())
    for got, want in zip(out[1:], as_tuple(last), strict=True):
        close(got, want[0].detach().numpy())


@pytest.mark.parametrize("name", GATES)
def test_extreme_inputs_stay_finite(name):
    arrays = tuple(a * 1e4 for a in inputs(name, (2, 3, 4, 5), "float32"))
    out, saved = PAIRS[name][0](*arrays)
    found = PAIRS[name][1](tuple(np.ones_like(o) for o in out), out, saved, arrays, (True,) * len(arrays))
    assert all(np.isfinite(a).all() for a in (*out, *found))


@pytest.mark.parametrize("name", GATES)
def test_backward_can_run_twice(name):
    arrays = inputs(name, (2, 3, 4, 5), "float64")
    out, saved = PAIRS[name][0](*arrays)
    g = tuple(np.ones_like(o) for o in out)
    first, second = (PAIRS[name][1](g, out, saved, arrays, (True,) * len(arrays)) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


sizes = st.tuples(st.integers(0, 9), st.integers(0, 6), st.integers(1, 9), st.integers(1, 40))


def both(name, arrays, masked, reverse, change=lambda a: a):
    """Outputs and gradients of the plain and of the fast kernel."""
    mask = make_mask(arrays[0].shape) if masked else None
    found = []
    for forward, backward in (PLAIN[name], PAIRS[name]):
        given_arrays = tuple(map(change, arrays))
        out, saved = forward(*given_arrays, mask=mask, reverse=reverse)
        g = tuple(change(numbers(i, *o.shape, dtype=o.dtype)) for i, o in enumerate(out))
        grads = backward(g, out, saved, given_arrays, (True,) * len(arrays), mask=mask, reverse=reverse)
        found.append((*out, *grads))
    return found


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", GATES)
@settings(max_examples=25)
@given(sizes=sizes, masked=st.booleans(), reverse=st.booleans(), views=st.booleans())
def test_fast_and_plain_agree_on_random_shapes(name, dtype, sizes, masked, reverse, views):
    arrays = tuple(a * np.asarray(0.4, dtype) for a in inputs(name, sizes, dtype))
    plain, fast = both(name, arrays, masked, reverse, awkward if views else np.copy)
    for i, (want, got) in enumerate(zip(plain, fast, strict=True)):
        assert got.dtype == want.dtype
        close(got, want, f"{name} {sizes}: result {i}")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("hidden", [5, 17])
def test_what_fills_up_a_panel_stays_zero(hidden, dtype):
    _, saved = recurrent.lstm_forward(*inputs("lstm", (3, 4, 2, hidden), dtype))
    assert saved.cells[:, :hidden].any() and not saved.cells[:, hidden:].any()


@pytest.mark.parametrize("name", GATES)
def test_the_number_of_threads_changes_no_bit(name, monkeypatch):
    arrays = inputs(name, (13, 10, 30, 60), "float32")
    found = {}
    for threads in (1, 2, 3):
        handed = with_threads(threads, monkeypatch)
        found[threads] = both(name, arrays, True, False)[1]
        assert (len(handed) > 2) == (threads > 1)  # forward, backward, the weights' gradients
    for threads in (2, 3):
        for a, b in zip(found[1], found[threads], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("size", [1e4, 1e-40])
def test_saturated_gates_and_subnormal_numbers(name, dtype, size):
    arrays = tuple(
        numbers(i, *a.shape, dtype=dtype, scale=size) for i, a in enumerate(inputs(name, (3, 4, 5, 9), dtype))
    )
    plain, fast = both(name, arrays, True, False)
    for want, got in zip(plain, fast, strict=True):
        assert np.isfinite(got).all()
        close(got, want)


@pytest.mark.parametrize("name", GATES)
def test_only_what_is_needed_is_computed(name):
    arrays = inputs(name, (3, 4, 5, 9), "float64")
    forward, backward = PAIRS[name]
    out, saved = forward(*arrays)
    g = tuple(numbers(i, *o.shape) for i, o in enumerate(out))
    everything = backward(g, out, saved, arrays, (True,) * len(arrays))
    for i in range(len(arrays)):
        needs = tuple(k == i for k in range(len(arrays)))
        found = backward(g, out, saved, arrays, needs)
        assert [d is not None for d in found] == list(needs)
        np.testing.assert_array_equal(found[i], everything[i])


def test_steps_that_do_not_count_cost_no_rows():
    sizes = (3, 5, 4, 6)
    mask = make_mask(sizes)
    _, saved = recurrent.lstm_forward(*inputs("lstm", sizes, "float32"), mask=mask)
    assert len(saved.rows) == len(saved.gates) == mask.sum()
