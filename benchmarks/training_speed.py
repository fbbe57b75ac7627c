"""Compare the speed of the course's training with other ways to train the same model.

    python benchmarks/training_speed.py

prints two tables and writes them into benchmarks/README.md. Every way trains in a process of its
own, with nothing beside it; they take turns, so that a slow minute of the machine spoils no one.
"""

import argparse
import importlib.util
import multiprocessing
import resource
import sys
import time
from operator import ge, le
from pathlib import Path
from statistics import median

import numpy as np
from report import machine, table, write
from tqdm import tqdm

MNIST = Path(__file__).parent.parent / "data" / "mnist.npz"
PIXELS, HIDDEN, BATCH = 784, 196, 128
RHO, BETA, LAM2 = 0.15, 0.5, 0.01


# Each way trains for some epochs, and calls report(mean cost of the batches) after each of them.


def course(images, epochs, learning_rate, report):
    """As lessons train, but without validation, which no other way here has either."""
    from sparse_autoencoder import train

    steps = {"epochs": epochs, "steps_per_epoch": len(images) // BATCH}
    model, callbacks = keras_model(report)
    train(model, images, **steps, learning_rate=learning_rate, progress=False, callbacks=callbacks)


def keras_fit(images, epochs, learning_rate, report):
    """The same model given whole arrays, all else of Keras left as it is but its progress bar."""
    from sparse_autoencoder import keras, sse

    model, callbacks = keras_model(report)
    model.compile(keras.optimizers.Adam(learning_rate), loss=sse)
    model.fit(images, images, BATCH, epochs, verbose=0, callbacks=callbacks)


def keras_model(report):
    """The model, and the callbacks that report the loss of an epoch."""
    from sparse_autoencoder import KLSparsity, build_autoencoder, keras

    keras.utils.set_random_seed(0)
    model = build_autoencoder(HIDDEN, sparsity=KLSparsity(RHO, BETA), lam2=LAM2)
    callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda _, logs: report(logs["loss"]))
    return model, [callback]


def cost(x, encode, decode, kernels, sigmoid, log, add):
    """The cost of a batch, in any library, from the library's own functions."""
    code = sigmoid(encode(x))
    rho_hat = add(code, 0) / BATCH
    kl = RHO * log(RHO / rho_hat) + (1 - RHO) * log((1 - RHO) / (1 - rho_hat))
    sse = add((x - sigmoid(decode(code))) ** 2) / BATCH
    return sse + LAM2 * 0.5 * sum(add(kernel**2) for kernel in kernels) + BETA * add(kl)


def tf1_session(images, epochs, learning_rate, report):
    """The source's recipe: a graph, and a session fed with batches in file order."""
    import tensorflow.compat.v1 as tf

    tf.disable_v2_behavior()
    tf.set_random_seed(0)
    images = images * np.float32(255 / 256)  # the source divides the bytes by 256
    shapes = (PIXELS, HIDDEN), (HIDDEN, PIXELS)
    w1, w2 = (tf.Variable(tf.truncated_normal(shape, stddev=0.1)) for shape in shapes)
    b1, b2 = tf.Variable(tf.zeros(HIDDEN)), tf.Variable(tf.zeros(PIXELS))
    x = tf.placeholder(tf.float32, (None, PIXELS))
    layers = (lambda x: x @ w1 + b1), (lambda x: x @ w2 + b2)
    value = cost(x, *layers, (w1, w2), tf.sigmoid, tf.log, tf.reduce_sum)
    step = tf.train.AdamOptimizer(learning_rate, epsilon=1e-8).minimize(value)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(epochs):
            batches = (images[i : i + BATCH] for i in range(0, len(images) - BATCH + 1, BATCH))
            report(np.mean([session.run([value, step], {x: batch})[0] for batch in batches]))


