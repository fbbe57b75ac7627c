"""One function for each table in data/: from a setting and a seed to its rows.

Lesson 05 reads learning_curve and initialisation, lesson 06 the sweep, lesson 07 modern,
l1_changes and k_sparse, lesson 08 recovery, overlap and inside; every scorecard reads results.
"""

import itertools

import keras
import numpy as np

from .. import features, measures
from .. import modern as layers
from ..model import build_autoencoder
from ..pngs import features_png, images_png
from ..tables import DATA, sweep_picture
from ..training import batches
from . import settings
from .models import baseline, build, code_metrics, fit
from .runs import Table


def _trained(setting, seed, data):
    """Encode, reconstruct, and the trained model and its seconds; None for what there is not."""
    images = data.x_train[: setting.get("images")]
    if "baseline" in setting:
        return *baseline(setting["baseline"], seed, images), None, None
    model = build(setting)
    seconds = fit(model, setting, images, data.x_validation, seed=seed).seconds
    return model.encode, model, model, seconds


def _codes(encode, data):
    """Codes of training, validation and test images."""
    return [np.asarray(encode(x)) for x in (data.x_train, data.x_validation, data.x_test)]


def results(setting, seed, data):
    """One row: SSE, the code's figures and the linear probe's accuracy, in percent."""
    row, _ = _train_and_score(setting, seed, data)
    return [row]


def sweep(setting, seed, data):
    """One row as in results, with what was chosen; for the first seed also two pictures."""
    row, model = _train_and_score(setting, seed, data)
    usual = {"activation": "sigmoid", "hidden_units": 196, "batch_size": 128}
    row |= {key: value for key, value in (usual | setting).items() if key in CHOSEN}
    if seed == 0:
        images = data.x_validation[:10]
        both = np.concatenate([images, np.asarray(model(images))])
        pngs = {
            "features": features_png(np.asarray(model.encoder.kernel)[:, :49], 7),
            "reconstructions": images_png(both, len(images)),
        }
        name = settings.sweep_name(**setting)
        row["files"] = {sweep_picture(name, kind).relative_to(DATA): pngs[kind] for kind in pngs}
    return [row]


def _train_and_score(setting, seed, data):
    """The row of a setting, and its trained model or None."""
    encode, reconstruct, model, seconds = _trained(setting, seed, data)
    row = {"seconds": seconds}
    if reconstruct is not None:
        learned_from = data.x_train[: setting.get("images")]
        images = {"train": learned_from, "validation": data.x_validation, "test": data.x_test}
        for part, x in images.items():
            row[f"sse_{part}"] = measures.mean_sse(x, np.asarray(reconstruct(x)))
    if encode is None:
        return row, model
    train, validation, test = _codes(encode, data)
    if model is not None:
        row["mean_activation"] = measures.mean_activation(test).mean()
        row["active_units"] = measures.active_units(test, model).mean()
        row["dead_units"] = measures.dead_units(test, model).sum()
    if "images" in setting:
        return row, model
    for labels in (10, 100):
        draws = [[seed, draw] for draw in range(5)]
        probes = [measures.fit_probe(train, data.y_train, labels, draw) for draw in draws]
        for part, x, y in [("_validation", validation, data.y_validation), ("", test, data.y_test)]:
            accuracy = np.mean([probe.score(x, y) for probe in probes])
            row[f"probe_{labels}{part}"] = 100 * accuracy
    return row, model


def learning_curve(setting, seed, data):
    """Accuracy of a linear probe, in percent, for each number of labels per class."""
    encode, *_ = _trained(setting, seed, data)
    train, validation, test = _codes(encode, data)
    rows = []
    for labels in (1, 3, 10, 30, 100, 1000, "all"):
        if labels == "all":
            probe = measures.fit_probe_to_all(train, data.y_train, validation, data.y_validation)
        else:
            probe = measures.fit_probe(train, data.y_train, labels, [seed, 0])
        rows.append({"labels_per_class": labels, "accuracy": 100 * probe.score(test, data.y_test)})
    return rows


