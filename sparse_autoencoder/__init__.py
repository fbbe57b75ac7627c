"""Sparse autoencoders, hands on: what the lessons derive, and what plays with it.

    from sparse_autoencoder import KLSparsity, build_autoencoder, train

- `arrays`: the door that images come through: of any type → float32, or one sentence
- `image_model`: a Keras model of images, and penalties that report themselves
- `model`: lessons 01 to 04: SSE, the penalties, Autoencoder, build_autoencoder
- `training`: batches, train
- `modern`: lesson 07: TopK, BatchTopK, JumpReLU, Gated, reviving dead units
- `measures`: the scorecard's figures and the linear probe
- `features`: lesson 08: known features, features matched one to one, absorption and hedging
- `checks`: one function per exercise
- `images`, `tables`: MNIST and what stands in for it; the results that come with the course
- `vocabulary`: every quantity's symbol, label, colour and grid
- `playground`: sliders on a model that trains
- `studies`: named settings trained over seeds into the tables in data/
"""

import contextlib
import os
import sys
import tempfile


@contextlib.contextmanager
def _without_log_lines():
    """Keep TensorFlow's C++ log lines off the page; if the import fails, show them after all."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with contextlib.suppress(AttributeError, ValueError):  # sys.stderr is None, or closed
        sys.stderr.flush()
    try:
        stderr = os.dup(2)
    except OSError:  # closed: there is no page to keep clean
        yield
        return
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        except BaseException:
            log.seek(0)
            os.write(stderr, log.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


if "keras" not in sys.modules:  # whatever the shell or keras.json says: this is TensorFlow's
    os.environ["KERAS_BACKEND"] = "tensorflow"

with _without_log_lines():
    import keras
    import tensorflow as tf

tf.get_logger().setLevel("ERROR")  # else training several models warns of "retracing"

if keras.config.backend() != "tensorflow":
    raise ImportError(
        f"Keras was imported before, on {keras.config.backend()}, but the course needs TensorFlow: "
        "unset KERAS_BACKEND and restart the kernel, or import sparse_autoencoder first."
    )

from . import modern  # noqa: E402, so that saved models with its layers can be loaded
from .arrays import as_tensor  # noqa: E402
from .model import (  # noqa: E402
    Autoencoder,
    KLSparsity,
    L1Sparsity,
    L2Penalty,
    build_autoencoder,
    kl_divergence,
    sse,
)
from .training import batches, train  # noqa: E402

__all__ = [
    "Autoencoder",
    "KLSparsity",
    "L1Sparsity",
    "L2Penalty",
    "as_tensor",
    "batches",
    "build_autoencoder",
    "keras",
    "kl_divergence",
    "modern",
    "sse",
    "tf",
    "train",
]
