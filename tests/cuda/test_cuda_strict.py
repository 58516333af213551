"""Everything on an array library as strict as CuPy: no NumPy array slips in, and a training step never waits.

The arrays are NumPy's behind a wrapper (`tests/cuda_sim/fake_cupy.py`), the kernels run on the emulator.
"""

from collections import Counter
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
from cuda_helpers import PROCESSORS, SHARED_LIMIT, as_tuple, close, compiled, needs_emulator
from emulator import Setting
from fake_cupy import Calls, FakeCupy, Graph, Stream, Waits
from tinyslm.kernels.cuda import _launch, recurrent
from typer.testing import CliRunner

import tinyslm as ts
from tinyslm import device, nn, optim
from tinyslm.cli.main import app
from tinyslm.data import Batches, Table
from tinyslm.engine import Op
from tinyslm.errors import OptionError, ShapeError
from tinyslm.recipes.classifier import ClassifierTraining, Options, config_for
from tinyslm.training import Trainer, TrainingError

pytestmark = needs_emulator


@contextmanager
def strict_device(monkeypatch):
    """A block in which `ts.use("cuda")` computes on the strict arrays."""
    monkeypatch.setitem(device._found, "cuda", device.Found("cuda", True))
    xp = FakeCupy(partial(compiled, Setting()))
    before = _launch.choose_gpu(_launch.Gpu(xp, xp.RawModule, SHARED_LIMIT, PROCESSORS, graphs=True))
    try:
        with ts.use("cuda"):
            yield
    finally:
        _launch.choose_gpu(before)


