"""Checks of the exercises of lesson 01."""

import numpy as np

from .. import measures
from .verdicts import check, digits


@check("return the errors")
def half_sse(half_sse):
    """Is it half of the squared error summed over pixels, one number for each image?"""
    images, drawn = np.random.default_rng(1).uniform(size=(2, 3, 784)).astype("float32")
    answer, whole = half_sse(images, drawn), np.sum(np.square(images - drawn), axis=-1)
    if np.shape(answer) != (3,):
        return f"Expected the shape (3,), not {np.shape(answer)}: sum over pixels only, axis=-1."
    if np.allclose(answer, whole / 784) or np.allclose(answer, whole / 784 / 2):
        return "This averages over the pixels, as Keras' mse does: UFLDL sums over them."
    if np.allclose(answer, whole):
        return "This is the whole sum of squares: UFLDL takes half of it."
    if np.allclose(answer, whole / 2):
        return "Right."
    return f"Expected {whole / 2}, got {np.asarray(answer)}."


@check("return the model")
def trained_autoencoder(trained_autoencoder, data):
    """Has it as many hidden units as asked for, and does it draw after one epoch on `data`?"""
    narrow = trained_autoencoder(32, 1)
    if narrow.layers[0].units != 32:
        return f"32 hidden units were asked for, not {narrow.layers[0].units}: use `units`."
    error = measures.mean_sse(data.x_test, np.asarray(narrow(data.x_test)))
    mean_image = measures.mean_sse(data.x_test, data.x_train.mean(axis=0))
    if error > 1.2 * mean_image:
        return "It draws worse than the mean image: compile alone trains nothing."
    return f"Right. With 32 units the test SSE is {error:.1f} after one epoch."


@check("return the dataset")
def denoising_batches(denoising_batches):
    """Are its pairs (noisy, clean), with noise of the right size, cut to [0, 1]?"""
    some = digits().x_train[:500]
    noisy, clean = map(np.asarray, next(iter(denoising_batches(some, 0.3))))
    if np.isin(noisy, some).all():  # a pixel is one of few grays, noise is not
        return "What goes in has no noise. The pair is (noisy, clean): are the two swapped?"
    if not np.isin(clean, some).all():
        return "The answer is noisy as well: so it learns to draw the noise. It must stay clean."
    if noisy.min() < 0 or noisy.max() > 1:
        return "Some pixels are below 0 or above 1: cut them, with tf.clip_by_value."
    on_paper = noisy[clean == 0].mean()
    if abs(on_paper - 0.3 / np.sqrt(2 * np.pi)) > 0.01:  # the mean of noise cut at 0
        return f"On empty paper the noise has mean {on_paper:.2f}: is its deviation `noise`?"
    return "Right."