def torch_eager(images, epochs, learning_rate, report):
    """A plain PyTorch loop over batches picked from one tensor, without a DataLoader."""
    import torch

    torch.manual_seed(0)
    images = torch.from_numpy(images)
    layers = torch.nn.Linear(PIXELS, HIDDEN), torch.nn.Linear(HIDDEN, PIXELS)
    for layer in layers:  # as Keras begins
        torch.nn.init.xavier_uniform_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    kernels = [layer.weight for layer in layers]
    adam = torch.optim.Adam([w for layer in layers for w in layer.parameters()], learning_rate)
    for _ in range(epochs):
        costs = []
        for rows in torch.randperm(len(images)).split(BATCH)[: len(images) // BATCH]:
            value = cost(images[rows], *layers, kernels, torch.sigmoid, torch.log, torch.sum)
            adam.zero_grad()
            value.backward()
            adam.step()
            costs.append(value.detach())
        report(torch.stack(costs).mean())


def matrix_products(images, epochs, learning_rate, report):
    """The five matrix products of each step and nothing else: no way can do without them."""
    shapes = (PIXELS, HIDDEN), (HIDDEN, PIXELS), (BATCH, HIDDEN), (BATCH, PIXELS)
    w1, w2, code, error = (np.ones(shape, np.float32) for shape in shapes)
    for _ in range(epochs):
        for x in (images[i : i + BATCH] for i in range(0, len(images) - BATCH + 1, BATCH)):
            _ = x @ w1, code @ w2, code.T @ error, error @ w2.T, x.T @ code
        report(float("nan"))


WAYS = {
    "a": ("the course's way: `sparse_autoencoder.train`", course, "sparse_autoencoder"),
    "b": ("Keras `fit` on arrays, defaults", keras_fit, "sparse_autoencoder"),
    "c": ("the source's way: TensorFlow 1 session, `feed_dict`", tf1_session, "tensorflow"),
    "d": ("PyTorch, eager", torch_eager, "torch"),
    "f": ("the five matrix products alone, NumPy", matrix_products, "numpy"),
}


def measure(key, count, epochs, learning_rate=3e-3):
    """The seconds and the cost of each epoch of a way, and its peak memory in MB."""
    images = np.random.default_rng(0).random((count, PIXELS), np.float32)
    if MNIST.exists():
        with np.load(MNIST) as mnist:
            images = mnist["x_train"][:count].reshape(count, PIXELS) / np.float32(255)
    _, train, library = WAYS[key]
    importlib.import_module(library)  # which does not count
    times, costs = [time.perf_counter()], []

    def report(value):
        costs.append(float(value))  # waits for libraries that compute in the background
        times.append(time.perf_counter())

    train(images, epochs, learning_rate, report)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return np.diff(times), costs, peak / (1e6 if sys.platform == "darwin" else 1e6 / 1024)


def alone(*arguments):
    """What `measure` gives, in a fresh Python."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, arguments)


def compare_ways(count, epochs, rounds):
    """Rows of the table, and "ba" → the median epoch of (b) ÷ that of (a), likewise for others."""
    keys = [key for key, (*_, library) in WAYS.items() if importlib.util.find_spec(library)]
    runs = {key: [] for key in keys}
    for key in tqdm(keys * rounds, unit="run"):
        runs[key].append(alone(key, count, 1 + epochs))
    later = {key: np.concatenate([seconds[1:] for seconds, *_ in runs[key]]) for key in keys}
    epoch = {key: median(later[key]) for key in keys}
    rows = []
    for key in keys:
        seconds, costs, memory = zip(*runs[key], strict=True)
        row = [f"({key}) {WAYS[key][0]}", f"{epoch[key]:.2f}"]
        row.append(f"{min(later[key]):.2f}–{max(later[key]):.2f}")
        row += [f"{epoch[key] / epoch[other]:.2f}" for other in "af"]
        row.append(f"{max(0, median(first for first, *_ in seconds) - epoch[key]):.1f}")
        row += [f"{max(memory):.0f}", f"{costs[-1][-1]:.2f}".replace("nan", "")]  # (f) has no cost
        rows.append(row)
    return rows, {x + y: epoch[x] / epoch[y] for x in keys for y in keys}


def compare_recipes(count, epochs):
    """Rows of the table, and how many times sooner the course is at the source's last cost or 0."""
    (source, goals, _), (course, costs, _) = alone("c", count, epochs, 1e-4), alone("a", count, 10)
    reached = next((n for n, value in enumerate(costs, 1) if value <= goals[-1]), 0)
    course, costs = course[: reached or 10], costs[: reached or 10]
    rows = []
    for recipe, seconds, values in (
        ("the source's: Adam 1e-4, file order, (c)", source, goals),
        ("the course's: Adam 3e-3, shuffled, (a)", course, costs),
    ):
        warm = len(seconds) * median(seconds)
        figures = f"{len(seconds)} {values[-1]:.2f} {warm:.1f} {sum(seconds):.1f}"
        rows.append([recipe, *figures.split()])
    return rows, sum(source) / sum(course) if reached else 0.0


# What the course's speed must be (floors) and should be (goals): "ba" is epoch of (b) ÷ of (a).
FLOORS = (
    ("floor: (b) takes at least 2 times as long as (a)", "ba", ge, 2),
    ("floor: (d) takes at least 2 times as long as (a)", "da", ge, 2),
    ("floor: (a) takes no longer than (c)", "ac", le, 1),
    ("floor: (a) takes at most 2 times as long as (f)", "af", le, 2),
    ("floor: the course's recipe is there at least 8 times sooner", "sooner", ge, 8),
    ("goal: (a) takes at most 1.3 times as long as (f)", "af", le, 1.3),
)


def verdicts(ratios):
    """Each floor and goal on a line, with its ratio, as far as it was measured."""
    lines = []
    for wish, name, holds, limit in FLOORS:
        verdict = "not measured"
        if name in ratios:
            verdict = f"{'pass' if holds(ratios[name], limit) else 'FAIL'}, {ratios[name]:.2f}"
        lines.append(f"- {wish}: **{verdict}**")
    return "\n".join(lines)


def main():
    """Measure, print, and write what was measured in full."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="on few images; changes no file")
    quick = parser.parse_args().quick
    count, epochs, rounds, epochs_of_source = (6400, 2, 1, 3) if quick else (50_000, 3, 3, 100)
    text = [machine()]
    if not MNIST.exists():
        text.append("data/mnist.npz is not there: the images are random, so mind no cost.")
    rows, ratios = compare_ways(count, epochs, rounds)
    header = ["way", "seconds per epoch", "fastest–slowest", "÷ (a)", "÷ (f)"]
    text.append(table([*header, "warm-up, s", "peak memory, MB", "cost at the end"], rows))
    rows, ratios["sooner"] = compare_recipes(count, epochs_of_source)
    header = ["recipe", "epochs", "cost", "seconds of training", "with warm-up"]
    text = "\n\n".join([*text, table(header, rows), verdicts(ratios)])
    print(text)
    if not quick:
        write(text, "training_speed.py")


if __name__ == "__main__":
    main()
