"""Pictures: what is in them, that nothing overlaps or warns, and that files are whole and repeatable."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyslm as ts
from tinyslm import plot
from tinyslm.errors import DataError, GraphError, OptionError, ShapeError
from tinyslm.plot import computation, fonts

pytestmark = pytest.mark.filterwarnings("error")
PNG = b"\x89PNG\r\n\x1a\n"
NOWHERE = chr(0x10FFFD)  # a private character at the far end of Unicode


def all_texts(figure):
    from matplotlib.text import Text

    figure.draw_without_rendering()
    return [t.get_text() for t in figure.findobj(Text) if t.get_text()]


# -- curves and lines -------------------------------------------------------------------------------------------------


def record(epoch, **values):
    return {"epoch": epoch, "train_loss": 1 / epoch, "train_accuracy": 1 - 0.5 / epoch, **values}


def test_curves_show_the_log_with_gaps():
    log = [record(1, valid_loss=0.9, valid_accuracy=0.5), record(2, valid_loss=None), record(3, valid_loss=0.7)]
    loss, accuracy = plot.curves(log).axes
    train, valid = loss.get_lines()
    assert train.get_ydata() == pytest.approx([1, 1 / 2, 1 / 3])
    assert valid.get_ydata() == pytest.approx([0.9, np.nan, 0.7], nan_ok=True)
    assert accuracy.get_lines()[0].get_ydata() == pytest.approx([50, 75, 100 - 50 / 3])
    assert (loss.get_ylabel(), accuracy.get_ylabel(), loss.get_xlabel()) == ("loss (nats)", "accuracy (%)", "epoch")
    assert all(float(t).is_integer() for t in loss.get_xticks())


def test_curves_of_a_language_model_and_of_nothing():
    figure = plot.curves([{"train_loss": 2.0}, {"train_loss": 1.0}])
    assert [len(axes.get_lines()) for axes in figure.axes] == [1, 0]
    with pytest.raises(DataError, match="at least one epoch"):
        plot.curves([])


def test_lines_take_any_series_and_scale():
    x = np.array([1, 10, 100])
    (axes,) = plot.lines(x, {"a": x, "b $5": [1, 2, 3]}, "size (MB)", "time (s)", "Title", "xy").axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["a", r"b \$5"]
    a, b = axes.get_lines()
    assert (a.get_color(), a.get_linestyle()) != (b.get_color(), b.get_linestyle())
    with pytest.raises(ShapeError, match=r"series\['a'\]"):
        plot.lines(x, {"a": [1, 2]}, "", "")
    with pytest.raises(OptionError, match="xy"):
        plot.lines(x, {"a": x}, "", "", log="z")


# -- matrices and gates -----------------------------------------------------------------------------------------------


def test_confusion_writes_counts_and_colours_shares():
    figure = plot.confusion([[8, 2], [0, 0]], ["spam", "ham"])
    axes = figure.axes[0]
    assert axes.images[0].get_array().tolist() == [[80, 20], [0, 0]]
    assert [t.get_text() for t in axes.texts] == ["8", "2", "0", "0"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    with pytest.raises(ShapeError, match="the matrix"):
        plot.confusion([[1, 2, 3]], ["a", "b"])


def test_heatmap_names_rows_and_columns_and_centres_signed_numbers():
    figure = plot.heatmap([[0.5, -1.0, 0], [0, 0, 2]], ["a", " "], ["x", "y\n", "$"], "Title")
    axes, bar = figure.axes
    assert axes.images[0].get_clim() == (-2, 2)
    assert [t.get_text() for t in axes.get_yticklabels()] == ["a", "␣"]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["x", "y\n", r"\$"]
    assert (axes.get_title(loc="left"), bar.get_ylabel()) == ("Title", "weight")
    assert plot.heatmap(np.ones((3, 60)), "abc", ["token"] * 60).axes[0].images[0].get_clim() == (0, 1)


@pytest.mark.parametrize("shape", [(1, 1), (20, 20), (3, 60), (60, 3)])
def test_matrices_of_every_shape_keep_their_labels_inside(shape):
    rows, columns = [f"row {i}" for i in range(shape[0])], [f"a long name {i}" for i in range(shape[1])]
    figure = plot.heatmap(np.random.default_rng(0).random(shape), rows, columns)
    figure.draw_without_rendering()
    inside = figure.get_tightbbox()
    assert inside.x0 >= 0 and inside.y0 >= 0
    assert inside.x1 <= figure.get_figwidth() <= 8
    assert inside.y1 <= figure.get_figheight() <= 10


@pytest.mark.parametrize("count, angle", [(3, 0), (12, 45), (30, 90)])
def test_names_that_do_not_fit_side_by_side_are_turned_and_never_overlap(count, angle):
    names = [f"harbour {i}" for i in range(count)]
    figure = plot.heatmap(np.eye(count), names, names)
    figure.draw_without_rendering()
    labels = figure.axes[0].get_xticklabels()
    assert {label.get_rotation() for label in labels} == {angle}
    boxes = [label.get_window_extent() for label in labels]
    if angle != 45:  # the boxes of slanted words overlap where the words do not
        assert all(a.x1 <= b.x0 for a, b in pairwise(boxes))


# -- figures drawn by hand --------------------------------------------------------------------------------------------


def by_hand():
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    curve, bars, image = figure.subplots(1, 3)
    curve.plot([1, 2], label="a")
    curve.set(title="Title", xlabel="x", ylim=(0, 3))
    curve.legend()
    bars.barh(["one", "two"], [1, 2])
    figure.colorbar(image.imshow([[1, 2]]), ax=image)
    return figure


def test_the_house_style_leaves_what_is_drawn_and_changes_its_look():
    figure = plot.house_style(by_hand())
    curve, bars, image, bar = figure.axes
    assert (curve.get_title(), curve.get_title(loc="left"), curve.get_ylim()) == ("", "Title", (0, 3))
    assert curve.get_lines()[0].get_ydata().tolist() == [1, 2]
    assert {side for side, s in curve.spines.items() if s.get_visible()} == {"left", "bottom"}
    assert not any(s.get_visible() for axes in (image, bar) for s in axes.spines.values())

    def grid(axis):
        return axis.get_gridlines()[0].get_visible()

    assert (grid(curve.yaxis), grid(curve.xaxis)) == (True, False)
    assert (grid(bars.yaxis), grid(bars.xaxis)) == (False, True)  # bars that lie are measured along x
    assert not grid(image.yaxis)
    assert curve.get_legend().get_frame().get_alpha() == 0.85


def test_the_house_style_finds_fonts_and_may_come_twice():
    figure = by_hand()
    figure.axes[0].set_title(NOWHERE)
    for _ in range(2):
        plot.house_style(figure)
    assert figure.axes[0].get_title(loc="left").startswith("□\n")


def test_gates_show_mean_and_band():
    rng = np.random.default_rng(0)
    traces = {
        "i": rng.random((3, 5)),
        "f": rng.random(3),
        "o": ts.tensor(rng.random((3, 5))),
        "c": rng.normal(size=(3, 5)),
    }
    figure = plot.gates(traces, ["not", "so", "good"], "A sentence")
    assert len(figure.axes) == 4
    for axes, values in zip(figure.axes, traces.values(), strict=True):
        assert axes.get_lines()[0].get_ydata() == pytest.approx(np.asarray(values).reshape(3, -1).mean(1))
    assert [len(axes.collections) for axes in figure.axes] == [1, 0, 1, 1]
    assert figure.axes[0].get_ylim() == pytest.approx((-0.04, 1.04))
    assert figure.axes[3].get_ylim()[0] == -figure.axes[3].get_ylim()[1]
    with pytest.raises(ShapeError, match=r"\(2,\) or \(2, H\)"):
        plot.gates({"i": np.ones(3)}, ["a", "b"])
    with pytest.raises(DataError, match="at least one"):
        plot.gates({}, ["a"])


# -- the graph --------------------------------------------------------------------------------------------------------


def small_graph():
    w = ts.tensor([[1.0, 2.0]], requires_grad=True)
    w.name = "w"
    y = (w * 3.0).sum(dim=1)
    return w, y, y + y.exp()


def test_graph_as_text():
    _, _, loss = small_graph()
    lines = [line.partition("  test_plot.py:")[0] for line in plot.graph_text(loss).splitlines()]
    assert lines == [
        "#1 add (1,)",
        "├─ #3 sum(dim=1) (1,)",
        "│  └─ #4 mul (1, 2)",
        "│     ├─ w (1, 2) parameter",
        "│     └─ 3 constant",
        "└─ #2 exp (1,)",
        "   └─ see #3",
    ]


def test_graph_as_a_picture_has_every_box_once():
    w, y, loss = small_graph()
    boxes = computation._boxes(loss)
    assert len(boxes) == 6
    assert [boxes[k].texts[0] for k in (w, y.node, loss.node)] == ["w", "sum(dim=1)", "add"]
    assert boxes[loss.node].inputs == [y.node, boxes[loss.node].inputs[1]]
    (axes,) = plot.graph(loss, "Title").axes
    assert sorted(t.get_text() for t in axes.texts) == sorted(t for b in boxes.values() for t in b.texts)
    assert axes.get_title(loc="left") == "Title"
    assert "parameter" in all_texts(plot.graph(w))


def test_graph_of_a_layer_and_indices():
    x = ts.tensor(np.ones((4, 6)), requires_grad=True)
    shown = all_texts(plot.graph(x[:, 1:3].sum()))
    assert "getitem(key=[:, 1:3])" in shown
    assert "one number" in shown


def test_a_freed_or_huge_graph_is_refused():
    _, _, loss = small_graph()
    loss.sum().backward()
    for draw in (plot.graph, plot.graph_text):
        with pytest.raises(GraphError, match="freed"):
            draw(loss)
    with pytest.raises(OptionError, match="at most 80"):
        plot.graph(deep_chain(100))


def deep_chain(length):
    x = ts.tensor([1.0], requires_grad=True)
    for _ in range(length):
        x = x.sin()
    return x


def test_text_of_a_deep_graph_is_cut():
    lines = plot.graph_text(deep_chain(5000), limit=10).splitlines()
    assert len(lines) == 11
    assert lines[-1] == "... and 4990 more operations"


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=25))
def test_random_graphs_have_layers_and_no_box_or_line_over_another(pairs):
    values = [ts.tensor([1.0], requires_grad=True)]
    for a, b in pairs:
        values.append(values[a % len(values)] * values[b % len(values)])
    boxes = computation._boxes(values[-1])
    computation._assign_layers(boxes)
    routes = computation._bend_long_lines(boxes)
    layers = computation._ordered_layers(boxes, routes)
    computation._assign_x(boxes, layers, routes, 1.2)
    for route in routes:
        assert all(boxes[b].layer == boxes[a].layer + 1 for a, b in pairwise(route))
    for layer in layers:
        for a, b in pairwise(layer):
            widths = [1.2 if boxes[k].texts else 0 for k in (a, b)]
            assert boxes[b].x - boxes[a].x > sum(widths) / 2


# -- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".svg", ".PNG"])
def test_saved_pictures_are_whole_and_repeatable(tmp_path, suffix):
    contents = []
    for name in "ab":
        path = plot.save(plot.curves([record(1), record(2)]), tmp_path / f"{name}{suffix}")
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]
    assert contents[0].startswith(PNG if suffix.lower() == ".png" else b"<?xml")
    assert len(list(tmp_path.iterdir())) == 2


def test_paths_are_checked(tmp_path):
    figure = plot.curves([record(1)], tmp_path / "c.png")
    assert (tmp_path / "c.png").read_bytes().startswith(PNG)
    assert figure._repr_png_().startswith(PNG)
    with pytest.raises(OptionError, match=r"\.png or \.svg"):
        plot.save(figure, tmp_path / "c.jpg")
    with pytest.raises(DataError, match="folder that exists"):
        plot.save(figure, tmp_path / "no" / "c.png")


def test_pyplot_is_never_loaded_and_matplotlib_only_by_a_picture():
    code = (
        "import sys; from tinyslm import plot; assert 'matplotlib' not in sys.modules;"
        "plot.heatmap([[1.0]], 'a', 'b')._repr_png_(); assert 'matplotlib.pyplot' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(ts.__file__).resolve().parents[1])}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


# -- fonts ------------------------------------------------------------------------------------------------------------


def test_characters_without_a_font_become_boxes_with_a_note():
    figure = plot.heatmap([[1.0, 2.0]], [NOWHERE], ["a", NOWHERE * 2], f"{NOWHERE} title")
    shown = all_texts(figure)
    assert not any(NOWHERE in text for text in shown)
    assert {"□", "□□"} <= set(shown)
    assert "□ title\n(□: no font installed here has these characters)" in shown


@pytest.fixture
def font(tmp_path):
    """A font with one character of its own, made here, as if it were installed."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen
    from matplotlib.font_manager import fontManager

    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    for corner in ((100, 800), (900, 800), (900, 0)):
        pen.lineTo(corner)
    pen.closePath()
    square = pen.glyph()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "own"])
    builder.setupCharacterMap({ord(NOWHERE): "own"})
    builder.setupGlyf({".notdef": square, "own": square})
    builder.setupHorizontalMetrics({".notdef": (1000, 100), "own": (1000, 100)})
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": "Test Han Sans", "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=900, usWinAscent=900, usWinDescent=100)
    builder.setupPost()
    builder.save(tmp_path / "own.ttf")
    before = list(fontManager.ttflist)
    fontManager.addfont(tmp_path / "own.ttf")
    fonts._fonts_for.cache_clear()
    yield "Test Han Sans"
    fontManager.ttflist[:] = before
    fonts._fonts_for.cache_clear()


def test_a_font_that_has_the_characters_is_found_and_used(font):
    figure = plot.heatmap([[1.0]], [NOWHERE], ["a"], f"{NOWHERE} title")
    assert NOWHERE in all_texts(figure)
    assert not any("no font" in text for text in all_texts(figure))
    assert font in figure.axes[0].get_yticklabels()[0].get_fontfamily()
    assert figure._repr_png_().startswith(PNG)
