"""What the view shows of a training: figures and arrays of a frame. PROTOCOL.md has them all."""

import math

import numpy as np

from .. import measures
from ..vocabulary import HYPERPARAMETERS, TERMS, value_in_words
from .digit import centred
from .engine import PICTURED

TILES = 196  # features that are shown
COLUMNS = 14  # of features, and of images


class Frames:
    """Makes frames, and keeps what a reader chose to see in them.

    Args:
        training: an engine.LiveTraining.
        image_shape: height and width of an image.
        grids: key of a hyperparameter → the values that its slider offers.

    Raises:
        ValueError: images of another shape.
    """

    def __init__(self, training, image_shape, grids):
        pixels = training.shown.shape[1]
        if len(image_shape) != 2 or math.prod(image_shape) != pixels:
            shape = "×".join(map(str, image_shape))
            raise ValueError(
                f"The playground draws gray images, but these are {shape} and have {pixels} "
                "numbers each: give it one number for each pixel, and their (height, width)."
            )
        self.training, self.image_shape, self.grids = training, tuple(image_shape), grids
        self._unit = self._image = self._snapshot = None

    # What a reader chooses to see

    def look(self, unit):
        """Look closer at this unit from now on, or at none."""
        if unit is not None:
            self.training.unit(unit)  # refuses what there is not
        self._unit = unit

    def switch(self, unit, on, all=False):
        """Have a unit count in what is shown, or not; or all."""
        if all:
            self.training.off = frozenset()
        else:
            self.training.switch(unit, on)

    def explain(self, image):
        """Say which units draw this reconstruction from now on, or of none."""
        if image is not None:
            self.training.explain(image)
        self._image = image

    def draw(self, pixels=None, image=None, clear=False):
        """Have the model see an image of one's own.

        Args:
            pixels: bytes, one for each pixel.
            image: number of one of the images shown, instead.
            clear: see none any more.
        """
        if clear:
            self.training.drawing = None
        elif image is not None:
            if image not in range(PICTURED):
                raise ValueError(f"There is no image {image}, only 0 to {PICTURED - 1}.")
            self.training.drawing = self.training.shown[image]
        else:
            drawn = np.frombuffer(pixels or b"", np.uint8)
            if drawn.size != math.prod(self.image_shape):
                raise ValueError(
                    f"A drawing of {drawn.size} bytes came, but an image has "
                    f"{math.prod(self.image_shape)} pixels."
                )
            self.training.drawing = centred(drawn.reshape(self.image_shape) / 255).ravel()

    def snapshot(self, on):
        """Keep what is shown, or forget it."""
        self._snapshot = None
        if on:
            kept = {f"old_{name}": array for name, array in self._pictures().items()}
            self._snapshot = {"words": self._caption()}, kept

    # What they see

    def setup(self):
        """What does not change: content, and arrays by name."""
        training, now = self.training, self.training.hyperparameters
        pixels, units = training.features.shape
        content = {
            "image_shape": self.image_shape,
            "tiles": min(TILES, units),
            "units": units,
            "images": len(training.reconstructions),
            "columns": COLUMNS,
            "terms": {
                key: {"label": term.label, "color": term.color, "dashes": term.dashes}
                for key, term in TERMS.items()
                if key in training.terms
            },
            "symbols": {key: HYPERPARAMETERS[key].symbol for key in now},
            "validation_images": len(training.shown),
            "threshold": measures.active_above(training.model)[0],
            "sliders": {
                key: {
                    "symbol": HYPERPARAMETERS[key].symbol,
                    "label": HYPERPARAMETERS[key].label,
                    "grid": [[value_in_words(value), value] for value in grid],
                    "value": now[key],
                }
                for key, grid in self.grids.items()
            },
        }
        return content, {"originals": gray(training.shown[:PICTURED])}

    def frame(self, figures):
        """What is shown now: content, and arrays by name.

        Args:
            figures: what the training's measure returned.
        """
        training, histogram = self.training, self.training.histogram
        steps, terms = zip(*training.history, strict=True)
        content = {
            "words": training.in_words(figures) + self._off_in_words() + ".",
            "figures": figures,
            "hyperparameters": training.hyperparameters,
            "seed": training.seed,
            "marks": [
                [step, f"{HYPERPARAMETERS[name].symbol} {value_in_words(value)}"]
                for step, name, value in training.marks
            ],
            "off": sorted(training.off),
            "histogram": {
                "label": histogram.label,
                "counted": histogram.counted,
                "upper": histogram.upper,
                "target": histogram.target,
                "of": "images" if histogram.counted == "images" else "units",
            },
            "unit": None,
            "explained": None,
            "snapshot": self._snapshot and self._snapshot[0],
        }
        arrays = self._pictures() | {
            "means": np.float32(training.rho_hat[:TILES]),
            "code": np.float32(training.pictured_code),
            "values": np.float32(histogram.values),
            "curve_steps": np.int32(steps),
        }
        for term in training.terms:
            arrays[f"curve_{term}"] = np.float32([now.get(term, 0) for now in terms])
        for add in (self._add_unit, self._add_explanation, self._add_drawing):
            add(content, arrays)
        return content, arrays

    def old(self):
        """The snapshot's pictures, by name; none if there is no snapshot."""
        return self._snapshot[1] if self._snapshot else {}

    def _pictures(self):
        features, scales = scaled(self.training.features.T[:TILES])
        return {
            "features": features,
            "scales": scales,
            "dead": np.uint8(self.training.dead[:TILES]),
            "reconstructions": gray(self.training.reconstructions),
        }

    def _add_unit(self, content, arrays):
        if self._unit is None:
            return
        unit = self.training.unit(self._unit)
        content["unit"] = {
            "number": self._unit,
            "mean": unit.mean,
            "upper": unit.upper,
            "dead": unit.dead,
            "strongest": unit.activations.tolist(),
        }
        arrays["unit_feature"] = scaled(unit.feature[None])[0][0]
        arrays["unit_counts"] = np.int32(unit.counts)
        arrays["unit_images"] = gray(unit.images)

    def _add_explanation(self, content, arrays):
        if self._image is None:
            return
        units, activations, rows = self.training.explain(self._image)
        content["explained"] = {
            "image": self._image,
            "units": units.tolist(),
            "activations": activations.tolist(),
        }
        arrays["explain_features"] = scaled(rows)[0]

    def _add_drawing(self, content, arrays):
        if self.training.drawing is not None:
            image, code, reconstruction = self.training.drawn
            arrays["drawn"], arrays["drawn_reconstruction"] = gray(image), gray(reconstruction)
            arrays["drawn_code"] = code

    def _off_in_words(self):
        count = len(self.training.off)
        if not count:
            return ""
        return f"; without {count} unit{'s' * (count > 1)} in the reconstructions shown"

    def _caption(self):
        """Of the snapshot: where it was taken, with which hyperparameters, and how it stood."""
        values, terms = self.training.hyperparameters, self.training.terms
        chosen = [f"{HYPERPARAMETERS[k].symbol} {value_in_words(values[k])}" for k in self.grids]
        stood = [f"{TERMS[key].label} {value:.2f}" for key, value in terms.items()]
        active = f"{self.training.active_units.mean():.1f} active units per image"
        return f"At step {self.training.step:,}: {', '.join(chosen)}; {', '.join(stood)}, {active}"


def scaled(features):
    """Weights as bytes, 128 + 127·w/max|w| in each row, and these maxima: (n, pixels) → both."""
    scales = np.abs(features).max(axis=1)
    parts = features / np.maximum(scales, 1e-12)[:, None]
    return np.uint8(np.rint(128 + 127 * parts)), np.float32(scales)


def gray(images):
    """Numbers from 0 to 1 as bytes; what lies outside is cut off."""
    return np.uint8(np.rint(255 * np.clip(images, 0, 1)))