def run(op, arrays, attributes):
    """Outputs and gradients of an operation, and how often the host waited for them."""
    Waits.count = 0
    inputs = [ts.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    outputs = [o for o in as_tuple(op(*inputs, **attributes)) if o.dtype.kind == "f"]
    sum((o * (i + 1)).sum() for i, o in enumerate(outputs)).backward()
    waits = Waits.count
    found = [*outputs, *(t.grad for t in inputs if t.grad is not None)]
    return [t.numpy() for t in found], waits


@pytest.mark.parametrize("name", Op.registry)
def test_every_operation(monkeypatch, name):
    op = Op.registry[name]
    for arrays, attributes in [] if op.samples_of is None else list(op.samples_of(np.random.default_rng(0))):
        arrays = list(map(np.asarray, arrays))
        if all(a.dtype.kind != "f" for a in arrays):
            continue
        with ts.use("numpy"):
            wanted, _ = run(op, arrays, attributes)
        with strict_device(monkeypatch):
            found, waits = run(op, arrays, attributes)
        assert waits == 0
        for got, want in zip(found, wanted, strict=True):
            close(got, want, name)


@pytest.mark.parametrize("kind", [partial(optim.SGD, momentum=0.9), optim.Adam, optim.RMSprop])
def test_what_an_optimizer_keeps_follows_the_parameters_to_the_gpu(monkeypatch, kind):
    def stepped(p, optimizer):
        p.grad = None
        (p * p).sum().backward()
        optimizer.step()
        return p.numpy()

    with ts.use("numpy"):
        here, there = (ts.tensor([1.0, -2.0], requires_grad=True) for _ in range(2))
        one, two = kind([here], lr=0.1), kind([there], lr=0.1)
        stepped(there, two)
        stepped(here, one)
        wanted = stepped(here, one)
    with strict_device(monkeypatch):
        close(stepped(there, two), wanted)


@pytest.mark.parametrize(("kind", "other"), [("float32", "float64"), ("float64", "float32")])
def test_gradients_of_another_number_type_are_read_as_what_they_are(monkeypatch, kind, other):
    def stepped():
        params = [ts.tensor(np.arange(4, dtype=kind), requires_grad=True) for _ in range(2)]
        optimizer = optim.Adam(params, lr=0.1)
        for p, dtype in zip(params, (other, kind), strict=True):
            p.grad = ts.tensor(np.array([1.0, -2, 3, -4], dtype))
        optim.clip_grad_norm_(params, 2.0)
        optimizer.step()
        return [p.numpy() for p in params]

    with ts.use("numpy"):
        wanted = stepped()
    with strict_device(monkeypatch):
        found = stepped()
    for got, want in zip(found, wanted, strict=True):
        close(got, want)


def there(ids):
    return device.on_device(ids._data)


def test_forward_mode_and_second_derivatives(monkeypatch):
    """A cotangent that wants a gradient keeps it when it comes to the device."""
    with strict_device(monkeypatch):
        x, u = ts.tensor(np.array([1.0, 2.0]), requires_grad=True), ts.tensor(np.array([3.0, -1.0]))
        assert ts.jvp(lambda x: x * x * x, [x], [u])[1].tolist() == [9, -12]
        (once,) = ts.grad((x * x * x).sum(), x, create_graph=True)
        assert ts.grad(once, x, np.array([1.0, 1.0]))[0].tolist() == [6, 12]
        logits = ts.tensor(np.zeros((1, 2)), requires_grad=True)
        Waits.count = 0
        (once,) = ts.grad(ts.cross_entropy(logits, ts.tensor([0])), logits, create_graph=True)
        (twice,) = ts.grad(once[0, 0], logits)
        assert Waits.count == 0
        np.testing.assert_allclose(twice.numpy(), [[0.25, -0.25]])


def test_what_is_written_into_data_changes_no_tensor(monkeypatch):
    with strict_device(monkeypatch):
        a, b = (ts.tensor([1.0], requires_grad=True) for _ in range(2))
        (a + b).backward(np.array([8.0], np.float32))
        for p in (a, b):
            p.grad.data *= 0.5
        a.data[0] = 7
        part = a[:1]
        ts.optim.SGD([a], lr=1.0).step()
        assert a.tolist() == [-3] and part.tolist() == [1] and b.grad.tolist() == [4]


def test_adam_takes_moments_of_another_order(monkeypatch):
    def stepped():
        p = nn.Parameter(np.asfortranarray(np.arange(6.0).reshape(2, 3)))
        adam = optim.Adam([p], lr=0.1)
        for _ in range(2):
            p.grad = ts.tensor(np.arange(6.0).reshape(2, 3) - 2)
            adam.step()
            p.hold(device.on_device(p.numpy().copy(order="C")))  # the moments stay as they were
        return p.numpy()

    with ts.use("numpy"):
        wanted = stepped()
    with strict_device(monkeypatch):
        np.testing.assert_allclose(stepped(), wanted, rtol=1e-14)


def test_gelu_of_types_that_no_kernel_serves(monkeypatch):
    with strict_device(monkeypatch):
        x = ts.tensor(np.array([0.0, 1.0], np.float16))
        np.testing.assert_allclose(ts.gelu(x).numpy(), [0, 0.8413], atol=1e-3)


WRONG = {
    "getitem": (
        lambda ids: ts.tensor(np.ones((2, 4)))[:, there(ids)],
        "getitem: expected indices from -4 to 3",
    ),
    "getitem behind others": (
        lambda ids: ts.tensor(np.ones((3, 2, 4)))[..., None, there(ids) % 2, there(ids)],
        "getitem: expected indices from -4 to 3",
    ),
    "put": (
        lambda ids: ts.ops.put(ts.tensor(np.ones((2, 2))), shape=(4,), key=there(ids)),
        "put: expected indices from -4 to 3",
    ),
    "gather": (
        lambda ids: ts.ops.gather(ts.tensor(np.ones((2, 4))), ids, dim=1),
        "gather: expected indices from 0 to 3",
    ),
    "scatter_add": (
        lambda ids: ts.ops.scatter_add(ts.tensor(np.ones((2, 4))), ids, ts.tensor(np.ones((2, 2))), dim=1),
        "scatter_add: expected indices from 0 to 3",
    ),
    "embedding": (lambda ids: ts.embedding(ids, ts.tensor(np.ones((4, 3)))), "embedding: expected ids from 0 to 3"),
    "loss": (
        lambda ids: ts.cross_entropy(ts.tensor(np.ones((2, 2, 4))), ids),
        "cross_entropy: expected classes from 0 to 3",
    ),
}


@pytest.mark.parametrize("wrong", [-1, -5, 4, 1000, -(2**40)])
@pytest.mark.parametrize("name", WRONG)
def test_an_index_outside_is_noticed_at_the_next_reading_and_said_once(monkeypatch, name, wrong):
    call, words = WRONG[name]
    if wrong == -1 and "from -4" in words:
        pytest.skip("it counts from the end there")
    with strict_device(monkeypatch):
        call(ts.tensor(np.array([[0, 3], [1, 2]]))).numpy()
        Waits.count = 0
        call(ts.tensor(np.array([[0, 3], [wrong, 0]])))
        call(ts.tensor(np.array([[0, 3], [1, 2]])))
        assert Waits.count == 0
        with pytest.raises(ShapeError, match=rf"{words}, got {wrong}\.\n.*noticed only now(.|\n)*detect_anomaly"):
            ts.tensor([1.0]).sum().item()
        assert ts.tensor([1.0]).sum().item() == 1
        assert Waits.count == 3  # number and note; the number alone, for nothing was noted since
        with ts.detect_anomaly(), pytest.raises(ShapeError, match=rf"{words}, got {wrong}\n  at test_cuda_strict.py:"):
            call(ts.tensor(np.array([[0, 3], [wrong, 0]])))


@pytest.mark.parametrize("ids", [np.array([0, 4]), [0, -5], ts.tensor([9])])
def test_an_index_that_lies_on_the_host_is_refused_at_once(monkeypatch, ids):
    with strict_device(monkeypatch):
        x = ts.tensor(np.ones((2, 4)))
        assert x[:, np.array([-4, 3])].shape == (2, 2) and x[np.array([True, False])].shape == (1, 4)
        assert x[True, np.array([1])].shape == (1, 4)  # True takes no axis
        with pytest.raises(ShapeError, match="getitem: expected indices from -4 to 3, got"):
            x[:, ids]


def test_the_worst_index_of_many_kinds_is_found(monkeypatch):
    with strict_device(monkeypatch):
        for size in range(3, 90):  # more kinds than there is room at first
            ts.embedding(
                ts.tensor(np.array([-3, 1, 95, 0]) if size == 80 else np.array([0])), ts.tensor(np.ones((size, 1)))
            )
        with pytest.raises(ShapeError, match="from 0 to 79, got 95"):
            device.settle()


def images(*shape):
    return lambda rng: [rng.standard_normal(shape).astype(np.float32)]


LAYERS = {
    "linear": (lambda r: nn.Sequential(nn.Linear(4, 6, rng=r), nn.GELU(), nn.Linear(6, 3, rng=r)), images(3, 4)),
    "norm and dropout": (lambda r: nn.Sequential(nn.LayerNorm(4), nn.Dropout(0.2, rng=r), nn.RMSNorm(4)), images(3, 4)),
    "embedding": (lambda r: nn.Embedding(7, 4, rng=r), lambda r: [r.integers(0, 7, (2, 5))]),
    "lstm": (lambda r: nn.LSTM(4, 5, bidirectional=True, num_layers=2, rng=r), images(2, 6, 4)),
    "gru": (lambda r: nn.GRU(4, 32, rng=r), images(2, 6, 4)),
    "attention": (lambda r: nn.MultiHeadAttention(8, 2, rng=r), lambda r: images(2, 6, 8)(r) * 3),
    "transformer": (lambda r: nn.TransformerEncoderLayer(8, 2, 16, rng=r), images(2, 6, 8)),
    "block": (lambda r: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, rng=r), images(2, 6, 8)),
    "convolution": (lambda r: nn.Conv1d(3, 4, 2, rng=r), images(2, 3, 6)),
    "batch norm": (lambda r: nn.BatchNorm1d(4), images(3, 4)),
}


