"""How images get to TensorFlow."""

import numpy as np
import tensorflow as tf
from keras import ops


def as_tensor(images):
    """An array as a tensor in the same memory, so that MNIST is not held twice.

    TensorFlow reads in place what is contiguous and starts at a multiple of 64 bytes, as the pages
    of `images.load_images` do; other arrays are copied.
    """
    if not isinstance(images, np.ndarray):
        return ops.convert_to_tensor(images)
    flags = images.flags
    if flags.c_contiguous and flags.writeable and images.ctypes.data % 64 == 0:
        return tf.experimental.dlpack.from_dlpack(images.__dlpack__())
    return tf.constant(images)
