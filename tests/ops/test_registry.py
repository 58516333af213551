"""Every operation of the registry, checked in every way that its declaration allows. None can be forgotten."""

import inspect

import numpy as np
import pytest

import tinyslm as ts
from tinyslm.check import gradcheck
from tinyslm.check.numeric import Line, ridders
from tinyslm.check.reference import field_of, signs
from tinyslm.engine import apply
from tinyslm.errors import DTypeError, ShapeError

OPS = list(ts.Op.registry.values())
DRAWS = 3  # as in tinyslm.check.power: what one draw of a piecewise function misses, another shows
every_op = pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
smooth_ops = pytest.mark.parametrize("op", [op for op in OPS if op.smooth], ids=lambda op: op.name)
KERNELS = [(op, backend) for op in OPS for backend in op.kernels if backend == "numba"]
every_kernel = pytest.mark.parametrize(("op", "backend"), KERNELS, ids=lambda v: getattr(v, "name", v))


def samples(op, seed=0):
    for inputs, attrs in op.samples_of(np.random.default_rng(seed)):
        yield inputs, {**op.defaults, **attrs}


def function_of(op, attrs):
    return lambda *tensors: apply(op, tensors, attrs)


def listed(out):
    return list(out) if isinstance(out, tuple) else [out]


def in_float32(inputs, attrs):
    narrow = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in inputs]
    attrs = {k: np.float32(v) if isinstance(v, np.ndarray) and v.dtype.kind == "f" else v for k, v in attrs.items()}
    return narrow, attrs


def run(op, inputs, attrs, seed=1):
    """Values and gradients (for random cotangents) as arrays."""
    leaves = [ts.Tensor.wrap(a) for a in inputs]
    floats = [t.requires_grad_() for t in leaves if t.dtype.kind == "f"]
    outs = listed(apply(op, tuple(leaves), attrs))
    rng = np.random.default_rng(seed)
    cotangents = [signs(rng, y.shape).astype(y.dtype) for y in outs]
    grads = ts.grad(outs, floats, cotangents, allow_unused=True)
    found = [np.zeros(t.shape) if g is None else g.numpy() for g, t in zip(grads, floats, strict=True)]
    return [y.numpy() for y in outs], found


def assert_close(found, wanted, rtol, what):
    """Equal up to `rtol` of the largest number in each array."""
    for i, (a, b) in enumerate(zip(found, wanted, strict=True)):
        assert a.shape == b.shape, f"{what} {i}: {a.shape} for {b.shape}"
        off = np.abs(a.astype(np.float64) - b).max(initial=0)
        assert off <= rtol * max(1e-3, np.abs(b).max(initial=0)), f"{what} {i} is off by {off:.2e}"


# -- what every operation declares ------------------------------------------------------------------------------------


@every_op
def test_it_has_samples_a_formula_a_rule_and_a_docstring(op):
    assert op.samples_of is not None and list(samples(op))
    assert op.formula and "=" in op.formula
    assert op.rule is not None
    assert inspect.getdoc(op)


@every_op
def test_samples_are_float64_and_repeatable(op):
    for (one, attrs), (two, _) in zip(samples(op), samples(op), strict=True):
        assert all(a.dtype == np.float64 or a.dtype.kind in "iub" for a in one)
        assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
        assert set(attrs) == set(op.defaults)


# -- derivatives ------------------------------------------------------------------------------------------------------


@every_op
def test_gradient(op):
    for seed in range(DRAWS):
        for inputs, attrs in samples(op, seed):
            report = gradcheck(function_of(op, attrs), inputs, convention=op.kinks)
            assert report.ok, f"{attrs}\n{report}"


@smooth_ops
def test_second_derivative(op):
    # A composition over time is made of operations that are checked here themselves: one sample is enough.
    for inputs, attrs in list(samples(op, 3))[-1 if op.simple else 0 :]:
        report = gradcheck(function_of(op, attrs), inputs, order=2, convention=op.kinks)
        assert report.ok, f"{attrs}\n{report}"


