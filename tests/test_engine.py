"""The engine: graphs of every shape, derivatives of every order, and the faults it must name."""

import gc
import subprocess
import sys
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyslm as ts
from tinyslm.engine import Op, op, topological_order
from tinyslm.errors import AnomalyError, DTypeError, GraphError, ShapeError
from tinyslm.tensor import METHODS, Tensor


def leaf(values, dtype="float64"):
    return ts.tensor(np.asarray(values, dtype), requires_grad=True)


# -- gradients ---------------------------------------------------------------------------------------------------------


def test_gradient_of_a_small_formula_by_hand():
    x, y = leaf(3.0), leaf(4.0)
    ((x * y + x) ** 2).backward()
    assert x.grad.item() == 2 * 15 * 5
    assert y.grad.item() == 2 * 15 * 3


def test_leaves_accumulate_until_they_are_cleared():
    x = leaf([1.0, 2.0])
    for _ in range(3):
        (x * 2).sum().backward()
    assert x.grad.tolist() == [6, 6]
    x.zero_grad()
    assert x.grad is None


def test_a_tensor_used_twice_gets_both_shares():
    x = leaf(3.0)
    y = x * x
    (y + y * x).backward()
    assert x.grad.item() == 2 * 3 + 3 * 9


def test_the_same_tensor_in_every_slot_of_a_composed_rule():
    x = leaf([[0.3, -0.2], [0.1, 0.4]])
    (y,) = ts.grad(ts.attention(x, x, x).sum(), x)
    q, k, v = (leaf(x.numpy()) for _ in range(3))
    shares = ts.grad(ts.attention(q, k, v).sum(), [q, k, v])
    assert np.allclose(y.numpy(), sum(s.numpy() for s in shares), rtol=1e-12)


def test_inner_results_keep_no_gradient_unless_asked():
    x = leaf(2.0)
    y = x * 3
    z = (x * 5).retain_grad()
    (y * z).backward()
    assert y.grad is None
    assert z.grad.item() == 6


def test_broadcasting_is_undone():
    a, b = leaf(np.ones((2, 3, 1))), leaf(np.ones((3, 4)))
    (a * b).sum().backward()
    assert a.grad.shape == (2, 3, 1) and np.all(a.grad.numpy() == 4)
    assert b.grad.shape == (3, 4) and np.all(b.grad.numpy() == 2)


@given(depth=st.integers(1, 60), seed=st.integers(0, 1000))
def test_random_graphs_agree_with_forward_mode(depth, seed):
    rng = np.random.default_rng(seed)
    plan = [(rng.integers(0, 4), rng.integers(0, i + 1), rng.integers(0, i + 1)) for i in range(depth)]

    kinds = [
        lambda a, b: a + b,
        lambda a, b: a * b * 0.1,
        lambda a, b: a.tanh(),
        lambda a, b: a - b.sigmoid(),
    ]

    def run(x):
        values = [x]
        for kind, i, j in plan:
            values.append(kinds[kind](values[i], values[j]))
        return values[-1].sum()

    x = leaf(rng.normal(size=(2, 2)))
    u = rng.normal(size=(2, 2))
    (g,) = ts.grad(run(x), x, allow_unused=True) if run(x).requires_grad else (None,)
    _, tangent = ts.jvp(run, [x], [u])
    expected = 0.0 if g is None else float((g.numpy() * u).sum())
    assert tangent.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("as_tensor", [False, True])
