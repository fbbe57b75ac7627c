"""Named settings, trained over seeds in parallel: how data/results.csv is made.

    python -m experiments                       # what results.csv does not hold yet
    python -m experiments --only "MSE" "MSE + L2" --seeds 2

Needs real MNIST. One row a run: setting, seed, SSE on training, validation and test images, mean
activation, active and dead units, probe accuracy with 10 and 100 labels per class on validation
and test images, seconds to train. A killed run loses only what was in training.
"""

import argparse
import csv
import functools
import time
from pathlib import Path

import numpy as np

import measures
from helpers import RESULTS, load_mnist

SEEDS = 5
PROBE_DRAWS = 5
COLUMNS = [
    *("setting", "seed", "sse_train", "sse_validation", "sse_test"),
    *("mean_activation", "active_units", "dead_units"),
    *("probe_10_validation", "probe_100_validation", "probe_10", "probe_100", "seconds"),
]
RELU = {"activation": "relu", "reconstruction_activation": "softplus", "learning_rate": 1e-3}

# Features that need no training.
BASELINES = ("mean image", "pixels", "PCA-196", "random features")

# Name of a model → what makes it: arguments of build_autoencoder, with rho and beta for
# KLSparsity, lam1 for L1Sparsity; learning_rate and images (how many it is trained on) for train.
SETTINGS = {
    "MSE": {},
    "MSE + L2": {"lam2": 0.01},
    "MSE + KLD": {"rho": 0.15, "beta": 0.5},
    "MSE + L2 + KLD": {"rho": 0.15, "beta": 0.5, "lam2": 0.01},
    "MSE + KLD, sparser": {"rho": 0.05, "beta": 3.0},
    "MSE + L2 + KLD, sparser": {"rho": 0.05, "beta": 3.0, "lam2": 0.003},
}
# Lesson 04: codes without an upper limit, and the pairs of activation and penalty.
SETTINGS |= {
    "ReLU": RELU,
    "ReLU + source's L1": {**RELU, "lam1": 0.001 / 196},
    "ReLU + L1": {**RELU, "lam1": 0.1, "lam2": 0.001},
    "ReLU + L1, sigmoid output": {
        **RELU,
        "reconstruction_activation": "sigmoid",
        "lam1": 0.1,
        "lam2": 0.001,
    },
    "sigmoid + L1": {"lam1": 0.1, "lam2": 0.001, "learning_rate": 1e-3},
}
# Lesson 02: does L2 help where there are few images?
SETTINGS["λ₂ = 0.001"] = {"lam2": 0.001}
SETTINGS |= {
    f"{name}, {images} images": {**penalty, "images": images}
    for name, penalty in {"MSE": {}, "λ₂ = 0.001": {"lam2": 0.001}}.items()
    for images in (500, 2_000, 10_000)
}


def build(setting):
    """The untrained model of a setting, an Autoencoder."""
    from sparse_autoencoder import KLSparsity, L1Sparsity, build_autoencoder

    arguments = dict(SETTINGS[setting])
    for of_training in ("images", "learning_rate"):
        arguments.pop(of_training, None)
    sparsity = None
    if "rho" in arguments:
        sparsity = KLSparsity(arguments.pop("rho"), arguments.pop("beta"))
    elif "lam1" in arguments:
        sparsity = L1Sparsity(arguments.pop("lam1"))
    return build_autoencoder(sparsity=sparsity, **arguments)


def baseline(name, seed, images):
    """(encode, reconstruct) of features that are not trained; None for what one cannot do."""
    if name == "mean image":
        mean = images.mean(axis=0)
        return None, lambda some: np.broadcast_to(mean, some.shape)
    if name == "pixels":
        return np.asarray, None
    if name == "PCA-196":
        from sklearn.decomposition import PCA

        pca = PCA(196, random_state=seed).fit(images)
        return pca.transform, lambda some: pca.inverse_transform(pca.transform(some))
    return build("MSE").encode, None  # random features: an encoder that was never trained


