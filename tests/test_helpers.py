"""The pictures and the scorecard: that they show what the arrays hold."""

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

import helpers
from sparse_autoencoder import figures, tables
from sparse_autoencoder.vocabulary import SCORECARD, TERMS

RNG = np.random.default_rng(0)


def picture(ax):
    return np.asarray(ax.images[0].get_array())


def test_a_star_brings_every_picture_and_the_loader():
    names = {}
    exec("from helpers import *", names)
    own = {
        name
        for module in (helpers, figures)
        for name in vars(module)
        if name.startswith(("show_", "plot_")) and name != "show_picture"
    }
    assert len(own) >= 8
    assert own | {"load_images", "mosaic", "table", "sweep", "scorecard", "DATA"} <= set(names)


def test_importing_helpers_gives_figures_the_style_of_the_course():
    assert plt.rcParams["figure.facecolor"] == "white" and plt.rcParams["figure.dpi"] == 100
    assert plt.rcParams["axes.prop_cycle"].by_key()["color"][0] == "#0072B2"


def test_mosaic_puts_every_image_in_its_place():
    images = np.arange(1, 6)[:, None] * np.ones((5, 6))  # five images of 2×3 pixels
    tiles = helpers.mosaic(images, columns=3, image_shape=(2, 3), fill=-1)
    assert tiles.shape == (2 * 3 - 1, 3 * 4 - 1)
    assert tiles[0].tolist() == [1, 1, 1, -1, 2, 2, 2, -1, 3, 3, 3]
    assert set(tiles[2]) == {-1}
    assert tiles[4].tolist() == [4, 4, 4, -1, 5, 5, 5, -1, -1, -1, -1]


@pytest.mark.parametrize(("images", "count", "shown"), [(5, 15, 5), (1, 15, 1), (20, 15, 15)])
def test_originals_stand_above_their_reconstructions_also_where_there_are_fewer(
    images, count, shown
):
    pair = RNG.uniform(size=(2, images, 784)).astype("float32")
    ax = helpers.show_reconstructions(*pair, count=count)
    assert picture(ax).shape == (57, 29 * shown - 1)
    for row, originals in zip((picture(ax)[:28], picture(ax)[29:]), pair, strict=True):
        np.testing.assert_array_equal(row[:, :28], originals[0].reshape(28, 28))
        np.testing.assert_array_equal(row[:, -28:], originals[shown - 1].reshape(28, 28))
    assert [label.get_text() for label in ax.get_yticklabels()] == ["original", "reconstruction"]


def test_features_are_columns_of_the_weights_on_a_map_symmetric_about_0():
    weights = RNG.normal(size=(784, 5)) * [1, 10, 100, 1000, 0]
    ax = helpers.show_features(weights, columns=5)
    shown = picture(ax)
    for unit in range(4):
        feature = shown[:, unit * 29 : unit * 29 + 28].ravel()
        np.testing.assert_allclose(feature, weights[:, unit] / np.abs(weights[:, unit]).max())
    assert np.all(shown[:, 4 * 29 :] == 0)  # a feature without weights is blank, not noise
    assert ax.images[0].get_clim() == (-1, 1)


def test_on_one_scale_faint_features_look_faint():
    weights = RNG.uniform(-1, 1, size=(784, 6)) * [1, 2, 4, 8, 16, 32]
    ax = helpers.show_features(weights, 4, columns=2, scale=8)
    np.testing.assert_allclose(picture(ax)[29:, 29:].ravel(), weights[:, 3] / 8)
    np.testing.assert_allclose(picture(ax)[:28, :28].ravel(), weights[:, 0] / 8)


def test_features_by_use_are_a_row_of_dead_one_of_hardly_used_and_one_of_most_used_units():
    weights = RNG.uniform(-1, 1, size=(16, 7))
    weights[:, 4] *= 0.1
    of_unit = [4, 0, 3, 6, 0, 1, 4]  # in so many images of 6 a unit is active: two are dead
    code = np.float32(np.arange(6)[:, None] < of_unit)
    own, one = helpers.show_features_by_use(weights, code, scale=2, each=2, side=4)
    tiles = [(slice(top, top + 4), slice(left, left + 4)) for top in (0, 5, 10) for left in (0, 5)]
    for tile, unit in zip(tiles, [1, 4, 5, 2, 6, 3], strict=True):
        feature = weights[:, unit].reshape(4, 4)
        np.testing.assert_allclose(picture(own)[tile], feature / abs(feature).max())
        np.testing.assert_allclose(picture(one)[tile], feature / 2)
    labels = [label.get_text() for label in own.get_yticklabels()]
    assert labels == ["0: dead", "2", "5"]