def test_what_a_graph_records_does_not_change_from_outside(backend, as_tensor):
    rng = np.random.default_rng(0)
    logits, t = leaf(rng.normal(size=(6, 4))), np.array([0, 1, 2, 3, 0, 1])
    q, x = leaf(rng.normal(size=(3, 2))), leaf(rng.normal(size=4))
    cases = [
        (np.ones(4), 5.0, logits, lambda a: ts.cross_entropy(logits, t, weight=a, reduction="sum")),
        (np.zeros((3, 3)), -np.inf, q, lambda a: ts.attention(q, q, q, mask=a).sum()),
        (np.array([0, 1, 1]), 3, x, lambda a: (x[a] ** 2).sum()),
        (np.array([0, 1, 1]), 3, x, lambda a: (x[(a,)] ** 2).sum()),
    ]
    for attribute, other, source, run in cases:
        given = ts.tensor(attribute) if as_tensor else attribute
        (want,) = ts.grad(run(given), source)
        y = run(given)
        if as_tensor:
            given.data = np.full_like(attribute, other)
        else:
            attribute[...] = other
        np.testing.assert_array_equal(ts.grad(y, source)[0].numpy(), want.numpy())


def test_second_and_third_order():
    x = leaf(2.0)
    (d1,) = ts.grad(x**4, x, create_graph=True)
    (d2,) = ts.grad(d1, x, create_graph=True)
    (d3,) = ts.grad(d2, x)
    assert (d1.item(), d2.item(), d3.item()) == (32, 48, 48)


def test_backward_with_create_graph_feeds_a_gradient_penalty():
    x = leaf([1.0, 2.0])
    (x**3).sum().backward(create_graph=True)
    penalty = (x.grad**2).sum()
    (g,) = ts.grad(penalty, x)
    assert np.allclose(g.numpy(), 36 * np.array([1.0, 8.0]))


def test_vjp_and_jvp_are_adjoint():
    rng = np.random.default_rng(0)
    x, w = leaf(rng.normal(size=(3, 4))), leaf(rng.normal(size=(4, 2)))
    u, v = [rng.normal(size=(3, 4)), rng.normal(size=(4, 2))], rng.normal(size=(3, 2))

    def f(a, b):
        return (a @ b).tanh().softmax(-1)

    y, pull = ts.vjp(f, x, w)
    _, tangent = ts.jvp(f, [x, w], u)
    back = pull(v)
    pulled = sum((b.numpy() * d).sum() for b, d in zip(back, u, strict=True))
    assert (tangent.numpy() * v).sum() == pytest.approx(pulled)
    assert not y.requires_grad


def test_jvp_wants_a_tangent_for_every_primal():
    with pytest.raises(GraphError, match="one tangent per primal"):
        ts.jvp(lambda x, y: x * y, [leaf(2.0), leaf(3.0)], [np.array(1.0)])


def test_constants_that_want_a_gradient_are_refused():
    q = leaf(np.ones((2, 3)))
    with pytest.raises(GraphError, match=r"mask.detach\(\)"):
        ts.attention(q, q, q, mask=leaf(np.zeros((2, 2))))
    with pytest.raises(GraphError, match=r"weight.detach\(\)"):
        ts.cross_entropy(q, np.array([0, 1]), weight=leaf(np.ones(3)))


def test_grad_stops_at_an_inner_result():
    x = leaf(2.0)
    y = x * x
    z = y * y
    gy, gx = ts.grad(z, [y, x])
    assert gy.item() == 8 and gx.item() == 32


def test_grad_of_an_unused_input():
    x, y = leaf(1.0), leaf(1.0)
    with pytest.raises(GraphError, match="don't depend on input 1"):
        ts.grad(x * 2, [x, y])
    assert ts.grad(x * 2, [x, y], allow_unused=True)[1] is None


def test_several_outputs_share_one_pass():
    x = leaf([1.0, 2.0])
    (g,) = ts.grad([x.sum(), (x * x).sum()], x)
    assert g.tolist() == [3, 5]


# -- size and time -----------------------------------------------------------------------------------------------------


def _chain(n):
    x = leaf(1.0)
    y = x
    for _ in range(n):
        y = y + 1.0
    y.backward()
    return x


def test_a_chain_longer_than_recursion_allows():
    x = _chain(20_000)
    assert x.grad.item() == 1
    gc.collect()


def test_doubling_is_linear_not_exponential():
    x = leaf(1.0)
    y = x
    for _ in range(200):
        y = y + y
    assert len(topological_order([y])) == 200
    y.backward()
    assert x.grad.item() == 2.0**200


