"""Checks of the exercises of lesson 05."""

from types import SimpleNamespace

import numpy as np

from ..model import KLSparsity, build_autoencoder
from .verdicts import check, digits


@check("return row numbers")
def images_to_label(images_to_label):
    """Are there as many rows as asked for, and are they near to all other codes?"""
    codes = digits().x_train[:1000] @ np.random.default_rng(1).normal(size=(784, 30))
    rows = images_to_label(codes, 20)
    if len(rows) == len(codes):
        return "These are the clusters of all images. Wanted is one image for every centre."
    if np.ndim(rows) == 2:
        return "These are the centres, which are no images: return the rows of the nearest ones."
    if len(rows) != 20:
        return f"20 images were asked for, not {len(rows)}."
    from_nearest, from_first = (
        np.linalg.norm(codes[:, None] - codes[chosen], axis=2).min(axis=1).mean()
        for chosen in (rows, range(20))
    )
    if from_nearest > from_first:
        return "The first 20 images cover the rest better: is it the nearest image, argmin?"
    return "Right."


@check("return the model")
def learn_from_small_digits(learn_from_small_digits):
    """Is it trained(…) of the images of 0–4 alone, with the penalties of the sparser model?

    The check hands it the bundled digits and a `trained` that notes what it is asked and trains
    nothing.
    """
    data, asked = digits(), SimpleNamespace(images=None, how={})

    def trained(images, **how):
        asked.images, asked.how = np.asarray(images), how
        return build_autoencoder(**how)

    model = learn_from_small_digits(trained, data)
    if not hasattr(model, "encode"):
        return f"Return the model that trained() gives, not {type(model).__name__}."
    if asked.images is None:
        return "The model was not trained with `trained`, which the function is given: call it."
    if not isinstance(model.sparsity, KLSparsity):
        return "Without a penalty most units will be active: where is the penalty, KLSparsity?"
    if model.l2 is None:
        return "The sparser model has an L2 penalty as well: where is lam2?"
    if np.array_equal(asked.images, data.x_train[data.y_train >= 5]):
        return "It will draw 5–9 better than 0–4: was it trained on the wrong half?"
    if not np.array_equal(asked.images, data.x_train[data.y_train < 5]):
        return "It should learn from the training images of 0–4, all of them, and from no others."
    return "Right. It learns from 0–4, and never sees 5–9."


@check("return two models")
def deeper_autoencoder(deeper_autoencoder):
    """Do the two models share their layers, with the penalty between code and decoder?"""
    deeper, encoder = deeper_autoencoder()
    shapes = [tuple(w.shape) for w in deeper.trainable_weights if len(w.shape) == 2]
    if shapes != [(784, 400), (400, 196), (196, 400), (400, 784)]:
        return f"Expected four matrices, 784-400-196-400-784, but they are {shapes}."
    if encoder.output_shape != (None, 196):
        return f"The encoder should end with 196 units, but gives {encoder.output_shape}."
    if not any(encoder.trainable_weights[0] is weight for weight in deeper.trainable_weights):
        return "The encoder has weights of its own, which will not train: share the layers."
    deeper(digits().x_test[:9])
    if not deeper.losses:
        return "The penalty is not on the way to the drawing: hand its output on to the decoder."
    return "Right."
