"""Model folders and training states: exact, whole after a kill at any moment, refused with a reason when damaged."""

import errno
import json
import math
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyslm as ts
from tinyslm import checkpoint as cp
from tinyslm.errors import CheckpointError

ROOT = Path(ts.__file__).resolve().parents[1]
CONFIG = {"kind": "classifier", "hidden": 4, "labels": ["正面", "negative"]}


def arrays():
    rng = np.random.default_rng(0)
    return {"w": rng.normal(size=(3, 2)).astype("float32"), "b": rng.normal(size=2)}


@pytest.fixture
def model(tmp_path):
    cp.save_model(tmp_path / "m", arrays(), CONFIG)
    return tmp_path / "m"


@pytest.fixture
def trained(tmp_path):
    cp.save_state(tmp_path / "m", arrays(), {"step": 3})
    return tmp_path / "m"


def current(folder):
    return folder / "checkpoint" / json.loads((folder / "checkpoint" / "latest.json").read_text("utf-8"))["folder"]


def edit(path, **changes):
    values = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    path.write_text(json.dumps(values), encoding="utf-8")


# -- what is saved comes back -----------------------------------------------------------------------------------------


def test_model_comes_back_exactly(model):
    loaded, config = cp.load_model(model)
    assert sorted(p.name for p in model.iterdir()) == ["config.json", "model.safetensors"]
    for name, array in arrays().items():
        assert loaded[name].dtype == array.dtype
        assert np.array_equal(loaded[name], array)
        loaded[name] += 1  # writable
    assert config == {"format_version": 1, "tinyslm_version": ts.__version__, **CONFIG}
    assert "正面" in (model / "config.json").read_text(encoding="utf-8")


def test_saving_twice_gives_the_same_bytes(tmp_path):
    for name in "ab":
        cp.save_model(tmp_path / name, arrays(), CONFIG)
    for file in ("model.safetensors", "config.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3).T,
        np.arange(12.0)[::-2],
        np.arange(4, dtype=">i4"),
        np.float32(2.5),
        np.zeros((0, 3), "float16"),
        np.array([[True, False]]),
        np.array([2**64 - 1], dtype="uint64"),
    ],
    ids=["transposed", "strided", "big-endian", "scalar", "empty", "bool", "uint64"],
)
def test_every_layout_and_number_type_comes_back(tmp_path, array):
    cp.save_model(tmp_path, {"a": array}, CONFIG)
    loaded = cp.load_model(tmp_path)[0]["a"]
    assert np.array_equal(loaded, array)
    assert loaded.shape == np.shape(array)
    assert loaded.dtype == array.dtype.newbyteorder("=")


def test_tensors_are_saved_like_arrays(tmp_path):
    cp.save_model(tmp_path, {"w": ts.tensor([1.0, 2.0], requires_grad=True)}, CONFIG)
    assert cp.load_model(tmp_path)[0]["w"].tolist() == [1, 2]


@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_random_generators_continue_where_they_stopped(tmp_path, kind):
    rng = np.random.Generator(getattr(np.random, kind)(7))
    rng.normal(size=3)
    rng.integers(0, 9, dtype="uint32")  # leaves half a word in the buffer
    cp.save_state(tmp_path, {}, {"rng": rng.bit_generator.state})
    other = np.random.Generator(getattr(np.random, kind)(0))
    other.bit_generator.state = cp.load_state(tmp_path)[1]["rng"]
    assert other.integers(0, 9, 5, dtype="uint32").tolist() == rng.integers(0, 9, 5, dtype="uint32").tolist()
    assert other.random(5).tolist() == rng.random(5).tolist()


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(json_like)
def test_plain_values_come_back_exactly(value):
    text = cp._to_text({"value": value})
    assert cp._parse_json(text, Path("x"), "") == {"value": value}
    assert repr(json.loads(text)) != "" and "NaN" not in text.replace('"', "")


