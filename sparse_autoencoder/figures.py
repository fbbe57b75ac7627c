"""The look of every figure, and the pictures that lessons and playground share.

The style itself is style.mplstyle, beside this file.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from .arrays import as_images, as_numbers

FIGURE_SIZES = {"small": (5, 3.2), "wide": (9, 3), "large": (9, 4.8)}  # inches


def use_style():
    """Give every figure from here on the style of the course."""
    plt.style.use(Path(__file__).with_name("style.mplstyle"))


def axes_or_new(ax, size="wide"):
    """The axes to draw on: the given ones, or new ones in one of the course's three sizes."""
    return ax if ax is not None else plt.subplots(figsize=FIGURE_SIZES[size])[1]


def mosaic(images, columns, image_shape=(28, 28), gap=1, fill=0.0):
    """Many small images as one picture.

    Args:
        images: (n, pixels).
        columns: images in a row.
        image_shape: height and width of an image in pixels, and 3 for colours.
        gap: pixels between two images.
        fill: value of the gaps, and of places without an image.

    Returns:
        (rows·(height + gap) − gap, columns·(width + gap) − gap), with colours (…, …, 3).

    Raises:
        ValueError: the images have another number of pixels.
    """
    height, width, *colours = image_shape if image_shape[2:] != (1,) else image_shape[:2]
    image_shape = (height, width, *colours)
    if len(images) and np.size(images[0]) != np.prod(image_shape):
        raise ValueError(
            f"Images of {np.size(images[0])} pixels cannot be drawn as "
            f"{' × '.join(map(str, image_shape))}: say their image_shape=(height, width), or "
            "(height, width, 3) for colours."
        )
    rows = max(1, -(-len(images) // columns))
    size = (rows * (height + gap) - gap, columns * (width + gap) - gap)
    picture = np.full((*size, *colours), fill)
    for i, image in enumerate(images):
        top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
        picture[top : top + height, left : left + width] = np.reshape(image, image_shape)
    return picture


def as_pixels(images, image_shape):
    """Images to draw and the shape of each; a stack of pictures, (n, 8, 8), says it itself.

    Raises:
        ValueError: they cannot be drawn, such as whole numbers above 1.
    """
    images = np.asarray(as_images(images))
    if images.max() > 2 and np.abs(images - np.round(images)).max() < 1e-3:
        raise ValueError(
            f"Images are drawn from 0 (black) to 1 (white), but these go up to {images.max():g}: "
            "divide them by their largest number, such as X / 255."
        )
    return images, images.shape[1:] if images.ndim > 2 else image_shape


def show_picture(picture, ax, title, **options):
    """A picture without ticks and frame, with matplotlib's options of imshow; returns the Axes."""
    ax.imshow(picture, **options)
    ax.set(xticks=[], yticks=[], title=title or "")
    ax.spines[:].set_visible(False)
    ax.grid(False)
    return ax


def show_images(images, columns=15, image_shape=(28, 28), title=None, ax=None):
    """Images side by side; returns the Axes.

    Args:
        images: (n, pixels), from 0 (black) to 1 (white).
        columns: images in a row, at most.
        image_shape: height and width of an image in pixels, and 3 for colours.
        title: above the picture.
        ax: the axes to draw on; new ones by default.
    """
    if (images := as_numbers(images)).size:
        images, image_shape = as_pixels(images, image_shape)
    columns = max(1, min(columns, len(images)))
    picture = np.clip(mosaic(images, columns, image_shape, fill=0.5), 0, 1)
    return show_picture(picture, axes_or_new(ax), title, cmap="gray", vmin=0, vmax=1)


def show_features(
    weights,
    count=None,
    columns=28,
    image_shape=(28, 28),
    title=None,
    ax=None,
    *,
    scale=None,
):
    """Features as images on a map symmetric about 0; returns the Axes.

    Args:
        weights: (pixels, units), a column of W1 (or of W2 transposed) for each hidden unit.
        count: how many units, from the first; all by default.
        columns: features in a row.
        image_shape: height and width of a feature in pixels, and 3 for colours.
        title: above the picture.
        ax: the axes to draw on; new ones by default.
        scale: the weight that gets the strongest colour, the same for every feature, so that a
            faint unit looks faint; by default each feature's own largest weight, so that a faint
            one shows as clearly as a strong one.
    """
    features = np.array(as_numbers(weights, "weights")[:, :count].T, dtype=np.float64)
    largest = np.maximum(np.abs(features).max(axis=1, keepdims=True), 1e-12)
    picture = mosaic(features / (largest if scale is None else scale), columns, image_shape)
    picture = picture if picture.ndim == 2 else (picture + 1) / 2  # in colours, gray is 0
    return show_picture(picture, axes_or_new(ax, "large"), title, cmap="RdBu_r", vmin=-1, vmax=1)


def show_features_by_use(weights, code, scale, *, each=7, side=28):
    """A row of dead units, of hardly used and of most used ones; returns the two Axes.

    Left, each feature has its own scale; right, all have one. A row's label says in how many
    images, on average, its units are active.

    Args:
        weights: (side², units), a column of W1 (or of W2 transposed) for each hidden unit.
        code: (n, units), activations; a unit is active above 0.
        scale: the weight that gets the strongest colour on the right.
        each: units in a row.
        side: height and width of a feature in pixels.
    """
    images_of = np.sum(code > 0, axis=0)
    order = np.argsort(images_of, kind="stable")
    alive = min(np.sum(images_of == 0), len(order) - each)  # where the units begin that are
    rows = [order[:each], order[alive:][:each], order[-each:]]
    uses = [images_of[row].mean() for row in rows]
    features = weights[:, np.concatenate(rows)]
    axes = plt.subplots(1, 2, figsize=FIGURE_SIZES["wide"])[1]
    for ax, one, title in ((axes[0], None, "each on its own scale"), (axes[1], scale, "one scale")):
        show_features(features, None, each, (side, side), title, ax, scale=one)
    middles = np.arange(len(rows)) * (side + 1) + (side - 1) / 2
    axes[0].set_yticks(middles, [f"{use:,.0f}" if use else "0: dead" for use in uses])
    axes[0].set_ylabel("active in … images\n(mean of the row)")
    return axes