@every_op
def test_forward_mode_agrees_with_differences(op):
    for inputs, attrs in samples(op, 4):
        slots = [i for i, a in enumerate(inputs) if a.dtype.kind == "f"]
        rng = np.random.default_rng(2)
        tangents = {i: signs(rng, inputs[i].shape) for i in slots}

        def joined(*floats, op=op, attrs=attrs, inputs=inputs, slots=slots):
            given = dict(zip(slots, floats, strict=True))
            outs = listed(apply(op, tuple(given.get(i, ts.Tensor.wrap(a)) for i, a in enumerate(inputs)), attrs))
            return ts.cat([y.reshape(-1) for y in outs], 0)

        _, forward = ts.jvp(joined, [inputs[i] for i in slots], [tangents[i] for i in slots])
        n = forward.size
        line = Line(field_of(function_of(op, attrs)), inputs, tangents, np.eye(n))
        value, error, _ = ridders(line)
        assert (np.abs(forward.numpy() - value) <= 100 * error + 1e-7 * np.abs(value).max(initial=1)).all()


@every_op
def test_the_rule_also_serves_inputs_that_are_not_contiguous(op):
    for inputs, attrs in samples(op):
        strided = [np.repeat(a[..., None], 2, axis=-1)[..., 0] if a.ndim else a for a in inputs]
        strided = [np.asfortranarray(a) if a.ndim > 2 else a for a in strided]
        for found, wanted in zip(run(op, strided, attrs), run(op, inputs, attrs), strict=True):
            assert_close(found, wanted, 1e-13, "result")


@pytest.mark.parametrize(
    "op", [ts.add, ts.sub, ts.mul, ts.div, ts.pow, ts.maximum, ts.minimum, ts.matmul], ids=lambda op: op.name
)
def test_the_same_tensor_in_both_slots(op):
    x = ts.tensor(np.random.default_rng(0).uniform(0.5, 2, (3, 3)), requires_grad=True)
    twice = apply(op, (x, x), op.defaults)
    g = signs(np.random.default_rng(1), (3, 3))
    (both,) = ts.grad(twice, x, g)
    a, b = (ts.tensor(x.numpy(), requires_grad=True) for _ in range(2))
    parts = ts.grad(apply(op, (a, b), op.defaults), [a, b], g)
    assert np.allclose(both.numpy(), parts[0].numpy() + parts[1].numpy(), rtol=1e-14, atol=1e-15)
    assert gradcheck(lambda t: apply(op, (t, t), op.defaults), x.detach()).ok


@every_op
def test_an_input_that_wants_no_gradient_gets_none_and_changes_nothing(op):
    inputs, attrs = next(iter(samples(op)))
    slots = [i for i, a in enumerate(inputs) if a.dtype.kind == "f"]
    _, wanted = run(op, inputs, attrs)
    for k, slot in enumerate(slots):
        leaves = [ts.Tensor.wrap(a) for a in inputs]
        leaves[slot].requires_grad_()
        outs = listed(apply(op, tuple(leaves), attrs))
        rng = np.random.default_rng(1)
        (found,) = ts.grad(outs, leaves[slot], [signs(rng, y.shape) for y in outs])
        assert_close([found.numpy()], [wanted[k]], 1e-14, "gradient")


# -- number types -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", [op for op in OPS if op.name != "cast"], ids=lambda op: op.name)
def test_float32_stays_float32_and_agrees_with_float64(op):
    for inputs, attrs in samples(op):
        values, grads = run(op, inputs, attrs)
        narrow_values, narrow_grads = run(op, *in_float32(inputs, attrs))
        assert all(a.dtype == np.float64 for a in values)
        assert all(a.dtype == np.float32 for a in narrow_values + [g for g in narrow_grads if g.any()])
        assert_close(narrow_values, values, 2e-5, "result")
        assert_close(narrow_grads, grads, 2e-4, "gradient")


def float_slots(op):
    inputs, _ = next(iter(samples(op)))
    return [i for i, a in enumerate(inputs) if a.dtype.kind == "f"]


@pytest.mark.parametrize("op", [op for op in OPS if len(float_slots(op)) > 1], ids=lambda op: op.name)
def test_mixed_number_types_are_refused(op):
    inputs, attrs = next(iter(samples(op)))
    first = float_slots(op)[0]
    mixed = [ts.Tensor.wrap(a.astype(np.float32) if i == first else a) for i, a in enumerate(inputs)]
    with pytest.raises(DTypeError, match=r"float32.*float64"):
        apply(op, tuple(mixed), attrs)


# -- kernels and compositions -----------------------------------------------------------------------------------------


