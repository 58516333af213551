"""Language models: the cache gives the numbers of the full forward, and texts are drawn as asked."""

from collections import Counter

import numpy as np
import pytest

import tinyslm as ts
from tinyslm.checkpoint import save_model
from tinyslm.errors import AnomalyError, CheckpointError, DataError, OptionError, ShapeError
from tinyslm.models import Decoder, LanguageModel, decoding, generate, language

BACKENDS = ("numpy", "numba")
SMALL = {"vocabulary": 11, "width": 12, "layers": 2, "heads": 3, "max_time": 9, "hidden": 20}


def model(seed=0, **options):
    rng = np.random.default_rng(seed)
    made = LanguageModel(**{**SMALL, **options}, rng=rng)
    for p in made.parameters():  # start values are so small that wrong attention would not show
        p.data = p.data + 0.3 * rng.standard_normal(p.shape).astype(p.dtype)
    return made.eval()


def full_logits(m, tokens):
    """The last token's logits by the forward that training uses."""
    return m(np.asarray(tokens)).numpy()[:, -1]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("batch", "tied"), [(1, True), (3, False)])
def test_every_step_has_the_logits_of_the_full_forward(batch, tied, dtype, backend):
    m = model(tied=tied, dtype=dtype)
    text = np.random.default_rng(1).integers(0, 11, (batch, 9))
    with ts.use(backend):
        decoder = Decoder(m, batch)
        got = [decoder.read(text[:, :3])] + [decoder.step(text[:, t]) for t in range(3, 9)]
    for t, logits in enumerate(got, start=3):
        want = full_logits(m, text[:, :t])
        assert logits.dtype == dtype and logits.shape == (batch, 11)
        np.testing.assert_allclose(logits, want, rtol=0, atol=(2e-5 if dtype == "float32" else 1e-12) * abs(want).max())


@pytest.mark.parametrize("step", ["block_step", "logits_step"])
def test_without_the_compiler_the_formulas_serve_and_that_is_said(step, monkeypatch):
    numba = pytest.importorskip("numba")
    m = model(tied=False)
    with ts.use("numpy"):
        want = m.generate([4, 7], 6, temperature=0)
    loops = ts.device.Loops(f"decode:{step}", getattr(decoding, step))
    monkeypatch.setattr(loops.kernel.import_module(), step, numba.njit(lambda *a: a[0].no_such_attribute))
    monkeypatch.setattr(decoding, f"_{step}", loops)
    monkeypatch.setattr(ts.device, "_warned", set())
    with ts.use("numba"), pytest.warns(RuntimeWarning, match=f"{step} does not compile here, NumPy serves"):
        np.testing.assert_array_equal(m.generate([4, 7], 6, temperature=0), want)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_likeliest_token_follows_when_the_temperature_is_0(backend):
    m, text = model(tied=False), [4, 7]  # tied to the embedding, a token's likeliest successor is often itself
    with ts.use(backend):
        got = m.generate(text, 6, temperature=0)
    for token in got:
        assert token == full_logits(m, [text])[0].argmax()
        text.append(token)
    assert got.shape == (6,) and got.dtype == np.int64 and len(set(got.tolist())) > 1


def test_beyond_max_time_the_last_half_is_read_anew():
    m = model(4, max_time=6, tied=False)
    text = list(range(8))  # longer than the model sees: its end counts
    got = generate(m, text, 12, temperature=0).tolist()
    assert len(set(got)) > 1
    seen = text[-6:]
    for token in got:
        assert token == full_logits(m, [seen])[0].argmax()
        seen = [*seen, token]
        if len(seen) > 6:
            seen = seen[-3:]
    assert len(generate(model(max_time=1), [3], 4, temperature=0)) == 4


def test_tokens_are_drawn_with_the_probabilities_of_softmax():
    m, rng = model(), np.random.default_rng(2)
    drawn = np.concatenate([generate(m, np.full((500, 2), 5), 1, temperature=0.7, rng=rng) for _ in range(4)])
    logits = full_logits(m, [[5, 5]])[0] / 0.7
    p = np.exp(logits - logits.max())
    p /= p.sum()
    share = np.bincount(drawn[:, 0], minlength=11) / 2000
    assert np.abs(share - p).max() < 4 * np.sqrt(0.25 / 2000)
    assert (p > 0.05).sum() > 2  # else the test could not fail


