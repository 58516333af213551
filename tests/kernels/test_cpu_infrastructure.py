"""Threads, fork, the cache of compiled kernels, and what importing costs."""

import gc
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from cpu_helpers import as_tuple, close, numbers, with_threads
from tinyslm.kernels.cpu import (
    _blas,
    _parallel,
    attention,
    conv,
    elementwise,
    index,
    loss,
    matmul,
    norm,
    optim,
    recurrent,
    softmax,
)
from tinyslm.kernels.cpu._jit import source_hash

from tinyslm import errors

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def threads():
    before = _parallel.get_num_threads()
    yield _parallel.set_num_threads
    _parallel.set_num_threads(before)


def everything():
    """Outputs and gradients of every family."""
    x, w, b, g = (numbers(i, *s, dtype="float32") for i, s in enumerate([(200, 128), (128,), (128,), (200, 128)]))
    t = np.random.default_rng(0).integers(0, 128, 200)
    q = numbers(9, 6, 60, 16, dtype="float32")
    results = []

    def run(pair, arrays, cotangent, **attributes):
        out, saved = pair[0](*arrays, **attributes)
        cotangent = out if cotangent is None else cotangent
        results.extend(
            [out, *pair[1](cotangent, out, saved, arrays, tuple(a.dtype.kind == "f" for a in arrays), **attributes)]
        )

    run((softmax.softmax_forward, softmax.softmax_backward), (x,), g)
    run((loss.cross_entropy_forward, loss.cross_entropy_backward), (x, t), None)
    run((norm.layer_norm_forward, norm.layer_norm_backward), (x, w, b), g)
    run((elementwise.gelu_forward, elementwise.gelu_backward), (x,), g)
    run((elementwise.dropout_forward, elementwise.dropout_backward), (x,), g, p=0.3, seed=5)
    run((index.embedding_forward, index.embedding_backward), (t, x), g)
    run((attention.attention_forward, attention.attention_backward), (q, q, q), q, causal=True)
    p, m, v = x.copy(), np.zeros_like(x), np.zeros_like(x)
    optim.adam(p, g, m, v, 0.1, 0.9, 0.99, 1e-8, 0.0, 1, True, 1.0)
    return [r for r in (*results, p, m, v) if r is not None]


def test_the_number_of_threads_changes_no_bit(monkeypatch):
    found = []
    for n in (1, 2, 3):
        handed = with_threads(n, monkeypatch)
        found.append(everything())
        assert len(handed) == 15 * (n - 1)  # seven families, forward and backward, and Adam
    for one, two, three in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)


def products():
    """Outputs and gradients of what is made of matrix products, in float64."""
    cases = [
        (matmul, "matmul", [(97, 1000), (1000, 130)], {}),
        (matmul, "affine", [(97, 1000), (130, 1000), (130,)], {}),
        (conv, "conv1d", [(7, 70, 90), (60, 70, 3), (60,)], {"padding": 1}),
        (attention, "self_attention", [(7, 90, 96)], {"heads": 2, "causal": True}),
        (recurrent, "lstm", [(7, 13, 40), (7, 50), (7, 50), (200, 40), (200, 50), (200,)], {}),
    ]
    for family, name, shapes, attributes in cases:
        arrays = tuple(numbers(i, *shape, scale=0.3) for i, shape in enumerate(shapes))
        out, saved = getattr(family, f"{name}_forward")(*arrays, **attributes)
        backward, needs = getattr(family, f"{name}_backward"), (True,) * len(arrays)
        # The results stand for the cotangents.
        yield name, [*as_tuple(out), *backward(out, out, saved, arrays, needs, **attributes)]


def test_products_have_the_same_bits_for_the_same_number_of_threads(monkeypatch):
    found = {}
    for n in (1, 2, 3, 2, 3):
        handed = with_threads(n, monkeypatch)
        for name, results in products():
            assert (len(handed) > n - 1) == (n > 1)  # forward and backward
            handed.clear()
            for i, result in enumerate(results):
                close(result, found.setdefault((name, i, 1), result), name)  # within rounding of one thread
                np.testing.assert_array_equal(result, found.setdefault((name, i, n), result), name)


