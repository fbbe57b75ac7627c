"""The door that all images come through: what a person hands in → float32, or one sentence.

A model says what its images are: their shape, and between which numbers they lie. A sigmoid draws
from 0 to 1, so such are the images it can learn; softplus draws 0 or more, a linear layer anything.
"""

import functools
import math
import os
import warnings
from contextlib import suppress

import keras
import numpy as np
import tensorflow as tf
from keras import ops

ROUNDING = 1e-4  # by how much images to learn from may leave the range of the model's output
NOISE = 1.0  # by how much images that are only looked at may: noise may have been added
ACTIVATION_LAYERS = tuple(
    getattr(keras.layers, name) for name in ("Activation", "ReLU", "LeakyReLU", "ELU", "Softmax")
)

_say_once = functools.cache(print)


def as_images(images, model=None, name="images", slack=ROUNDING):
    """Images as a model reads them; those that are float32 and of its shape are not copied.

    Args:
        images: an array or a tensor of any type, lists, a DataFrame, a sparse matrix. uint8 is
            divided by 255, which a printed sentence says, once; booleans become 0 and 1. Tensors
            inside a compiled function have no numbers yet and pass unseen.
        model: says shape and range; without one, they keep their shape, and may be any finite
            numbers.
        name: what they are called in a sentence.
        slack: by how much they may leave the range.

    Returns:
        an array, or the tensor that was given.

    Raises:
        ValueError: they cannot be used; what they are, what is expected, and what mends it.
    """
    dtype = _dtype_of(model)
    if isinstance(images, keras.KerasTensor) or tf.is_symbolic_tensor(images):
        return of_floats(images, name)
    array = _in_shape(as_numbers(images, name), shape_of(model), name)
    in_bytes = array.dtype == np.uint8 and array.max() > 1
    with np.errstate(over="ignore"):  # what float32 cannot hold is found below
        result = np.asarray(array, dtype)
    if in_bytes:
        _say_once(f"The {name} are whole numbers from 0 to 255: divided by 255.")
        result = result / result.dtype.type(255)
    low, high = float(result.min()), float(result.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        row, *place = np.argwhere(~np.isfinite(result))[0].tolist()
        raise ValueError(
            f"The {name} must be finite numbers, but X[{row}] has {array[row][tuple(place)]}: drop "
            "such images, or put 0 there with np.nan_to_num(X, posinf=0, neginf=0)."
        )
    least, most = range_of(model)
    if low < least - slack or high > most + slack:
        allowed = f"from {least:g} to {most:g}" if most < math.inf else f"from {least:g} on"
        mend = f"X / {255 if 16 < high <= 255 else f'{high:g}'}"
        if low < least - slack:
            mend = "(X - X.min()) / (X.max() - X.min())"
        raise ValueError(
            f"The model draws numbers {allowed}, but the {name} go from {low:g} to {high:g}: "
            f"scale them with {mend}."
        )
    if tf.is_tensor(images) and images.dtype == dtype and images.shape == result.shape:
        return tf.convert_to_tensor(images)  # so that a gradient by the images finds them
    return result


def as_tensor(images, model=None, name="images", slack=ROUNDING):
    """Images of as_images as a tensor in the same memory, so that MNIST is not held twice.

    TensorFlow reads in place what is contiguous and starts at a multiple of 64 bytes, as the pages
    of `images.load_images` do; other arrays are copied. Arguments and errors: see as_images.
    Without a model, an array of one number for each image, such as labels, keeps its type.
    """
    if model is not None or not isinstance(images, np.ndarray) or images.ndim != 1:
        images = as_images(images, model, name, slack)
    if not isinstance(images, np.ndarray):
        return images
    flags = images.flags
    if flags.c_contiguous and flags.writeable and images.ctypes.data % 64 == 0:
        return tf.experimental.dlpack.from_dlpack(images.__dlpack__())
    return tf.constant(images)


def alone(given, model, name):
    """Images that are their own answers: X or, as Keras wants it, (X, X); else see as_images.

    Raises:
        ValueError: the answers are something else, such as labels.
    """
    if is_pair(given, model):
        images, *others = given
        if len(others) > 1 or not (others[0] is images or np.array_equal(images, others[0])):
            raise ValueError(
                f"The {name} are their own answers, but something else came with them: hand in the "
                "images alone, not (X, y)."
            )
        given = images
    return as_images(given, model, name)


def is_pair(given, model=None):
    """Whether it is (images, answers), perhaps with weights: any such tuple, or list of arrays."""
    if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
        return False
    shape, expected = getattr(given[0], "shape", ())[1:], shape_of(model) or (None,)
    alike = shape and None not in expected and math.prod(shape) == math.prod(expected)
    return isinstance(given, tuple) or given[0] is given[1] or bool(alike)


def as_numbers(given, name="images"):
    """Whatever holds numbers as an array.

    Raises:
        ValueError: it holds something else, or rows of unequal length.
    """
    if np.ma.is_masked(given):
        raise ValueError(f"Some of the {name} are masked: fill them, as in X.filled(0).")
    with suppress(TypeError, ValueError):
        array = np.asarray(given.toarray() if hasattr(given, "toarray") else given)
        if array.dtype == object:
            array = np.array(array.tolist())  # one type for all, if there is one
        if array.dtype.kind in "fiub":
            return array
    raise ValueError(
        f"The {name} must be an array of numbers, one image a row and all of one size, but these "
        f"are of type {getattr(given, 'dtype', type(given).__name__)}: {_way_to_numbers(given)}."
    )


def _way_to_numbers(given):
    """What makes images of something else."""
    if isinstance(given, (str, os.PathLike)):
        return "read the file first, with np.load or with matplotlib.pyplot.imread"
    if isinstance(given, tf.data.Dataset):
        return "hand the Dataset to model.fit, or hand in np.concatenate([*dataset])"
    with suppress(TypeError, ValueError), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of complex numbers
        np.float32(given)
        return "try np.float32(X)"
    return "bring each to the same size, as numbers, before they become one array"


def shape_of(model):
    """The shape of the images that a model reads, such as (784,).

    A size that can be any is None; so is the whole where nothing is known.
    """
    for part in (model, getattr(model, "encoder", None)):
        shape, spec = getattr(part, "input_shape", None), getattr(part, "input_spec", None)
        if isinstance(shape, tuple):
            return shape[1:]
        if getattr(spec, "min_ndim", None):
            return (None,) * (spec.min_ndim - 2) + ((spec.axes or {}).get(-1),)
    return None


def range_of(model):
    """The smallest and the largest number that a model draws, as far as it is known."""
    known = isinstance(getattr(model, "input_shape", None), tuple)  # its layers are in order
    last = getattr(model, "decoder", model if known else None)
    return reach(activation_of(last))


def activation_of(*layers):
    """The activation that layers, called one after the other, end with; None if it is not known.

    It may be a layer of its own. What has no weights, such as Dropout, is passed over.
    """
    for layer in reversed(layers):
        if hasattr(layer, "layers"):  # a model within the model
            return activation_of(*layer.layers)
        if isinstance(layer, ACTIVATION_LAYERS):
            return layer
        if hasattr(layer, "kernel") or hasattr(layer, "activation"):
            return getattr(layer, "activation", keras.activations.linear)
        if getattr(layer, "trainable_weights", None):
            break  # such as a normalisation: anything may come out
    return None


@functools.lru_cache(64)
def reach(activation):
    """The smallest and the largest value of an activation: tried out, so it may be any function.

    Where it is None, or cannot be tried out, anything may come out.
    """
    with suppress(Exception):  # what a function of somebody else may raise cannot be foreseen
        tried = [[-1e4, -100, *np.linspace(-5, 5, 101), 100, 1e4]]
        values = np.asarray(activation(ops.convert_to_tensor(tried, "float32")))
        low, high = float(values.min()), float(values.max())
        return low if low > -10 else -math.inf, high if high < 10 else math.inf
    return -math.inf, math.inf


def lies_between_0_and_1(activation):
    """Whether what has this activation can be read as a probability."""
    low, high = reach(activation)
    return low >= 0 and high <= 1


def _dtype_of(model):
    """In which type a model's images are computed with: float32, or what it was built in.

    Raises:
        ValueError: Keras is set to another type, in which the course's numbers would not be right.
    """
    dtype, floatx = getattr(model, "compute_dtype", "float32"), keras.config.floatx()
    if floatx != "float32" or dtype not in ("float32", "float64"):
        raise ValueError(
            f"Keras is set to {floatx if floatx != 'float32' else dtype}, but the course computes "
            "in float32: call keras.config.set_floatx('float32') and "
            "keras.config.set_dtype_policy('float32'), then build the model again."
        )
    return dtype


def of_floats(tensor, name="images"):
    """Refuse whole numbers in a tensor that has no numbers yet, or in what a Dataset will bring."""
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    if not keras.backend.is_float_dtype(dtype):
        raise ValueError(
            f"The {name} come as {dtype}, but the model reads float32: change them on their way, "
            'as in dataset.map(lambda x: tf.cast(x, "float32") / 255).'
        )
    return tensor


def _in_shape(images, expected, name):
    """The images in the shape that is expected, where they have as many numbers."""
    shape = images.shape
    if images.size == 0:
        raise ValueError(f"There are no {name} in an array of shape {shape}: look at X.shape.")
    if images.ndim < 2:
        one = expected is None or not shape or shape[0] == math.prod(size or 1 for size in expected)
        mend = "make a table of one image with X[None]" if one else "if these are labels, drop them"
        raise ValueError(
            f"The {name} must be one image a row, but this has the shape {shape}: {mend}."
        )
    if expected is None or fits(shape[1:], expected):
        return images
    if None not in expected and math.prod(shape[1:]) == math.prod(expected):
        return images.reshape(len(images), *expected)
    if expected[-1] in (1, None) and fits((*shape[1:], 1), expected):  # gray, without the channel
        return images[..., None]
    if len(expected) > 1:
        wanted = ", ".join("any" if size is None else str(size) for size in expected)
        raise ValueError(
            f"The model reads images of shape ({wanted}), but these have {shape[1:]}: change them "
            "with X.reshape, such as X.reshape(-1, 28, 28, 1)."
        )
    pixels, found = expected[0], math.prod(shape[1:])
    mend = f"build it with {found}"
    if math.prod(shape) == pixels:
        mend = f"make one image a row with X.reshape(1, {pixels})"
    elif shape[0] == pixels:
        mend = "turn the table with X.T"
    elif found == pixels + 1:
        mend = "leave out the column of labels, as in X[:, 1:]"
    elif found == 3 * pixels:
        mend = f"make them gray with X.mean(-1), or build it with {found}"
    raise ValueError(f"The model reads images of {pixels} pixels, but these have {found}: {mend}.")


def fits(shape, expected):
    """Whether a shape is the expected one, in which None stands for any size."""
    if len(shape) != len(expected):
        return False
    return all(size in (None, found) for found, size in zip(shape, expected, strict=True))
