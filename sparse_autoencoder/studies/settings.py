"""The named settings of the lessons and the grid of the sweep: data/results.csv, data/sweep.csv.

    python -m experiments results                   # what the table does not hold yet
    python -m experiments results --only "MSE" "MSE + L2" --seeds 2
    python -m experiments sweep                     # on the cores of this computer
    python -m experiments sweep --scheduler tcp://10.0.0.7:8786     # on a running Dask cluster

Needs real MNIST. One row a run: setting, seed, SSE on training, validation and test images, mean
activation, active and dead units, probe accuracy with 10 and 100 labels per class on validation
and test images, seconds to train. The sweep also keeps pictures of its first seed.
"""

import time

import numpy as np

import live_pictures
import measures
import runs
from helpers import RESULTS, SWEEP_RESULTS, sweep_picture

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


def _sweep():
    """The grid of the sweep: name → settings, as in SETTINGS. Each axis is stated in lesson 06."""
    sparser = {"rho": 0.05, "beta": 3.0, "lam2": 0.003}
    settings = [
        {"rho": rho, "beta": beta, "lam2": 0.003}
        for rho in (0.02, 0.05, 0.1, 0.2, 0.5)
        for beta in (0.5, 1.0, 3.0, 10.0)
    ]
    settings += [{**sparser, "lam2": lam2} for lam2 in (0.0, 0.0003, 0.001, 0.01, 0.03)]
    settings += [{"lam2": lam2} for lam2 in (0.0, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)]
    relu = RELU | {"reconstruction_activation": "sigmoid"}
    for lam2 in (0.0, 0.001):
        for lam1 in (0.0, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 1.0):
            settings.append({**relu, "lam1": lam1, "lam2": lam2})
    for hidden_units in (49, 100, 400, 784):
        several = {"hidden_units": hidden_units}
        settings += [{**sparser, **several}, {"lam2": 0.0, **several}]
        settings.append({**relu, "lam1": 0.1, "lam2": 0.001, **several})
    for batch_size in (32, 512):
        for beta in (1.0, 3.0, 10.0):
            settings.append({**sparser, "beta": beta, "batch_size": batch_size})
    return {sweep_name(**setting): setting for setting in settings}


def sweep_name(activation="sigmoid", hidden_units=196, batch_size=128, **penalties):
    """The name of a setting of the sweep, such as "sigmoid rho=0.05 beta=3 lam2=0.003"."""
    known = ("rho", "beta", "lam1", "lam2")
    parts = [f"{name}={penalties[name]:g}" for name in known if name in penalties]
    parts += [f"units={hidden_units}"] if hidden_units != 196 else []
    parts += [f"batch={batch_size}"] if batch_size != 128 else []
    return " ".join([activation, *parts])


SWEEP = _sweep()
OF_THE_SETTING = ("activation", "rho", "beta", "lam1", "lam2", "hidden_units", "batch_size")


def build(setting):
    """The untrained model of a setting, an Autoencoder."""
    from sparse_autoencoder import KLSparsity, L1Sparsity, build_autoencoder

    arguments = dict((SETTINGS | SWEEP)[setting])
    for of_training in ("images", "learning_rate", "batch_size"):
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
    """Train one setting with one seed, measure it.

    Returns:
        a list of one row, a dict; and of the sweep's first seed also pictures: path → PNG bytes.
    """
    from sparse_autoencoder import train

    row = {"setting": setting, "seed": seed}
    x_train = data.x_train
    activation = None
    if setting in BASELINES:
        encode, reconstruct = baseline(setting, seed, x_train)
    else:
        model = build(setting)
        settings = (SETTINGS | SWEEP)[setting]
        x_train = x_train[: settings.get("images")]
        start = time.perf_counter()
        train(
            model,
            x_train,
            data.x_validation,
            learning_rate=settings.get("learning_rate", 3e-3),
            batch_size=settings.get("batch_size", 128),
            seed=seed,
            progress=False,
        )
        row["seconds"] = time.perf_counter() - start
        encode, reconstruct = model.encode, model
        activation = settings.get("activation", "sigmoid")

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
    if setting not in SWEEP:
        return [row], {}
    given = {"activation": "sigmoid", "hidden_units": 196, "batch_size": 128} | settings
    row |= {name: given[name] for name in OF_THE_SETTING if name in given}
    return [row], _pictures(setting, model, data.x_validation[:10]) if seed == 0 else {}


def _pictures(setting, model, images):
    """49 features, and images over their reconstructions: path beside the table → PNG bytes."""
    both = np.concatenate([images, model(images).numpy()])
    pictures = {
        "features": live_pictures.features_png(model.encoder.kernel.numpy()[:, :49], 7),
        "reconstructions": live_pictures.images_png(both, len(images)),
    }
    folder = SWEEP_RESULTS.parent
    return {sweep_picture(setting, kind).relative_to(folder): png for kind, png in pictures.items()}


TABLES = {
    "results": runs.Table(RESULTS, COLUMNS, [*BASELINES, *SETTINGS], 5, run),
    "sweep": runs.Table(SWEEP_RESULTS, [*COLUMNS, *OF_THE_SETTING], list(SWEEP), 3, run),
}

if __name__ == "__main__":
    import experiments  # under its own name, so that workers import it rather than get a copy

    runs.command_line(experiments.TABLES, __doc__)