def test_every_loss_term_is_a_curve_of_its_own_on_a_log_axis_and_one_alone_is_drawn_once():
    history = {"loss": [3.0, 2.0], "sse": [2.0, 1.5], "kl": [1.0, 0.5], "val_sse": [2.1, 1.6]}
    ax = helpers.plot_loss_terms(history)
    curves = [line.get_ydata() for line in ax.lines if len(line.get_ydata())]
    assert [list(curve) for curve in curves] == [[3, 2], [2, 1.5], [2.1, 1.6], [1, 0.5]]
    assert ax.get_yscale() == "log" and ax.get_xlabel() == "epoch"
    lines = helpers.plot_loss_terms({"loss": [2.0, 1.0], "sse": [2.0, 1.0]}).lines
    assert [line.get_label() for line in lines] == ["SSE"]


def test_a_term_has_one_look_whatever_stands_beside_it():
    for terms in (["sse"], ["loss", "sse"], ["loss", "sse", "l2", "kl"], ["loss", "sse", "l1"]):
        history = {term: [2.0 + number, 1.0] for number, term in enumerate(terms)}
        looks = {line.get_label(): line for line in helpers.plot_loss_terms(history).lines}
        assert set(looks) == {TERMS[term].label for term in terms}
        assert len({line.get_color() for line in looks.values()}) == len(terms)
        for term in terms:
            line = looks[TERMS[term].label]
            assert line.get_color() == TERMS[term].color
            assert line.is_dashed() == bool(TERMS[term].dashes)


def test_mean_activation_histogram_counts_every_unit_and_marks_the_target():
    ax = helpers.plot_mean_activation(np.array([0.01, 0.2, 0.21, 3.0]), rho=0.05)
    assert sum(patch.get_height() for patch in ax.patches) == 4
    assert ax.lines[0].get_xdata()[0] == 0.05
    assert "ρ = 0.05" in ax.get_legend().get_texts()[0].get_text()


def test_codes_show_the_numbers_they_are_given():
    code = RNG.uniform(size=(5, 7))
    np.testing.assert_array_equal(picture(helpers.show_codes(code)), code)


def test_drawing_goes_on_the_axes_that_are_given():
    _, ax = plt.subplots()
    assert helpers.show_images(RNG.uniform(size=(3, 784)), ax=ax) is ax
    assert len(plt.get_fignums()) == 1


def test_pictures_in_colour_and_stacks_of_pictures():
    colour = RNG.random((3, 4, 4, 3), "float32")
    for images, shape in ((colour, (28, 28)), (colour.reshape(3, -1), (4, 4, 3))):
        shown = picture(helpers.show_images(images, 15, shape))
        assert shown.shape == (4, 14, 3)
        np.testing.assert_array_equal(shown[:, 5:9], colour[1])
    features = picture(helpers.show_features(RNG.normal(size=(48, 6)), image_shape=(4, 4, 3)))
    assert features.shape[2] == 3 and 0 <= features.min() and features.max() <= 1
    gray = colour[..., :1]
    for stack in (gray, gray[..., 0]):
        shown = picture(helpers.show_reconstructions(stack, 1 - stack))
        np.testing.assert_allclose(shown[5:, 5:9], 1 - gray[1, ..., 0], atol=1e-6)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (RNG.random((3, 48)), r"image_shape=\(height, width\)"),
        (np.arange(784.0).reshape(1, -1), "these go up to 783: divide .* X / 255"),
        (16 * np.eye(28), "divide them"),
    ],
)
def test_what_cannot_be_drawn_is_refused(images, words):
    with pytest.raises(ValueError, match=words):
        helpers.show_images(images)


def test_reconstructions_of_other_images_are_refused():
    images = RNG.random((3, 784))
    for other in (images[:2], images[:, :4]):
        with pytest.raises(ValueError, match="cannot stand above .*: there must be one for each"):
            helpers.show_reconstructions(images, other)


