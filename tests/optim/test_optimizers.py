"""Optimizers: first steps by hand, groups, errors, the fused Adam, saving and loading."""

import copy
import json

import numpy as np
import pytest

import tinyslm as ts
from tinyslm import nn, optim
from tinyslm.device import on_device
from tinyslm.errors import AnomalyError, CheckpointError, OptionError, ShapeError
from tinyslm.optim.joined import LARGEST

KINDS = {
    "sgd": lambda p: optim.SGD(p, 0.1, momentum=0.9),
    "adam": lambda p: optim.Adam(p, 0.1),
    "adamw": lambda p: optim.AdamW(p, 0.1),
    "rmsprop": lambda p: optim.RMSprop(p, 0.1, momentum=0.5, centered=True),
}


def parameters(dtype="float64", size=5):
    rng = np.random.default_rng(0)
    return [nn.Parameter(rng.normal(size=(size, 3)).astype(dtype)), nn.Parameter(rng.normal(size=size).astype(dtype))]


def set_grads(params, step=0):
    rng = np.random.default_rng(step)
    for p in params:
        p.grad = ts.tensor(rng.normal(size=p.shape).astype(p.dtype))


def test_first_steps_by_hand():
    p = nn.Parameter(np.array([1.0, -2.0]))
    p.grad = ts.tensor(np.array([0.5, -0.25]))
    optim.SGD([p], lr=0.2).step()
    np.testing.assert_allclose(p.numpy(), [0.9, -1.95])
    for kind in (optim.Adam, optim.AdamW):  # the first step is lr long, whatever the gradient
        q = nn.Parameter(np.array([1.0, -2.0]))
        q.grad = p.grad
        kind([q], lr=0.01, weight_decay=0.0, eps=0.0).step()
        np.testing.assert_allclose(q.numpy(), [0.99, -1.99])


def test_adam_without_gradient_rests_unlike_a2():
    p = nn.Parameter(np.array([1.0]))
    p.grad = ts.tensor(np.array([0.0]))
    optimizer = optim.Adam([p])
    for _ in range(10):
        optimizer.step()
    assert p.numpy()[0] == 1.0


def test_adam_does_not_notice_the_scale_of_the_loss():
    ends = []
    for scale in (1.0, 1000.0):
        p = nn.Parameter(np.array([1.0, 2.0]))
        optimizer = optim.Adam([p], lr=0.1, eps=0.0)
        for t in range(5):
            p.grad = ts.tensor(scale * np.array([np.sin(t + 1), np.cos(t)]))
            optimizer.step()
        ends.append(p.numpy())
    np.testing.assert_allclose(*ends)


def test_decoupled_decay_does_not_depend_on_the_gradient():
    p = nn.Parameter(np.array([1.0]))
    p.grad = ts.tensor(np.array([0.0]))
    optim.AdamW([p], lr=0.1, weight_decay=0.5).step()
    np.testing.assert_allclose(p.numpy(), [0.95])
    assert optim.AdamW([p]).param_groups[0]["weight_decay"] == 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_a_quadratic_is_minimised(kind, backend):
    p = nn.Parameter(np.array([2.0, -3.0]))
    optimizer = KINDS[kind]([p])
    start = float((p * p).sum())
    for _ in range(100):
        optimizer.zero_grad()
        (p * p).sum().backward()
        optimizer.step()
    assert float((p * p).sum()) < 0.01 * start


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_without_gradient_are_left_alone(kind):
    params = parameters()
    optimizer = KINDS[kind](params)
    set_grads(params[:1])
    before = params[1].numpy()
    optimizer.step()
    assert params[1].numpy().tobytes() == before.tobytes() and optimizer.state[1] == {}


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_only_read_and_graphs_notice_the_step(kind, backend):
    params = parameters()
    optimizer = KINDS[kind](params)
    set_grads(params)
    before = [p.grad.numpy() for p in params]
    loss = (params[0] ** 2).sum()
    optimizer.step()
    optimizer.step()
    assert all(a.tobytes() == p.grad.numpy().tobytes() for a, p in zip(before, params, strict=True))
    with pytest.raises(ts.errors.GraphError, match="changed"):
        loss.backward()
    optimizer.zero_grad()
    assert all(p.grad is None for p in params)