def training(make, draw, steps=3):
    """A model, and as many clipped steps, each as a function; nothing is computed yet."""
    rng = np.random.default_rng(1)
    model = make(rng)
    optimizer = ts.optim.AdamW(model.parameters(), lr=0.01, eps=1e-2)  # gradients of 0 are noise
    batches = [[ts.tensor(a) for a in draw(rng)] for _ in range(steps)]

    def step(batch):
        out = as_tuple(model(*batch))[0]
        loss = ts.cross_entropy(out, ts.tensor(np.zeros(out.shape[:-1], int)))
        optimizer.zero_grad()
        loss.backward()
        ts.optim.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()

    return model, [partial(step, batch) for batch in batches]


def train(make, draw):
    """The parameters after three steps, and how often the host waited in them."""
    model, steps = training(make, draw)
    Waits.count = 0
    for step in steps:
        step()
    waits = Waits.count
    return [p.numpy() for p in model.parameters()], waits


@pytest.mark.parametrize("name", LAYERS)
def test_training_never_waits_and_learns_the_same(monkeypatch, name):
    with ts.use("numpy"):
        wanted, _ = train(*LAYERS[name])
    with strict_device(monkeypatch):
        found, waits = train(*LAYERS[name])
    assert waits == 0
    for got, want in zip(found, wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-3, atol=2e-5)