@pytest.fixture
def results(tmp_path, monkeypatch):
    rows = [
        ["setting", "seed", *SCORECARD],
        ["MSE", 0, 1.0, 0.5, 100, 0, 70.0, 86.0],
        ["MSE", 1, 2.0, 0.5, 102, 1, 72.0, 87.0],
        ["pixels", 0, "", "", "", "", 75.0, 88.0],
        *[["alike", seed, sse, *"00000"] for seed, sse in enumerate((1.660, 1.666))],
        *[["near", seed, sse, *"00000"] for seed, sse in enumerate((1.60, 1.70))],
        *[["same", seed, sse, *"00000"] for seed, sse in enumerate((52.9, 52.9))],
    ]
    (tmp_path / "results.csv").write_text("\n".join(",".join(map(str, row)) for row in rows))
    monkeypatch.setattr(tables, "DATA", tmp_path)


def cells(scorecard):
    """The rows of a scorecard, each as (model, {(figure, column): cell})."""
    table = BeautifulSoup(scorecard.data, "html.parser").table
    figures, columns = (row.select("th") for row in table.select("thead tr"))
    figures = [th.text for th in figures for _ in range(int(th.get("colspan", 1)))]
    heads = list(zip(figures, [th.text for th in columns], strict=True))[1:]
    rows = [(row.th, row.select("td")) for row in table.select("tbody tr")]
    return {model.text: dict(zip(heads, row, strict=True)) for model, row in rows}


def test_scorecard_has_five_seeds_and_this_run_side_by_side(results):
    live = {"mine": {"sse_test": 12.346, "probe_10": 82.06}, "MSE": {"sse_test": 3.0}}
    card = helpers.scorecard(live, "digits", earlier=["pixels", "MSE"])
    rows = {name: {head: td.text for head, td in row.items()} for name, row in cells(card).items()}
    assert list(rows) == ["pixels", "MSE", "mine"]
    sse, probe = "test SSE", "probe %, 10 labels per class"
    assert [rows["MSE"][sse, column] for column in ("2 seeds", "this run")] == [
        "1.50 ± 0.71",
        "3.00",
    ]
    assert rows["pixels"][probe, "2 seeds"] == "75.0" and rows["pixels"][sse, "2 seeds"] == "–"
    assert rows["mine"][sse, "2 seeds"] == "–" and rows["mine"][probe, "this run"] == "82.1"
    assert ("dead units", "this run") not in rows["mine"], "a column that nothing fills"
    assert "2 seeds: mean ± sd, MNIST; digits, this run" in card.data


def test_scorecard_marks_the_baseline_and_the_best_of_a_column(results):
    live = {"mine": {"sse_test": 3.0, "active_units": 9}, "yours": {"sse_test": 2.0}}
    rows = cells(helpers.scorecard(live, "digits", earlier=["pixels", "MSE", "near"]))
    bold = {(name, *head) for name, row in rows.items() for head, td in row.items() if td.b}
    assert bold == {
        ("MSE", "test SSE", "2 seeds"),
        ("yours", "test SSE", "this run"),
        ("pixels", "probe %, 10 labels per class", "2 seeds"),
        ("pixels", "probe %, 100 labels per class", "2 seeds"),
    }
    assert all(td.span for td in rows["pixels"].values())
    assert not any(td.span for name in ("MSE", "mine") for td in rows[name].values())


def test_scorecard_marks_all_that_read_the_same_as_the_best(results):
    live = {"mine": {"sse_test": 1.651}, "yours": {"sse_test": 1.654}, "pixels": {"sse_test": 1.66}}
    rows = cells(helpers.scorecard(live, "digits", earlier=["MSE", "near"]))
    bold = [name for name, row in rows.items() if row["test SSE", "this run"].b]
    assert bold == ["mine", "yours"]


def test_scorecard_without_a_run_shows_the_seeds_alone(results):
    card = helpers.scorecard({}, "MNIST", earlier=["MSE"])
    assert "this run" not in card.data
    assert not any(td.b for td in cells(card)["MSE"].values()), "one alone is no best"