def test_top_k_keeps_the_likeliest_tokens():
    m, rng = model(), np.random.default_rng(3)
    likeliest = set(np.argsort(full_logits(m, [[1, 2]])[0])[-3:].tolist())
    drawn = Counter(generate(m, np.array([[1, 2]] * 300), 1, temperature=3, top_k=3, rng=rng)[:, 0].tolist())
    assert set(drawn) == likeliest
    assert generate(m, [1], 5, top_k=1, rng=rng).tolist() == generate(m, [1], 5, temperature=0).tolist()
    assert len(generate(m, [1], 5, top_k=99, rng=rng)) == 5


def test_one_seed_gives_one_text_and_texts_of_a_batch_differ():
    m = model()
    first, again = (generate(m, [[3]] * 4, 20, rng=np.random.default_rng(8)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert len({tuple(row) for row in first.tolist()}) == 4


def test_dropout_is_off_and_the_model_stays_in_training():
    m = model(dropout=0.5).train()
    a, b = (m.generate([2], 7, temperature=0).tolist() for _ in range(2))
    assert a == b and m.training


def test_a_model_learns_and_repeats_what_it_learned():
    m = LanguageModel(5, 16, 1, 2, 8, rng=np.random.default_rng(0))
    text = np.arange(9)[None] % 5
    optimizer = ts.optim.AdamW(m.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        loss = ts.cross_entropy(m(text[:, :-1]), text[:, 1:])
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
    assert m.generate([0, 1], 6, temperature=0).tolist() == [2, 3, 4, 0, 1, 2]


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([], r"at least one token.*got shape \(0,\)"),
        ([[], []], "at least one token"),
        (3, "at least one token"),
        ([0.5], "expected whole numbers, got float64"),
        ("abc", "at least one token"),
        (["abc"], "expected whole numbers, got <U3"),
        ([True], "expected whole numbers, got bool"),
        ([4, 11], "expected numbers from 0 to 10, got 4 to 11"),
        ([-1], "expected numbers from 0 to 10"),
        ([[1], [1, 2]], r"expected texts of one length, \(B, T\); got \[\[1\], \[1, 2\]\]\n"),
    ],
)
def test_prompts_that_do_not_fit_are_refused(tokens, message):
    with pytest.raises(DataError, match=message):
        model().generate(tokens, 3, temperature=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 0}, r"length as a whole number of at least 1\. Got 0"),
        ({"length": 1.5}, "Expected length"),
        ({"top_k": 0}, r"top_k as a whole number of at least 1\. Got 0"),
        ({"temperature": -1}, "temperature: expected a number of at least 0, got -1"),
        ({"temperature": "hot"}, "temperature: expected a number of at least 0, got 'hot'"),
        ({"temperature": float("nan")}, "temperature: expected"),
        ({"temperature": 1.0, "rng": None}, r"rng as a generator, .*, unless temperature is 0\. Got None"),
    ],
)
def test_settings_outside_their_range_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        model().generate([1], **{"length": 3, "rng": np.random.default_rng(0), **options})


@pytest.mark.parametrize(
    "size",
    [
        {"vocabulary": 0}, {"width": 0}, {"layers": 0}, {"heads": 0}, {"max_time": 0}, {"max_time": -1}, {"hidden": 0},
        {"width": 12.0}, {"layers": True}, {"hidden": "20"},
    ],
)  # fmt: skip
def test_sizes_are_refused_by_name(size):
    ((name, value),) = size.items()
    said = rf"LanguageModel: expected {name} as a whole number of at least 1, got {value!r}$"
    with pytest.raises(OptionError, match=said):
        LanguageModel(**{**SMALL, **size}, rng=np.random.default_rng(0))


@pytest.mark.parametrize("batch", [0, 2.0, True])
def test_a_decoder_counts_its_texts(batch):
    with pytest.raises(OptionError, match=f"Decoder: expected batch as a whole number of at least 1, got {batch}"):
        Decoder(model(), batch)


def test_a_full_cache_and_broken_weights_are_told():
    decoder = Decoder(model(), 1)
    decoder.read(np.zeros((1, 9), np.int64))
    with pytest.raises(ShapeError, match="expected at most 9"):
        decoder.step(np.zeros(1, np.int64))
    broken = model()
    broken.blocks.norm.weight.data = broken.blocks.norm.weight.data * np.float32(np.nan)
    with pytest.raises(AnomalyError, match="largest of a row is nan"):
        broken.generate([1], 2, temperature=0)