def test_numpy_values_nan_and_half_characters_in_a_state(tmp_path):
    state = {
        "step": np.int64(3),
        "loss": np.float32(0.1),
        "order": np.arange(3),
        "pair": (1, 2.5),
        "best": math.inf,
        "history": [{"loss": math.nan}],
        "flag": np.bool_(True),
        "big": 2**127 + 1,
        "token": "\udc80",
    }
    cp.save_state(tmp_path, {}, state)
    loaded = cp.load_state(tmp_path)[1]
    assert math.isnan(loaded.pop("history")[0]["loss"])
    assert loaded == {**{k: v for k, v in state.items() if k != "history"}, "order": [0, 1, 2], "pair": [1, 2.5]}
    assert np.float32(loaded["loss"]) == state["loss"]


def test_weights_that_are_not_finite_are_reported(tmp_path):
    bad = {"w": np.array([1, np.nan, np.inf]), "ok": np.ones(2), "ids": np.arange(2)}
    expected = ["w: 2 of 3 numbers are NaN or infinite"]
    assert cp.save_model(tmp_path, bad, CONFIG) == expected
    with pytest.raises(CheckpointError, match=r"finite weights\n  Got: w: 2 of 3 numbers are NaN or infinite\n"):
        cp.load_model(tmp_path)
    weights, config = cp.load_model(tmp_path, allow_not_finite=True)
    assert config["warnings"] == expected
    assert np.array_equal(weights["w"], bad["w"], equal_nan=True)
    assert cp.save_state(tmp_path, bad, {}) == cp.load_state(tmp_path)[1]["warnings"] == expected
    assert cp.save_model(tmp_path, {"w": np.ones(1)}, config) == []  # an old warning does not stay
    assert "warnings" not in cp.load_model(tmp_path)[1]


# -- what can't be saved ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad_arrays", "config", "message"),
    [
        ({"a": np.array(["x"])}, CONFIG, "'a' can't be saved"),
        ({"a": np.array([object()])}, CONFIG, "object"),
        ({"a": np.ones(2, "complex128")}, CONFIG, "complex128"),
        ({"": np.ones(2)}, CONFIG, "needs a name"),
        ({3: np.ones(2)}, CONFIG, "needs a name"),
        ({}, {"hidden": 3}, "needs a kind"),
        ({}, {**CONFIG, "labels": {0: "a"}}, r"key of labels .*\n.*text"),
        ({}, {**CONFIG, "layers": [{"f": print}]}, r"layers\[0\]\.f can't be saved"),
    ],
)
def test_what_can_not_be_saved_is_named_and_the_old_model_stays(model, bad_arrays, config, message):
    with pytest.raises(CheckpointError, match=message):
        cp.save_model(model, bad_arrays, config)
    assert cp.load_model(model)[1]["hidden"] == 4


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "f").write_text("x", encoding="utf-8")
    with pytest.raises(CheckpointError, match="A file stands where a folder is needed"):
        cp.save_model(tmp_path / "f", {}, CONFIG)
    with pytest.raises(CheckpointError, match="A file stands where a folder is needed"):
        cp.save_state(tmp_path / "f", {}, {})


def test_a_full_disk_leaves_the_old_ones(model, monkeypatch):
    cp.save_state(model, arrays(), {"step": 1})
    before = sorted(p.name for p in model.rglob("*"))

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match=r"no half-written file is left(.|\n)*The disk is full. Free some space"):
        cp.save_model(model, {"w": np.ones(3)}, CONFIG)
    with pytest.raises(CheckpointError, match="The disk is full"):
        cp.save_state(model, {"w": np.ones(3)}, {"step": 2})
    monkeypatch.undo()
    assert sorted(p.name for p in model.rglob("*")) == before
    assert "b" in cp.load_model(model)[0]
    assert cp.load_state(model)[1]["step"] == 1


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="this user may write everywhere")
def test_a_folder_without_write_permission(model):
    model.chmod(0o500)
    try:
        with pytest.raises(CheckpointError, match="Permission was denied"):
            cp.save_model(model, arrays(), CONFIG)
        with pytest.raises(CheckpointError, match="Permission was denied"):
            cp.save_state(model, arrays(), {})
    finally:
        model.chmod(0o700)


