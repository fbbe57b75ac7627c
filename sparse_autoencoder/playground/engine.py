"""A copy of an autoencoder that trains step by step while its hyperparameters change.

The engine of the playground: no widgets, no pictures.
"""

import contextlib
import copy
import math
import random
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from .. import measures
from ..arrays import as_tensor
from ..image_model import penalties_of
from ..model import sse
from ..vocabulary import HYPERPARAMETERS

SLICE = 64  # steps that one call of the compiled function takes at most
SHOWN = 1000  # validation images that every figure is made of
PICTURED = 14  # of these that are shown with their reconstructions
POINTS = 300  # of a curve that are kept


class Histogram(NamedTuple):
    """What the playground shows a distribution of."""

    values: np.ndarray
    upper: float  # the largest value there can be; the smallest is 0
    label: str
    counted: str  # what has such a value
    target: float | None = None  # the value that a penalty pushes to


class LiveTraining:
    """Trains a copy of `model` on `data`; the model itself is never touched.

    The weights after a number of steps depend on the seed and on which hyperparameters changed
    before which step, never on how the steps were cut into slices.

    Args:
        model: an Autoencoder, or a Sequential with a layer named "encoder".
        data: images.ImageData.
        learning_rate: of Adam.
        seed: of the first weights and of the batches' order.
        batch_size: images in a step.
        start: function of the copy and the training images that sets first weights of its own,
            such as modern.start_tied; by default the layers draw theirs.

    Attributes:
        step: how many steps were taken.
        history: list of (step, {term: value}), the curves.
        marks: list of (step, hyperparameter, value): what was changed, and when.
        shown: the validation images that all is measured on, (images, pixels).
        code: of these images when they were last measured, (images, units).
        terms: the loss term by term then: name → value.
        dead: units that none of these images made active, (units,) of booleans.
        threshold: above which an activation counts as active: see measures.active_above.
        drawing: an image of one's own, (pixels,), which the model sees besides.
        off: numbers of units that count as 0 in the two below; training and figures go on with
            them.
        pictured_code, reconstructions: of the first images shown and, in the last row, of the
            drawing: (PICTURED + 1, units) and (PICTURED + 1, pixels).

    Raises:
        ValueError: the model has no encoder that could be found, or reads other images.
    """

    def __init__(self, model, data, learning_rate=3e-3, seed=0, batch_size=128, start=None):
        data = measures.through_the_door(data, model)
        self.model = _untrained_copy(model, data.x_train.shape[1])
        self.model.compile(optimizer=keras.optimizers.Adam(learning_rate), loss=sse)
        self.model.optimizer.build(self.model.trainable_variables)
        self._encoder = self.model.get_layer("encoder")
        code = self.model.layers.index(measures.layers_of_code(self.model)[-1])
        self._encode = measures.encoder_of(self.model)
        self._decode = getattr(self.model, "decode", None)
        if self._decode is None:
            self._decode = keras.Sequential(self.model.layers[code + 1 :])
        self.batch_size = min(batch_size, len(data.x_train))
        self.shown = data.x_validation[:SHOWN]
        self._images, self._shown = as_tensor(data.x_train), as_tensor(self.shown)
        self._variables = {"learning_rate": self.model.optimizer.learning_rate}
        course = hasattr(self.model, "sparsity")
        for layer in [self.model.sparsity, self.model.l2] if course else self.model.layers:
            self._variables |= getattr(layer, "hyperparameters", {})
        self._steps = tf.function(self._take_steps, jit_compile=True, autograph=False)
        self._look = tf.function(self._look_at_shown, jit_compile=True, autograph=False)
        chosen = [id(variable) for variable in self._variables.values()]
        self._start = [(v, v.numpy()) for v in self.model.weights if id(v) not in chosen]
        self._set_start = start or (lambda model, images: None)
        self._order_of = None
        self.threshold = measures.active_above(self.model)[0]
        self.off, self.drawing = frozenset(), np.zeros_like(self.shown[0])
        self.seed = seed
        self.reset()
        self.measure()

    @property
    def features(self):
        """W1, (pixels, units): a column is a feature."""
        return self._encoder.kernel.numpy()

    @property
    def times_compiled(self):
        """How often the step was compiled: once is enough, and takes seconds."""
        return self._steps.experimental_get_tracing_count()

    @property
    def hyperparameters(self):
        """Key in the vocabulary → value of everything that can be changed while it trains."""
        return {name: rounded(float(variable)) for name, variable in self._variables.items()}

    def set(self, **hyperparameters):
        """Change hyperparameters from the next step on, and mark the place on the curves.

        Raises:
            ValueError: the model has no such hyperparameter, or it cannot have this value; then
                none of them is changed.
        """
        for name, value in hyperparameters.items():
            if name not in self._variables:
                raise ValueError(
                    f"This model has no hyperparameter {name!r}, only "
                    f"{', '.join(self._variables)}: build it with the penalty that it belongs to "
                    "(a strength may be 0)."
                )
            HYPERPARAMETERS[name].check(name, value)
        for name, value in hyperparameters.items():
            if rounded(value) != self.hyperparameters[name]:
                self._variables[name].assign(value)
                # Of many moves between two steps only the last one had any effect.
                self.marks = [m for m in self.marks if m[:2] != (self.step, name)]
                self.marks.append((self.step, name, value))

    def reset(self, seed=None):
        """Back to the first weights; the hyperparameters stay as they are.

        Args:
            seed: of other first weights; by default the same as before.
        """
        self.seed = self.seed if seed is None else seed
        self.step, self.history, self.marks = 0, [], []
        for variable, start in self._start:
            variable.assign(start)
        _draw_weights(self.model, self.seed)
        self._set_start(self.model, self._images)
        for variable in self.model.optimizer.variables:
            if variable is not self.model.optimizer.learning_rate:
                variable.assign(ops.zeros_like(variable))

    def train(self, steps):
        """Take some steps, without measuring in between."""
        rows = np.zeros((SLICE, self.batch_size), np.int32)
        while steps > 0:
            count = min(steps, SLICE)
            for i in range(count):
                rows[i] = self.batch(self.step + i)
            self._steps(tf.constant(rows), tf.constant(count))
            self.step += count
            steps -= count

    def train_and_measure(self, steps):
        """Take some steps, and measure 50 times on the way; returns the last figures."""
        start = self.step
        for end in np.unique(np.linspace(0, steps, 51).round().astype(int)):
            self.train(start + int(end) - self.step)
            figures = self.measure()
        return figures

    def batch(self, step):
        """Row numbers of a step's images: a new shuffle for every pass over the training set."""
        per_pass = len(self._images) // self.batch_size
        number, place = divmod(step, per_pass)
        if self._order_of != (self.seed, number):
            rng = np.random.default_rng([self.seed, number])
            self._order = rng.permutation(len(self._images)).astype(np.int32)
            self._order_of = (self.seed, number)
        return self._order[place * self.batch_size :][: self.batch_size]

    def _take_steps(self, rows, count):
        def take(i):
            images = tf.gather(self._images, rows[i])
            with tf.GradientTape() as tape:
                loss = ops.mean(sse(images, self.model(images, training=True)))
                loss += sum(self.model.losses)
            gradients = tape.gradient(loss, self.model.trainable_variables)
            self.model.optimizer.apply(gradients, self.model.trainable_variables)
            return (i + 1,)

        # A tf.range would be compiled again, for a second, for every other number of steps.
        tf.while_loop(lambda i: i < count, take, (0,))

    def measure(self):
        """The figures of this moment, on validation images; they are also put on the curves.

        Returns:
            dict with step, epoch, the loss term by term (sse, kl, l1, l2), mean_activation,
            active_units and dead_units.

        Raises:
            FloatingPointError: the loss is no longer finite.
        """
        # Compiled it takes a third of the time, but the first picture shall not wait for that.
        look = self._look if self.times_compiled else self._look_at_shown
        on = np.ones(self._encoder.kernel.shape[1], np.float32)
        on[list(self.off)] = 0
        *arrays, terms = look(tf.constant(on), tf.constant(self.drawing[None]))
        self.code, self.pictured_code, self.reconstructions = (array.numpy() for array in arrays)
        self.terms = {name: float(value) for name, value in terms.items()}
        if not math.isfinite(sum(self.terms.values())):
            raise FloatingPointError(
                "The loss is no longer a finite number: lower the learning rate or the penalty's "
                "strength, then press Reset."
            )
        self.dead = measures.dead_units(self.code, self.model)
        if self.history and self.history[-1][0] == self.step:
            self.history.pop()
        self.history.append((self.step, self.terms))
        if len(self.history) > POINTS:
            self.history = self.history[:-1:2] + self.history[-1:]
        return {
            "step": self.step,
            "epoch": self.step * self.batch_size / len(self._images),
            **self.terms,
            "mean_activation": float(self.rho_hat.mean()),
            "active_units": float(self.active_units.mean()),
            "dead_units": int(self.dead.sum()),
        }

    def _look_at_shown(self, on, drawing):
        """Code, pictured code, reconstructions, and the loss term by term.

        `on` is 0 for units that are switched off, (units,); the drawing is (1, pixels).
        """
        code, reconstructions = self._encode(self._shown), self.model(self._shown)
        terms = {"sse": ops.mean(sse(self._shown, reconstructions))}
        for penalty in penalties_of(self.model):
            terms[penalty.term.name] = sum(penalty.losses)
        pictured = ops.concatenate([code[:PICTURED], self._encode(drawing)]) * on
        return code, pictured, self._decode(pictured), terms

    @property
    def rho_hat(self):
        """ρ̂ of each hidden unit, (units,)."""
        return measures.mean_activation(self.code)

    @property
    def active_units(self):
        """How many units are active in each image, (images,)."""
        return measures.active_units(self.code, self.model)

    @property
    def histogram(self):
        """The mean activations where they lie between 0 and 1; elsewhere the active units."""
        if self.threshold:
            target = self.hyperparameters.get("rho")
            return Histogram(self.rho_hat, 1, "mean activation ρ̂", "hidden units", target)
        units = self.code.shape[1]
        return Histogram(self.active_units, units, "active units per image", "images")

    def in_words(self, figures):
        """What measure returned as a sentence."""
        rho = self.hyperparameters.get("rho")
        against = "" if rho is None else f" against ρ {rho:g}"
        return (
            f"Step {figures['step']:,}, epoch {figures['epoch']:.1f}: SSE {figures['sse']:.2f}, "
            f"mean ρ̂ {figures['mean_activation']:.3f}{against}, "
            f"{figures['active_units']:.1f} active units per image, "
            f"{figures['dead_units']} of {self.code.shape[1]} units dead"
        )

    @contextlib.contextmanager
    def aside(self):
        """Whatever happens inside is undone afterwards: weights, curves, hyperparameters."""
        variables = [*self.model.variables, *self.model.optimizer.variables]
        values = [variable.numpy() for variable in variables]
        names = "seed", "step", "history", "marks", "off", "terms", "dead"
        names += "code", "pictured_code", "reconstructions"
        before = {name: copy.copy(getattr(self, name)) for name in names}
        try:
            yield self
        finally:
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
            vars(self).update(before)