KERNELS = {
    "linear": {"add_bias": 2, "gelu_forward": 1, "gelu_backward": 1, "column_sums": 2},
    "convolution": {"columns_of": 1, "filters_inside": 1},  # the input wants no gradient
    "block": {
        "add_bias": 4, "column_sums": 4, "layer_norm_forward": 2, "norm_backward": 2, "norm_backward_weights": 2,
        "attention_forward": 1, "attention_delta": 1, "attention_backward_queries": 1, "attention_backward_keys": 1,
    },
}  # fmt: skip
PRODUCTS = {"linear": 2 + 3, "convolution": 1 + 1, "block": 4 + 7}  # none for inputs that want no gradient
COPIES = {"linear": 1, "convolution": 2, "block": 3}  # one is the seed of backward; the block's are counted in its file


@pytest.mark.parametrize("name", KERNELS)
def test_what_a_step_costs(monkeypatch, name):
    make, draw = LAYERS[name]
    with strict_device(monkeypatch):
        rng = np.random.default_rng(1)
        model, inputs = make(rng), [ts.tensor(a) for a in draw(rng)]
        model(*inputs)  # everything is on the device now
        Calls.forget()
        model(*inputs).sum().backward()
    assert Counter(Calls.kernels) == KERNELS[name]
    calls = Counter(Calls.library)
    assert calls["matmul"] + calls["__matmul__"] == PRODUCTS[name]
    assert calls["copy"] == COPIES[name] and not calls["pad"] and not calls["concatenate"]


STEPS = 10  # of an epoch


def trainer(spoilt=0, **options):
    """A loop of 10 steps an epoch, and how often the host had waited at each telling; step `spoilt` is bad."""
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((2 * STEPS, 3)).astype(np.float32), rng.integers(0, 4, 2 * STEPS)
    model, told, counted = nn.Sequential(nn.Linear(3, 4, rng=rng), nn.Dropout(0.2, rng=rng)), [], iter(range(1, 99))

    def step(rows):
        number = next(counted)
        if number % STEPS == 1:
            Waits.count = 0
        out = model(ts.tensor(x[rows]))
        hits = (out._data.argmax(-1) == device.on_device(y[rows])).sum()
        loss = ts.cross_entropy(out, ts.tensor(y[rows]))
        return loss * float("nan") if number == spoilt else loss, hits, len(rows)

    def listen(progress):
        told.append((progress.step, Waits.count))

    adam, batches = ts.optim.Adam(model.parameters(), lr=0.1), Batches(2 * STEPS, 2, np.random.default_rng(2))
    options = {"epochs": 2, "clip_norm": 0.5, "generators": {"model": rng}, "listener": listen} | options
    return Trainer(model, adam, batches, step, **options), told


def without_times(result):
    return [{k: v for k, v in r.items() if k not in ("seconds", "tokens_per_second")} for r in result.history]


@pytest.mark.parametrize(("every", "read"), [(1, range(1, 11)), (4, [4, 8, 10]), (5, [5, 10]), (20, [10])])
def test_the_training_loop_waits_once_for_many_steps(monkeypatch, every, read):
    with strict_device(monkeypatch):
        one, told = trainer(read_every=every)
        found = without_times(one.run()), one.model.state_dict()
        each, _ = trainer(read_every=1)
        wanted = without_times(each.run()), each.model.state_dict()
    assert told == [(step, i) for i, step in enumerate(read, 1)] * 2
    assert found[0] == wanted[0] and found[0][0]["train_accuracy"] > 0
    for name, value in wanted[1].items():
        np.testing.assert_array_equal(found[1][name], value)