def test_a_wide_graph():
    x = leaf(1.0)
    parts = [x * float(i) for i in range(5_000)]
    ts.stack(parts).sum().backward()
    assert x.grad.item() == sum(range(5_000))


def test_order_puts_every_node_after_its_inputs():
    x = leaf(np.ones(3))
    y = x.exp()
    z = (y * x + y).sum()
    order = topological_order([z])
    position = {node: i for i, node in enumerate(order)}
    assert all(t.node is None or position[t.node] < position[n] for n in order for t in n.inputs)


# -- modes -------------------------------------------------------------------------------------------------------------


def test_no_grad_records_nothing_and_restores():
    x = leaf(1.0)
    with ts.no_grad():
        assert (x * 2).node is None
        with ts.enable_grad():
            assert (x * 2).node is not None
    assert (x * 2).requires_grad

    @ts.no_grad()
    def f():
        return x * 2

    assert not f().requires_grad


def test_hooks_see_and_change_gradients_and_can_be_removed():
    seen = []
    x = leaf([1.0, 2.0])
    y = x * 3
    remove = y.register_hook(lambda g: seen.append(g.tolist()))
    x.register_hook(lambda g: g * 10)
    (y * y).sum().backward(retain_graph=True)
    assert seen == [[6, 12]]
    assert x.grad.tolist() == [180, 360]
    remove()
    (y * y).sum().backward()
    assert len(seen) == 1


def test_a_hook_that_changes_the_shape_is_refused():
    x = leaf([1.0, 2.0])
    x.register_hook(lambda g: g.sum())
    with pytest.raises(ShapeError, match="hook keeps the shape"):
        x.sum().backward()


def test_anomaly_mode_names_the_operation_and_the_line():
    x = leaf([1.0, 0.0])
    with ts.detect_anomaly(), pytest.raises(AnomalyError, match=r"log made the first Inf at test_engine.py:\d+"):
        x.log()
    y = x.sqrt()
    with ts.detect_anomaly(), np.errstate(divide="ignore"), pytest.raises(AnomalyError, match="gradient of sqrt"):
        y.sum().backward()


def test_every_node_knows_the_line_that_asked_for_it():
    x = leaf([1.0])
    y = ts.nn.Linear(1, 1, rng=np.random.default_rng(0), dtype="float64")(x)
    line = sys._getframe().f_lineno - 1
    assert y.node.line == f"test_engine.py:{line}"


# -- faults ------------------------------------------------------------------------------------------------------------


def test_a_freed_graph_says_so():
    y = leaf(2.0) ** 2
    y.backward()
    with pytest.raises(GraphError, match="(?s)freed by an earlier backward.*retain_graph"):
        y.backward()
    with pytest.raises(GraphError, match="freed"):
        (y * 2).backward()