def test_permission_errors_are_explained(model, monkeypatch):
    def denied(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied", "there")

    monkeypatch.setattr(Path, "mkdir", denied)
    with pytest.raises(CheckpointError, match=r"Can't write there(.|\n)*a folder of your own"):
        cp.save_model(model, arrays(), CONFIG)


# -- damaged models ---------------------------------------------------------------------------------------------------


def test_missing_and_other_folders(tmp_path):
    with pytest.raises(CheckpointError, match="nothing at"):
        cp.load_model(tmp_path / "no")
    with pytest.raises(CheckpointError, match="is not a model folder"):
        cp.load_model(tmp_path)
    (tmp_path / "f").write_text("x", encoding="utf-8")
    with pytest.raises(CheckpointError, match="a file at"):
        cp.load_model(tmp_path / "f")


def test_weights_cut_anywhere_are_refused(model):
    path = model / "model.safetensors"
    whole = path.read_bytes()
    for length in [*range(0, len(whole), 7), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="damaged or cut short"):
            cp.load_model(model)


def raw_file(header, body=b""):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def entry(shape, end, dtype="F32"):
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}}


@pytest.mark.parametrize(
    "content",
    [
        b"garbage, longer than eight bytes",
        struct.pack("<Q", 2**62) + b"{}",
        raw_file(entry([2**40], 2**42), b"\0" * 8),  # four terabytes, they say
        raw_file(entry([2**63, 4], 8), b"\0" * 8),
        raw_file(entry([4], 8), b"\0" * 8),
        raw_file(entry([2], 8), b"\0" * 9),
        raw_file(entry([2], 8, "PICKLE"), b"\0" * 8),
        raw_file([]),
    ],
)
def test_headers_that_lie_are_refused(model, content):
    (model / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged or cut short"):
        cp.load_model(model)


@pytest.mark.parametrize("taught", [False, True])
def test_number_types_that_numpy_lacks(model, taught):
    if taught:
        pytest.importorskip("ml_dtypes", reason="no package here that teaches NumPy more number types")
    (model / "model.safetensors").write_bytes(raw_file(entry([4], 8, "BF16"), b"\0" * 8))
    with pytest.raises(CheckpointError, match="save it as float32"):
        cp.load_model(model)


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"kind": }', b"\xff\xfe", b"[1]", b"[" * 100_000, b'{"__float__": []}']
)
def test_broken_json_is_refused_and_the_remedy_works(model, content):
    (model / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"config\.json(.|\n)*delete it: model\.safetensors holds a copy"):
        cp.load_model(model)
    (model / "config.json").unlink()
    assert cp.load_model(model)[1]["hidden"] == 4


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (2, r"newer format(.|\n)*update tinyslm"),
        (0, "older format"),
        *((v, "no usable") for v in ("1", 1.0, True, None)),
    ],
)
def test_other_format_versions_are_refused(model, version, message):
    cp.save_state(model, {}, {})
    edit(model / "config.json", format_version=version)
    with pytest.raises(CheckpointError, match=message):
        cp.load_model(model)
    edit(current(model) / "state.json", format_version=version)
    with pytest.raises(CheckpointError, match=message):
        cp.load_state(model)


def test_a_config_without_kind_is_refused(model):
    edit(model / "config.json", kind=None)
    with pytest.raises(CheckpointError, match="which model"):
        cp.load_model(model)


def test_edits_of_the_config_count(model):
    edit(model / "config.json", labels=["good", "bad"])
    assert cp.load_model(model)[1]["labels"] == ["good", "bad"]