def test_errstate_reaches_the_helpers(threads):
    threads(4)
    a = np.full((400, 400), 3e38, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with np.errstate(all="ignore"):
            assert np.isinf(_blas.multiply(a, a, np.empty_like(a))).all()


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize(("size", "grain"), [(0, 1), (1, 1), (7, 1), (5000, 1024), (1024, 1024), (1025, 1024)])
def test_pieces_cover_the_range(threads, n, size, grain):
    threads(n)
    pieces = []
    _parallel.split(lambda a, b: pieces.append((a, b)), size, 1 << 30, grain)
    pieces.sort()
    assert [a for a, _ in pieces] == [0, *(b for _, b in pieces[:-1])] and pieces[-1][1] == size
    assert all(a % grain == 0 for a, _ in pieces)


def test_little_work_stays_in_the_calling_thread_and_errors_come_back(threads):
    threads(2)
    pieces = []
    _parallel.split(lambda a, b: pieces.append((a, b)), 100, 100)
    assert pieces == [(0, 100)]
    with pytest.raises(ZeroDivisionError):
        _parallel.split(lambda a, b: 1 // (a * 0), 100, 1 << 30)
    for n in (0, -1, 1.5, True, "2", float("nan")):
        with pytest.raises(ValueError, match="set_num_threads: expected n as a whole number of at least 1, got "):
            threads(n)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_runs_on_serially(threads):
    threads(2)
    x = numbers(0, 700, 512, dtype="float32")
    want, _ = softmax.softmax_forward(x)  # the helpers have started
    child = os.fork()
    if child == 0:
        failed = 1
        try:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                same = all(np.array_equal(softmax.softmax_forward(x)[0], want) for _ in range(2))
            said = ["made by fork" in str(w.message) and w.filename == __file__ for w in told]
            serial, both = _parallel.get_num_threads() == 1, threading.Barrier(2)
            _parallel.set_num_threads(2)  # now it has a helper of its own
            _parallel.split(lambda start, stop: both.wait(20), 2, 1 << 30)
            failed = 0 if same and said == [True] and serial else 1
        finally:
            os._exit(failed)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert _parallel.get_num_threads() == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_of_a_fork_is_told_too(threads):
    threads(2)
    child = os.fork()
    if child == 0:
        failed = 1
        try:
            grandchild = os.fork()
            if grandchild == 0:
                with pytest.warns(errors.TinyslmWarning, match="made by fork"):
                    _parallel.split(lambda start, stop: None, 2, 1 << 30)
                failed = 0
            else:
                failed = os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1])
        finally:
            os._exit(failed)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


SPAWN = """
import multiprocessing
import numpy as np
from tinyslm.kernels.cpu import _parallel, softmax

def work(x):
    _parallel.set_num_threads(2)
    return softmax.softmax_forward(x)[0], _parallel.get_num_threads()

if __name__ == "__main__":
    x = np.random.default_rng(0).standard_normal((700, 512)).astype("float32")
    here, _ = work(x)  # the helpers have started
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there, threads = pool.apply(work, (x,))
    print(np.array_equal(here, there), threads)
"""


def test_a_spawned_process_computes_the_same_in_threads(tmp_path):
    (tmp_path / "program.py").write_text(SPAWN, encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run(
        [sys.executable, tmp_path / "program.py"], env=env, capture_output=True, text=True, timeout=120
    )
    assert (found.returncode, found.stdout.split()) == (0, ["True", "2"]), found.stderr


def run_python(code, **environment):
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)


KERNEL = "import numpy as np; from tinyslm.kernels.cpu.index import embedding_forward as e; "
CALL = "e(np.array([1]), np.ones((2, 2), np.float32)); "
LINE = "tinyslm: compiling kernel gather (first use; kept for later runs)"