def test_on_the_cpu_the_loop_reads_in_each_step(monkeypatch):
    with ts.use("numpy"):
        one, told = trainer(read_every=20)
        on_cpu = one.run().history
        broken, seen = trainer(read_every=20, spoilt=3)
        with pytest.raises(TrainingError, match="loss became nan in epoch 1, step 3"):
            broken.run()
    assert [step for step, _ in told] == [*range(1, 11)] * 2 and len(seen) == 2
    with strict_device(monkeypatch):
        on_gpu = trainer()[0].run().history
    for a, b in zip(on_cpu, on_gpu, strict=True):
        assert a["train_loss"] == pytest.approx(b["train_loss"], rel=1e-4)
    with pytest.raises(OptionError, match="Expected read_every as a whole number of at least 1"):
        trainer(read_every=0)


@pytest.mark.parametrize("stop", [3, 6, 12])
def test_a_run_on_the_device_resumes_bit_for_bit(monkeypatch, tmp_path, stop):
    def ask_to_stop(loop):
        honest = loop.step

        def step(rows):
            loop.stop_requested = loop.batches.epoch * STEPS + loop.batches.index == stop
            return honest(rows)

        loop.step = step

    with strict_device(monkeypatch):
        whole, _ = trainer(read_every=4)
        wanted = without_times(whole.run())
        broken, _ = trainer(read_every=4, folder=tmp_path)
        ask_to_stop(broken)
        assert broken.run().interrupted
        again, _ = trainer(read_every=4, folder=tmp_path)
        assert again.resume() and again.batches.epoch * STEPS + again.batches.index == stop
        assert without_times(again.run()) == wanted
        for name, value in whole.model.state_dict().items():
            np.testing.assert_array_equal(again.model.state_dict()[name], value)


def test_a_loss_that_is_found_late_is_named_by_its_step_and_never_saved(monkeypatch, tmp_path):
    with strict_device(monkeypatch):
        loop, told = trainer(folder=tmp_path, read_every=4, spoilt=STEPS + 6)
        with pytest.raises(TrainingError, match=r"loss became nan in epoch 2, step 6(.|\n)*kept"):
            loop.run()
        assert told[-1][0] == 4
        again, _ = trainer(folder=tmp_path)
        assert again.resume() and (again.batches.epoch, again.batches.index) == (1, 0)


def test_an_index_outside_names_the_steps_that_were_read(monkeypatch):
    with strict_device(monkeypatch):
        loop, told = trainer(read_every=4)
        honest = loop.step

        def step(rows):
            if loop.batches.index == 6:
                ts.embedding(ts.tensor([9]), loop.model[0].weight)
            return honest(rows)

        loop.step = step
        with pytest.raises(TrainingError, match=r"embedding: .* from 0 to 3, got 9(.|\n)*epoch 1, .* steps 5 to 8"):
            loop.run()
        assert told[-1][0] == 4


def three_adam_steps(clip, rng, dtype="float32"):
    """Parameters of several sizes, one of them a view of another array; their numbers, and the calls of step three."""
    wide = rng.standard_normal((3, 40))
    shapes = [(3, 5), (1,), (40, 40), (7,)]
    parameters = [ts.tensor(rng.standard_normal(s), dtype=dtype, requires_grad=True) for s in shapes]
    loose = ts.tensor(wide, dtype=dtype)
    (loose * 1.0).sum()  # on the device from here on
    parameters.append(ts.tensor(0.0).hold(loose._data[1]).requires_grad_())
    optimizer = ts.optim.AdamW(parameters, lr=0.01, eps=1e-2)
    for _ in range(3):
        sum((p * p * p).sum() for p in parameters).backward()
        Calls.forget()
        if clip == "in place":
            ts.optim.clip_grad_norm_(parameters, 0.5)
        optimizer.step(ts.optim.clip_factor(parameters, 0.5) if clip == "by the step" else 1.0)
        counted, waits = (list(Calls.kernels), list(Calls.library)), Waits.count
        optimizer.zero_grad()
    return [p.numpy() for p in parameters], counted, waits


COST = {"": [], "by the step": ["square_sums", "clip_factor"], "in place": ["square_sums", "clip_factor", "scale_all"]}