@pytest.mark.parametrize(
    ("call", "tokens", "error", "message"),
    [
        ("step", [1], ShapeError, r"shape \(2,\), one row for each text; got \(1,\)"),
        ("step", [1, 2, 3], ShapeError, r"got \(3,\)"),
        ("step", 1, ShapeError, r"got \(\)"),
        ("read", [[], []], ShapeError, r"\(2, T\) with T at least 1, one row for each text; got \(2, 0\)"),
        ("read", [1, 2], ShapeError, r"got \(2,\)"),
        ("step", [1, -1], DataError, "from 0 to 10, got -1 to 1"),
        ("read", [[1], [11]], DataError, "from 0 to 10, got 1 to 11"),
        ("step", [1.0, 2.0], DataError, "whole numbers, got float64"),
    ],
)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_decoder_reads_nothing_that_does_not_fit(call, tokens, error, message, backend):
    with ts.use(backend):
        decoder = Decoder(model(), 2)
        with pytest.raises(error, match=message):
            getattr(decoder, call)(tokens)
        assert decoder.time == 0


def test_a_decoder_knows_the_bias_of_a_head():
    m = model(tied=False)
    m.head.bias = ts.nn.Parameter(np.arange(11, dtype=np.float32))
    text = np.array([[1, 2, 3]])
    np.testing.assert_allclose(Decoder(m, 1).read(text), full_logits(m, text), rtol=0, atol=1e-4)


@pytest.mark.parametrize("row", [[0.0, np.inf], [-np.inf, -np.inf], [np.nan, 0.0]])
def test_no_token_is_drawn_from_numbers_that_are_none(row):
    for temperature in (0, 1.0):
        with pytest.raises(AnomalyError, match="expected finite numbers"):
            language._draw(np.array([row], np.float32), temperature, None, np.random.default_rng(0))


def test_a_temperature_near_0_draws_the_likeliest():
    logits = np.array([[0.0, 0.5, 0.4], [-np.inf, -1.0, 3.0]], np.float32)
    for temperature in (1e-3, 1e-46, 1e-320):
        np.testing.assert_array_equal(language._draw(logits, temperature, None, np.random.default_rng(0)), [1, 2])


# -- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"tied": False, "dtype": "float64", "hidden": None, "dropout": 0.1}])
def test_a_saved_model_comes_back(options, tmp_path):
    m, text = model(**options), np.arange(6)[None] % 11
    m.save(tmp_path / "saved")
    again = LanguageModel.load(tmp_path / "saved").eval()
    np.testing.assert_array_equal(again(text).numpy(), m(text).numpy())
    assert again(text).numpy().dtype == m(text).numpy().dtype and again.settings == m.settings
    drawn = [x.generate([1, 2], 12, rng=np.random.default_rng(5)).tolist() for x in (m, again)]
    assert drawn[0] == drawn[1] and len(set(drawn[0])) > 1


def test_a_save_over_an_older_model_replaces_it_whole(tmp_path):
    model().save(tmp_path)
    m = model(1, layers=1, vocabulary=7)
    m.save(tmp_path)
    assert LanguageModel.load(tmp_path).settings == m.settings
    assert not list(tmp_path.glob(".*.part"))


def test_damaged_and_foreign_files_are_refused(tmp_path):
    m = model()
    m.save(tmp_path)
    weights = tmp_path / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="damaged or cut short"):
        LanguageModel.load(tmp_path)
    save_model(tmp_path, m.state_dict(), {"kind": "text classifier"})
    with pytest.raises(CheckpointError, match="expected a language model, got 'text classifier'"):
        LanguageModel.load(tmp_path)
    with pytest.raises(CheckpointError, match="no model folder"):
        LanguageModel.load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (None, "Expected: settings by name"),
        ({"width": 10**9}, "width 1000000000 instead of 12"),
        ({"layers": 3}, "layers 3 instead of 2"),
        ({"heads": 5}, "do not fit"),
        ({"tied": False}, "head.weight"),
        ({"speed": 1}, "speed"),
    ],
)
def test_settings_that_do_not_fit_the_weights_are_refused(settings, message, tmp_path):
    m = model()
    save_model(
        tmp_path, m.state_dict(), {"kind": "language model", "settings": settings and {**m.settings, **settings}}
    )
    with pytest.raises(CheckpointError, match=message):
        LanguageModel.load(tmp_path)


def test_weights_of_another_model_are_refused(tmp_path):
    save_model(tmp_path, {"embedding.weight": np.zeros(3)}, {"kind": "language model", "settings": model().settings})
    with pytest.raises(CheckpointError, match="embedding.weight with two dimensions"):
        LanguageModel.load(tmp_path)