def test_cache_folder_announcement_and_laziness(tmp_path):
    folder = tmp_path / "numba" / source_hash(ROOT / "kernels" / "cpu")
    imported = run_python(KERNEL + "import numba; print(repr(numba.config.CACHE_DIR))", TINYSLM_CACHE=str(tmp_path))
    assert imported.stderr == "" and imported.stdout.strip() == "''"  # nothing compiled, numba's own setting as it was
    assert not list(folder.rglob("*.nbc"))
    first = run_python(KERNEL + CALL + CALL, TINYSLM_CACHE=str(tmp_path))
    assert first.stderr.splitlines() == [LINE]
    assert list(folder.rglob("*gather*.nbc"))
    again = run_python(KERNEL + CALL, TINYSLM_CACHE=str(tmp_path))
    assert (again.returncode, again.stderr) == (0, "")


def test_nothing_is_compiled_a_second_time():
    code = (
        "import numpy as np; from tinyslm.kernels.cpu.conv import conv1d_forward as f, conv1d_backward as b; "
        "a = [np.ones(s, np.float32) for s in ((2, 3, 9), (4, 3, 2), (4,))]; "
        "[b(y, y, None, a, (True,) * 3, s) for s in (1, 2) for y in [f(*a, s)[0]]]"
    )
    assert run_python(code).returncode == 0  # it may find the kernels that other tests have compiled, but not others
    again = run_python(code)
    assert (again.returncode, again.stderr) == (0, "")


def test_processes_that_compile_at_once_share_one_cache(tmp_path):
    code = KERNEL + "print(e(np.array([1, 0]), np.array([[1.0, 2.0], [3.0, 4.0]], np.float32))[0].tolist())"
    with ThreadPoolExecutor(3) as pool:
        found = [f.result() for f in [pool.submit(run_python, code, TINYSLM_CACHE=str(tmp_path)) for _ in range(3)]]
    assert [(f.returncode, f.stdout.strip()) for f in found] == [(0, "[[3.0, 4.0], [1.0, 2.0]]")] * 3
    assert {*"".join(f.stderr for f in found).splitlines()} == {LINE}  # each compiles, or loads what another has kept
    assert run_python(code, TINYSLM_CACHE=str(tmp_path)).stderr == ""