@pytest.mark.parametrize("clip", COST)
def test_a_step_of_adam_is_one_launch(monkeypatch, clip):
    with ts.use("numpy"):
        wanted, _, _ = three_adam_steps(clip, np.random.default_rng(3))
    with strict_device(monkeypatch):
        found, (kernels, library), waits = three_adam_steps(clip, np.random.default_rng(3))
    assert kernels == [*COST[clip], "adam", "adam"]  # the view gets a launch of its own
    assert waits == 0 and set(library) <= {"reshape", "empty", "astype"}
    for got, want in zip(found, wanted, strict=True):
        close(got, want)


RECURRENT = {"rnn": 1, "lstm": 4, "gru": 3}


def loop(kind, xp, seed=0):
    """What starts a layer's loop over 5 steps, forward and backward, on the same arrays each time; and its results."""
    rng, gates = np.random.default_rng(seed), RECURRENT[kind]

    def draw(*shape):
        return xp.asarray(rng.standard_normal(shape).astype(np.float32) / 4)

    saved = recurrent.Saved(draw(5, 3, 2), xp.ones((5, 3), bool), draw(6, 3, 7), draw(5, 3, 7 * gates), draw(6, 3, 7))
    weights, bias, gy, dh, dc, da, du = (draw(7, 7 * gates), draw(7 * gates), draw(5, 3, 7), draw(3, 7), draw(3, 7),
                                         draw(5, 3, 7 * gates), draw(5, 3, 7 * gates))  # fmt: skip
    more = {"rnn": [], "lstm": [saved.extra], "gru": [saved.extra]}[kind]
    inner = [draw(7)] if kind == "gru" else []
    forward = [saved.gates, weights, bias, *inner, saved.mask, *more, saved.h]
    carried = {"rnn": [dh, da], "lstm": [dh, dc, da], "gru": [dh, da, du]}[kind]
    state = [saved.h] if kind == "gru" else []
    backward = [gy, saved.gates, *more, *state, xp.asarray(weights.get().T.copy()), saved.mask, *carried]

    def start():
        recurrent._steps(f"{kind}_step", saved, forward)
        recurrent._steps_backward(f"{kind}_step", saved, backward)
        return [a.get().copy() for a in (saved.h, *carried)]

    return start


@pytest.mark.parametrize("kind", RECURRENT)
def test_a_loop_that_comes_again_is_one_launch_and_gives_the_same_bits(monkeypatch, kind):
    with strict_device(monkeypatch):
        start, plain = loop(kind, _launch.array_library()), loop(kind, _launch.array_library())
        for graphs in (0, 2, 2):  # seen, recorded, replayed
            Calls.forget()
            found = start()
            assert Calls.graphs == graphs
            assert Counter(Calls.kernels) == {f"{kind}_step": 5, f"{kind}_step_backward": 6}
            monkeypatch.setenv("TINYSLM_CUDA_GRAPHS", "0")
            Calls.forget()
            for one, other in zip(found, plain(), strict=True):
                np.testing.assert_array_equal(one, other)
            assert Calls.graphs == 0
            monkeypatch.delenv("TINYSLM_CUDA_GRAPHS")
        Calls.forget()
        loop(kind, _launch.array_library(), seed=1)()  # other arrays: another loop
        assert Calls.graphs == 0


@pytest.mark.parametrize("at", ["begin_capture", "end_capture", "launch"])
def test_where_graphs_do_not_work_a_warning_says_so_once(monkeypatch, at):
    def fail(stream):
        Stream.recording = None
        raise RuntimeError("cudaErrorNotSupported")

    with strict_device(monkeypatch):
        start, plain = loop("gru", _launch.array_library()), loop("gru", _launch.array_library())
        start()
        monkeypatch.setattr(Graph if at == "launch" else Stream, at, fail)
        with pytest.warns(RuntimeWarning, match="CUDA graphs can't be used.*NotSupported") as told:
            found = start()
        assert len(told) == 1
        plain()
        for one, other in zip(found, plain(), strict=True):
            np.testing.assert_array_equal(one, other)
        Calls.forget()
        start()
        assert Calls.graphs == 0 and len(Calls.kernels) == 11