@every_kernel
def test_kernel_against_reference_in_both_precisions(op, backend):
    pytest.importorskip("numba")
    for inputs, attrs in samples(op, 6):
        if not all(a.size for a in inputs):
            continue
        with ts.use("numpy"):
            values, grads = run(op, inputs, attrs)
        with ts.use(backend, small=0):
            assert op.plan(*map(ts.Tensor.wrap, inputs)) == backend
            wide, narrow = run(op, inputs, attrs), run(op, *in_float32(inputs, attrs))
        assert_close(wide[0], values, 1e-12, "result")
        assert_close(wide[1], grads, 1e-11, "gradient")
        assert_close(narrow[0], values, 2e-5, "float32 result")
        assert_close(narrow[1], grads, 2e-4, "float32 gradient")
        assert all(a.dtype == np.float32 for a in [*narrow[0], *(g for g in narrow[1] if g.any())])


@pytest.mark.parametrize("op", [op for op in OPS if op.simple is not None], ids=lambda op: op.name)
def test_operation_against_its_composition(op):
    for inputs, attrs in samples(op, 7):
        values, grads = run(op, inputs, attrs)
        leaves = [ts.tensor(a, requires_grad=a.dtype.kind == "f") for a in inputs]
        outs = listed(op.simple(*leaves, **attrs))
        rng = np.random.default_rng(1)
        found = ts.grad(outs, [t for t in leaves if t.requires_grad], [signs(rng, y.shape) for y in outs])
        assert_close([y.numpy() for y in outs], values, 1e-14, "result")
        assert_close([g.numpy() for g in found], grads, 1e-13, "gradient")


# -- shapes -----------------------------------------------------------------------------------------------------------


def zeros(*shape):
    return ts.tensor(np.zeros(shape))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: zeros(2, 3) @ zeros(4, 5), ["matmul", "a (2, 3)", "b (4, 5)", "Expected"]),
        (lambda: zeros(2, 3) + zeros(4), ["add", "a: (2, 3)", "b: (4,)"]),
        (lambda: ts.linear(zeros(2, 3), zeros(5, 4)), ["linear", "weight (5, 4)"]),
        (lambda: ts.layer_norm(zeros(2, 3), zeros(2), zeros(2)), ["layer_norm", "weight (2,)"]),
        (lambda: ts.rms_norm(zeros(2, 3), zeros(2)), ["rms_norm", "weight (2,)"]),
        (lambda: ts.cross_entropy(zeros(2, 3), np.array([0, 1, 2])), ["cross_entropy", "target (3,)", "logits (2, 3)"]),
        (lambda: ts.mse_loss(zeros(2, 3), zeros(3, 2)), ["mse_loss", "(2, 3)", "(3, 2)"]),
        (lambda: ts.embedding(np.array([0]), zeros(3)), ["embedding", "weight", "(3,)"]),
        (lambda: ts.attention(zeros(2, 3), zeros(4, 2), zeros(4, 3)), ["attention", "q (2, 3)", "k (4, 2)"]),
        (lambda: ts.reshape(zeros(2, 3), shape=(4,)), ["reshape", "x: (2, 3)", "(4,)"]),
        (lambda: ts.cat([zeros(2, 3), zeros(3, 3)], 1), ["cat", "input 0: (2, 3)", "input 1: (3, 3)"]),
        (lambda: ts.einsum("ij,jk->ik", zeros(2, 3)), ["einsum", "1 tensors"]),
        (lambda: ts.conv1d(zeros(1, 2, 5), zeros(3, 4, 2)), ["conv1d", "weight (3, 4, 2)"]),
        (lambda: ts.lstm(zeros(2, 3, 4), zeros(2, 5), zeros(2, 5), zeros(20, 3), zeros(20, 5), zeros(20)), ["w_ih"]),
        (lambda: ts.gru(zeros(2, 3, 4), zeros(1, 5), zeros(15, 4), zeros(15, 5), zeros(15), zeros(5)), ["2 sequences"]),
        (lambda: ts.split(zeros(5), [2, 2]), ["split", "5", "[2, 2]"]),
        (lambda: zeros(3)[5], ["getitem", "x: (3,)"]),
        (lambda: ts.gather(zeros(3, 2), np.array([0])), ["gather", "index"]),
    ],
)
def test_shape_errors_name_the_arguments(call, words):
    with pytest.raises(ShapeError) as error:
        call()
    for word in words:
        assert word in str(error.value), str(error.value)
