"""What the view shows of a training: figures and arrays of a frame. PROTOCOL.md has them all."""

import math
from dataclasses import asdict

import numpy as np

from ..pngs import feature_bytes, gray_bytes
from ..vocabulary import HYPERPARAMETERS, TERMS
from .digit import centred
from .engine import PICTURED

TILES = 196  # features that are shown
COLUMNS = 14  # of features, and of images
DRAWING = 8  # units, at most, that are said to draw a reconstruction
BINS = 40  # of the histogram of a unit's activations


class Frames:
    """Makes frames, and keeps what a reader chose to see in them.

    Args:
        training: an engine.LiveTraining.
        image_shape: height and width of an image.
        sliders: keys of the hyperparameters that a reader changes.

    Attributes:
        old: the pictures of the snapshot, arrays by name; none if there is none.

    Raises:
        ValueError: images of another shape.
    """

    def __init__(self, training, image_shape, sliders):
        pixels = training.shown.shape[1]
        if len(image_shape) != 2 or math.prod(image_shape) != pixels:
            shape = "×".join(map(str, image_shape))
            raise ValueError(
                f"The playground draws gray images, (height, width), but these are {shape}, with "
                f"{pixels} numbers each: give it one number for each pixel."
            )
        self.training, self.image_shape, self.sliders = training, tuple(image_shape), sliders
        self._images = len(training.reconstructions) - 1
        self._unit = self._image = self._snapshot = None
        self._draws, self.old = False, {}

    def look(self, unit):
        """Look closer at this unit from now on, or at none."""
        self._check("unit", unit, self.training.code.shape[1])
        self._unit = unit

    def switch(self, unit=None, on=True, all=False):
        """Have a unit count in what is shown, or not; or all."""
        self._check("unit", unit, self.training.code.shape[1])
        off = self.training.off
        self.training.off = frozenset() if all else off - {unit} if on else off | {unit}

    def explain(self, image):
        """Say which units draw this reconstruction from now on, or of none."""
        self._check("image", image, self._images)
        if image is not None:
            self._rows_of_w2()  # refuses a model that has none
        self._image = image

    def draw(self, pixels=b"", image=None, clear=False):
        """Have the model see an image of one's own.

        Args:
            pixels: bytes, one for each pixel.
            image: number of one of the images shown, instead.
            clear: see none any more.
        """
        self._check("image", image, self._images)
        count = math.prod(self.image_shape)
        if clear:
            drawing = np.zeros(count, np.float32)
        elif image is not None:
            drawing = self.training.shown[image]
        elif len(pixels) == count:
            drawn = np.frombuffer(pixels, np.uint8).reshape(self.image_shape)
            drawing = centred(drawn / 255).ravel()
        else:
            raise ValueError(f"the drawing has {len(pixels)} bytes, but an image {count} pixels.")
        self.training.drawing, self._draws = drawing, not clear

    def snapshot(self, on):
        """Keep what is shown, or forget it."""
        self._snapshot = {"words": self._caption()} if on else None
        kept = self._pictures() if on else {}
        self.old = {f"old_{name}": array for name, array in kept.items()}

    @staticmethod
    def _check(what, number, count):
        if number is not None and not (isinstance(number, int) and 0 <= number < count):
            raise ValueError(f"there is no {what} {number}, only 0 to {count - 1}.")

    def setup(self):
        """What does not change: content, and arrays by name."""
        training = self.training
        units = training.features.shape[1]
        content = {
            "image_shape": self.image_shape,
            "tiles": min(TILES, units),
            "units": units,
            "images": self._images,
            "columns": COLUMNS,
            "terms": {key: asdict(TERMS[key]) for key in TERMS if key in training.terms},
            "symbols": {key: HYPERPARAMETERS[key].symbol for key in training.hyperparameters},
            "validation_images": len(training.shown),
            "threshold": training.threshold,
        }
        return content, {"originals": gray_bytes(training.shown[:PICTURED])}

    def frame(self, figures):
        """What is shown with the figures that were measured now: content, and arrays by name."""
        training, histogram = self.training, self.training.histogram._asdict()
        values = histogram.pop("values")
        count = len(training.off)
        off = f"; {count} switched off in the pictures" if count else ""
        steps, terms = zip(*training.history, strict=True)
        content = {
            "words": training.in_words(figures) + off + ".",
            "figures": figures,
            "hyperparameters": training.hyperparameters,
            "seed": training.seed,
            "marks": [
                [step, HYPERPARAMETERS[name].says(value)] for step, name, value in training.marks
            ],
            "off": sorted(training.off),
            "histogram": histogram | {"of": "units" if training.threshold else "images"},
            "unit": None,
            "explained": None,
            "snapshot": self._snapshot,
        }
        arrays = self._pictures() | {
            "means": np.float32(training.rho_hat[:TILES]),
            "code": training.pictured_code[:-1],
            "values": np.float32(values),
            "curve_steps": np.int32(steps),
        }
        for term in training.terms:
            arrays[f"curve_{term}"] = np.float32([now.get(term, 0) for now in terms])
        if self._unit is not None:
            self._add_unit(content, arrays)
        if self._image is not None:
            self._add_explanation(content, arrays)
        if self._draws:
            arrays["drawn"] = gray_bytes(training.drawing)
            arrays["drawn_reconstruction"] = gray_bytes(training.reconstructions[-1])
            arrays["drawn_code"] = training.pictured_code[-1]
        return content, arrays

    def _pictures(self):
        features, scales = feature_bytes(self.training.features.T[:TILES])
        return {
            "features": features,
            "scales": scales,
            "dead": np.uint8(self.training.dead[:TILES]),
            "reconstructions": gray_bytes(self.training.reconstructions[:-1]),
        }

    def _add_unit(self, content, arrays):
        number, training = self._unit, self.training
        code = training.code[:, number]
        upper = 1.0 if training.threshold else float(code.max()) or 1.0
        strongest = np.argsort(-code, kind="stable")[:9]
        content["unit"] = {
            "number": number,
            "mean": float(code.mean()),
            "upper": upper,
            "dead": bool(training.dead[number]),
            "strongest": code[strongest].tolist(),
        }
        arrays["unit_feature"] = feature_bytes(training.features[:, [number]].T)[0][0]
        arrays["unit_counts"] = np.int32(np.histogram(code, BINS, (0, upper))[0])
        arrays["unit_images"] = gray_bytes(training.shown[strongest])

    def _add_explanation(self, content, arrays):
        """The units that draw an image most: by activation times length of their row of W2."""
        rows, code = self._rows_of_w2(), self.training.pictured_code[self._image]
        share = np.abs(code) * np.linalg.norm(rows, axis=1)
        units = np.argsort(-share, kind="stable")[:DRAWING]
        units = units[share[units] > 0]
        content["explained"] = {
            "image": self._image,
            "units": units.tolist(),
            "activations": code[units].tolist(),
        }
        arrays["explain_features"] = feature_bytes(rows[units])[0]

    def _rows_of_w2(self):
        """What each unit draws, (units, pixels)."""
        decoder = {layer.name: layer for layer in self.training.model.layers}.get("decoder")
        rows = np.asarray(getattr(decoder, "kernel", None))
        if rows.shape != self.training.features.T.shape:
            raise ValueError(
                'which units draw an image is read off the weights of a Dense layer "decoder" '
                "right behind the code, and this model has none."
            )
        return rows

    def _caption(self):
        """Of the snapshot: where it was taken, with which hyperparameters, and how it stood."""
        now = self.training.hyperparameters
        chosen = [HYPERPARAMETERS[name].says(now[name]) for name in self.sliders]
        stood = [f"{TERMS[key].label} {value:.2f}" for key, value in self.training.terms.items()]
        active = f"{self.training.active_units.mean():.1f} active units per image"
        return f"At step {self.training.step:,}: {', '.join(chosen)}; {', '.join(stood)}, {active}"
