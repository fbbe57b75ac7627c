"""Trained models kept in data/models/, so that a lesson run once more need not train them again.

Nothing there is needed: a model that is missing, damaged or of other settings is trained anew, and
the folder can be deleted at any time.
"""

import inspect
import json
import re
import sys
import time
import warnings

import joblib
import numpy as np

import sparse_autoencoder
from helpers import RESULTS
from sparse_autoencoder import keras, tf, train

FOLDER = RESULTS.with_name("models")
LIMIT = "500M"  # for all of them; beyond it, the oldest go


def train_or_load(autoencoder, images, validation_images, reuse=True, **settings):
    """Train as sparse_autoencoder.train does, or load the weights that this led to before.

    They are loaded only where all that decides on them is the same: the model and its first
    weights, the images, the settings, the seeds, the callbacks, the code, Keras and TensorFlow.
    Losses and the optimizer are not kept. A model with a class that is defined in a notebook, or
    trained with a callback that has no `get_config`, is always trained.

    Args:
        autoencoder, images, validation_images, settings: as for `train`.
        reuse: False trains in any case, and keeps nothing.

    Returns:
        How many seconds the training took, now or then.

    Raises:
        FloatingPointError: the loss is no longer finite.
    """
    seconds = None

    def trained():
        nonlocal seconds
        start = time.perf_counter()
        train(autoencoder, images, validation_images, **settings)
        seconds = time.perf_counter() - start
        return seconds, autoencoder.get_weights()

    call = inspect.signature(train).bind(autoencoder, images, validation_images, **settings)
    call.apply_defaults()
    key = _key(**call.arguments) if reuse else None
    memory = _memory(FOLDER if key else None)
    kept = memory.cache(_result, ignore=["trained"])
    with warnings.catch_warnings():  # a folder that may only be read, or a full disk, does no harm
        warnings.filterwarnings("ignore", "Unable to cache to disk")
        result = kept.call_and_shelve(key, trained)
    if seconds is None:  # there was one, but nobody has read it yet
        try:
            seconds, weights = result.get()
        except Exception:  # what a damaged file raises depends on where it is damaged
            print(f"A model in {FOLDER} cannot be read: it is trained anew.")
            result.clear()
            kept.call_and_shelve(key, trained)
        else:
            autoencoder.set_weights(weights)
            if call.arguments["progress"]:
                print(f"loaded from data/models: an earlier run trained it in {seconds:.0f} s")
            return seconds
    memory.reduce_size(LIMIT)
    return seconds


def _result(key, trained):
    """What is kept of a training: its seconds and the model's weights."""
    return trained()


def _memory(folder):
    """A joblib.Memory in a folder; for None, or where it cannot be made, one that keeps nothing."""
    try:
        return joblib.Memory(folder, compress=1, verbose=0)  # compressed files have a checksum
    except OSError:
        return joblib.Memory(None)


def _key(autoencoder, images, callbacks, seed, **settings):
    """A hash of all that decides on the weights after training; None where that cannot be known."""
    for without_effect in ("validation_images", "progress"):
        settings.pop(without_effect)
    try:
        model = keras.saving.serialize_keras_object(autoencoder)
        courses = [(type(callback).__name__, callback.get_config()) for callback in callbacks]
    except (AttributeError, NotImplementedError):  # a layer or callback has no get_config
        return None
    modules = set(re.findall(r'"module": "?([^",]+)', json.dumps(model)))
    modules |= {type(callback).__module__ for callback in callbacks} | {sparse_autoencoder.__name__}
    in_a_notebook = modules & {"null", "builtins", "__main__"}  # whose code cannot be read
    if in_a_notebook or not autoencoder.built or not all(map(np.isscalar, settings.values())):
        return None
    modules = sorted(name for name in modules if name.partition(".")[0] != "keras")
    described = {
        "model": model,
        "weights": autoencoder.get_weights(),
        "images": images,
        "settings": settings,
        "callbacks": courses,
        "seeds": tf.compat.v1.get_seed(seed),  # with that of keras.utils.set_random_seed
        "code": [inspect.getsource(sys.modules[name]) for name in modules],
        "versions": (keras.__version__, tf.__version__),
    }
    return joblib.hash(described)
