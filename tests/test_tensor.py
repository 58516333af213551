"""The tensor itself: making one, looking at one, and what it refuses."""

import numpy as np
import pytest

import tinyslm as ts
from tinyslm.errors import DTypeError, GraphError, ShapeError


def test_python_floats_become_float32_and_arrays_keep_their_type():
    assert ts.tensor([1.0, 2.0]).dtype == "float32"
    assert ts.tensor(np.array([1.0])).dtype == "float64"
    assert ts.tensor([1, 2]).dtype.kind == "i"
    assert ts.tensor([1.0], dtype="float64").dtype == "float64"
    assert ts.tensor(np.float64(2)).dtype == "float64"


def test_data_is_copied_in_and_out():
    a = np.ones(2)
    x = ts.tensor(a)
    a[0] = 5
    out = x.numpy()
    out[1] = 7
    assert x.tolist() == [1, 1]


@pytest.mark.parametrize("bad", ["text", [[1, 2], [3]], [None], {"a": 1}, 1j, np.ones(2, complex)])
def test_what_is_not_a_rectangle_of_numbers_is_refused(bad):
    with pytest.raises((DTypeError, ShapeError), match="Expected"):
        ts.tensor(bad)


def test_complex_is_refused_as_a_type_too():
    with pytest.raises(DTypeError, match=r"complex128; take \.real and \.imag apart"):
        ts.tensor([1.0], dtype=complex)


def test_repr_shows_shape_type_range_trouble_and_state():
    x = ts.tensor([[1.0, -2.0, np.nan, np.inf]], requires_grad=True)
    text = repr(x)
    for part in ("(1, 4)", "float32", "in [-2, 1]", "1 NaN!", "1 Inf!", "requires_grad"):
        assert part in text
    assert "from mul" in repr(x * 2)
    (ts.tensor([1.0], requires_grad=True) * 1).sum()
    big = ts.tensor(np.zeros((50, 50)))
    assert len(repr(big)) < 80 and "\n" not in repr(big)
    assert repr(ts.tensor(np.zeros((0, 3))))


def test_conversions_of_one_number():
    x = ts.tensor([2.5])
    assert float(x) == 2.5 and int(x) == 2 and bool(x) and x.item() == 2.5
    with pytest.raises(ShapeError, match="1 element"):
        ts.tensor([1.0, 2.0]).item()
    assert [10, 20, 30][ts.tensor(1)] == 20
    assert not ts.tensor([[0.0]])
    for several in (np.ones((2, 1)), np.ones(0)):
        with pytest.raises(ShapeError, match=r"neither true nor false(.|\n)*Got: shape \((2, 1|0,)\); use .*all\(\)"):
            bool(ts.tensor(several))


def test_length_and_iteration():
    x = ts.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    first, second = x
    assert len(x) == 2 and second.tolist() == [3, 4] and first.requires_grad
    with pytest.raises(TypeError, match="item"):
        len(ts.tensor(1.0))


def test_comparisons_are_masks_without_gradient():
    x = ts.tensor([1.0, 2.0, 3.0], requires_grad=True)
    assert (x > 1.5).tolist() == [False, True, True]
    assert (x <= 2).tolist() == [True, True, False]
    assert (~(x < 2)).tolist() == [False, True, True]
    assert x.eq(2).tolist() == [False, True, False]
    assert not (x > 1).requires_grad
    assert (x == x) is True


def test_views_by_every_name():
    x = ts.tensor(np.arange(6.0).reshape(2, 3))
    assert x.T.shape == x.mT.shape == x.transpose(0, 1).shape == x.permute(1, 0).shape == (3, 2)
    assert x.reshape(3, 2).shape == x.reshape((3, 2)).shape == (3, 2)
    assert x.flatten().shape == (6,) and x.unsqueeze(0).squeeze(0).shape == (2, 3)
    assert x[0].expand(4, 3).shape == (4, 3) and x.flip(0, 1)[0, 0].item() == 5
    with pytest.raises(ShapeError, match="2 dimensions"):
        ts.tensor(np.ones(3)).T  # noqa: B018
    assert x.argmax().item() == 5 and x.argmax(1).tolist() == [2, 2]


def test_detach_clone_and_copy():
    x = ts.tensor([1.0, 2.0], requires_grad=True)
    assert not x.detach().requires_grad
    y = x.clone()
    y.sum().backward()
    assert x.grad.tolist() == [1, 1]
    x.copy_([3.0, 4.0])
    assert x.tolist() == [3, 4] and x.dtype == "float32"
    with pytest.raises(ShapeError, match=r"\(2,\)"):
        x.copy_([1.0])
    with pytest.raises(GraphError, match="leaf"):
        (x * 2).requires_grad_(False)


def test_a_hook_needs_a_gradient():
    with pytest.raises(GraphError, match="requires_grad=True"):
        ts.tensor([1.0]).register_hook(print)


def test_numpy_does_not_swallow_tensors():
    x = ts.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(TypeError):
        np.exp(x)
    assert np.asarray(x.detach()).tolist() == [1, 2]
    assert (np.float32(2) * x).requires_grad