def cut_short(monkeypatch, name, folder, hidden):
    """A save that ends where the function `name` of the module would be called for `hidden`."""
    whole = getattr(cp, name)

    def stop(path, content, *rest, **more):
        if name == "_write_arrays" or "followed_by" not in content:
            raise KeyboardInterrupt
        return whole(path, content, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(cp, name, stop)
        with pytest.raises(KeyboardInterrupt):
            cp.save_model(folder, {"w": np.ones(hidden)}, {**CONFIG, "hidden": hidden})


def test_weights_of_a_later_save_bring_their_own_config(model, monkeypatch):
    cut_short(monkeypatch, "write_text", model, 5)  # killed before config.json
    for _ in range(2):
        weights, config = cp.load_model(model)
        assert weights["w"].shape == (config["hidden"],) == (5,)
        cut_short(monkeypatch, "_write_arrays", model, 6)  # and the next one before the weights
    cut_short(monkeypatch, "write_text", model, 7)
    assert cp.load_model(model)[1]["hidden"] == 7
    cp.save_model(model, {"w": np.ones(8)}, {**CONFIG, "hidden": 8})
    assert "followed_by" not in (model / "config.json").read_text("utf-8")
    assert cp.load_model(model)[1] == {**cp.load_model(model)[1], **CONFIG, "hidden": 8}


def test_edits_survive_a_save_that_is_cut_short(model, monkeypatch):
    edit(model / "config.json", labels=["good", "bad"])
    cut_short(monkeypatch, "_write_arrays", model, 5)
    loaded = cp.load_model(model)[1]
    assert loaded["labels"] == ["good", "bad"]
    assert "followed_by" not in loaded


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_files_of_two_models_in_one_folder_are_refused(model, tmp_path, name):
    cp.save_model(tmp_path / "new", {"w": np.ones(5)}, {**CONFIG, "hidden": 5})
    (tmp_path / "new" / name).replace(model / name)
    with pytest.raises(CheckpointError, match=r"different models\.(.|\n)*they differ in hidden\)(.|\n)*delete config"):
        cp.load_model(model)
    (model / "config.json").unlink()  # the remedy
    assert cp.load_model(model)[1]["hidden"] == (5 if name == "model.safetensors" else 4)


def test_plain_weights_from_elsewhere_go_with_the_config(model):
    from safetensors.numpy import save_file

    save_file({"w": np.ones(2)}, model / "model.safetensors")
    weights, config = cp.load_model(model)
    assert weights["w"].tolist() == [1, 1]
    assert config["hidden"] == 4
    (model / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"config\.json beside"):
        cp.load_model(model)


# -- states -----------------------------------------------------------------------------------------------------------


def test_no_state_is_none(tmp_path):
    assert cp.load_state(tmp_path / "no") is None
    assert cp.load_state(tmp_path) is None
    (tmp_path / "checkpoint").mkdir()
    assert cp.load_state(tmp_path) is None


def test_the_last_state_is_the_current_one_and_the_only_one(tmp_path):
    for step in range(3):
        cp.save_state(tmp_path, {"w": np.full(2, step)}, {"step": step})
    loaded, state = cp.load_state(tmp_path)
    assert loaded["w"].tolist() == [2, 2]
    assert state == {"step": 2}
    assert sorted(p.name for p in (tmp_path / "checkpoint").iterdir()) == ["00000003", "latest.json"]


def test_leftovers_are_ignored_then_removed_and_other_files_stay(trained):
    home = trained / "checkpoint"
    (home / "00000009").mkdir()
    (home / "00000009" / "state.json").write_text("{", encoding="utf-8")
    (home / ".latest.json.abc.part").write_text("{", encoding="utf-8")
    (home / "notes").mkdir()
    assert cp.load_state(trained)[1]["step"] == 3
    cp.save_state(trained, {}, {"step": 4})
    assert sorted(p.name for p in home.iterdir()) == ["00000002", "latest.json", "notes"]


@pytest.mark.parametrize("name", ["state.json", "state.safetensors"])
def test_damaged_states_are_refused(trained, name):
    path = current(trained) / name
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(CheckpointError, match=r"damaged(.|\n)*Delete .*checkpoint"):
        cp.load_state(trained)
    path.unlink()
    with pytest.raises(CheckpointError, match="A file is missing"):
        cp.load_state(trained)


@pytest.mark.parametrize("text", ["{", '{"format_version": 1}', '{"format_version": 1, "folder": "../../x"}'])
def test_a_damaged_pointer_is_refused_and_the_next_save_repairs_it(trained, text):
    (trained / "checkpoint" / "latest.json").write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"latest\.json is damaged"):
        cp.load_state(trained)
    assert (trained / "checkpoint" / "00000001").is_dir()
    cp.save_state(trained, {}, {"step": 5})
    assert cp.load_state(trained)[1]["step"] == 5