def test_a_stream_that_records_refuses_memory_products_and_waits(monkeypatch):
    with strict_device(monkeypatch):
        xp = _launch.array_library()
        a = xp.ones((2, 2), np.float32)
        for wrong in (
            lambda: xp.zeros(3),
            lambda: a @ a,
            lambda: xp.matmul(a, a, out=a),
            a.get,
            lambda: float(a[0, 0]),
        ):
            with xp.cuda.Stream(non_blocking=True) as stream:
                stream.begin_capture()
                with pytest.raises(RuntimeError, match="captur"):
                    wrong()
                stream.end_capture()


def trained(steps=12):
    """Losses of a small LSTM, which is too odd for the persistent kernel, and how many graphs each step replayed."""
    rng, losses, graphs = np.random.default_rng(0), [], []
    layer = nn.LSTM(3, 7, rng=rng)
    adam = optim.Adam(layer.parameters(), lr=0.1)
    x = ts.tensor(rng.standard_normal((2, 6, 3)).astype(np.float32))
    for _ in range(steps):
        Calls.forget()
        loss = (layer(x)[0] ** 2).sum()
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
        graphs.append(Calls.graphs)
        assert Counter(Calls.kernels)["lstm_step"] == 6 and Counter(Calls.kernels)["lstm_step_backward"] == 7
    return losses, graphs


def test_training_with_graphs_is_training_without(monkeypatch):
    with strict_device(monkeypatch):
        found, graphs = trained()
    assert any(graphs)
    monkeypatch.setenv("TINYSLM_CUDA_GRAPHS", "0")
    with strict_device(monkeypatch):
        wanted, graphs = trained()
    assert found == wanted and not any(graphs)


def test_the_strict_arrays_are_strict(monkeypatch):
    with strict_device(monkeypatch):
        x, Waits.count = ts.tensor([1.0, 2.0]), 0
        with pytest.raises(TypeError, match="Implicit conversion"):
            np.asarray(x._data)
        with pytest.raises(TypeError, match="NumPy array of shape"):
            x._data + np.ones(2, np.float32)
        with pytest.raises(TypeError, match="no function"):
            np.frompyfunc(abs, 1, 1)(x._data)
        assert Waits.count == 0
        assert float(x._data[0]) == 1 and bool(x._data[1] > 0) and x._data[x._data > 1].shape == (1,)
        assert Waits.count == 3


def test_an_evaluation_reads_once_for_all_batches(monkeypatch):
    texts = [f"{'lovely fine' if i % 2 else 'poor awful'} thing {i % 7}" for i in range(60)]
    table = Table(texts, [str(i % 2) for i in range(60)], source="made up")
    found = {}
    for backend in ("numpy", "cuda"):
        with strict_device(monkeypatch), ts.use(backend):
            training = ClassifierTraining(table, config_for(table, model="bow", hidden=8), Options(epochs=1))
            Waits.count = 0
            found[backend] = training._run("train", batch_size=7)
            assert Waits.count == (2 if backend == "cuda" else 0)  # the losses with the notes, the predictions
    assert found["cuda"][0] == pytest.approx(found["numpy"][0], rel=1e-5)
    np.testing.assert_array_equal(found["cuda"][1], found["numpy"][1])


@pytest.mark.parametrize("model", ["bow", "transformer"])
def test_the_commands_train_and_predict(monkeypatch, tmp_path, model):
    rows = [f"{'lovely fine' if i % 2 else 'poor awful'} thing {i % 7},{'good' if i % 2 else 'bad'}" for i in range(40)]
    data = tmp_path / "data.csv"
    data.write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    small = f"--epochs 1 --precision medium --model {model} --hidden 8 --heads 2 --length 8".split()
    place = ["--out", str(tmp_path / "m"), "--backend", "cuda"]
    with strict_device(monkeypatch):
        trained = CliRunner().invoke(app, ["train", "classifier", str(data), *place, *small])
        assert trained.exit_code == 0, trained.output
        answer = CliRunner().invoke(app, ["predict", str(tmp_path / "m"), "a lovely thing", "--backend", "cuda"])
    assert answer.exit_code == 0 and ("good" in answer.output or "bad" in answer.output), answer.output
