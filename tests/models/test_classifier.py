"""The classifier: its numbers, its masks, and what its folder says when something is wrong with it."""

import json
import shutil

import numpy as np
import pytest

import tinyslm as ts
from tinyslm.checkpoint import load_model, save_model
from tinyslm.errors import AnomalyError, CheckpointError, OptionError
from tinyslm.models import Classifier, ClassifierConfig, TextClassifier
from tinyslm.models.classifier import MODELS, POOLINGS
from tinyslm.text import WordTokenizer

TEXTS = ["a good film", "a bad film , dull", "the plot is bad and the film is good", "电影 很 好"]
SMALL = {"vocabulary": 40, "embedding": 4, "hidden": 3, "length": 6, "heads": 2}


@pytest.fixture(autouse=True)
def numpy_backend():
    with ts.use("numpy"):
        yield


def make(labels=("bad", "good"), seed=0, **settings):
    config = ClassifierConfig(labels=tuple(labels), **(SMALL | settings))
    tokenizer = WordTokenizer(size=config.vocabulary, punctuation=True).fit(TEXTS)
    return Classifier(config, tokenizer, TextClassifier(config, np.random.default_rng(seed)))


def test_the_articles_sizes():
    model = TextClassifier(ClassifierConfig(("negative", "positive")), np.random.default_rng(0))
    assert model.num_parameters() == 738_945  # A16: 10000*64 + 4*128*(64+128+1) + 128+1


# -- forward and gradients --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [("a", "b"), ("a", "b", "c")], ids=["two", "three"])
@pytest.mark.parametrize("model", MODELS)
def test_every_parameter_gets_a_gradient(model, labels):
    for pooling in POOLINGS:
        for options in ({}, {"bidirectional": True, "layers": 2, "masked": True, "dropout": 0.2}):
            c = make(labels, model=model, pooling=pooling, **options)
            ids = c.encode(TEXTS)
            loss, found = c.model.loss(ids, np.array([0, 1, 1, 0]))
            loss.backward()
            assert np.isfinite(loss.item()) and found.shape == (4,) and set(found) <= set(range(len(labels)))
            without = [name for name, p in c.model.named_parameters() if p.grad is None]
            assert without == [], (model, pooling, options)


@pytest.mark.parametrize("model", MODELS)
def test_probabilities_add_up_to_one_and_do_not_depend_on_the_batch(model):
    c = make(("a", "b", "c"), model=model)
    p = c.probabilities(TEXTS)
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(p, np.concatenate([c.probabilities([t]) for t in TEXTS]), atol=1e-6)
    np.testing.assert_allclose(p, c.probabilities(TEXTS, batch_size=3), atol=1e-6)
    assert c.probabilities([]).shape == (0, 3)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_with_a_mask_the_amount_of_padding_does_not_matter(model, pooling):
    options = {"model": model, "pooling": pooling, "masked": True, "bidirectional": True}
    c = make(**options)
    for name, p in c.model.named_parameters():
        if "bias" in name:  # biases start at 0, which would hide a window that lies in the padding
            p._data[:] = 0.7
    c.model.embedding.weight._data[0] = 9.0
    ids = c.encode(TEXTS[:2])  # shorter than 6
    one = c.model(ids)._data
    np.testing.assert_allclose(c.model(ids[:, :5])._data, one, atol=1e-6)
    changed = c.model.embedding.weight._data
    changed[0] = -9.0
    np.testing.assert_allclose(c.model(ids)._data, one, atol=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_texts_without_words_get_finite_probabilities(model):
    for options in ({}, {"masked": True}, {"pooling": "attention", "masked": True}):
        p = make(model=model, **options).probabilities(["", "   ", "zzz qqq"])
        assert np.isfinite(p).all()


def test_two_classes_share_one_output_unless_asked_otherwise():
    one, two = make(), make(outputs="softmax")
    assert one.model.head.weight.shape[0] == 1 and two.model.head.weight.shape[0] == 2
    ids = one.encode(TEXTS)
    logits = one.model(ids)._data
    np.testing.assert_allclose(one.probabilities(TEXTS)[:, 1], 1 / (1 + np.exp(-logits)), atol=1e-6)
    classes = np.array([0, 1, 1, 0])
    p = one.probabilities(TEXTS)[np.arange(4), classes]
    assert one.model.loss(ids, classes)[0].item() == pytest.approx(-np.log(p).mean(), abs=1e-6)
    p = two.probabilities(TEXTS)[np.arange(4), classes]
    assert two.model.loss(ids, classes)[0].item() == pytest.approx(-np.log(p).mean(), abs=1e-6)


def test_padding_stands_in_front_unless_masked():
    assert make().encode(["a film"])[0, :4].tolist() == [0, 0, 0, 0]
    assert make(masked=True).encode(["a film"])[0, 2:].tolist() == [0, 0, 0, 0]
    long = "the plot is bad and the film is good"  # the last six tokens stay in both
    assert make().encode([long]).tolist() == make(masked=True).encode([long]).tolist()


def test_a_bag_does_not_care_for_order():
    p = make(model="bow").probabilities(["good bad film", "film good bad"])
    np.testing.assert_allclose(p[0], p[1], atol=1e-7)


# -- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", "lstn"), ("pooling", "sum"), ("outputs", "one"), ("vocabulary", 2), ("embedding", 0), ("hidden", -1),
        ("length", 0), ("layers", 0), ("heads", 0), ("length", 2.5), ("dropout", 1.0), ("dropout", -0.1),
        ("dropout", float("nan")), ("dropout", "x"), ("layers", True), ("labels", ("a",)), ("labels", ()),
    ],
)  # fmt: skip
def test_settings_outside_their_range_are_refused_by_name(name, value):
    with pytest.raises(OptionError, match=rf"^{name}: expected .*got"):
        ClassifierConfig(**({"labels": ("a", "b"), name: value}))


