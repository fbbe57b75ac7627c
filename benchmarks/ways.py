"""Six ways to train one sparse autoencoder, each in a process of its own.

Each way trains epoch after epoch without end, and calls end_of_epoch(mean cost of the epoch's
batches) after every epoch; that call returns when it is the way's turn again.
"""

import contextlib
import importlib
import itertools
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
MNIST = ROOT / "data" / "mnist.npz"
PIXELS, HIDDEN, BATCH = 784, 196, 128
RHO, BETA, LAM2 = 0.15, 0.5, 0.01
FOREVER = 10**9

sys.path.insert(0, str(ROOT))  # where sparse_autoencoder is


def course(images, learning_rate, end_of_epoch, units=HIDDEN):
    """sparse_autoencoder.train, without validation, which no other way here has either."""
    import sparse_autoencoder

    sparse_autoencoder.train(
        _keras_autoencoder(units),
        images,
        validation_images=None,
        epochs=FOREVER,
        steps_per_epoch=len(images) // BATCH,
        learning_rate=learning_rate,
        progress=False,
        callbacks=[_report(end_of_epoch)],
    )


def keras_defaults(images, learning_rate, end_of_epoch):
    """The same model given whole arrays, every setting of Keras left as it is."""
    import keras

    from sparse_autoencoder import sse

    autoencoder = _keras_autoencoder()
    autoencoder.compile(keras.optimizers.Adam(learning_rate), loss=sse)
    callbacks = [_report(end_of_epoch)]
    # Without the progress bar, which would cost more here than it does in a notebook.
    autoencoder.fit(
        images, images, batch_size=BATCH, epochs=FOREVER, verbose=0, callbacks=callbacks
    )


def tf1_session(images, learning_rate, end_of_epoch):
    """The source's recipe: a graph, and a session fed with batches in file order."""
    import tensorflow.compat.v1 as tf

    tf.disable_v2_behavior()
    tf.set_random_seed(0)
    images = images * np.float32(255 / 256)  # the source divides the bytes by 256

    def weights(*shape):
        return tf.Variable(tf.truncated_normal(shape, stddev=0.1))

    x = tf.placeholder(tf.float32, (None, PIXELS))
    w1, b1 = weights(PIXELS, HIDDEN), tf.Variable(tf.zeros(HIDDEN))
    w2, b2 = weights(HIDDEN, PIXELS), tf.Variable(tf.zeros(PIXELS))
    code = tf.sigmoid(x @ w1 + b1)
    reconstructions = tf.sigmoid(code @ w2 + b2)
    rho_hat = tf.reduce_mean(code, axis=0)
    kl = RHO * tf.log(RHO / rho_hat) + (1 - RHO) * tf.log((1 - RHO) / (1 - rho_hat))
    cost = (
        tf.reduce_mean(tf.reduce_sum(tf.square(x - reconstructions), axis=1))
        + LAM2 * (tf.nn.l2_loss(w1) + tf.nn.l2_loss(w2))  # l2_loss has the ½
        + BETA * tf.reduce_sum(kl)
    )
    step = tf.train.AdamOptimizer(learning_rate, epsilon=1e-8).minimize(cost)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        while True:
            costs = []
            for start in range(0, len(images) - BATCH + 1, BATCH):
                feed = {x: images[start : start + BATCH]}
                costs.append(session.run([cost, step], feed_dict=feed)[0])
            end_of_epoch(np.mean(costs))


