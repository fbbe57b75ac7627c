"""What the course adds to Keras: penalties that report themselves, and models that read images."""

import functools
import itertools

import keras
import tensorflow as tf
from keras import layers, ops

from .arrays import NOISE, ROUNDING, alone, as_images, fits, is_pair, of_floats, shape_of
from .vocabulary import HYPERPARAMETERS


def hyperparameter(layer, key, name, value):
    """A checked number that a layer keeps as a variable: it can change while the model trains."""
    HYPERPARAMETERS[key].check(name, value)
    initializer = keras.initializers.Constant(float(value))
    return layer.add_weight(name=name, shape=(), initializer=initializer, trainable=False)


class Penalty(layers.Layer):
    """A layer that adds one term to the loss; any model reports it under the term's name.

    Its hyperparameters are variables: assign to them while the model trains, also after it was
    saved and loaded (`penalty.beta.assign(0)`); nothing is traced again.
    """

    keys = {}  # attribute → its key in the vocabulary
    unread = None  # images of a call whose term no model has read yet

    def __init__(self, term, values=None, name=None, **kwargs):
        super().__init__(name=name or f"{term}_penalty", **kwargs)
        self.term = keras.metrics.Mean(name=term)
        for attribute, value in (values or {}).items():
            setattr(self, attribute, hyperparameter(self, self.keys[attribute], attribute, value))

    @property
    def hyperparameters(self):
        """Key in the vocabulary, such as "beta" or "lam2" → the variable."""
        return {key: getattr(self, attribute) for attribute, key in self.keys.items()}

    def add_term(self, value, images=1):
        """Add to the loss and, once a model of Keras reads its losses in a step, to the mean.

        So a call between steps, also by `predict`, leaves the mean as it is; only who reads
        `model.losses` after such a call, of a model that is no ImageModel, has made a step of it.

        Args:
            value: of the term.
            images: in the batch; without them, a batch counts as much as another.
        """
        self.add_loss(value)
        self.unread = images

    @property
    def losses(self):
        """What the last call added; to look at it makes no step of the call."""
        return super()._get_own_losses()

    def _get_own_losses(self):  # what a model that holds this layer reads in a step
        losses = self.losses
        if self.unread is not None and all(tf.executing_eagerly() == is_eager(x) for x in losses):
            self.term.update_state(sum(losses), sample_weight=self.unread)
        self.unread = None
        return losses

    def get_config(self):
        return super().get_config() | {name: float(getattr(self, name)) for name in self.keys}


def is_eager(tensor):
    """Whether it holds a number, and does not stand for one in a function that is compiled."""
    return hasattr(tensor, "numpy")


def penalties_of(model):
    """The layers of a model, and of models within it, that add a term to the loss."""
    found = []
    for layer in model.layers:
        inner = penalties_of(layer) if hasattr(layer, "layers") else [layer]
        found += [layer for layer in inner if isinstance(layer, Penalty)]
    return found


def _in_pairs(method):
    """A method of Keras to which images come through the door, and are their own answers."""

    @functools.wraps(method)
    def paired(self, x=None, y=None, *args, **kwargs):
        return method(self, *self._pair(x, y), *args, **kwargs)

    return paired


class ImageModel(keras.Model):
    """A model of Keras that reads images and, unless it is told otherwise, is to draw the same."""

    @property
    def penalties(self):
        """The layers that add a term to the loss."""
        return penalties_of(self)

    def __call__(self, images, *args, **kwargs):
        return super().__call__(as_images(images, self, slack=NOISE), *args, **kwargs)

    @property
    def losses(self):
        """As Keras has them; compute_loss alone makes a step of a call."""
        for penalty in self.penalties:
            penalty.unread = None
        return super().losses

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss of a batch; each penalty also enters a mean over the epoch's images."""
        for penalty in self.penalties:
            penalty.term.update_state(sum(penalty.losses), sample_weight=ops.shape(x)[0])
        return super().compute_loss(x, y, y_pred, sample_weight, training)

    def fit(self, x=None, y=None, *args, validation_data=None, **kwargs):
        """Keras' fit; without y, the images are their own answers."""
        if validation_data is not None:
            pair = validation_data if is_pair(validation_data, self) else (validation_data, None)
            x_y = self._pair(*pair[:2], "validation images")
            validation_data = x_y[0] if x_y[1] is None else (*x_y, *pair[2:])
        return super().fit(*self._pair(x, y), *args, validation_data=validation_data, **kwargs)

    evaluate = _in_pairs(keras.Model.evaluate)
    train_on_batch = _in_pairs(keras.Model.train_on_batch)
    test_on_batch = _in_pairs(keras.Model.test_on_batch)

    def predict(self, x, *args, **kwargs):
        """Keras' predict."""
        stream = self._stream(x)
        x = as_images(x, self, slack=NOISE) if stream is None else stream
        return super().predict(x, *args, **kwargs)

    def predict_on_batch(self, x):
        """Keras' predict_on_batch."""
        return super().predict_on_batch(as_images(x, self, slack=NOISE))

    def save(self, filepath, *args, **kwargs):
        """Keras' save.

        Raises:
            ValueError: the file is to be of the older kind, .h5.
        """
        if str(filepath).endswith((".h5", ".hdf5")):
            raise ValueError(
                f"{filepath} would be of Keras' older kind, which does not hold what a model is "
                "made of: save it with the ending .keras."
            )
        return super().save(filepath, *args, **kwargs)

    def _stream(self, images, name="images"):
        """What brings images in batches, of which the first was at the door; None for arrays."""
        stream = images
        if isinstance(images, tf.data.Dataset):
            self._check_spec(images.element_spec, name)
            known = getattr(images, "images", None)  # of training.batches
            firsts = images.take(1) if known is None else [known]
        elif isinstance(images, keras.utils.PyDataset):
            firsts = [images[0]] if len(images) else []
        elif hasattr(images, "__next__"):
            firsts = list(itertools.islice(images, 1))
            stream = (batch for batch in itertools.chain(firsts, images))  # Keras asks for one such
        else:
            return None
        for batch in firsts:
            as_images(tf.nest.flatten(batch)[0], self, name, NOISE)
        return stream

    def _check_spec(self, spec, name):
        """Refuse a Dataset of single images, of labels as answers, or of whole numbers.

        Raises:
            ValueError: it is one of these; what mends it.
        """
        specs = tf.nest.flatten(spec)[:2]
        shape, one = specs[0].shape, shape_of(self)
        if one and shape.rank and fits(shape, one):
            raise ValueError(f"The Dataset brings {name} one by one: use dataset.batch(128).")
        if len(specs) > 1 and specs[1].shape.rank == 1:
            raise ValueError(
                f"The {name} come with labels, but are their own answers: use "
                "dataset.map(lambda x, y: x)."
            )
        for spec in specs:
            of_floats(spec, name)

    def _pair(self, x, y, name="images"):
        """Images and their answers; streams of both pass as they are."""
        if isinstance(x, tf.data.Dataset) and not isinstance(x.element_spec, tuple):
            x = x.map(lambda images: (images, images))
        stream = self._stream(x, name)
        if stream is not None:
            return stream, y
        if y is None:
            x = alone(x, self, name)
            return x, x
        same = x is y
        x = as_images(x, self, name, ROUNDING if same else NOISE)
        y = x if same else as_images(y, self, f"answers to the {name}")
        if len(x) != len(y):
            raise ValueError(
                f"There are {len(x)} {name}, but {len(y)} answers: hand in one for each."
            )
        return x, y