def test_the_spread_is_shown_with_as_many_digits_as_it_needs(results):
    rows = cells(helpers.scorecard({}, "MNIST", earlier=["alike", "near", "same"]))
    shown = [row["test SSE", "2 seeds"].text for row in rows.values()]
    assert shown == ["1.663 ± 0.004", "1.65 ± 0.07", "52.90"]


def test_scorecard_says_which_setting_is_missing(results):
    with pytest.raises(KeyError, match="no setting 'nonesuch': run `make results`"):
        helpers.scorecard({}, "MNIST", earlier=["nonesuch"])


def test_a_table_stands_behind_a_line_that_opens_it(results):
    card = helpers.scorecard({}, "MNIST", earlier=["MSE"])
    for table in (card, pd.DataFrame({"l0": [25]})):
        fold = BeautifulSoup(helpers.folded("Five seeds", table).data, "html.parser").details
        assert fold.summary.text == "Five seeds" and fold.table and not fold.has_attr("open")


RUNS = pd.DataFrame(
    [("A", 0, 3, 0.5), ("B", 0, 1, 0.10), ("A", 1, 5, 0.5), ("B", 1, 1, 0.12), ("C", 0, 9, 0.2)],
    columns=["setting", "seed", "l0", "fvu"],
)


def test_means_of_settings_stand_in_the_order_and_by_the_names_asked_for():
    table = helpers.means(RUNS, {"l0": "L0", "fvu": "FVU"}, {"B": "second", "A": "first", "C": "C"})
    assert list(table.index) == ["second", "first", "C"]
    assert list(table.L0) == ["1.0", "4.0 ± 1.4", "9.0"]
    assert list(table.FVU) == ["0.11 ± 0.01", "0.50", "0.20"] and list(table.n) == [2, 2, 1]
    assert list(helpers.means(RUNS, {"l0": "L0"}).index) == ["A", "B", "C"]
    assert list(helpers.means(RUNS, {"l0": "L0"}, ["C", "A"]).index) == ["C", "A"]


@pytest.mark.parametrize("by", ["setting", "l0"])
def test_means_are_drawn_along_x_with_the_spread_as_bars(by):
    ax = helpers.plot_means(RUNS, "l0", "fvu", by, label="mine")
    points = ax.lines[0].get_xydata()
    expected = {"setting": [[1, 0.11], [4, 0.5], [9, 0.2]]}
    expected["l0"] = [[1, 0.11], [3, 0.5], [5, 0.5], [9, 0.2]]
    np.testing.assert_allclose(points, expected[by])
    bars = [np.ptp(bar[:, 1]) for bar in ax.collections[0].get_segments()]
    np.testing.assert_allclose(bars, [2 * 0.02 / 2**0.5, *[0] * (len(points) - 1)], atol=1e-12)


def test_each_change_stands_beside_itself_added_to_one_end_and_taken_from_the_other():
    names = ["A", "A + x", "A + y", "B − x", "B − y", "B", "Another"]
    runs = pd.DataFrame({"setting": names, "seed": 0, "l0": np.arange(7.0)})
    table = helpers.means_of_changes(runs, {"l0": "L0"}, "A", "B")
    assert list(table.index) == ["as it is", "x", "y"]
    assert list(table["A with it", "L0"]) == ["0.0", "1.0", "2.0"]
    assert list(table["B without it", "L0"]) == ["5.0", "3.0", "4.0"]


def test_rules_leave_k_images_to_a_unit_k_units_to_an_image_or_k_n_to_all():
    kl, winners, topk, batch = (ax.images[0].get_array() for ax in helpers.show_rules(3, 12))
    np.testing.assert_allclose(kl.mean(axis=0), 3 / 12)
    assert kl.min() > 0
    assert set(np.sum(winners > 0, axis=0)) == {3} and set(np.sum(topk > 0, axis=1)) == {3}
    assert np.sum(batch > 0) == 3 * 12 and len(set(np.sum(batch > 0, axis=1))) > 1


class OnePixelPerUnit:
    """An autoencoder whose code is the image."""

    def encode(self, images):
        return images

    decode = encode


