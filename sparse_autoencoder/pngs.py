"""Weights and images as bytes, and mosaics of them as PNG: for the playground and the sweep.

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
    picture = mosaic(feature_bytes(weights.T)[0], columns, image_shape, fill=128)
    return _png(picture, scale, _diverging_palette())


def images_png(images, columns, image_shape=(28, 28), scale=1):
    """Images as a mosaic in gray; PNG bytes.

    Args:
        images: (n, pixels) in [0, 1]; what lies outside is clipped.
        columns: images in a row.
        image_shape: height and width of an image in pixels.
        scale: screen pixels along the side of a pixel.
    """
    return _png(mosaic(gray_bytes(images), columns, image_shape, fill=127), scale)


def feature_bytes(features):
    """Weights as bytes, 128 + 127·w/max|w| in each row, and these maxima: (n, pixels) → both."""
    scales = np.abs(features).max(axis=1)
    parts = features / np.maximum(scales, 1e-12)[:, None]
    return np.uint8(np.rint(128 + 127 * parts)), np.float32(scales)


def gray_bytes(images):
    """Numbers from 0 to 1 as bytes; what lies outside is cut off."""
    return np.uint8(np.rint(255 * np.clip(images, 0, 1)))


def _png(picture, scale, palette=None):
    image = Image.fromarray(np.kron(np.uint8(picture), np.ones((scale, scale), np.uint8)))
    if palette:
        image.putpalette(palette)
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


@functools.cache
def _diverging_palette():
    from matplotlib import colormaps

    return np.uint8(255 * colormaps["RdBu_r"](np.arange(256))[:, :3]).tobytes()
