"""How the course trains: shuffled batches, and the fast loop of lesson 01."""

import contextlib
import ctypes
import math
import sys
import time

import keras
import tensorflow as tf
from tqdm import tqdm
from tqdm.keras import TqdmCallback

from .arrays import alone, as_images, as_numbers, as_tensor
from .model import sse
from .vocabulary import HYPERPARAMETERS

STACK = 32  # batches that one compiled loop takes, at most: 13 MB of images
STEPS_WORTH_COMPILING = 2000  # below, compiling with XLA takes longer than it saves


def batches(images, batch_size=128, seed=0, targets=None, stack=1):
    """Endless shuffled batches (images, targets) to train on, as a tf.data.Dataset.

    The order depends on `seed` and on keras.utils.set_random_seed.
    Only the row numbers are shuffled; a whole batch of rows is then picked at once, which is
    several times faster than handing Keras one image at a time.

    Args:
        images: (n, pixels).
        batch_size: images in a batch.
        seed: of the order.
        targets: one for each image; without them an image is its own.
        stack: with more than 1, so many batches come as one array, (stack, batch_size, pixels).
    """
    images = as_tensor(as_images(images))
    targets = images if targets is None else as_tensor(as_numbers(targets, "targets"))
    rows = tf.data.Dataset.range(len(images)).shuffle(len(images), seed=seed).repeat()
    rows = rows.batch(batch_size, drop_remainder=True)
    if stack > 1:
        rows = rows.batch(stack, drop_remainder=True)
    options = tf.data.Options()  # tf.data's own tuning copies the images, and often waits for a
    options.experimental_optimization.apply_default_optimizations = False  # second or two when
    options.autotune.enabled = False  # training ends

    def pick(batch):
        picked = tf.gather(images, batch)
        return picked, picked if targets is images else tf.gather(targets, batch)

    dataset = rows.map(pick).prefetch(2).with_options(options)
    dataset.images = images  # for the model that reads them to look at, without taking a batch
    return dataset


def steps_in_one_loop(model):
    """A train_step that takes one step on each of a stack of batches, in one compiled loop.

    Nothing is waited for between two steps, which makes an epoch a sixth faster than Keras' own
    steps_per_execution.
    """
    step = model.train_step

    def loop(stack):
        def next_step(i):
            step(tf.nest.map_structure(lambda batches: batches[i], stack))
            return (i + 1,)

        tf.while_loop(lambda i: i < tf.shape(stack[0])[0], next_step, (0,))
        return model.get_metrics_result()

    return loop


class StopIfNotFinite(keras.callbacks.Callback):
    """Stops training with an error as soon as the loss is no longer a finite number."""

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(logs["loss"]):
            raise FloatingPointError(
                f"The loss became {logs['loss']}: lower the learning rate or the penalty's "
                "strength, then build the model again and train it."
            )


def give_memory_back():
    """Let the system have what training has freed, where the C library would keep it (glibc)."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # other C libraries, Windows
        ctypes.CDLL(None).malloc_trim(0)


def check_counts(**counts):
    """Refuse what is no whole number, or below 1: fit would wait for ever for such an epoch."""
    for name, count in counts.items():
        if not hasattr(count, "__index__") or count < 1:
            raise ValueError(f"{name} is {count!r}, but it must be a whole number, 1 or more.")


def train(
    autoencoder,
    images,
    validation_images=None,
    *,
    epochs=10,
    steps_per_epoch=390,
    learning_rate=3e-3,
    batch_size=128,
    seed=0,
    progress=True,
    callbacks=(),
):
    """Compile and fit as derived in lesson 01.

    Args:
        autoencoder: an Autoencoder, or another model that reconstructs what it is given.
        images: (n, pixels), in the range of the model's output: see arrays.as_images.
        validation_images: likewise; None for no validation.
        epochs: how often the losses are reported.
        steps_per_epoch: 390 steps are one pass over 50,000 images in batches of 128; with fewer
            images the same number of steps passes over them more often.
        learning_rate: of Adam.
        batch_size: images in a step.
        seed: of the batches' order. Weights are drawn earlier: keras.utils.set_random_seed.
        progress: show a progress bar, which leaves one line.
        callbacks: of Keras, such as one that changes a hyperparameter after every epoch.

    Returns:
        Keras' History: `history` holds, per epoch, "loss", "sse" and each penalty under its own
        name, and the same with "val_" in front; `seconds` how long it took.

    Raises:
        ValueError: the images, a number of steps or the learning rate cannot be used.
        FloatingPointError: the loss is no longer finite.
    """
    images = alone(images, autoencoder, "images")
    validated = validation_images is not None
    if validated:
        validation_images = alone(validation_images, autoencoder, "validation images")
    check_counts(epochs=epochs, steps_per_epoch=steps_per_epoch, batch_size=batch_size)
    if not isinstance(learning_rate, keras.optimizers.schedules.LearningRateSchedule):
        HYPERPARAMETERS["learning_rate"].check("learning_rate", learning_rate)
    callbacks = [StopIfNotFinite(), *callbacks]
    if progress:
        callbacks.append(TqdmCallback(verbose=0, tqdm_class=tqdm, file=sys.stdout))
    stack = max(n for n in range(1, STACK + 1) if steps_per_epoch % n == 0)
    executions = steps_per_epoch // stack
    autoencoder.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=sse,
        metrics=[sse],
        jit_compile=epochs * steps_per_epoch > STEPS_WORTH_COMPILING,
        # A loop over many executions is faster than Python's, but takes half a second to compile.
        steps_per_execution=executions if executions > STACK else 1,
    )
    if stack > 1:
        autoencoder.train_step = steps_in_one_loop(autoencoder)
    start = time.perf_counter()
    try:
        history = autoencoder.fit(
            batches(images, batch_size, seed, stack=stack),
            shuffle=False,  # the batches come shuffled
            epochs=epochs,
            steps_per_epoch=executions,
            validation_data=(as_tensor(validation_images),) * 2 if validated else None,
            validation_batch_size=1000,
            callbacks=callbacks,
            verbose=0,
        )
    finally:
        vars(autoencoder).pop("train_step", None)
        autoencoder.train_function = None  # else a later fit would take its batches for stacks
        give_memory_back()
    history.seconds = time.perf_counter() - start
    return history