def torch_eager(images, learning_rate, end_of_epoch):
    """A plain PyTorch loop over batches picked from one tensor, without a DataLoader."""
    import torch

    torch.manual_seed(0)
    images = torch.from_numpy(images)
    encoder, decoder = torch.nn.Linear(PIXELS, HIDDEN), torch.nn.Linear(HIDDEN, PIXELS)
    for layer in (encoder, decoder):  # as Keras begins
        torch.nn.init.xavier_uniform_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    adam = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], learning_rate)
    while True:
        costs = []
        for rows in torch.randperm(len(images)).split(BATCH)[: len(images) // BATCH]:
            x = images[rows]
            code = torch.sigmoid(encoder(x))
            reconstructions = torch.sigmoid(decoder(code))
            rho_hat = code.mean(0)
            kl = RHO * (RHO / rho_hat).log() + (1 - RHO) * ((1 - RHO) / (1 - rho_hat)).log()
            l2 = encoder.weight.square().sum() + decoder.weight.square().sum()
            sse = (x - reconstructions).square().sum(1).mean()
            cost = sse + LAM2 * 0.5 * l2 + BETA * kl.sum()
            adam.zero_grad()
            cost.backward()
            adam.step()
            costs.append(cost.detach())
        end_of_epoch(torch.stack(costs).mean())


def jax_scan(images, learning_rate, end_of_epoch):
    """All steps of an epoch in one lax.scan, compiled as a whole; Adam by hand."""
    import jax
    from jax import numpy as jnp

    images, steps = jnp.asarray(images), len(images) // BATCH

    def cost(weights, x):
        w1, b1, w2, b2 = weights
        code = jax.nn.sigmoid(x @ w1 + b1)
        reconstructions = jax.nn.sigmoid(code @ w2 + b2)
        rho_hat = code.mean(0)
        kl = RHO * jnp.log(RHO / rho_hat) + (1 - RHO) * jnp.log((1 - RHO) / (1 - rho_hat))
        l2 = jnp.square(w1).sum() + jnp.square(w2).sum()
        sse = jnp.square(x - reconstructions).sum(1).mean()
        return sse + LAM2 * 0.5 * l2 + BETA * kl.sum()

    def step(state, rows):
        weights, m, v, t = state
        value, gradient = jax.value_and_grad(cost)(weights, images[rows])
        t = t + 1
        rate = learning_rate * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradient)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, gradient)
        weights = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-7), weights, m, v)
        return (weights, m, v, t), value

    @jax.jit
    def epoch(state, key):
        rows = jax.random.permutation(key, len(images))[: steps * BATCH].reshape(steps, BATCH)
        state, costs = jax.lax.scan(step, state, rows)
        return state, costs.mean()

    glorot = jax.nn.initializers.glorot_uniform()
    key1, key2, key = jax.random.split(jax.random.key(0), 3)
    w1, w2 = glorot(key1, (PIXELS, HIDDEN)), glorot(key2, (HIDDEN, PIXELS))
    weights = [w1, jnp.zeros(HIDDEN), w2, jnp.zeros(PIXELS)]
    zeros = [jnp.zeros_like(w) for w in weights]
    state = weights, zeros, zeros, 0.0
    for number in itertools.count():
        state, mean_cost = epoch(state, jax.random.fold_in(key, number))
        end_of_epoch(mean_cost)


def numpy_products(images, learning_rate, end_of_epoch):
    """The five matrix products of each step and nothing else: no way can do without them."""
    rng = np.random.default_rng(0)
    w1, w2, code, reconstructions = (
        rng.random(shape, np.float32)
        for shape in ((PIXELS, HIDDEN), (HIDDEN, PIXELS), (BATCH, HIDDEN), (BATCH, PIXELS))
    )
    while True:
        for start in range(0, len(images) - BATCH + 1, BATCH):
            x = images[start : start + BATCH]
            _ = x @ w1, code @ w2  # forward
            _ = code.T @ reconstructions, reconstructions @ w2.T, x.T @ code  # backward
        end_of_epoch(float("nan"))


def _keras_autoencoder(units=HIDDEN):
    import keras

    from sparse_autoencoder import KLSparsity, build_autoencoder

    keras.utils.set_random_seed(0)
    return build_autoencoder(units, sparsity=KLSparsity(RHO, BETA), lam2=LAM2)


def _report(end_of_epoch):
    import keras

    return keras.callbacks.LambdaCallback(on_epoch_end=lambda _, logs: end_of_epoch(logs["loss"]))


# key: (what the table calls it, the function, what must be installed)
WAYS = {
    "a": ("the course's way: `sparse_autoencoder.train`", course, "sparse_autoencoder"),
    "b": ("Keras `fit` on arrays, defaults", keras_defaults, "sparse_autoencoder"),
    "c": ("the source's way: TensorFlow 1 session, `feed_dict`", tf1_session, "tensorflow"),
    "d": ("PyTorch, eager", torch_eager, "torch"),
    "e": ("JAX, an epoch as one jitted `lax.scan`", jax_scan, "jax"),
    "f": ("the five matrix products alone, NumPy", numpy_products, "numpy"),
}


def fetch_mnist():
    """Download MNIST if it is not there; without a network, do nothing."""
    from image_data import load_mnist

    with contextlib.suppress(ConnectionError):
        load_mnist("mnist")


def load_images(n):
    """The first n of MNIST's training images; random ones where there is no MNIST."""
    if not MNIST.exists():
        return np.random.default_rng(0).random((n, PIXELS), np.float32)
    with np.load(MNIST) as mnist:
        return mnist["x_train"][:n].reshape(n, PIXELS) / np.float32(255)


def work(pipe, log, key, n, learning_rate, settings):
    """The process of one way: answer each message with one epoch's (seconds, cost, memory).

    What libraries write to stderr goes to the file `log`. `settings` go to the way.
    """
    os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND), 2)
    _, way, module = WAYS[key]
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        pipe.send(f"{error.name} is not installed")
        return
    images = load_images(n)
    pipe.send(None)  # ready
    pipe.recv()
    started = time.perf_counter()

    def end_of_epoch(cost):
        nonlocal started
        cost = float(cost)  # waits for libraries that compute in the background
        seconds = time.perf_counter() - started
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        memory *= 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
        pipe.send((seconds, cost, memory))
        pipe.recv()
        started = time.perf_counter()

    way(images, learning_rate, end_of_epoch, **settings)