@pytest.mark.parametrize("kind", KINDS)
def test_grad_scale(kind, backend):
    ends = []
    for scale in (1.0, 0.25):
        params = parameters()
        optimizer = KINDS[kind](params)
        for step in range(3):
            set_grads(params, step)
            for p in params:
                p.grad = p.grad * (1 / scale)
            optimizer.step(grad_scale=scale)
        ends.append(params[0].numpy())
    np.testing.assert_allclose(*ends, rtol=1e-12)


def test_groups_have_settings_of_their_own():
    a, b = parameters()
    optimizer = optim.SGD([{"params": [a], "lr": 1.0}, {"params": [b]}], lr=0.1)
    set_grads([a, b])
    wanted = [a.numpy() - a.grad.numpy(), b.numpy() - 0.1 * b.grad.numpy()]
    optimizer.step()
    np.testing.assert_allclose(a.numpy(), wanted[0])
    np.testing.assert_allclose(b.numpy(), wanted[1])
    assert repr(optimizer).startswith("SGD(15 numbers, lr=1.0")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", [optim.Adam, optim.AdamW])
def test_the_fused_adam_is_the_formula(kind, dtype):
    if not ts.device.probe("numba").works:
        pytest.skip("numba is not available")
    ends = []
    for backend in ("numpy", "numba"):
        with ts.use(backend, small=0):
            params = parameters(dtype, size=700)
            optimizer = kind(params, lr=0.01, weight_decay=0.1)
            for step in range(10):
                set_grads(params, step)
                optimizer.step(grad_scale=0.5)
            ends.append([p.numpy() for p in params] + list(optimizer.state_arrays().values()))
    for formula, fused in zip(*ends, strict=True):
        limit = 1e-14 if dtype == "float64" else 2e-6
        assert np.abs(formula - fused).max() <= limit * np.abs(formula).max()