def test_a_cache_that_cannot_be_written(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder", encoding="utf-8")
    code = KERNEL + CALL + "from tinyslm.kernels.cpu._jit import cache_folder; print(cache_folder())"
    found = run_python(code, TINYSLM_CACHE=str(blocked))
    assert found.returncode == 0 and found.stderr.splitlines() == [LINE]
    assert not Path(found.stdout.strip()).exists()  # the temporary folder is gone at exit


def test_the_hash_sees_every_source(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\n", encoding="utf-8")
    one = source_hash(tmp_path)
    (tmp_path / "_callee.py").write_text("y = 1\n", encoding="utf-8")
    two = source_hash(tmp_path)
    (tmp_path / "_callee.py").write_text("y = 2\n", encoding="utf-8")
    assert len({one, two, source_hash(tmp_path)}) == 3


def test_recurrent_kernels_run_in_a_thread_of_their_own():
    arrays = tuple(numbers(i, *s) for i, s in enumerate([(2, 3, 4), (2, 5), (5, 4), (5, 5), (5,)]))
    out, _ = recurrent.rnn_forward(*arrays)
    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(recurrent.rnn_forward, *arrays) for _ in range(4)]:
            np.testing.assert_array_equal(future.result()[0][0], out[0])


def test_recurrent_products_use_one_thread_and_the_setting_comes_back():
    get, put = _blas._controls()
    before = get()
    assert _blas.one_thread(get)() == 1
    assert get() == before

    @_blas.one_thread
    def fails():
        raise ValueError

    with pytest.raises(ValueError):
        fails()
    assert get() == before and callable(put)


def test_overlapping_calls_with_one_thread_leave_the_setting_as_it_was(monkeypatch):
    setting = [4]
    monkeypatch.setattr(_blas, "_controls", lambda: (lambda: setting[0], lambda n: setting.__setitem__(0, n)))
    inside, first_is_done = threading.Event(), threading.Event()

    @_blas.one_thread
    def first():
        inside.wait(10)
        return setting[0]

    @_blas.one_thread
    def second():
        inside.set()
        first_is_done.wait(10)
        return setting[0]

    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(first)
        two = pool.submit(second)
        assert one.result() == 1
        first_is_done.set()
        assert two.result() == 1
    assert setting == [4]


@pytest.mark.parametrize("new", [1, 2, 4])
def test_the_number_of_threads_may_change_while_another_thread_computes(threads, new, monkeypatch):
    threads(3)
    pieces, ask = [], _parallel._ask
    monkeypatch.setattr(_parallel, "_ask", lambda *asked: (threads(new), ask(*asked)))
    _parallel.split(lambda a, b: pieces.append((a, b)), 90, 1 << 30)
    assert sorted(pieces) == [(0, 30), (30, 60), (60, 90)]


@pytest.mark.parametrize(("chosen", "found"), [("3", 3), (" 2 ", 2), ("", None)])
def test_the_environment_chooses_threads(chosen, found, monkeypatch):
    monkeypatch.setattr(_parallel, "_threads", None)
    monkeypatch.setenv("TINYSLM_NUM_THREADS", chosen)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _parallel.get_num_threads() == (found or min(_parallel._cores(), 8))


@pytest.mark.parametrize("chosen", ["0", "\u00b2", "-1", "1.5", "many"])
def test_a_number_of_threads_that_is_none_is_left_aside_and_told_once(chosen, monkeypatch):
    monkeypatch.setattr(_parallel, "_threads", None)
    monkeypatch.setattr(_parallel, "_refused", set())
    monkeypatch.setenv("TINYSLM_NUM_THREADS", chosen)
    usual = min(_parallel._cores(), 8)
    with pytest.warns(RuntimeWarning, match=f"Expected: a whole number of at least 1. Got: {chosen!r}$"):
        assert _parallel.get_num_threads() == usual
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _parallel.get_num_threads() == usual


def test_a_helper_that_has_not_begun_is_not_waited_for_and_holds_no_arrays(monkeypatch):
    asked, done = [], []
    monkeypatch.setattr(_parallel, "_ask", lambda todo, helpers: asked.append(todo))
    monkeypatch.setattr(_parallel, "get_num_threads", lambda: 3)
    array = np.zeros(3)
    alive = weakref.ref(array)
    _parallel.split(lambda start, stop, array=array: done.append((start, stop)), 30, 10**9)
    assert done == [(0, 10), (10, 20), (20, 30)]
    del array
    assert len(asked) == 2 and alive() is None
    asked[0]()  # it comes too late
    assert len(done) == 3


def test_helpers_are_made_once_and_not_asked_without_end(threads, monkeypatch):
    threads(3)
    monkeypatch.setattr(_parallel, "_helpers", 0)
    monkeypatch.setattr(_parallel, "_asked", queue.SimpleQueue())
    monkeypatch.setattr(_parallel, "_help", lambda asked: None)  # they never come
    for _ in range(100):
        _parallel.split(lambda start, stop: None, 3, 10**9)
    assert _parallel._helpers == 2 and _parallel._asked.qsize() == _parallel.MOST_ASKED + 2


def test_helpers_that_can_not_be_started_are_done_without(threads, monkeypatch):
    def no_more(thread):
        raise RuntimeError("can't start new thread")

    threads(3)
    monkeypatch.setattr(_parallel, "_helpers", 0)
    monkeypatch.setattr(_parallel, "_asked", queue.SimpleQueue())
    monkeypatch.setattr(threading.Thread, "start", no_more)
    done = []
    _parallel.split(lambda start, stop: done.append(start), 3, 1 << 30)
    assert done == [0, 1, 2] and _parallel._helpers == 0


@pytest.mark.parametrize("trouble", [MemoryError, KeyboardInterrupt])
def test_trouble_here_waits_for_the_helper_and_holds_no_arrays(threads, trouble):
    threads(2)
    here, ended, both = threading.get_ident(), [], threading.Barrier(2)
    array = np.zeros(3)
    alive = weakref.ref(array)

    def task(start, stop, array=array):
        both.wait(10)
        if threading.get_ident() == here:
            raise trouble
        time.sleep(0.05)
        ended.append(start)

    gc.disable()
    try:
        with pytest.raises(trouble):
            _parallel.split(task, 2, 1 << 30)
        assert len(ended) == 1
        del task, array
        assert alive() is None
    finally:
        gc.enable()


STOPPED = """
import _thread, signal, threading, time
from tinyslm.kernels.cpu import _parallel

_parallel.set_num_threads(2)
here, both, begun, ended = threading.get_ident(), threading.Barrier(2), [], []

def task(start, stop):
    begun.append(start)
    if len(begun) <= 2:
        both.wait(10)
    if threading.get_ident() != here:
        time.sleep(0.3)
        STOP
        time.sleep(0.2)
        ended.append(start)

try:
    _parallel.split(task, 2, 1 << 30)
except BaseException as error:
    print(type(error).__name__, len(begun), len(ended))
"""
ALARM = """
def late(*_):
    raise TimeoutError

signal.signal(signal.SIGALRM, late)
signal.setitimer(signal.ITIMER_REAL, 0.3)
"""


@pytest.mark.parametrize("name", ["KeyboardInterrupt", "TimeoutError"])
def test_what_ends_the_wait_for_a_helper_comes_out_once_it_is_done(name):
    if name == "TimeoutError" and not hasattr(signal, "setitimer"):
        pytest.skip("needs an alarm")
    code = STOPPED.replace("STOP", "_thread.interrupt_main()" if name == "KeyboardInterrupt" else "pass")
    if name == "TimeoutError":
        code = code.replace("try:", ALARM + "try:")
    else:  # also where Ctrl-C is ignored, as in a shell's background
        code = code.replace("try:", "signal.signal(signal.SIGINT, signal.default_int_handler)\ntry:")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.stdout.split() == [name, "2", "1"], done.stderr


def test_after_an_error_the_rest_is_left_undone(threads, monkeypatch):
    threads(4)
    monkeypatch.setattr(_parallel, "_ask", lambda todo, helpers: None)
    begun = []
    with pytest.raises(ZeroDivisionError):
        _parallel.split(lambda start, stop: begun.append(start) or 1 // (start - 1), 4, 1 << 30)
    assert begun == [0, 1]


def test_callers_and_tasks_inside_tasks_share_the_helpers(threads):
    threads(2)

    def total(n):
        found = []

        def inner(start, stop):
            found.append(sum(range(start, stop)))

        def outer(start, stop):
            for _ in range(start, stop):
                _parallel.split(inner, n, 1 << 30)

        _parallel.split(outer, 4, 1 << 30)
        return sum(found)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(total, range(100, 140))) == [4 * sum(range(n)) for n in range(100, 140)]


def test_what_a_helper_raises_comes_back_when_all_others_are_done(threads):
    threads(3)
    me, together, failed, done = threading.get_ident(), threading.Barrier(3), [], []

    def one_fails(start, stop):
        together.wait(20)
        if threading.get_ident() != me and not failed:
            failed.append(start)
            raise KeyError("there")
        time.sleep(0.05)
        done.append(start)

    with pytest.raises(KeyError, match="there"):
        _parallel.split(one_fails, 3, 1 << 30)
    assert sorted(failed + done) == [0, 1, 2]


def test_ctrl_c_while_the_library_is_set_to_one_thread_leaves_it_as_it_was(monkeypatch):
    using, interrupts = [2], [KeyboardInterrupt]

    def put(n):
        using[0] = n
        if interrupts:
            raise interrupts.pop()

    monkeypatch.setattr(_blas, "_controls", lambda: (lambda: using[0], put))
    alone = _blas.one_thread(lambda: using[0])
    with pytest.raises(KeyboardInterrupt):
        alone()
    assert using == [2] and alone() == 1 and using == [2]
