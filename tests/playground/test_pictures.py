"""The playground's pictures: PNG and SVG from plain numbers."""

import io
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from sparse_autoencoder import pngs
from sparse_autoencoder.playground import pictures
from sparse_autoencoder.tables import DATA
from sparse_autoencoder.vocabulary import TERMS, VERMILION


class Drawing:
    """What stands in an SVG picture."""

    def __init__(self, svg):
        self.root = ElementTree.fromstring(svg)

    def all(self, tag, stroke=None):
        return [e for e in self.root.iter(tag) if stroke in (None, e.get("stroke"))]

    def texts(self):
        return {element.text for element in self.root.iter("text")}

    def curve(self, term):
        """The points of its first piece, as pairs of numbers."""
        points = self.all("polyline", TERMS[term].color)[0].get("points").split()
        return [tuple(map(float, point.split(","))) for point in points]


def test_the_recording_in_the_readme_is_small_and_moves():
    with Image.open(DATA / "playground.gif") as recording:
        assert recording.n_frames >= 15
    assert (DATA / "playground.gif").stat().st_size < 2_000_000


def test_features_are_red_where_positive_and_blue_where_negative():
    weights = np.zeros((4, 3))
    weights[0], weights[3] = 5.0, -5.0
    picture = Image.open(io.BytesIO(pngs.features_png(weights, 2, (2, 2), scale=2)))
    assert picture.size == (10, 10)  # two tiles and the gap between them, twice as large
    pixels = np.asarray(picture.convert("RGB")).astype(int)
    red, blue, nothing = pixels[0, 0], pixels[3, 3], pixels[0, 3]
    assert red[0] > red[2] + 50 and blue[2] > blue[0] + 30 and nothing.min() > 240


def test_images_are_gray_and_what_lies_outside_is_cut_off():
    picture = Image.open(io.BytesIO(pngs.images_png(np.array([[0, 1, 2, -1.0]]), 1, (2, 2))))
    assert np.asarray(picture).tolist() == [[0, 255], [255, 0]]


def test_each_term_is_a_curve_and_one_that_is_off_is_not_drawn():
    history = [(0, {"sse": 100.0, "kl": 1.0}), (10, {"sse": 10.0, "kl": 0.0})]
    drawing = Drawing(pictures.curves_svg(history, [(10, "beta", 0)]))
    (x0, y0), (x1, y1) = drawing.curve("sse")
    assert x1 > x0 and y1 > y0, "time goes right, and a smaller value stands lower"
    assert len(set(drawing.curve("kl"))) == 1, "only the point where it was on"
    assert {"SSE", "KL term off", "β off", "step"} <= drawing.texts()


def test_a_term_that_was_off_for_a_while_is_drawn_in_two_pieces_and_dashed():
    history = [(step, {"sse": 9.0, "kl": float(step not in (2, 3))}) for step in range(6)]
    pieces = Drawing(pictures.curves_svg(history)).all("polyline", VERMILION)
    dashes = [line.get("stroke-dasharray") for line in pieces]
    assert dashes == 2 * [" ".join(map(str, TERMS["kl"].dashes))]


def test_a_decade_is_as_high_anywhere():
    history = [(step, {"sse": 10.0**-step}) for step in range(4)]
    points = Drawing(pictures.curves_svg(history)).curve("sse")
    np.testing.assert_allclose(np.diff(points, axis=0)[:, 1], points[1][1] - points[0][1], atol=0.2)


def test_names_at_the_curves_ends_do_not_overlap():
    drawing = Drawing(pictures.curves_svg([(0, {"sse": 1.0, "kl": 1.0, "l2": 1.01, "l1": 0.99})]))
    names = {term.label for term in TERMS.values()}
    places = sorted(float(t.get("y")) for t in drawing.all("text") if t.text in names)
    assert len(places) == 4 and min(np.diff(places)) >= 12


def test_curves_of_nothing_are_empty_axes():
    drawing = Drawing(pictures.curves_svg([]))
    assert not drawing.all("polyline") and "step" in drawing.texts()


def test_histogram_counts_and_shows_the_target():
    values = np.r_[np.full(30, 0.11), np.full(10, 0.91)]
    drawing = Drawing(pictures.histogram_svg(values, 1, "ρ̂ <&>", "units", target=0.1))
    low, high = sorted(drawing.all("rect"), key=lambda bar: float(bar.get("x")))
    assert float(low.get("height")) == pytest.approx(3 * float(high.get("height")), abs=0.2)
    (target,) = drawing.all("line", VERMILION)
    assert 0 <= float(low.get("x")) - float(target.get("x1")) < 8
    assert {"target ρ = 0.1", "ρ̂ <&>", "30"} <= drawing.texts()


@pytest.mark.parametrize(
    "x_values, y_values", [([3.0, 5.0], [90.2, 91.7]), ([3, 3], [90, 90]), ([0.0], [0.0])]
)
def test_every_scatter_has_its_points_within_and_the_chosen_one_large(x_values, y_values):
    drawing = Drawing(pictures.scatter_svg(x_values, y_values, 0, "SSE", "probe"))
    circles = drawing.all("circle")
    (chosen,) = [circle for circle in circles if circle.get("fill") == VERMILION]
    assert len(circles) == len(x_values)
    for circle in circles:
        assert float(circle.get("r")) <= float(chosen.get("r"))
        assert pictures.LEFT <= float(circle.get("cx")) <= pictures.WIDTH - pictures.RIGHT
        assert pictures.TOP <= float(circle.get("cy")) <= 300 - pictures.BOTTOM
    assert {"SSE", "probe"} <= drawing.texts()