def test_parameters_that_lie_in_another_order_are_served_too(backend):
    p = nn.Parameter(np.asfortranarray(np.random.default_rng(1).normal(size=(80, 60))))
    set_grads([p])
    before = p.numpy()
    optim.Adam([p], lr=0.1).step()
    np.testing.assert_allclose(np.abs(p.numpy() - before), 0.1, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_saved_state_goes_on_bit_for_bit(kind, dtype, backend):
    params, others = parameters(dtype), parameters(dtype)
    optimizer, other = KINDS[kind](params), KINDS[kind](others)
    optimizer.param_groups[0]["lr"] = 0.123
    for step in range(3):
        set_grads(params, step)
        params[1].grad = params[1].grad if step else None
        optimizer.step()
    for p, q in zip(params, others, strict=True):
        q.copy_(p)
    plain = json.loads(json.dumps(optimizer.state_json()))  # as from a file
    other.load_state(optimizer.state_arrays(), plain)
    for step in range(3, 6):
        for ps, o in ((params, optimizer), (others, other)):
            set_grads(ps, step)
            o.step()
    assert all(p.numpy().tobytes() == q.numpy().tobytes() for p, q in zip(params, others, strict=True))
    assert other.state_json() == optimizer.state_json()
    again = KINDS[kind](others)
    again.load_state_dict(other.state_dict())
    assert all(a.tobytes() == again.state_arrays()[n].tobytes() for n, a in other.state_arrays().items())


def test_a_state_that_does_not_fit_is_refused():
    params = parameters()
    adam = optim.Adam(params)
    set_grads(params)
    adam.step()
    with pytest.raises(CheckpointError, match="optimizer"):
        optim.SGD(params).load_state_dict(adam.state_dict())
    with pytest.raises(CheckpointError, match="sizes of the groups"):
        optim.Adam(params[:1]).load_state_dict(adam.state_dict())
    with pytest.raises(CheckpointError, match="does not fit"):
        optim.Adam(parameters(size=6)).load_state_dict(adam.state_dict())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: optim.SGD([]), "at least one parameter"),
        (lambda p: optim.SGD([{"params": []}]), "empty groups"),
        (lambda p: optim.SGD(p[0]), "a list"),
        (lambda p: optim.SGD([1.0]), "expected parameters"),
        (lambda p: optim.SGD([p[0] * 2]), "expected parameters"),
        (lambda p: optim.SGD([p[0], p[0]]), "twice"),
        (lambda p: optim.SGD(p, lr=-1), "lr"),
        (lambda p: optim.Adam(p, lr=float("nan")), "lr"),
        (lambda p: optim.SGD(p, nesterov=True), "nesterov"),
        (lambda p: optim.Adam(p, betas=(0.9, 1.0)), "betas"),
        (lambda p: optim.RMSprop(p, eps=-1), "eps"),
        (lambda p: optim.SGD([{"params": p, "speed": 3}]), "speed"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(OptionError, match=message):
        make(parameters())


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("shape", [(2, 100), (1,), (100, 2)])
def test_a_gradient_of_another_shape_is_refused_before_anything_changes(shape, backend):
    first, second = (ts.tensor(np.ones((100, 100), "float32"), requires_grad=True) for _ in range(2))
    optimizer = optim.Adam([first, second])
    first.grad, second.grad = ts.tensor(np.ones((100, 100), "float32")), ts.tensor(np.ones(shape, "float32"))
    with ts.use(backend), pytest.raises(ShapeError, match=r"Expected: \(100, 100\)"):
        optimizer.step()
    assert (first.numpy() == 1).all() and (second.numpy() == 1).all()


@pytest.mark.parametrize("kind", [optim.Adam, optim.SGD])
def test_a_model_may_change_its_number_type_between_steps(kind):
    options = {"momentum": 0.9} if kind is optim.SGD else {}
    model = nn.Linear(3, 2, rng=np.random.default_rng(0))
    optimizer = kind(model.parameters(), lr=0.1, **options)
    for dtype in ("float32", "float64"):
        model.to(dtype)
        optimizer.zero_grad()
        (model(np.ones((1, 3), dtype)) ** 2).sum().backward()
        optimizer.step()
    arrays = [p.numpy() for p in model.parameters()]
    assert all(a.dtype == np.float64 for a in arrays)
    assert any((a != a.astype(np.float32)).any() for a in arrays), "the step went through float32"
    assert all(a.dtype == np.float64 for a in optimizer.state_arrays().values())


def test_a_step_with_nan_can_be_refused_before_anything_changes():
    params = parameters()
    set_grads(params)
    bad = params[1].grad.numpy()
    bad[2] = np.nan
    params[1].grad = ts.tensor(bad)
    before = params[0].numpy()
    with pytest.raises(AnomalyError, match="parameter 1"):
        optim.Adam(params, check_finite=True).step()
    assert params[0].numpy().tobytes() == before.tobytes()


def many(dtypes, count=6, seed=0):
    """Small parameters of several shapes and types, with one that is larger than what is joined."""
    rng = np.random.default_rng(seed)
    shapes = [(3,), (2, 5), (), (0, 4), (4, 1, 2), (LARGEST + 1,)]
    values = [rng.normal(size=s).astype(dtypes[i % len(dtypes)]) for i, s in enumerate(shapes[:count])]
    values[1] = np.asfortranarray(values[1])
    return [nn.Parameter(v) for v in values]


def one_by_one(optimizer):
    """The same optimizer, every array for itself."""
    optimizer.update_all = lambda *args: optim.Optimizer.update_all(optimizer, *args)
    return optimizer


@pytest.mark.parametrize("dtypes", [["float32"], ["float64", "float32"]])
@pytest.mark.parametrize("kind", [optim.Adam, optim.AdamW])
def test_small_arrays_changed_together_are_those_changed_one_by_one(kind, dtypes, backend):
    params, others = many(dtypes), many(dtypes)
    joined, apart = kind(params, 0.1, weight_decay=0.1), one_by_one(kind(others, 0.1, weight_decay=0.1))
    for step in range(6):
        if step == 3:  # the state is replaced, as after loading a checkpoint
            joined.load_state_dict(joined.state_dict())
        if step == 4:  # in a copy the views are arrays of their own
            joined.state = copy.deepcopy(joined.state)
        for ps, optimizer in ((params, joined), (others, apart)):
            set_grads(ps, step)
            if step % 2:
                ps[0].grad = None  # now at another step than the rest
            optimizer.step(grad_scale=0.5)
    for p, q in zip(params, others, strict=True):
        assert np.abs(p.numpy() - q.numpy()).max(initial=0) <= (1e-6 if p.dtype == "float32" else 1e-14)
    assert joined.state_json() == apart.state_json()
    wanted = apart.state_arrays()
    for name, moment in joined.state_arrays().items():
        assert moment.shape == wanted[name].shape
        assert np.abs(moment - wanted[name]).max(initial=0) <= (1e-6 if moment.dtype == "float32" else 1e-14)


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("kind", [optim.Adam, optim.AdamW])
def test_small_arrays_that_share_memory_each_leave_their_change(kind, later, backend):
    def overlapping():
        params = many(["float64"], 2)
        if not later:
            overlap(params)
        return params

    def overlap(params):
        whole = on_device(np.linspace(1, 2, 11))
        params[0]._data, params[1]._data = whole[:3], whole[1:].reshape(2, 5)

    params, others = overlapping(), overlapping()
    joined, apart = kind(params, 0.1), one_by_one(kind(others, 0.1))
    for step in range(3):
        if later and step == 1:  # until then they lie apart, and are joined
            overlap(params)
            overlap(others)
        for ps, optimizer in ((params, joined), (others, apart)):
            set_grads(ps, step)
            optimizer.step()
    for p, q in zip(params, others, strict=True):
        np.testing.assert_allclose(p.numpy(), q.numpy(), rtol=0, atol=1e-14)


def test_a_copied_optimizer_does_not_change_the_first():
    params = many(["float64"], 2)
    optimizer = optim.Adam(params)
    set_grads(params)
    optimizer.step()
    before, twin = optimizer.state_arrays(), copy.deepcopy(optimizer)
    twin.step()
    for name, moment in optimizer.state_arrays().items():
        np.testing.assert_array_equal(moment, before[name])
        assert (twin.state_arrays()[name] != before[name]).any()


@pytest.mark.parametrize("params", [nn.Linear(2, 3, rng=np.random.default_rng(0)), None, 3])
def test_a_model_in_place_of_its_parameters_is_refused(params):
    with pytest.raises(OptionError, match=r"got (a Linear|None|a int); pass model\.parameters\(\)"):
        optim.Adam(params)


@pytest.mark.parametrize("given, named", [(ts.tensor(1.0), "a tensor"), (lambda: ts.tensor(1.0), "a function")])
def test_a_loss_handed_to_step_is_refused(given, named):
    params = parameters()
    set_grads(params)
    before = params[0].numpy().copy()
    with pytest.raises(OptionError, match=rf"loss\.backward\(\), then step\(\) alone\n  Got: step\({named}\)"):
        optim.Adam(params).step(given)
    np.testing.assert_array_equal(params[0].numpy(), before)


@pytest.mark.parametrize("lr", [np.nan, np.inf, -1, "0.1", None])
def test_a_learning_rate_is_a_finite_number(lr):
    with pytest.raises(OptionError, match=f"expected lr as a finite number of at least 0, got {lr!r}"):
        optim.Adam([nn.Parameter([1.0])], lr=lr)


@pytest.mark.parametrize("betas", [0.9, (0.9,), (0.9, 1.0), None])
def test_betas_are_two(betas):
    with pytest.raises(OptionError, match=r"betas: expected two numbers from 0 to below 1, as \(0\.9, 0\.999\)"):
        optim.AdamW([nn.Parameter([1.0])], betas=betas)
    assert optim.Adam([nn.Parameter([1.0])], betas=[0.8, 0.9]).param_groups[0]["betas"] == (0.8, 0.9)
