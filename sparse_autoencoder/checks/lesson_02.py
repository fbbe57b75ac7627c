"""Checks of the exercises of lesson 02."""

import keras
import numpy as np
from keras import ops

from .. import measures
from ..model import build_autoencoder
from .verdicts import StillToDo, check, digits


def probed(encode, x, y):
    """Mean accuracy on images x of probes with 10 training labels per class of the digits."""
    code, other = (np.asarray(encode(images)) for images in (digits().x_train, x))
    return measures.linear_probe(code, digits().y_train, other, y, 10).mean()


@check("return the gradient")
def l2_gradient(l2_gradient):
    """Is it the gradient of λ₂·½‖W‖², one number for each weight?"""
    W = np.array([[1.0, -2.0], [0.0, 3.0]])
    answer = l2_gradient(0.1, W)
    if np.shape(answer) != W.shape:
        return "The gradient has one number for each weight: do not sum."
    if np.allclose(answer, 0.2 * W):
        return "Twice too large: the ½ in the penalty cancels the 2 from the square."
    if np.allclose(answer, -0.1 * W):
        return "This is the step of gradient descent; the gradient itself points uphill, no minus."
    if np.allclose(answer, 0.1 * W):
        return "Right."
    return f"Expected {(0.1 * W).tolist()}, got {np.asarray(answer).tolist()}."


@check("return the accuracy")
def validation_accuracy(validation_accuracy):
    """Does it probe the code of a model, with 10 labels per class, on validation images?"""
    data, model = digits(), build_autoencoder(32)
    answer = validation_accuracy(model, data)
    if np.ndim(answer) != 0:
        return f"Expected one number, not the shape {np.shape(answer)}: average over the draws."
    if np.isclose(answer, probed(model.encode, data.x_validation, data.y_validation)):
        return "Right."
    if np.isclose(answer, probed(model.encode, data.x_test, data.y_test)):
        return (
            "These are the test images: what chooses λ₂ must be data.x_validation and its labels."
        )
    if np.isclose(answer, probed(model, data.x_validation, data.y_validation)):
        return "This probes the reconstructions: the code is model.encode(images)."
    return "Not the expected accuracy: does linear_probe draw 10 training labels per class?"


@check("draw in call what build prepared")
def tied_decoder(TiedDecoder):
    """Does the layer draw σ(h W1ᵀ + b2), with a bias of its own, and follow the encoder?"""
    encoder = keras.layers.Dense(196, activation="sigmoid")
    code = encoder(digits().x_test[:5])
    decoder = TiedDecoder(encoder)
    drawn = decoder(code)
    if drawn is None:
        raise StillToDo
    shared = {id(weight) for weight in encoder.trainable_weights}
    own = [weight for weight in decoder.trainable_weights if id(weight) not in shared]
    encoder.kernel.assign(2 * encoder.kernel)
    if np.shape(drawn) != (5, 784):
        return f"5 images have the shape (5, 784), not {np.shape(drawn)}: is W1 turned round?"
    if not own:
        return "The decoder has no bias of its own: make one in build, and add it in call."
    if np.allclose(decoder(code), drawn):
        return "The weights were copied, not tied: read self.encoder.kernel in call, not in build."
    if not np.allclose(decoder(code), ops.sigmoid(code @ ops.transpose(encoder.kernel)), atol=1e-5):
        return "Expected σ(h W1ᵀ + b2), with a bias that starts at 0: is the sigmoid there?"
    return "Right."
