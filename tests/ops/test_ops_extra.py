"""What the samples of the registry do not show: conventions, edges, options, errors, and random shapes."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinyslm as ts
from tinyslm.check import Verdict, gradcheck, gradgradcheck
from tinyslm.errors import DTypeError, OptionError, ShapeError, TinyslmError
from tinyslm.tensor import METHODS


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def leaf(values):
    return ts.tensor(np.asarray(values, np.float64), requires_grad=True)


def gradient(function, *values):
    """The gradients of the sum of a function at float64 inputs."""
    leaves = [leaf(v) for v in values]
    found = ts.grad(function(*leaves).sum(), leaves, allow_unused=True)
    return found[0].numpy() if len(found) == 1 else tuple(g.numpy() for g in found)


# -- conventions at kinks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "at", "slope"),
    [
        (ts.relu, 0.0, 0.0),
        (ts.abs, 0.0, 0.0),
        (lambda x: ts.leaky_relu(x, 0.2), 0.0, 0.2),
        (lambda x: ts.elu(x, 1.3), 0.0, 1.3),
        (lambda x: x.clip(-1, 2), -1.0, 1.0),
        (lambda x: x.clip(-1, 2), 2.0, 1.0),
        (lambda x: x.clip(-1, 2), 2.1, 0.0),
        (lambda x: x.clip(max=2), -50.0, 1.0),
    ],
)
def test_slopes_at_kinks_are_the_declared_ones(function, at, slope):
    assert gradient(function, [at]) == slope
    assert gradcheck(function, np.array([at])).ok


def test_the_norm_has_gradient_zero_at_zero_and_no_nan():
    assert (gradient(lambda x: x.norm(), [0.0, 0.0]) == 0).all()
    # By convention, and the check agrees: from the left and the right the slopes are -1 and 1.
    assert (
        gradcheck(lambda x: x.norm(), np.zeros(2), convention=ts.Op.registry["norm"].kinks).verdict
        is Verdict.CONVENTION
    )


@pytest.mark.parametrize("name", ["max", "min"])
def test_ties_share_the_gradient_equally(name):
    x = [[3.0, 3.0, 3.0], [1.0, 2.0, 2.0]] if name == "max" else [[3.0, 3.0, 3.0], [2.0, 1.0, 1.0]]
    found = gradient(lambda x: getattr(x, name)(1), x)
    assert np.allclose(found, [[1 / 3] * 3, [0, 0.5, 0.5]], rtol=1e-15)
    assert gradcheck(lambda x: getattr(x, name)(1), np.array(x)).verdict is Verdict.CONVENTION


@pytest.mark.parametrize("function", [ts.maximum, ts.minimum])
def test_the_larger_of_two_equals_is_half_of_each(function):
    a, b = gradient(function, [1.0, 2.0], [1.0, 2.0])
    assert (a == 0.5).all() and (b == 0.5).all()


def test_powers_at_zero():
    base, exponent = gradient(lambda a, b: a**b, [0.0, 0.0, 0.0, 2.0], [0.0, 1.0, 3.0, 0.0])
    assert base.tolist() == [0, 1, 0, 0]
    assert exponent[:3].tolist() == [0, 0, 0] and exponent[3] == pytest.approx(math.log(2))
    assert np.isfinite(gradient(lambda a: a**2, [0.0, -3.0])).all()
    assert gradcheck(lambda a: a**3, draw(4)).ok  # negative bases, whole exponents


@pytest.mark.filterwarnings("error")
def test_sqrt_at_zero_gives_what_it_documents_without_a_warning():
    with ts.use("numpy"):
        x = leaf([0.0, 0.0, 4.0])
        found = ts.grad(ts.sqrt(x), x, ts.tensor(np.array([1.0, 0.0, 1.0])))[0].numpy()
    assert found[0] == np.inf and np.isnan(found[1]) and found[2] == 0.25


def test_log_at_zero_is_infinite_not_silent():
    with np.errstate(divide="ignore"):
        assert gradient(ts.log, [0.0]) == np.inf
    assert ts.log(ts.tensor([0.0])).item() == -np.inf
    assert np.isnan(ts.log(ts.tensor([-1.0])).item())


def test_where_sends_nothing_to_the_side_not_chosen():
    a, b = gradient(lambda a, b: ts.where(np.array([True, False]), a, b), [1.0, 2.0], [3.0, 4.0])
    assert a.tolist() == [1, 0] and b.tolist() == [0, 1]
    # A guard against log(0) inside the side not chosen has to sit inside: the gradient of the other side is 0 * inf.
    safe = gradient(lambda x: ts.where(x > 0, ts.log(ts.where(x > 0, x, 1.0)), 0.0), [0.0, 2.0])
    assert safe.tolist() == [0, 0.5]


# -- dropout ----------------------------------------------------------------------------------------------------------


def test_dropout_keeps_the_mean_and_repeats_by_seed():
    x = ts.tensor(np.ones(40_000), dtype="float64")
    y = ts.dropout(x, p=0.3, seed=5).numpy()
    assert set(np.unique(y)) == {0, 1 / 0.7}
    # The standard error of the mean is sqrt(p / (1 - p) / n) = 0.0033; four of them.
    assert abs(y.mean() - 1) < 4 * math.sqrt(0.3 / 0.7 / y.size)
    assert np.array_equal(y, ts.dropout(x, p=0.3, seed=5).numpy())
    assert not np.array_equal(y, ts.dropout(x, p=0.3, seed=6).numpy())


def test_dropout_uses_one_mask_forward_and_backward():
    x = leaf(np.ones(50))
    y = ts.dropout(x, p=0.5, seed=3)
    (g,) = ts.grad(y.sum(), x)
    assert np.array_equal(g.numpy(), y.numpy())


def test_dropout_at_the_ends_of_its_range():
    assert np.array_equal(ts.dropout(ts.tensor([1.0, 2.0]), p=0.0).numpy(), [1, 2])
    assert np.array_equal(ts.dropout(ts.tensor([1.0, 2.0]), p=1.0).numpy(), [0, 0])


# -- indices ----------------------------------------------------------------------------------------------------------


def test_the_padding_row_gets_no_gradient_although_the_derivative_is_not_zero():
    ids = np.array([0, 1, 0, 2])

    def table(w):
        return ts.embedding(ids, w, padding_idx=0)

    found = gradient(table, draw(3, 2))
    assert found.tolist() == [[0, 0], [1, 1], [1, 1]]
    # A convention that no difference can know: the check of the whole table refuses it, of the other rows passes.
    report = gradcheck(table, draw(3, 2))
    assert report.verdict is Verdict.WRONG and report.entries[0].index[0] == 0
    rest = ts.tensor(draw(1, 2))
    assert gradcheck(lambda w: table(ts.cat([rest, w], 0)), draw(2, 2)).ok


def test_repeated_indices_add_up():
    assert gradient(lambda w: ts.embedding(np.array([1, 1, 1]), w), draw(2, 1)).tolist() == [[0], [3]]
    assert gradient(lambda x: x[[0, 0, 2]], [1.0, 2.0, 3.0]).tolist() == [2, 0, 1]
    assert gradient(lambda x: ts.gather(x, np.array([1, 1, 1]), dim=0), [1.0, 2.0]).tolist() == [0, 3]


@pytest.mark.parametrize(
    "key",
    [
        np.array([True, False, True]),
        (slice(None), np.array([True, False, True, False])),
        np.zeros(3, bool),
        (np.array([2, 2, 0]), slice(1, 3)),
        (np.array([[0, 1], [1, 1]]),),
        (..., -1),
        (-1, None),
        slice(None, None, -1),
        slice(0, 0),
        ts.tensor(np.array([1, 1, 0])),
        [0, 2, 2],
    ],
    ids=str,
)
def test_getitem_of_every_kind(key):
    x = draw(3, 4)
    plain = key.numpy() if isinstance(key, ts.Tensor) else key
    assert np.array_equal(ts.tensor(x)[key].numpy(), x[plain])
    assert gradgradcheck(lambda x: x[key] * x[key], x).ok


def test_one_hot():
    assert ts.one_hot([2, 0], 3).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert ts.one_hot(ts.tensor(np.array([[1]])), 2, dtype="float64").dtype == np.float64
    assert ts.one_hot(np.zeros((0,), int), 4).shape == (0, 4)
    with pytest.raises(ShapeError, match="one_hot: expected ids from 0 to 2, got -1$"):
        ts.one_hot([-1, 1], 3)
    with pytest.raises(ShapeError, match="0 to 2"):
        ts.one_hot([3], 3)
    with pytest.raises(DTypeError, match="integer ids"):
        ts.one_hot([0.5], 3)


def test_an_embedding_is_a_one_hot_matrix_times_the_table():
    ids, w = np.array([[1, 4], [4, 0]]), draw(5, 3)
    product = (ts.one_hot(ids, 5, "float64") @ ts.tensor(w)).numpy()
    assert np.array_equal(product, ts.embedding(ids, ts.tensor(w)).numpy())


# -- shapes -----------------------------------------------------------------------------------------------------------


def test_split_in_every_way_and_back():
    x = draw(7, 2)
    for sizes in (3, 7, 9, [3, 4], [0, 7]):
        parts = ts.split(ts.tensor(x), sizes)
        assert np.array_equal(ts.cat(list(parts), 0).numpy(), x)
    assert [p.shape for p in ts.split(ts.tensor(x), 3)] == [(3, 2), (3, 2), (1, 2)]
    assert gradgradcheck(lambda x: tuple(p.exp() for p in ts.split(x, [2, 3, 2])), x).ok
    assert gradcheck(lambda x: ts.split(x, 1, dim=-1)[1], x).ok
    with pytest.raises(ShapeError, match=r"add up to 7.*\[3, 3\]"):
        ts.split(ts.tensor(x), [3, 3])


def test_cat_and_stack_of_the_same_tensor():
    assert gradient(lambda x: ts.cat([x, x, x], 0), [1.0, 2.0]).tolist() == [3, 3]
    assert gradient(lambda x: ts.stack([x, x * x]), [1.0, 2.0]).tolist() == [3, 5]


@pytest.mark.parametrize(
    ("equation", "shapes", "words"),
    [
        ("ij,jk", [(2, 3), (3, 2)], "'ij,jk->ik'"),
        ("ij->i", [(2, 3), (3, 2)], "2 tensors"),
        ("ii->i", [(2, 2)], "one different letter"),
        ("ijk->i", [(2, 2)], "one different letter"),
        ("...i->i", [(2, 2)], "like 'ij,jk->ik'"),
        ("ij,jk->ik", [(2, 3), (4, 2)], "einsum: "),
        ("ij->iz", [(2, 3)], "einsum: "),
    ],
)
def test_einsum_refuses_what_it_does_not_do(equation, shapes, words):
    with pytest.raises(ShapeError, match=words):
        ts.einsum(equation, *[ts.tensor(np.ones(s)) for s in shapes])


def test_convolutions_and_pools():
    x, w, b = draw(2, 3, 9), draw(4, 3, 3), draw(4)
    for options in ({}, {"stride": 2}, {"padding": 2}, {"dilation": 2}, {"stride": 2, "padding": 1, "dilation": 2}):
        report = gradcheck(lambda x, w, b, options=options: ts.conv1d(x, w, b, **options), [x, w, b])
        assert report.verdict is Verdict.RIGHT, str(report)
    direct = np.array(
        [[(w[o] * x[n, :, t : t + 3]).sum() + b[o] for t in range(7)] for n in range(2) for o in range(4)]
    )
    assert np.allclose(ts.conv1d(*map(ts.tensor, (x, w, b))).numpy().reshape(8, 7), direct, atol=1e-14)
    assert gradcheck(lambda x: ts.max_pool1d(x, 3, 2), x).ok
    assert gradgradcheck(lambda x: ts.avg_pool1d(x, 2) ** 2, x).ok
    with pytest.raises(OptionError, match="stride"):
        ts.conv1d(*map(ts.tensor, (x, w, b)), stride=0)


# -- losses -----------------------------------------------------------------------------------------------------------


def test_nll_loss_is_cross_entropy_without_the_softmax():
    x, target = draw(5, 4), np.array([0, 3, -100, 1, 1])
    for reduction in ("mean", "sum", "none"):
        one = ts.nll_loss(ts.log_softmax(ts.tensor(x)), target, reduction=reduction).numpy()
        two = ts.cross_entropy(ts.tensor(x), target, reduction=reduction).numpy()
        assert np.allclose(one, two, rtol=1e-14, atol=1e-15)
        report = gradgradcheck(lambda x, r=reduction: ts.nll_loss(ts.log_softmax(x), target, reduction=r), x)
        assert report.verdict is Verdict.RIGHT, str(report)


def test_cross_entropy_by_its_definition():
    x, target, weight = draw(3, 4), np.array([1, 3, 1]), np.array([1.0, 2.0, 0.5, 4.0])
    p = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    rows = -np.log(p[np.arange(3), target])
    loss = ts.cross_entropy(ts.tensor(x), target, weight=weight).item()
    assert loss == pytest.approx((weight[target] * rows).sum() / weight[target].sum(), rel=1e-14)
    smooth = ts.cross_entropy(ts.tensor(x), target, label_smoothing=0.2, reduction="none").numpy()
    assert np.allclose(smooth, 0.8 * rows + 0.2 * -np.log(p).mean(-1), rtol=1e-13)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_cross_entropy_when_everything_is_ignored(backend):
    target = np.array([-100, -100])
    with warnings.catch_warnings(), ts.use(backend):
        x = leaf(draw(2, 3))
        assert ts.cross_entropy(x, target, reduction="sum").item() == 0
        assert (ts.grad(ts.cross_entropy(x, target, reduction="sum"), x)[0].numpy() == 0).all()
        warnings.simplefilter("error")
        mean = ts.cross_entropy(x, target)
        assert np.isnan(mean.item())  # the mean over nothing, as in NumPy and PyTorch
        assert (ts.grad(mean, x)[0].numpy() == 0).all()


def test_ignored_targets_get_no_gradient():
    found = gradient(lambda x: ts.cross_entropy(x, np.array([1, 2, 0]), ignore_index=2), draw(3, 3))
    assert (found[1] == 0).all() and found[0].any() and found[2].any()


@pytest.mark.parametrize("small", [0, 10**6])  # the kernel, the rule
@pytest.mark.filterwarnings("ignore:invalid value")
def test_an_ignored_row_may_hold_anything(small):
    x = np.array([[0.0, 1.0], [-np.inf, -np.inf], [np.nan, 1.0]])
    with ts.use("numba", small):
        found = gradient(lambda x: ts.cross_entropy(x, np.array([1, -100, -100])), x)
    assert (found[1:] == 0).all() and np.isfinite(found[0]).all()


@pytest.mark.parametrize("small", [0, 10**6])
@pytest.mark.parametrize(("name", "gates"), [("rnn", 1), ("lstm", 4), ("gru", 3)])
def test_a_step_that_does_not_count_may_hold_anything(name, gates, small):
    mask = np.array([[True, False, True], [True, True, False]])
    states = [draw(2, 4)] * (2 if name == "lstm" else 1)
    rest = [draw(4 * gates, 5), draw(4 * gates, 4), draw(4 * gates), *[draw(4)] * (name == "gru")]
    x = np.where(mask[:, :, None], draw(2, 3, 5), 0.0)
    found = []
    with ts.use("numba", small):
        for hidden in (0.0, np.nan):
            given = np.where(mask[:, :, None], x, hidden)
            found.append(gradient(lambda *a: METHODS[name](*a, mask=mask)[0], given, *states, *rest))
    for with_zeros, with_nan in zip(*found, strict=True):
        np.testing.assert_array_equal(with_nan, with_zeros)


@pytest.mark.parametrize("dim", [0, -1])
@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "logsumexp", "prod", "var", "std", "softmax"])
def test_a_single_number_has_one_dimension_to_reduce(name, dim):
    for small in (0, 10**6):
        with ts.use("numba", small), np.errstate(all="ignore"):
            one, row = (leaf(value) for value in (2.0, [2.0]))
            results = [METHODS[name](t, dim=dim) for t in (one, row)]
            assert results[0].shape == ()
            np.testing.assert_array_equal(results[0].numpy(), results[1].numpy().reshape(()))
            gradients = [ts.grad(y.sum(), [t])[0].numpy().reshape(()) for y, t in zip(results, (one, row), strict=True)]
            np.testing.assert_array_equal(*gradients)


@pytest.mark.parametrize("small", [0, 10**6])
@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "logsumexp", "prod", "var", "std"])
def test_several_dimensions_come_as_a_tuple_or_a_list(name, small):
    x = draw(2, 3, 4)
    with ts.use("numba", small):
        found = [METHODS[name](ts.tensor(x), dim=dim).numpy() for dim in ((0, 2), [0, 2])]
        slopes = [gradient(lambda t, dim=dim: METHODS[name](t, dim=dim), x) for dim in ((0, 2), [0, 2])]
    assert found[0].shape == (3,)
    np.testing.assert_array_equal(*found)
    np.testing.assert_array_equal(*slopes)


def test_cross_entropy_of_extreme_logits_is_finite():
    x = np.array([[1e4, -1e4], [-1e4, 1e4]])
    value, grad = (
        ts.cross_entropy(ts.tensor(x), np.array([1, 1])),
        gradient(lambda x: ts.cross_entropy(x, np.array([1, 1])), x),
    )
    assert value.item() == 1e4 and np.isfinite(grad).all()
    infinite = ts.cross_entropy(ts.tensor(np.array([[0.0, -np.inf]])), np.array([0]))
    assert infinite.item() == 0


def test_bad_targets_and_options_of_losses():
    x = ts.tensor(draw(2, 3))
    with pytest.raises(ShapeError, match="0 to 2, got (0 to )?3"):
        ts.cross_entropy(x, np.array([0, 3])).item()
    with pytest.raises(ShapeError, match="one weight per class"):
        ts.cross_entropy(x, np.array([0, 1]), weight=np.ones(2))
    with pytest.raises(OptionError, match="'average'"):
        ts.mse_loss(x, x, reduction="average")


def test_binary_cross_entropy_never_overflows():
    x, y = np.array([1000.0, -1000.0, 0.0]), np.array([0.0, 1.0, 0.5])
    rows = ts.binary_cross_entropy_with_logits(ts.tensor(x), ts.tensor(y), reduction="none").numpy()
    assert np.allclose(rows, [1000, 1000, math.log(2)])


def test_kl_divergence_counts_nothing_where_p_is_zero():
    p, q = np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]])
    assert ts.kl_div(ts.tensor(np.log(q)), ts.tensor(p)).item() == pytest.approx(math.log(2))
    assert np.isfinite(gradient(lambda x: ts.kl_div(x, ts.tensor(p)), np.log(q))).all()


# -- numbers at the edge ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [ts.sigmoid, ts.tanh, ts.softplus, ts.silu, ts.gelu, ts.erf, ts.relu, ts.elu])
def test_activations_of_huge_numbers_are_finite(function):
    x = np.array([-1e4, -700.0, 700.0, 1e4])
    with np.errstate(all="raise", under="ignore"):
        assert np.isfinite(function(ts.tensor(x)).numpy()).all()
        assert np.isfinite(gradient(function, x)).all()


@pytest.mark.parametrize("function", [ts.softmax, ts.log_softmax, ts.logsumexp])
def test_softmax_does_not_overflow(function):
    x = np.array([[1e4, 1e4 - 1, -1e4]])
    assert np.isfinite(function(ts.tensor(x)).numpy()).all()
    assert np.isfinite(gradient(function, x)).all()
    shifted = function(ts.tensor(x - 1e4)).numpy()
    moved = 1e4 if function is ts.logsumexp else 0
    assert np.allclose(function(ts.tensor(x)).numpy(), shifted + moved, rtol=1e-12)


def test_logsumexp_of_nothing_but_minus_infinity():
    assert ts.logsumexp(ts.tensor(np.full(3, -np.inf)), 0).item() == -np.inf


def test_products_with_zeros_have_right_gradients():
    for x in ([2.0, 0.0, 3.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]):
        assert gradgradcheck(lambda x: x.prod(), np.array(x)).ok
    assert gradient(lambda x: x.prod(), [2.0, 0.0, 3.0]).tolist() == [0, 6, 0]


def test_statistics_of_one_and_of_no_element():
    assert gradcheck(lambda x: x.var(1, correction=0), draw(3, 1)).ok
    assert gradcheck(lambda x: x.std(1), draw(3, 4)).ok
    assert np.isnan(ts.mean(ts.tensor(np.zeros((0,)))).item())
    assert ts.sum(ts.tensor(np.zeros((0, 2)))).item() == 0


def test_a_query_that_may_see_nothing_gets_zeros_and_no_nan():
    q, k, v = draw(2, 3), draw(4, 3, seed=1), draw(4, 2, seed=2)
    mask = np.array([[True, False, True, True], [False] * 4])
    y = ts.attention(*map(ts.tensor, (q, k, v)), mask=mask)
    assert (y.numpy()[1] == 0).all()
    for g in gradient(lambda q, k, v: ts.attention(q, k, v, mask=mask), q, k, v):
        assert np.isfinite(g).all()
    assert (gradient(lambda v: ts.attention(ts.tensor(q), ts.tensor(k), v, mask=mask), v)[1] == 0).all()


# -- random shapes ----------------------------------------------------------------------------------------------------

FEW = st.integers(0, 3)


def right(function, *inputs):
    report = gradcheck(function, list(inputs))
    assert report.verdict is Verdict.RIGHT, f"{[np.shape(i) for i in inputs]}\n{report}"


@given(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3, min_side=0), st.integers(0, 99))
def test_broadcasting_of_add_and_mul(shapes, seed):
    a, b = (draw(*s, seed=seed + i) for i, s in enumerate(shapes.input_shapes))
    a, b = np.asarray(a), np.asarray(b)
    right(lambda a, b: a + b, a, b)
    right(lambda a, b: (a * b, a - b), a, b)


@given(
    hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=2, max_side=2),
    st.tuples(FEW, FEW, FEW),
    st.sampled_from(["mm", "mv", "vm"]),
)
def test_matmul_of_any_batch(batches, sizes, kind):
    (m, k, n), (left, right_) = sizes, batches.input_shapes
    if kind == "mv" or kind == "vm":
        left, right_ = (left, ()) if kind == "mv" else ((), right_)
    a = draw(*left, *((k,) if kind == "vm" else (m, k)))
    b = draw(*right_, *((k,) if kind == "mv" else (k, n)), seed=1)
    assert np.allclose((ts.tensor(a) @ ts.tensor(b)).numpy(), a @ b, rtol=1e-13, atol=1e-13)
    right(lambda a, b: a @ b, a, b)


@given(hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3), st.data())
def test_sums_over_any_dimensions(shape, data):
    dims = data.draw(st.none() | st.integers(-len(shape), len(shape) - 1) | _subsets(len(shape)))
    keepdim = data.draw(st.booleans())
    x = draw(*shape)
    assert np.allclose(ts.sum(ts.tensor(x), dim=dims, keepdim=keepdim).numpy(), x.sum(axis=dims, keepdims=keepdim))
    right(lambda x: x.sum(dims, keepdim), x)
    right(lambda x: (x * x).sum(dims, keepdim), x)


def _subsets(n):
    return st.lists(st.integers(0, n - 1), unique=True, max_size=n).map(tuple)


@given(hnp.array_shapes(min_dims=2, max_dims=3, max_side=4), st.integers(0, 5))
def test_softmax_rows_add_up_to_one_and_ignore_shifts(shape, seed):
    x = draw(*shape, seed=seed) * 5
    for dim in range(-len(shape), len(shape)):
        y = ts.softmax(ts.tensor(x), dim=dim).numpy()
        assert np.allclose(y.sum(dim), 1, rtol=1e-14)
        assert np.allclose(ts.softmax(ts.tensor(x + 3.5), dim=dim).numpy(), y, rtol=1e-12)


def test_every_error_is_a_tinyslm_error():
    with pytest.raises(TinyslmError):
        ts.tensor(np.ones((2, 3))) @ ts.tensor(np.ones((2, 3)))


def test_gather_and_nll_refuse_what_numpy_would_let_pass():
    with pytest.raises(ShapeError, match="index of the shape of x"):
        ts.gather(ts.tensor(np.ones((3, 2))), np.zeros((1, 2), int), dim=1)
    x, places = ts.tensor(np.ones((2, 3))), np.zeros((2, 1), int)
    for bad in (-1, 3):
        with pytest.raises(ShapeError, match=f"gather: expected indices from 0 to 2, got {bad}"):
            ts.gather(x, places + bad, dim=1).numpy()  # a GPU says it with the next numbers
        with pytest.raises(ShapeError, match=f"scatter_add: expected indices from 0 to 2, got {bad}"):
            ts.scatter_add(x, places + bad, ts.tensor(np.ones((2, 1))), dim=1).numpy()
    with pytest.raises(ShapeError, match="classes from 0 to 2"):
        ts.ops.nll_loss(ts.tensor(np.zeros((1, 3))), np.array([-1])).item()


# -- the same refusals for every backend and size --------------------------------------------------------------------


X, IDS = draw(4, 6).astype(np.float32), np.array([0, 1, 5, 2])
ONES = np.ones((2, 6), np.float32)
SEQUENCE = np.ones((2, 3, 5), np.float32)


REFUSED = [
    (DTypeError, "integers as target, got float32", lambda: ts.cross_entropy(X, ts.tensor(IDS.astype("float32")))),
    (
        DTypeError,
        r"mean: expected dim as a whole number, or a tuple or list of them, got \{0\}",
        lambda: ts.mean(X, dim={0}),
    ),
    (DTypeError, "integers as target, got bool", lambda: ts.cross_entropy(X, ts.tensor(IDS > 0))),
    (
        DTypeError,
        "integers as ids, got float64",
        lambda: ts.embedding(ts.tensor(np.full(4, 1.9)), ts.tensor(draw(3, 2))),
    ),
    (DTypeError, "integers as index, got bool", lambda: ts.gather(X, ts.tensor(X > 0), dim=1)),
    (
        DTypeError,
        "float tensor as logits, got int64",
        lambda: ts.cross_entropy(ts.tensor(IDS[:, None]), ts.tensor(IDS)),
    ),
    (DTypeError, "float tensor as x, got int64", lambda: ts.dropout(ts.tensor(IDS), seed=1)),
    (DTypeError, "float tensor as x, got int64", lambda: ts.rms_norm(ts.tensor(IDS), ts.tensor(IDS))),
    (ShapeError, r"one weight per class \(6,\), got \(9,\)", lambda: ts.cross_entropy(X, IDS, weight=np.ones(9))),
    (
        ShapeError,
        r"one weight per class \(6,\), got \(6, 1\)",
        lambda: ts.cross_entropy(X, IDS, weight=np.ones((6, 1))),
    ),
    (OptionError, "label_smoothing from 0 to 1, got -0.5", lambda: ts.cross_entropy(X, IDS, label_smoothing=-0.5)),
    (OptionError, "label_smoothing from 0 to 1, got nan", lambda: ts.cross_entropy(X, IDS, label_smoothing=math.nan)),
    (
        OptionError,
        "cross_entropy: expected ignore_index as a whole number, got None",
        lambda: ts.cross_entropy(X, IDS, ignore_index=None),
    ),
    (
        OptionError,
        "nll_loss: expected ignore_index as a whole number, got None",
        lambda: ts.nll_loss(X, IDS, ignore_index=None),
    ),
    *[
        (
            ShapeError,
            r"at least one class.*\n.*V of at least 1\n  Got: \(4, 0\)",
            lambda f=f: f(ts.tensor(X[:, :0]), IDS),
        )
        for f in (ts.cross_entropy, ts.nll_loss)
    ],
    *[
        (
            OptionError,
            f"norm: expected an eps of at least 0, got {eps}",
            lambda f=f, n=n, eps=eps: f(X, *ONES[:n], eps=eps),
        )
        for f, n in ((ts.layer_norm, 2), (ts.rms_norm, 1), (ts.batch_norm, 2))
        for eps in (-1.0, math.nan, None)
    ],
    (OptionError, "dropout: expected seed as a whole number, got 1.5", lambda: ts.dropout(X, seed=1.5)),
    (OptionError, "p from 0 to 1, got 1.5", lambda: ts.dropout(X, p=1.5)),
    (OptionError, "'none' or 'tanh', got 'Tanh'", lambda: ts.gelu(X, approximate="Tanh")),
    (ShapeError, r"\(D,\) for x \(\)", lambda: ts.layer_norm(ts.tensor(1.0), np.ones(1, "f"), np.ones(1, "f"))),
    (ShapeError, "D >= 1", lambda: ts.attention(*[ts.tensor(np.ones((3, 0)))] * 3)),
    (ShapeError, "D a multiple of 2 heads", lambda: ts.self_attention(np.ones((1, 3, 0)), heads=2)),
    (ShapeError, "H >= 1", lambda: ts.rnn(*map(np.ones, [(2, 3, 4), (2, 0), (0, 4), (0, 0), (0,)]))),
    (DTypeError, "Expected: bool, True", lambda: ts.attention(X, X, X, mask=np.tri(4, dtype=int))),
    (DTypeError, "self_attention: the mask", lambda: ts.self_attention(X[None], mask=np.tri(4, dtype=int).tolist())),
    (
        ShapeError,
        r"attention: the mask.*\n.*broadcasts to \(2, 8, 9\).*\n  Got: \(3, 2, 8, 9\)$",
        lambda: ts.attention(*map(np.ones, [(2, 8, 4), (2, 9, 4), (2, 9, 4)]), mask=np.ones((3, 2, 8, 9), bool)),
    ),
    (
        ShapeError,
        r"broadcasts to \(2, 8, 9\).*\n  Got: \(9, 8\)$",
        lambda: ts.attention(*map(np.ones, [(2, 8, 4), (2, 9, 4), (2, 9, 4)]), mask=np.ones((9, 8))),
    ),
    (
        ShapeError,
        r"self_attention: the mask.*\n.*broadcasts to \(1, 2, 4, 4\).*\n  Got: \(2, 1, 4, 4\)$",
        lambda: ts.self_attention(X[None], heads=2, mask=np.ones((2, 1, 4, 4))),
    ),
    (OptionError, "self_attention: expected heads .* got 2.0", lambda: ts.self_attention(X[None], heads=2.0)),
    (OptionError, "self_attention: expected heads .* got True", lambda: ts.self_attention(X[None], heads=True)),
    (OptionError, "self_attention: expected heads .* got 0", lambda: ts.self_attention(X[None], heads=0)),
    (ShapeError, r"of 3 heads\n  Got: \(2, 4, 24\), which is D = 8", lambda: ts.self_attention(np.ones((2, 4, 24)), 3)),
    *[
        (
            OptionError,
            f"attention: expected scale as a number or None, got {got}",
            lambda q=q, scale=scale: ts.attention(q, q, q, scale=scale),
        )
        for q in (X, np.ones((80, 80)))  # the rule, the kernel
        for scale, got in (("x", "'x'"), (ts.tensor(0.5, requires_grad=True), "Tensor"))
    ],
    *[
        (
            OptionError,
            message,
            lambda options=options: ts.conv1d(np.ones((1, 2, 9)), np.ones((3, 2, 2)), np.ones(3), **options),
        )
        for options, message in (
            ({"padding": 1.5}, "conv1d: expected padding as a whole number of at least 0, got 1.5"),
            ({"padding": -1}, "conv1d: expected padding as a whole number of at least 0, got -1"),
            ({"stride": 1.5}, "conv1d: expected stride as a whole number of at least 1, got 1.5"),
            ({"dilation": 0}, "conv1d: expected dilation as a whole number of at least 1, got 0"),
        )
    ],
    (
        DTypeError,
        r"conv1d: weight is no tensor(.|\n)*Got: list; .*ts.tensor\(weight\)",
        lambda: ts.conv1d(SEQUENCE, [[1.0]]),
    ),
    (ShapeError, "conv1d: x and weight need three dimensions", lambda: ts.conv1d(SEQUENCE[0], np.ones((2, 3, 2), "f"))),
    (ShapeError, "conv1d: the channels differ", lambda: ts.conv1d(SEQUENCE, np.ones((2, 4, 2), "f"))),
    (ShapeError, r"conv1d: a window of 9 \(dilation 1\)", lambda: ts.conv1d(SEQUENCE, np.ones((2, 3, 9), "f"))),
    *[
        (
            OptionError,
            f"{f.__name__}: expected {message} as a whole number of at least 1, got ",
            lambda f=f, o=o: f(SEQUENCE, *o),
        )
        for f in (ts.max_pool1d, ts.avg_pool1d)
        for message, o in (("kernel_size", (2.5,)), ("stride", (2, 0)))
    ],
    *[
        (DTypeError, rf"{name}: expected dim as a whole number, got \[0\]", lambda f=name, x=x: METHODS[f](*x, dim=[0]))
        for name, x in (("cumsum", (X,)), ("cat", ([X, X],)), ("stack", ([X, X],)), ("gather", (X, IDS[:, None])))
    ],
    *[
        (
            ShapeError,
            r"argmax: expected dim as a whole number from -2 to 1, or None; got ",
            lambda d=d: ts.tensor(X).argmax(d),
        )
        for d in ([0], 1.0, 2)
    ],
    (OptionError, "attention: expected causal as True or False, got 'no'", lambda: ts.attention(X, X, X, causal="no")),
    (OptionError, "sum: expected keepdim as True or False, got 'no'", lambda: ts.tensor(X).sum(0, "no")),
    *[
        (
            DTypeError,
            rf"^{name}: .*(float|expected dim).*\n  Got: x: \(4, 6\); .*dim=1.0",
            lambda f=name: METHODS[f](X, 1.0),
        )
        for name in ("max", "mean", "sum", "logsumexp", "softmax", "squeeze", "unsqueeze")
    ],
]


@pytest.mark.parametrize(("kind", "message", "call"), REFUSED)
def test_mistakes_are_refused_before_a_kernel_is_chosen(backend, kind, message, call):
    with pytest.raises(kind, match=message):
        call()


def test_an_index_outside_has_the_same_words_everywhere():
    table, places = ts.tensor(np.ones((100, 64))), {-1: np.array([5, -1]), 100: np.array([100, 5])}
    logits = ts.tensor(np.zeros((2, 100)))
    for got, ids in places.items():
        said = set()
        for name in ("numpy", "numba"):
            with ts.use(name, small=1):
                with pytest.raises(ShapeError) as ours:
                    ts.embedding(ids, table)
                with pytest.raises(ShapeError) as loss:
                    ts.cross_entropy(logits, ids)
            said.add((str(ours.value).partition("\n")[0], str(loss.value).partition("\n")[0]))
        assert said == {
            (
                f"embedding: expected ids from 0 to 99, got {got}",
                f"cross_entropy: expected classes from 0 to 99, got {got}",
            )
        }
    for function in (lambda: ts.ops.nll_loss(logits, np.array([5, 100])), lambda: ts.one_hot([5, 100], 100)):
        with pytest.raises(ShapeError, match="from 0 to 99, got 100$"):
            function()


def test_dimensions_may_be_integers_of_numpy():
    x = ts.tensor(draw(2, 3))
    for name in ("mean", "sum", "var", "max", "logsumexp"):
        assert METHODS[name](x, np.int64(1)).tolist() == METHODS[name](x, 1).tolist()


def test_integers_and_half_precision_go_to_the_reference(backend):
    whole, half = ts.tensor(np.array([[0, 1], [0, 0]])), ts.tensor(draw(3, 2).astype(np.float16))
    assert np.allclose(whole.softmax().numpy(), [[1 / (1 + math.e), math.e / (1 + math.e)], [0.5, 0.5]])
    assert np.allclose(ts.gelu(whole).numpy(), [[0, 0.8413447], [0, 0]])
    assert half.softmax().dtype == ts.gelu(half).dtype == ts.dropout(half, seed=1).dtype == np.float16


@pytest.mark.parametrize("seed", [5, -5, 2**64 - 1])
def test_seeds_may_be_integers_of_numpy(backend, seed):
    same = np.int64(seed) if seed < 2**63 else np.uint64(seed)
    x = ts.tensor(np.ones(50))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(ts.dropout(x, seed=same).numpy(), ts.dropout(x, seed=seed).numpy())


def test_a_nan_in_a_mask_is_not_hidden(backend):
    x = ts.tensor(draw(3, 2))
    y = ts.attention(x, x, x, mask=np.array([[0, np.nan, 0], [0, -np.inf, 0], [0, 0, 0]])).numpy()
    assert np.isnan(y[0]).all() and np.isfinite(y[1:]).all()


def test_a_sequence_of_no_steps_has_gradients_of_zero(backend):
    leaves = [leaf(np.ones(s)) for s in ((2, 0, 3), (2, 4), (4, 3), (4, 4), (4,))]
    y, h = ts.rnn(*leaves)
    (y.sum() + h.sum()).backward()
    assert [t.grad.numpy().sum() for t in leaves] == [0, 8, 0, 0, 0]