def test_heads_must_divide_the_word_vector_of_a_transformer_only():
    with pytest.raises(OptionError, match="heads: expected a divisor of the embedding size 4, got 3"):
        make(model="transformer", heads=3)
    make(model="lstm", heads=3)


def test_options_that_do_nothing_are_named():
    assert make(model="bow", pooling="max", bidirectional=True, hidden=128).config.unused() == [
        "embedding", "pooling", "bidirectional", "heads",
    ]  # fmt: skip
    assert ClassifierConfig(("a", "b"), model="cnn", layers=2).unused() == ["layers"]
    for model in MODELS:
        assert ClassifierConfig(("a", "b"), model=model).unused() == []


# -- predictions ------------------------------------------------------------------------------------------------------


def test_a_prediction_tells_how_many_words_were_known():
    good, nothing = make(("x", "y", "z")).predict(["a good zzz", ""])
    assert (good.known, good.words, nothing.known, nothing.words) == (2, 3, 0, 0)
    assert good.probability == max(good.probabilities.values()) and list(good.probabilities) == ["x", "y", "z"]
    assert good.probabilities[good.label] == good.probability


def test_probabilities_that_are_not_finite_are_refused(tmp_path):
    c = make()
    for p in c.model.parameters():
        p.data = np.full(p.shape, np.nan)
    with pytest.raises(AnomalyError, match=r"2 of 2 texts, the first is 'a good film'(.|\n)*Got: \[nan, nan\]"):
        c.predict(TEXTS[:2])
    c.save(tmp_path)
    with pytest.raises(CheckpointError, match="finite weights"):
        Classifier.load(tmp_path)


def test_one_string_instead_of_a_list_is_refused():
    with pytest.raises(OptionError, match=r"expected a list of texts, got one string; pass \[text\]"):
        make().predict("a good film")


# -- the folder -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_saved_and_loaded_it_is_the_same(tmp_path, model):
    c = make(("very, good", "不 好", "[x]"), model=model, pooling="attention", seed=3)
    c.save(tmp_path)
    back = Classifier.load(tmp_path)
    assert back.config == c.config
    assert np.array_equal(back.probabilities(TEXTS), c.probabilities(TEXTS))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    make().save(path)
    return path


def changed(folder, target, change):
    """A copy of the folder whose saved configuration was changed, in both places where it stands."""
    shutil.copytree(folder, target, dirs_exist_ok=True)
    arrays, config = load_model(target)
    change(config, arrays)
    save_model(target, arrays, config)
    return target


def settings(**new):
    return lambda config, arrays: config["settings"].update(new)


@pytest.mark.parametrize(
    "change",
    [
        lambda c, a: c.update(kind="speech recogniser"),
        lambda c, a: c.pop("settings"),
        lambda c, a: c.update(settings=[]),
        lambda c, a: c["settings"].pop("labels"),
        lambda c, a: c.pop("tokenizer"),
        lambda c, a: c.update(tokenizer={"type": "word"}),
        lambda c, a: c.update(tokenizer={"type": "of another kind"}),
        lambda c, a: a.pop("head.bias"),
        lambda c, a: a.update(more=np.zeros(3)),
        settings(model="perceptron"), settings(hidden=5), settings(hidden="3"), settings(labels=["a"]),
        settings(labels=["a", "b", "c"]), settings(surprise=1), settings(dropout="x"), settings(vocabulary=10**18),
        settings(length=None), settings(model=["lstm"]),
    ],
)  # fmt: skip
def test_a_folder_whose_configuration_does_not_fit_is_refused(folder, tmp_path, change):
    with pytest.raises(CheckpointError, match=r"(?i)expected|fit"):
        Classifier.load(changed(folder, tmp_path, change))


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "\x00\x01", '{"format_version": 99, "kind": "x"}'])
def test_a_garbage_config_is_refused(folder, tmp_path, content):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"config.json"):
        Classifier.load(tmp_path)


def test_another_version_is_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(config | {"format_version": 2}), encoding="utf-8")
    with pytest.raises(CheckpointError, match="newer format"):
        Classifier.load(tmp_path)


@pytest.mark.parametrize("size", [0, 7, 100, -1])
def test_cut_weights_are_refused(folder, tmp_path, size):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[:size])
    with pytest.raises(CheckpointError, match="damaged or cut short"):
        Classifier.load(tmp_path)


def test_folders_without_a_model_say_what_they_are(tmp_path):
    (tmp_path / "run" / "checkpoint").mkdir(parents=True)
    with pytest.raises(CheckpointError, match="interrupted training run(.|\n)*--resume"):
        Classifier.load(tmp_path / "run")
    with pytest.raises(CheckpointError, match="no model folder"):
        Classifier.load(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="not a model folder"):
        Classifier.load(tmp_path)