def test_a_pointer_to_nothing_is_refused(trained):
    current(trained).rename(trained / "elsewhere")
    with pytest.raises(CheckpointError, match="which is not there"):
        cp.load_state(trained)


# -- killed at any moment ---------------------------------------------------------------------------------------------


def start(code, *args):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", code, *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def check_whole(folder):
    """Both parts of the model, and of the state, come from one save each. Returns the steps."""
    weights, config = cp.load_model(folder)
    loaded, state = cp.load_state(folder)
    assert weights["w"].shape == (config["step"],)
    assert loaded["w"].shape == (1000 + state["step"],)
    assert set(loaded["w"].tolist()) == {state["step"]}
    return config["step"], state["step"]


SAVE_FOR_EVER = """
import sys, numpy as np
from tinyslm.checkpoint import save_model, save_state
step = int(sys.argv[2])
while True:
    step += 1
    save_model(sys.argv[1], {"w": np.ones(step)}, {"kind": "k", "step": step})
    save_state(sys.argv[1], {"w": np.full(1000 + step, step)}, {"step": step})
    print(step, flush=True)
"""


def test_whole_after_sigkill_in_the_middle_of_repeated_saves(tmp_path):
    step = 0
    for delay in (0.002, 0.005, 0.011, 0.017):
        process = start(SAVE_FOR_EVER, tmp_path, step)
        done = int(process.stdout.readline())
        time.sleep(delay)
        process.kill()
        done = max([done, *map(int, process.stdout.read().split())])
        process.wait()
        saved = check_whole(tmp_path)
        assert min(saved) >= done > step
        assert max(saved) <= done + 1
        step = done
    cp.save_model(tmp_path, {"w": np.ones(1)}, {"kind": "k", "step": 1})
    cp.save_state(tmp_path, {}, {})
    assert len(list(tmp_path.rglob("*"))) == 7  # 2 of the model, checkpoint/, latest.json, the state: no leftovers


# The child of fork number k dies at its k-th call that opens, makes, renames or removes something.
DIE_EVERYWHERE = """
import os, signal, sys, numpy as np
import safetensors.numpy, shutil
from tinyslm.checkpoint import save_model, save_state
folder = sys.argv[1]
os.fsync = lambda handle: None  # slow, and only a power cut needs it

def save(step):
    save_model(folder, {"w": np.ones(step)}, {"kind": "k", "step": step})
    save_state(folder, {"w": np.full(1000 + step, step)}, {"step": step})

def die_at(k):
    left = [k]
    def hook(event, args):
        if event == "open" or event.startswith(("os.", "shutil.", "tempfile.")):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)

save(1)
print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if not child:
        die_at(int(line))
        save(2)
        os._exit(0)
    print(os.waitpid(child, 0)[1], flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_whole_after_a_kill_at_every_step_of_a_save(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", DIE_EVERYWHERE, str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as process:
        assert process.stdout.readline() == "ready\n"
        seen, status, k = set(), 1, 0
        while status and k < 200:
            k += 1
            process.stdin.write(f"{k}\n")
            process.stdin.flush()
            status = int(process.stdout.readline())
            seen.add(check_whole(tmp_path))
            cp.save_model(tmp_path, {"w": np.ones(1)}, {"kind": "k", "step": 1})
            cp.save_state(tmp_path, {"w": np.full(1001, 1)}, {"step": 1})
        process.stdin.close()
    assert k > 20
    assert seen == {(1, 1), (2, 1), (2, 2)}