def test_retain_graph_allows_a_second_pass():
    x = leaf(3.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 12


def test_backward_of_an_array_needs_a_cotangent():
    x = leaf([1.0, 2.0])
    with pytest.raises(GraphError, match="Expected: one number, or gradient"):
        (x * 2).backward()
    (x * 2).backward(np.array([1.0, 10.0]))
    assert x.grad.tolist() == [2, 20]
    with pytest.raises(ShapeError, match="cotangent has its output's shape"):
        (x * 2).backward(np.ones(3))


def test_backward_of_something_unrecorded():
    with pytest.raises(GraphError, match="requires_grad=True"):
        ts.tensor([1.0]).backward()


def test_changing_a_recorded_array_is_noticed():
    w = leaf([1.0, 2.0])
    w.name = "w"
    loss = (w * w).sum()
    w.data = w.data - 0.1
    with pytest.raises(GraphError, match="w of mul at test_engine.py.*changed after it was used"):
        loss.backward()


def test_augmented_assignment_to_data_counts_as_a_change():
    w = leaf([1.0, 2.0])
    before = w.data
    w.data -= 0.5
    assert w.tolist() == [0.5, 1.5] and before.tolist() == [1.0, 2.0]
    loss = (w * w).sum()
    w.data *= 2
    with pytest.raises(GraphError, match="changed after"):
        loss.backward()


def test_what_a_graph_recorded_cannot_change_behind_its_back():
    w, x, a = leaf([1.0, 2.0]), ts.tensor([3.0, 4.0], dtype="float64"), np.array([5.0, 6.0])
    loss = (w * x + w * a).sum()
    on_gpu = ts.device.backend() == "cuda"  # where `data` is a copy
    for t in (x, w.detach()):
        with nullcontext() if on_gpu else pytest.raises(GraphError, match="may have recorded"):
            t.data[0] = 100
    a[0] = 100
    loss.backward()
    assert w.grad.tolist() == [8, 10]


@pytest.mark.parametrize("changes", ["the alias", "the tensor", "an alias of the alias"])
def test_a_step_on_a_detached_alias_is_noticed(changes):
    w = leaf([1.0, 2.0])
    alias = w.detach()
    other = alias.detach()
    recorded = {"the alias": w, "the tensor": alias.requires_grad_(), "an alias of the alias": w}[changes]
    stepping = {"the alias": alias, "the tensor": w, "an alias of the alias": other.requires_grad_()}[changes]
    loss = (recorded * recorded).sum()
    stepping.grad = ts.tensor([1.0, 1.0], dtype="float64")
    ts.optim.SGD([stepping], lr=0.1).step()
    assert recorded.tolist() == [0.9, 1.9]  # the array is shared
    with pytest.raises(GraphError, match="changed after it was used"):
        loss.backward()


def test_an_array_of_its_own_is_no_alias_any_more():
    w = leaf([1.0, 2.0])
    alias = w.detach()
    loss = (w * w).sum()
    alias.copy_([5.0, 6.0])
    alias.touch()
    loss.backward()
    assert w.tolist() == [1, 2] and w.grad.tolist() == [2, 4]
    later = (w * w).sum()
    w.detach().grad = None
    later.backward()
    assert w.grad.tolist() == [4, 8]


def test_leaves_do_not_share_one_gradient():
    a, b = leaf([1.0]), leaf([1.0])
    (a + b).backward(np.array([8.0]))
    for p in (a, b):
        p.grad.data *= 0.5
    assert a.grad.item() == b.grad.item() == 4


def test_writing_into_a_guarded_array_says_what_to_do():
    with ts.use("numpy"):  # on a GPU `data` is a copy
        x = leaf([1.0, 2.0])
    with pytest.raises(GraphError, match="ts.where"):
        x.data[0] = 5
    with pytest.raises(GraphError, match="ts.stack"):
        x[0] = 5
    assert type(x.data + 1) is np.ndarray
    assert isinstance(x.data.sum(), np.float64)
    with pytest.raises(ValueError):
        x.data.sort()


def test_numbers_of_different_types_are_not_mixed():
    with pytest.raises(DTypeError, match="float32 and float64"):
        ts.tensor([1.0], dtype="float32") + ts.tensor([1.0], dtype="float64")
    with pytest.raises(DTypeError, match="integers are indices"):
        ts.tensor([1.0]) * ts.tensor([1])
    with pytest.raises(DTypeError, match="Only float tensors"):
        ts.tensor([1], requires_grad=True)
    with pytest.raises(DTypeError):
        ts.tensor([1.0]) + "1"
    with pytest.raises(DTypeError):
        ts.tensor([1.0]) * None


@pytest.mark.parametrize("scalar", [2, 2.0, np.float64(2), np.float32(2), np.int64(2), True])
def test_scalars_take_the_tensors_type(scalar):
    for dtype in ("float32", "float64"):
        x = ts.tensor([1.5], dtype=dtype, requires_grad=True)
        for y in (x * scalar, scalar * x, x + scalar, scalar - x, x / scalar, x**scalar):
            assert y.dtype == dtype


def test_arrays_on_either_side():
    x = leaf([1.0, 2.0])
    a = np.array([3.0, 4.0])
    assert (a * x).tolist() == (x * a).tolist() == [3, 8]
    assert (a - x).requires_grad and (a @ x).item() == 11
    with pytest.raises(DTypeError):
        x * a.astype("float32")


def test_shapes_that_do_not_fit_name_the_arguments():
    with pytest.raises(ShapeError, match=r"a: \(2,\), b: \(3,\)"):
        leaf([1.0, 2.0]) + leaf([1.0, 2.0, 3.0])
    with pytest.raises(ShapeError, match=r"Expected: a \(..., K\) and b"):
        leaf(np.ones((2, 3))) @ leaf(np.ones((2, 3)))
    with pytest.raises(ShapeError):
        leaf(np.ones((2, 3))).reshape(4)
    with pytest.raises(ShapeError):
        leaf(np.ones(3))[7]


def test_wrong_arguments_are_named():
    x = leaf([1.0])
    with pytest.raises(TypeError, match="no argument 'axis'; expected some of: x, dim, keepdim"):
        ts.ops.sum_(x, axis=0)
    with pytest.raises(TypeError, match=r"softmax\(x, dim=-1\): expected 1 tensors"):
        ts.softmax()
    with pytest.raises(TypeError):
        ts.softmax(x, 0, 1)


# -- operations of one's own -------------------------------------------------------------------------------------------


@pytest.fixture
def own_op():
    names = set(Op.registry)
    yield
    for name in set(Op.registry) - names:
        del Op.registry[name], METHODS[name]


def test_an_operation_may_be_called_by_c_alone():
    code = "import atexit, tinyslm as ts; atexit.register(ts.exp, ts.tensor(1.0, requires_grad=True))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr


def test_an_operation_of_ones_own(own_op):
    @op(r"y = x^3")
    def cube(xp, x):
        return x * x * x

    x = leaf(2.0)
    with pytest.raises(GraphError, match="cube at .* has no derivative"):
        cube(x).backward()

    @cube.vjp
    def rule(g, y, x):
        return g * 3 * x * x

    cube(x).backward()
    assert x.grad.item() == 12


def test_a_kernel_without_a_rule_is_refused(own_op):
    @op(r"y = x")
    def same(xp, x):
        return x

    with pytest.raises(GraphError, match="needs a rule"):
        same.kernel("numba", "softmax:softmax")


def test_a_rule_with_too_few_cotangents_is_named(own_op):
    @op(r"y = a + b")
    def plus(xp, a, b):
        return a + b

    @plus.vjp
    def rule(g, y, a, b):
        return g

    with pytest.raises(GraphError, match="gave 1 cotangents; expected 2"):
        plus(leaf(1.0), leaf(1.0)).backward()


def test_a_rule_that_changes_the_number_type_is_named(own_op):
    @op(r"y = x")
    def same(xp, x):
        return x * 1

    @same.vjp
    def rule(g, y, x):
        return Tensor.wrap(g._data.astype("float64"))

    with pytest.raises(GraphError, match="turned float32 into float64"):
        same(leaf(1.0, "float32")).backward()


def test_freed_graphs_release_their_arrays():
    x = leaf(np.ones(10))
    y = (x * 2).exp()
    node = y.node
    y.sum().backward()
    assert node.inputs is None and node.outputs is None and node.saved is None


def test_importing_is_light():
    code = (
        "import sys, tinyslm; heavy = {'numba', 'matplotlib', 'rich', 'typer', 'safetensors', 'platformdirs', 'cupy'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert out.stdout.strip() == "[]"


def test_time_of_the_walk_grows_linearly():
    def nodes_visited(n):
        x = leaf(1.0)
        y = x
        for _ in range(n):
            y = y + y * 0.5
        return len(topological_order([y]))

    assert nodes_visited(400) == 2 * nodes_visited(200)