def rounded(value):
    """A hyperparameter's value as it is shown: a variable holds 0.07 as 0.070000000298."""
    return float(f"{value:.6g}")


def _untrained_copy(model, pixels):
    """A model of the same make; what is drawn at random meanwhile leaves no trace."""
    if "encoder" not in [layer.name for layer in model.layers]:
        raise ValueError(
            'The playground shows the features of a layer named "encoder", but the layers of this '
            f"model are {', '.join(repr(layer.name) for layer in model.layers)}: rename one."
        )
    expected = model.get_layer("encoder").kernel.shape[0]
    if expected != pixels:
        raise ValueError(
            f"The model reads images of {expected} pixels, but these have {pixels}: build it "
            f"with {pixels}."
        )
    drawn = random.getstate()  # new layers ask it for a seed
    try:
        untrained = type(model).from_config(model.get_config())
    finally:
        random.setstate(drawn)
    if not untrained.built:
        untrained.build((None, pixels))
    return untrained


def _draw_weights(model, seed):
    """Have the layers' own initializers draw, with this seed; what none draws stays as it is."""
    for number, layer in enumerate(model.layers):
        for name in ("kernel", "bias"):
            variable = getattr(layer, name, None)
            if variable is not None:
                initializer = getattr(layer, f"{name}_initializer")
                config = initializer.get_config()
                if "seed" in config:
                    config["seed"] = 1000 * seed + number
                    initializer = type(initializer).from_config(config)
                constrain = variable.constraint or (lambda value: value)
                variable.assign(constrain(initializer(variable.shape)))
