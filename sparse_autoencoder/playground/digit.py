"""A drawn digit as MNIST shows its own: as large, and in the same place."""

import numpy as np
from PIL import Image

BOX = 20 / 28  # of an image's side that a digit fills


def centred(image):
    """A drawing, sized to fit the middle 20×20 of 28×28 and moved to its centre of mass.

    Args:
        image: (height, width), from 0 (nothing) to 1; other sizes than 28×28 get their share.

    Returns:
        the same shape, float32; nothing where nothing was drawn.
    """
    image = np.asarray(image, np.float32)
    rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return np.zeros_like(image)
    ink = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = min(BOX * whole / part for whole, part in zip(image.shape, ink.shape, strict=True))
    height, width = (max(1, round(scale * part)) for part in ink.shape)
    resized = Image.fromarray(ink).resize((width, height), Image.Resampling.BILINEAR)
    ink = np.clip(np.asarray(resized), 0, 1)
    placed = np.zeros_like(image)
    place = []
    for axis, (whole, part) in enumerate(zip(image.shape, ink.shape, strict=True)):
        centre = np.average(np.arange(part), weights=ink.sum(axis=1 - axis))
        first = int(np.clip(np.ceil(whole / 2 - centre - 0.5), 0, whole - part))
        place.append(slice(first, first + part))
    placed[tuple(place)] = ink
    return placed