def build_classifier(encoder=None, frozen=False):
    """A network 784-196-10, its first layer drawn at random or started from an encoder's weights.

    Args:
        encoder: a Dense layer; None for Keras' own start (Glorot).
        frozen: only the last layer learns.
    """
    hidden = keras.layers.Dense(196, activation="sigmoid")
    model = keras.Sequential([keras.Input((784,)), hidden, keras.layers.Dense(10)])
    if encoder is not None:
        hidden.set_weights(encoder.get_weights())
    hidden.trainable = not frozen
    return model


def fit_classifier(model, images, labels, seed, steps=1500, learning_rate=1e-3):
    """Train a classifier for a number of steps, however few images there are; returns it.

    Args:
        model: of build_classifier.
        images: (n, 784).
        labels: (n,) integers.
        seed: of the batches' order.
        steps: a multiple of 500.
        learning_rate: of Adam.
    """
    model.compile(
        keras.optimizers.Adam(learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=True,
        steps_per_execution=500,
    )
    model.fit(
        batches(images, 100, seed, targets=labels),
        steps_per_epoch=500,
        epochs=steps // 500,
        shuffle=False,  # they come shuffled
        verbose=0,
    )
    return model


def initialisation(setting, seed, data):
    """Test accuracy, in percent, of classifiers that start from one encoder, frozen or not."""
    encoder = None if setting is None else _trained(setting, seed, data)[2].encoder
    rows = []
    for labels in (10, 100, 1000):
        drawn = measures.draw_labels(data.y_train, labels, [seed, 0])
        images, answers = data.x_train[drawn], data.y_train[drawn]
        for first_layer in ("fine-tuned", "frozen"):
            keras.utils.set_random_seed(seed)
            model = build_classifier(encoder, frozen=first_layer == "frozen")
            fit_classifier(model, images, answers, seed, steps=6000)
            guesses = model.predict(data.x_test, batch_size=1000, verbose=0).argmax(axis=1)
            accuracy = 100 * np.mean(guesses == data.y_test)
            rows.append(dict(zip(STARTED, (labels, first_layer, accuracy), strict=True)))
    return rows


def _variant_and_strength(setting):
    key, _ = settings.VARIANTS[setting["variant"]]
    return {"variant": setting["variant"], "strength": setting[key]}


def l1_changes(setting, seed, data):
    """Today's figures on test images, and a probe with ten labels per class."""
    encode, _, model, seconds = _trained(setting, seed, data)
    train, _, test = _codes(encode, data)
    accuracies = measures.linear_probe(train, data.y_train, test, data.y_test, 10, 5, seed)
    row = code_metrics(model, data.x_test)
    return [row | {"probe_10": 100 * accuracies.mean(), "seconds": seconds}]


def modern(setting, seed, data):
    """The same, with the variant and its strength."""
    return [_variant_and_strength(setting) | row for row in l1_changes(setting, seed, data)]


def recovery(setting, seed, data=None):
    """How well known features are found, one by one, in pairs and in families; needs no images."""
    examples, directions, sizes = features.known_examples(seed=seed)
    present = sizes[-2000:] > 0
    model = build(setting)
    fit(model, setting, examples[:-2000], examples[-2000:], seed=seed)
    decoder = np.asarray(model.decoder.kernel, dtype=float)
    active = np.asarray(model.encode(examples[-2000:])) > 0
    best = features.cosines(directions, decoder).max(axis=1)
    matched, partner = features.match(directions, decoder)
    f1 = features.f1_of_activity(present, active[:, partner])
    row = _variant_and_strength(setting) | code_metrics(model, examples[-2000:])
    row |= {"units": len(decoder), "best": best.mean(), "matched": matched.mean()}
    row |= {"f1": np.where(partner < 0, 0, f1).mean()}
    row |= {"frequent": best[:64].mean(), "rare": best[-64:].mean()}
    row["hedging"] = features.hedging(directions, decoder)
    row["carried"] = features.carried(directions, decoder)
    five = (sizes > 0).sum(axis=1) == 5  # where k = 5 is enough
    active = np.asarray(model.encode(examples[five])) > 0
    silences = features.silences(directions, sizes[five], decoder, active)
    return [row | dict(zip(("silent_with_child", "silent_alone"), silences, strict=True))]


def overlap(setting, seed, data, models=5):
    """Which share of the features is found again by a model that differs only in its seed?

    Each pair of models is matched one to one, and a share is given for each of THRESHOLDS; beside
    it that of as many directions drawn at random which vary as the features of one of them do.
    """
    found = []
    for number in range(models):
        keras.utils.set_random_seed(number)
        found.append(np.asarray(_trained(setting, number, data)[2].decoder.kernel))
    rng, rows = np.random.default_rng(seed), []
    for first, second in itertools.combinations(range(models), 2):
        alike, _ = features.match(found[first], found[second])
        by_chance, _ = features.match(found[first], features.like(found[second], rng))
        for threshold in THRESHOLDS:
            row = {"pair": f"{first}-{second}", "threshold": threshold}
            row |= {"share": np.mean(alike > threshold), "chance": np.mean(by_chance > threshold)}
            rows.append(row)
    return rows


def fit_lens(hidden, seed, **others):
    """Train TopK with 400 units and k = 10 on a network's hidden units; returns it.

    Args:
        hidden: (n, size).
        seed: of the batches' order.
        others: arguments of train, such as steps_per_epoch.
    """
    size = hidden.shape[1]
    lens = build_autoencoder(400, "linear", "linear", layers.TopK(10), pixels=size, unit_norm=True)
    fit(lens, {"tied_start": True}, hidden, seed=seed, epochs=4, learning_rate=1e-3, **others)
    return lens


def inside(setting, seed, data):
    """Hidden units of a small network, trained or not, beside a sparse code and PCA of them."""
    from sklearn.decomposition import PCA

    network = build_classifier()
    if setting:
        fit_classifier(network, data.x_train, data.y_train, seed)
    parts = [network.layers[0](x).numpy() for x in (data.x_train, data.x_validation, data.x_test)]
    lens = fit_lens(parts[0], seed)
    pca = PCA(10, random_state=seed).fit(parts[0])
    ways = {
        "hidden units": (np.asarray, np.asarray),
        "sparse code": (lens.encode, lens),
        "PCA-10": (pca.transform, lambda h: pca.inverse_transform(pca.transform(h))),
        "mean": (None, lambda h: np.broadcast_to(parts[0].mean(axis=0), h.shape)),
    }
    rows = []
    for code, (encode, reconstruct) in ways.items():
        spliced = np.asarray(network.layers[1](np.float32(reconstruct(parts[2])))).argmax(axis=1)
        row = {"code": code, "accuracy": 100 * np.mean(spliced == data.y_test)}
        row["fvu"] = measures.unexplained_variance(parts[2], np.asarray(reconstruct(parts[2])))
        if encode is not None:
            train, validation, test = (np.asarray(encode(part)) for part in parts)
            row["purity"] = np.nanmean(features.purity(validation, data.y_validation))
            for labels in (10, 100):
                probes = [train, data.y_train, test, data.y_test, labels, 5, seed]
                row[f"probe_{labels}"] = 100 * measures.linear_probe(*probes).mean()
        rows.append(row)
    return rows


def k_sparse_model(setting):
    """An untrained k-sparse autoencoder 784-1000-784 with tied weights, as in the paper."""
    small = keras.initializers.RandomNormal(stddev=0.02)  # rows of W2 about 0.5 long
    encoder = keras.layers.Dense(setting["hidden_units"], kernel_initializer=small, name="encoder")
    encoder.build((None, 784))
    model = layers.RevivingAutoencoder(
        encoder, layers.TiedDecoder(encoder), layers.TopK(setting["k"]), name="autoencoder"
    )
    model.build((None, 784))
    return model


def k_sparse(setting, seed, data):
    """Error of a logistic regression on frozen codes with all labels, in percent.

    Makhzani & Frey 2013, tables 1 and 3. The autoencoder learns from all images that are not test
    images, without labels. α, how many times k units the classifier is given, and C are chosen on
    validation images; then the classifier is trained on those as well, and looks at the test images
    once.
    """
    from sklearn.base import clone

    model = k_sparse_model(setting)
    images = np.concatenate([data.x_train, data.x_validation])
    steps = len(images) // 128
    slower = keras.optimizers.schedules.CosineDecay(5e-4, setting["epochs"] * steps)
    history = fit(model, setting, images, seed=seed, steps_per_epoch=steps, learning_rate=slower)
    row = {"epochs": setting["epochs"], "seconds": history.seconds}
    row["dead"] = code_metrics(model, data.x_test)["dead"]

    choices = []
    for alpha in (3, 4):
        model.sparsity.k.assign(setting["k"] * alpha)
        codes = _codes(model.encode, data)
        train, validation, test = (code / codes[0].std() for code in codes)
        probe = measures.fit_probe_to_all(
            train, data.y_train, validation, data.y_validation, (0.01, 0.02, 0.03)
        )
        accuracy = probe.score(validation, data.y_validation)
        choices.append((accuracy, alpha, probe, train, validation, test))
    accuracy, alpha, probe, train, validation, test = max(choices, key=lambda choice: choice[0])
    row |= {"alpha": alpha, "c": probe.C, "error_validation": 100 * (1 - accuracy)}
    labels = np.concatenate([data.y_train, data.y_validation])
    probe = clone(probe).fit(np.concatenate([train, validation]), labels)
    return [row | {"error": 100 * (1 - probe.score(test, data.y_test))}]


SCORES = ["sse_train", "sse_validation", "sse_test", "mean_activation", "active_units"]
SCORES += ["dead_units", "probe_10_validation", "probe_100_validation", "probe_10", "probe_100"]
SCORES += ["seconds"]
CHOSEN = ["activation", "rho", "beta", "lam1", "lam2", "hidden_units", "batch_size"]
LABELS = ["labels_per_class", "accuracy"]
STARTED = ["labels_per_class", "first_layer", "accuracy"]
VARIANT, METRICS = ["variant", "strength"], ["l0", "fvu", "size", "dead"]
TODAY = [*METRICS, "probe_10", "seconds"]
RECOVERED = [*VARIANT, *METRICS, "units", "best", "matched", "f1", "frequent", "rare", "hedging"]
RECOVERED += ["carried", "silent_with_child", "silent_alone"]
THRESHOLDS = [round(0.05 * step, 2) for step in range(6, 20)]
OVERLAPPING = ["pair", "threshold", "share", "chance"]
INSIDE = ["code", "accuracy", "fvu", "purity", "probe_10", "probe_100"]
ERRORS = ["epochs", "seconds", "dead", "alpha", "c", "error_validation", "error"]

TABLES = {
    "results": Table(results, settings.BASELINES | settings.SETTINGS, SCORES, seeds=5),
    "sweep": Table(sweep, settings.SWEEP, SCORES + CHOSEN, seeds=3),
    "learning_curve": Table(learning_curve, settings.CODES, LABELS, seeds=5, rows=7),
    "initialisation": Table(initialisation, settings.STARTS, STARTED, seeds=5, rows=6),
    "modern": Table(
        modern,
        settings.SAME_L0 | settings.REVIVALS | settings.CONTROLS,
        [*VARIANT, *TODAY],
        seeds=3,
    ),
    "l1_changes": Table(l1_changes, settings.L1_CHANGES, TODAY, seeds=5),
    "recovery": Table(recovery, settings.RECOVERY, RECOVERED, seeds=3, needs_images=False),
    # One run trains all five models of a setting, for they are compared in pairs.
    "overlap": Table(overlap, settings.OVERLAP, OVERLAPPING, seeds=1, rows=140),
    "inside": Table(inside, settings.INSIDE, INSIDE, seeds=3, rows=4),
    "k_sparse": Table(k_sparse, settings.K_SPARSE, ERRORS, seeds=5),
}
