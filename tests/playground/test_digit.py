"""A drawn digit, placed as MNIST places its own."""

import numpy as np
import pytest

from sparse_autoencoder.playground.digit import centred


def drawing(top, left, height, width, shape=(28, 28)):
    image = np.zeros(shape, np.float32)
    image[top : top + height, left : left + width] = 1
    return image


def box(image):
    """First and last row, first and last column that anything stands in."""
    rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
    return rows[0], rows[-1], columns[0], columns[-1]


def centre_of_mass(image):
    places = np.indices(image.shape).reshape(2, -1)
    return places @ image.ravel() / image.sum()


@pytest.mark.parametrize(
    "drawn, expected",
    [  # rows and columns of the rectangle, and of what becomes of it
        ((0, 0, 10, 5), (4, 23, 9, 18)),  # twice as large, in the middle
        ((18, 20, 10, 5), (4, 23, 9, 18)),
        ((0, 0, 28, 28), (4, 23, 4, 23)),  # smaller
        ((3, 2, 20, 10), (4, 23, 9, 18)),  # moved alone
        ((9, 9, 1, 1), (4, 23, 4, 23)),  # a dot
        ((9, 0, 1, 28), (14, 14, 4, 23)),  # a line
    ],
)
def test_the_longer_side_is_twenty_pixels_about_the_middle(drawn, expected):
    placed = centred(drawing(*drawn))
    assert box(placed) == expected and placed.dtype == np.float32
    assert 0 <= placed.min() and placed.max() == pytest.approx(1)


def test_the_centre_of_mass_is_in_the_middle():
    heavy_below = drawing(0, 0, 16, 4) + drawing(16, 0, 4, 16)  # an L
    placed = centred(heavy_below)
    np.testing.assert_allclose(centre_of_mass(placed), 14, atol=0.51)
    top, bottom, *_ = box(placed)
    assert bottom - top == 19 and top < 4, "its box lies higher than the middle"


def test_where_and_how_large_it_was_drawn_makes_no_difference():
    rng = np.random.default_rng(0)
    ink = np.kron(rng.random((5, 4)) > 0.4, np.ones((2, 2), np.float32))
    ink[0] = ink[-1] = ink[:, 0] = ink[:, -1] = 1
    large = np.kron(ink, np.ones((2, 2), np.float32))

    def at(top, left, ink):
        image = np.zeros((28, 28), np.float32)
        image[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
        return centred(image)

    np.testing.assert_array_equal(at(0, 0, ink), at(17, 19, ink))
    np.testing.assert_array_equal(at(1, 1, large), at(8, 12, large))
    assert np.abs(at(0, 0, ink) - at(0, 0, large)).mean() < 0.05


def test_it_stays_within_the_image_whatever_its_centre_of_mass():
    lopsided = 0.001 * drawing(0, 0, 28, 28) + drawing(27, 27, 1, 1)
    assert centred(lopsided).shape == (28, 28) and box(centred(lopsided))[1] <= 27


def test_nothing_is_nothing():
    assert not centred(np.zeros((28, 28))).any()


@pytest.mark.parametrize("shape, longest", [((14, 14), 10), ((28, 42), 20)])
def test_other_sizes_get_their_share(shape, longest):
    placed = centred(drawing(0, 0, 8, 4, shape))
    top, bottom, left, right = box(placed)
    assert placed.shape == shape and (bottom - top + 1, right - left + 1) == (longest, longest / 2)


@pytest.mark.slow
@pytest.mark.mnist
def test_mnists_own_digits_stay_where_they_are(mnist):
    for image in mnist.x_test[:1000].reshape(-1, 28, 28):
        np.testing.assert_allclose(centred(image), image, atol=1e-6)
        moved = np.roll(image, (2, -3), axis=(0, 1))
        if moved[:2].any() or moved[:, -3:].any():
            continue  # its edge came in again at the other side
        np.testing.assert_allclose(centred(moved), image, atol=1e-6)