def run(setting, seed, data):
    """Train one setting with one seed, measure it; returns a row of results.csv as a dict."""
    from sparse_autoencoder import keras, train  # also keeps TensorFlow's log lines quiet

    keras.utils.clear_session()  # frees the model of the run before
    keras.utils.set_random_seed(seed)
    row = {"setting": setting, "seed": seed}
    x_train = data.x_train
    activation = None
    if setting in BASELINES:
        encode, reconstruct = baseline(setting, seed, x_train)
    else:
        model = build(setting)
        x_train = x_train[: SETTINGS[setting].get("images")]
        start = time.perf_counter()
        learning_rate = SETTINGS[setting].get("learning_rate", 3e-3)
        train(
            model,
            x_train,
            data.x_validation,
            learning_rate=learning_rate,
            seed=seed,
            progress=False,
        )
        row["seconds"] = time.perf_counter() - start
        encode, reconstruct = model.encode, model
        activation = SETTINGS[setting].get("activation", "sigmoid")

    if reconstruct is not None:
        images = {"train": x_train, "validation": data.x_validation, "test": data.x_test}
        for part, x in images.items():
            row[f"sse_{part}"] = measures.mean_sse(x, np.asarray(reconstruct(x)))
    if activation is not None:
        code = np.asarray(encode(data.x_test))
        row["mean_activation"] = measures.mean_activation(code).mean()
        row["active_units"] = measures.active_units(code, activation).mean()
        row["dead_units"] = measures.dead_units(code, activation).sum()
    if encode is not None and len(x_train) == len(data.x_train):
        parts = {"": (data.x_test, data.y_test)}
        parts["_validation"] = (data.x_validation, data.y_validation)
        parts = {part: (np.asarray(encode(x)), y) for part, (x, y) in parts.items()}
        x = np.asarray(encode(data.x_train))
        for labels in (10, 100):
            draws = range(PROBE_DRAWS)
            probes = [measures.fit_probe(x, data.y_train, labels, [seed, d]) for d in draws]
            for part, (features, y) in parts.items():
                accuracy = 100 * np.mean([probe.score(features, y) for probe in probes])
                row[f"probe_{labels}{part}"] = accuracy
    return row


def _run_alone(setting, seed):
    """`run` in a worker process, which keeps to one core so that workers do not crowd."""
    from threadpoolctl import threadpool_limits

    from sparse_autoencoder import tf

    if not tf.config.threading.get_intra_op_parallelism_threads():
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    with threadpool_limits(1):
        return run(setting, seed, _mnist())


@functools.cache
def _mnist():
    return load_mnist("mnist")


def main():
    from joblib import Parallel, delayed
    from tqdm import tqdm

    names = [*BASELINES, *SETTINGS]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", metavar="SETTING", choices=names, default=names)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="seeds per setting (%(default)s)")
    parser.add_argument("--jobs", type=int, default=-1, help="processes (default: one a core)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="default: %(default)s")
    options = parser.parse_args()

    done = set()
    if options.results.exists():
        with open(options.results, newline="", encoding="utf-8") as file:
            done = {(row["setting"], int(row["seed"])) for row in csv.DictReader(file)}
    todo = [(name, seed) for seed in range(options.seeds) for name in options.only]
    todo = [task for task in todo if task not in done]
    load_mnist("mnist")  # downloaded here, once, rather than by each worker

    workers = Parallel(options.jobs, return_as="generator_unordered")
    rows = workers(delayed(_run_alone)(*task) for task in todo)
    with open(options.results, "a", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS)
        if not done:
            table.writeheader()
        for row in tqdm(rows, total=len(todo), unit="run"):
            table.writerow({k: _short(v) for k, v in row.items()})
            file.flush()


def _short(value):
    return f"{value:.5g}" if isinstance(value, float) else value


if __name__ == "__main__":
    import experiments  # under its own name, so that workers import it rather than get a copy

    experiments.main()