def test_an_image_is_drawn_by_its_most_active_units_alone():
    images = np.array([[0.2, 0.9, 0.5, 0.1]])
    ax = helpers.show_unit_by_unit(OnePixelPerUnit(), images, (0, 1, 2), (2, 2))
    picture = ax.images[0].get_array()
    columns = [picture[:, 3 * i : 3 * i + 2].ravel() for i in range(4)]
    expected = [[0, 0, 0, 0], [0, 0.9, 0, 0], [0, 0.9, 0.5, 0], images[0]]
    np.testing.assert_allclose(columns, expected)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0 units", "1", "2", "image"]
    np.testing.assert_allclose(ax.get_xticks(), [0.5, 3.5, 6.5, 9.5])


def test_panels_have_a_column_each_and_a_line_for_each_kind():
    runs = RUNS.assign(kind=RUNS.setting.map({"A": "one", "B": "one", "C": "other"}))
    panels, looks = {"fvu": "FVU", "seed": "seeds"}, {"one": "C0o-", "other": "C1s"}
    axes = helpers.plot_panels(runs, "l0", panels, looks, "kind", sharey=False)
    assert axes[0].get_ylim() != axes[1].get_ylim()
    assert [ax.get_title() for ax in axes] == ["FVU", "seeds"]
    one, other = (bars.lines[0].get_xydata() for bars in axes[0].containers)
    np.testing.assert_allclose(one, [[1, 0.11], [4, 0.5]])
    np.testing.assert_allclose(other, [[9, 0.2]])
    assert axes[0].get_legend_handles_labels()[1] == ["one", "other"]


def test_a_dashboard_shows_what_a_unit_does():
    images, labels = RNG.uniform(size=(40, 784)), np.arange(40) % 4
    code = np.stack([np.arange(40.0), np.r_[np.zeros(20), np.arange(1.0, 21)]], axis=1)
    steered = {"unit": [0, 50], "others": [1, 2]}
    axes = helpers.show_dashboard(images, code, labels, 1, 3, [-1, 2], [0, 8], steered)
    assert axes[0].get_title() == "unit 1: top images" and len(axes) == 4
    np.testing.assert_allclose(picture(axes[0])[:28, :28].ravel(), images[39])
    assert [line.get_data().values.sum() for line in axes[1].patches] == [5, 15]
    assert axes[1].get_title() == "active in 50%"
    assert [bar.get_height() for bar in axes[2].patches] == [-1, 2]
    drawn = [line.get_xydata().tolist() for line in axes[3].lines]
    assert drawn[:2] == [[[0, 0], [8, 50]], [[0, 1], [8, 2]]] and drawn[2][0][0] == 20


@pytest.mark.parametrize("happens", [True, False], ids=["alone-too", "never-alone"])
def test_a_plane_shows_the_unit_of_each_kind_of_example(happens):
    own, other = np.array([2.0, 0, 0, 0]), np.array([3.0, 4, 0, 0])
    rows = np.array([[0.6, 0.8, 0, 0], [0.1, 0.1, 1, 0], [-1, 0, 0, 0.2]])
    second = [0.4, 0.2, 0] if happens else [0, 0, 0]
    shares = np.array([[0, 0.1, 0.5], second, [0.9, 0.1, 0.1]])
    ax = helpers.show_plane(rows, own, other, shares, ("a", "b"))
    arrows = [text for text in ax.texts if not text.get_text()]
    np.testing.assert_allclose([text.xy for text in arrows], [[-1, 0], [0.6, 0.8]], atol=1e-12)
    words = [text.get_text().split() for text in ax.texts if text.get_text()]
    assert words == [["a", "alone"], ["both"]]
    ends = [line.get_xydata()[1] for line in ax.lines]
    np.testing.assert_allclose(ends, [[2, 0], [3, 4]], atol=1e-12)


def test_a_picture_below_sliders_is_drawn_anew_when_one_is_moved():
    drawn = []

    def draw(size, count):
        drawn.append((size, count))
        return helpers.show_images(np.full((count, 4), size), image_shape=(2, 2))

    sliders = {"size": ipywidgets.FloatSlider(0.5, max=1), "count": ipywidgets.IntSlider(3, max=9)}
    box = helpers.with_sliders(draw, **sliders)
    before = bytes(box.children[-1].value)
    assert before.startswith(b"\x89PNG") and box.children[:-1] == tuple(sliders.values())
    sliders["size"].value = 1.0
    assert drawn == [(0.5, 3), (1.0, 3)] and bytes(box.children[-1].value) != before
    assert plt.get_fignums() == []
