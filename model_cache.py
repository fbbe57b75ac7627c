"""Trained models kept in data/models/, so that no lesson need train the very same one again.

Nothing there is needed: a model that is missing, damaged or of other settings is trained anew, and
the folder can be deleted at any time.
"""

import contextlib
import inspect
import json
import os
import re
import sys
import time
import warnings
from pathlib import Path

import joblib
import numpy as np

import sparse_autoencoder
from helpers import RESULTS
from image_data import written_whole
from sparse_autoencoder import keras, tf, train

FOLDER = RESULTS.with_name("models")
LIMIT = 100  # models, of up to 6 MB in the lessons; beyond it, the oldest go
IMPORTED = time.time()


def train_or_load(autoencoder, images, validation_images, *, reuse=True, **settings):
    """Train as sparse_autoencoder.train does, or load the weights that this led to before.

    They are loaded only where all that decides on them is the same: the model and its first
    weights, the images, the settings, the seeds, the callbacks, the code, Keras and TensorFlow.
    Where that cannot be known, the model is always trained: for instance if a class or an
    activation is defined in a notebook, if a callback has no `get_config`, or if a file of the code
    was changed since it was imported.

    A line with the last losses then stands for the progress bar. A model that was loaded is not
    compiled: `evaluate` and `fit` ask for `compile` first.

    Args:
        autoencoder, images, validation_images, settings: as for `train`.
        reuse: False trains in any case, and keeps nothing.

    Returns:
        How many seconds the training took, now or then.

    Raises:
        FloatingPointError: the loss is no longer finite.
    """
    call = inspect.signature(train).bind(autoencoder, images, validation_images, **settings)
    call.apply_defaults()
    progress = call.arguments.pop("progress")
    key = _key(**call.arguments) if reuse else None
    path = FOLDER / f"{key}.joblib"
    if key:
        try:
            seconds, losses, weights = joblib.load(path)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except Exception:  # what a damaged file raises depends on where it is damaged
            print(f"{path} cannot be read: the model is trained anew.")
        else:
            autoencoder.set_weights(weights)
            if progress:
                terms = ", ".join(f"{name}={value:.3g}" for name, value in sorted(losses.items()))
                print(f"loaded from data/models, trained before in {seconds:.0f} s: {terms}")
            return seconds
    start = time.perf_counter()
    history = train(autoencoder, images, validation_images, **settings).history
    seconds = time.perf_counter() - start
    if key:
        losses = {name: values[-1] for name, values in history.items()}
        _keep(path, (seconds, losses, autoencoder.get_weights()))
    return seconds


def _keep(path, result):
    """Write a file, where that is possible; of too many, delete the oldest."""
    with contextlib.suppress(OSError):
        with written_whole(path) as part:
            joblib.dump(result, part, compress=1)  # compressed, it has a checksum
        for old in sorted(FOLDER.glob("*.joblib"), key=os.path.getmtime)[:-LIMIT]:
            old.unlink()


def _key(autoencoder, callbacks, seed, images, validation_images, **settings):
    """A hash of all that decides on the weights after training; None where that cannot be known."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that loading a lambda is unsafe: none is loaded here
            model = keras.saving.serialize_keras_object(autoencoder)
        text = json.dumps(model)
        courses = [(type(callback).__name__, callback.get_config()) for callback in callbacks]
    except Exception:  # a layer or a callback cannot say what it is made of
        return None
    modules = {type(callback).__module__ for callback in callbacks} | {sparse_autoencoder.__name__}
    modules |= set(re.findall(r'"module": "?([^",]+)', text))
    modules = sorted(name for name in modules if name.partition(".")[0] != "keras")
    functions = re.search(r'__lambda__|"activation": (?!"\w+")', text)  # not those of Keras
    of_a_notebook = {"null", "builtins", "__main__"}.intersection(modules)
    if functions or of_a_notebook or not autoencoder.built:
        return None
    files = [Path(sys.modules[name].__file__) for name in modules]
    changed = any(file.stat().st_mtime > IMPORTED for file in files)
    if changed or not all(map(np.isscalar, [seed, *settings.values()])):
        return None
    described = {
        "model": model,
        "weights": [(weight.trainable, weight.numpy()) for weight in autoencoder.weights],
        "images": (images, validation_images),
        "settings": settings,
        "callbacks": courses,
        "seeds": tf.compat.v1.get_seed(seed),  # with that of keras.utils.set_random_seed
        "code": [file.read_bytes() for file in files],
        "versions": (keras.__version__, tf.__version__),
    }
    return joblib.hash(described)
