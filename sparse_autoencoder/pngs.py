"""Mosaics as PNG bytes, made within a few milliseconds: for the playground and for the sweep.

matplotlib takes ten times as long for a picture, and its state must not be used from a thread.
"""

import functools
import io

import numpy as np
from PIL import Image

from .figures import mosaic


def features_png(weights, columns=14, image_shape=(28, 28), scale=1):
    """Features as a mosaic, red for positive and blue for negative weights; PNG bytes.

    Each feature is divided by its largest weight, as in figures.show_features.

    Args:
        weights: (pixels, units), as W1.
        columns: features in a row.
        image_shape: height and width of a feature in pixels.
        scale: screen pixels along the side of a pixel.
    """
    features = weights.T / np.maximum(np.abs(weights).max(axis=0)[:, None], 1e-12)
    picture = mosaic(features, columns, image_shape)
    return _png(np.uint8(127.5 * picture + 128), scale, _diverging_palette())


def images_png(images, columns, image_shape=(28, 28), scale=1):
    """Images as a mosaic in gray; PNG bytes.

    Args:
        images: (n, pixels) in [0, 1]; what lies outside is clipped.
        columns: images in a row.
        image_shape: height and width of an image in pixels.
        scale: screen pixels along the side of a pixel.
    """
    picture = mosaic(np.clip(images, 0, 1), columns, image_shape, fill=0.5)
    return _png(np.uint8(255 * picture), scale)


def _png(picture, scale, palette=None):
    image = Image.fromarray(np.kron(picture, np.ones((scale, scale), np.uint8)))
    if palette:
        image.putpalette(palette)
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


@functools.cache
def _diverging_palette():
    from matplotlib import colormaps

    return np.uint8(255 * colormaps["RdBu_r"](np.arange(256))[:, :3]).tobytes()
