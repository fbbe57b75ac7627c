"""The long measurements of lessons 05 and 07, over seeds: tables in data/.

    python -m studies learning-curve    # how good is a code with few labels, and with many?
    python -m studies initialisation    # do an encoder's weights help a classifier to start?
    python -m studies modern            # L1, KLD, TopK, JumpReLU and Gated at the same L0
    python -m studies known-features    # which of them finds features that are known?
    python -m studies k-sparse          # the k-sparse paper's row of MNIST

Needs real MNIST. Tables are resumable, as those of experiments.py.
"""

import time

import numpy as np

import experiments
import measures
import runs
from helpers import RESULTS

DATA = RESULTS.parent
SPARSER = "MSE + L2 + KLD, sparser"


def train_setting(setting, seed, data):
    """The trained model of a setting of experiments.SETTINGS."""
    from sparse_autoencoder import train

    model = experiments.build(setting)
    train(
        model,
        data.x_train,
        data.x_validation,
        learning_rate=experiments.SETTINGS[setting].get("learning_rate", 3e-3),
        seed=seed,
        progress=False,
    )
    return model


# Lesson 05: codes instead of pixels

FEATURES = ["pixels", "PCA-196", "random features"]
FEATURES += ["MSE", "MSE + L2", "MSE + KLD", SPARSER, "ReLU + L1"]
LABELS = (1, 3, 10, 30, 100, 1000, "all")  # per class


def learning_curve(setting, seed, data):
    """Accuracy of a linear probe, in percent, for each number of labels per class."""
    if setting in experiments.BASELINES:
        encode, _ = experiments.baseline(setting, seed, data.x_train)
    else:
        encode = train_setting(setting, seed, data).encode
    train, test = np.asarray(encode(data.x_train)), np.asarray(encode(data.x_test))
    rows = []
    for labels in LABELS:
        if labels == "all":
            validation = np.asarray(encode(data.x_validation)), data.y_validation
            probe = measures.fit_probe_to_all(train, data.y_train, *validation)
        else:
            probe = measures.fit_probe(train, data.y_train, labels, [seed, 0])
        accuracy = 100 * probe.score(test, data.y_test)
        rows.append(
            {"setting": setting, "seed": seed, "labels_per_class": labels, "accuracy": accuracy}
        )
    return rows, {}


# Lesson 05: the encoder as the first layer of a classifier

STARTS = ["Glorot", "MSE", "MSE + L2", "MSE + L2 + KLD", SPARSER]


def classifier(encoder=None, frozen=False):
    """A network 784-196-10, its first layer drawn at random or started from an encoder's weights.

    Args:
        encoder: a Dense layer; None for Keras' own start (Glorot).
        frozen: only the last layer learns.
    """
    from sparse_autoencoder import keras

    hidden = keras.layers.Dense(196, activation="sigmoid")
    model = keras.Sequential([keras.Input((784,)), hidden, keras.layers.Dense(10)])
    if encoder is not None:
        hidden.set_weights(encoder.get_weights())
    hidden.trainable = not frozen
    return model


def fit_classifier(model, images, labels, seed, steps=1500, learning_rate=1e-3):
    """Train a classifier for a number of steps, however few images there are."""
    from sparse_autoencoder import batches, keras

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
    from sparse_autoencoder import keras

    encoder = None if setting == "Glorot" else train_setting(setting, seed, data).encoder
    rows = []
    for labels in (10, 100, 1000):
        drawn = measures.draw_labels(data.y_train, labels, [seed, 0])
        images, answers = data.x_train[drawn], data.y_train[drawn]
        for frozen in (False, True):
            keras.utils.set_random_seed(seed)
            model = fit_classifier(classifier(encoder, frozen), images, answers, seed)
            guesses = model.predict(data.x_test, batch_size=1000, verbose=0).argmax(axis=1)
            rows.append(
                {
                    "setting": setting,
                    "seed": seed,
                    "labels_per_class": labels,
                    "first_layer": "frozen" if frozen else "fine-tuned",
                    "accuracy": 100 * np.mean(guesses == data.y_test),
                }
            )
    return rows, {}


# Lesson 07: today's sparse autoencoders, at the same L0

UNITS, EPOCHS = 1000, 6
STRENGTHS = {  # what sets how sparse a code is: λ₁, ρ, k, λ₀ and λ₁
    "L1": (0.1, 0.3, 0.6, 1.0),
    "KLD": (0.01, 0.02, 0.05, 0.1),
    "TopK": (10, 25, 50, 100),
    "JumpReLU": (0.03, 0.1, 0.3, 1.0),
    "Gated": (0.5, 1.0, 2.0, 4.0),
}
MODERN = {f"{way} {s:g}": (way, s) for way, strengths in STRENGTHS.items() for s in strengths}
REVIVALS = {  # of a TopK model with k = 25 → how it starts, anneals and revives
    "TopK 25, random start": {"tied": False},
    "TopK 25, annealed": {"anneal": (200, 3)},
    "TopK 25, auxiliary loss": {"revive": True},
    "TopK 25, annealed, auxiliary loss": {"anneal": (200, 3), "revive": True},
}


LESSON_03 = {"beta": 3.0, "lam2": 0.003, "reconstruction_activation": "sigmoid"}


def modern_model(way, strength, units=UNITS, pixels=784, revive=False, kl=LESSON_03):
    """An untrained autoencoder of one of the five ways; reconstructions are linear but for KLD.

    Args:
        way: a key of STRENGTHS. strength: λ₁, ρ, k, λ₀ or λ₁.
        revive: with a loss that trains dead units; TopK only.
        kl: KL weight, L2 weight and reconstruction of KLD, which keeps those of lesson 03.
    """
    from modern_sparsity import GatedAutoencoder, JumpReLU, RevivingAutoencoder, TopK
    from sparse_autoencoder import KLSparsity, L1Sparsity, build_autoencoder

    if way == "KLD":
        sparsity, rest = KLSparsity(strength, kl["beta"]), {**kl}
        rest.pop("beta")
        return build_autoencoder(units, sparsity=sparsity, pixels=pixels, **rest)
    layer = {"L1": L1Sparsity, "TopK": TopK, "JumpReLU": JumpReLU, "Gated": L1Sparsity}[way]
    return build_autoencoder(
        units,
        activation="relu" if way == "L1" else "linear",
        reconstruction_activation="linear",
        sparsity=layer(strength),
        pixels=pixels,
        unit_norm=True,
        kind={"Gated": GatedAutoencoder}.get(way, RevivingAutoencoder if revive else None),
    )


def train_modern(model, images, validation, epochs=EPOCHS, tied=True, anneal=None, **settings):
    """Train a model of modern_model; returns it.

    Args:
        images, validation: (n, pixels).
        tied: start the encoder as the transpose of the decoder (not for a sigmoid code).
        anneal: k of a TopK model in the first epoch, and after how many epochs it has its own.
        settings: of sparse_autoencoder.train.
    """
    from modern_sparsity import Anneal, start_tied
    from sparse_autoencoder import train

    of_lesson_03 = model.encoder.activation.__name__ == "sigmoid"
    if tied and not of_lesson_03:
        start_tied(model, images)
    callbacks = [Anneal(model.sparsity, *anneal)] if anneal else []
    learning_rate = 3e-3 if of_lesson_03 else 1e-3
    settings = {"learning_rate": learning_rate, "progress": False} | settings
    train(model, images, validation, epochs, callbacks=callbacks, **settings)
    return model


def figures_of(model, images):
    """Today's figures of a code, on images, (n, pixels), as a dict.

    Units of a sigmoid code that are not active are set to 0 first, as in the other ways.
    """
    code, activation = model.encode(images).numpy(), model.encoder.activation.__name__
    l0 = measures.active_units(code, activation).mean()
    dead = 100 * measures.dead_units(code, activation).mean()
    code[code <= measures.ACTIVE[activation]] = 0
    drawn = model.decoder(code).numpy()
    return {
        "l0": l0,
        "fvu": measures.unexplained_variance(images, drawn),
        "size": measures.size_of_reconstructions(images, drawn),
        "dead": dead,
    }


def modern(setting, seed, data):
    """Today's figures on test images, and a probe with ten labels per class."""
    way, strength = MODERN.get(setting, ("TopK", 25))
    more = dict(REVIVALS.get(setting, {}))
    model = modern_model(way, strength, revive=more.pop("revive", False))
    start = time.perf_counter()
    train_modern(model, data.x_train, data.x_validation, seed=seed, **more)
    row = {"setting": setting, "seed": seed, "way": way, "strength": strength}
    row["seconds"] = time.perf_counter() - start
    row |= figures_of(model, data.x_test)
    codes = (model.encode(x).numpy() for x in (data.x_train, data.x_test))
    x, x_test = codes
    accuracies = measures.linear_probe(x, data.y_train, x_test, data.y_test, 10, 5, seed)
    return [row | {"probe_10": 100 * accuracies.mean()}], {}


# Lesson 07: features that are known

KNOWN_STRENGTHS = {
    "L1": (0.1, 0.15, 0.2, 0.4),
    "KLD": (0.01, 0.02, 0.05, 0.1),
    "TopK": (3, 5, 8, 16),
    "JumpReLU": (0.03, 0.05, 0.1, 0.2),
    "Gated": (0.3, 0.6, 1.0, 2.0),
}
KNOWN = {f"{w} {s:g}": (w, s) for w, strengths in KNOWN_STRENGTHS.items() for s in strengths}


def known_features(features=256, dimensions=64, examples=20_000, active=5, seed=0):
    """Examples made of known features, more of them than dimensions ("superposition").

    Args:
        active: features in an example, on average; each with a size between 0.5 and 1.5.

    Returns:
        (examples, dimensions), and the features, (features, dimensions), of length 1.
    """
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(features, dimensions))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    sizes = rng.uniform(0.5, 1.5, (examples, features))
    sizes *= rng.random((examples, features)) < active / features
    return np.float32(sizes @ directions), np.float32(directions)


def recovery(features, decoder):
    """For each known feature, the cosine to the most similar row of W2: (features,)."""
    lengths = np.linalg.norm(decoder, axis=1, keepdims=True)
    return (features @ (decoder / np.maximum(lengths, 1e-12)).T).max(axis=1)


def known(setting, seed, data):
    """How well one way recovers known features; `data` is not used."""
    way, strength = KNOWN[setting]
    examples, features = known_features(seed=seed)
    size = {"units": len(features), "pixels": examples.shape[1]}
    # Examples are no pixels, and smaller than images: so are the weights of KLD's penalties.
    kl = {"beta": 0.2, "lam2": 1e-4, "reconstruction_activation": "linear"}
    model = modern_model(way, strength, **size, kl=kl)
    validation = examples[-2000:]
    train_modern(
        model, examples[:-2000], validation, 10, steps_per_epoch=400, learning_rate=3e-3, seed=seed
    )
    row = {"setting": setting, "seed": seed, "way": way, "strength": strength}
    row["cosine"] = recovery(features, model.decoder.kernel.numpy()).mean()
    return [row | figures_of(model, validation)], {}


# Lesson 07: the k-sparse paper's row of MNIST

K_SPARSE_EPOCHS = 60
ALPHAS = (3, 4)  # how many times k units the classifier is given


def k_sparse_model():
    """An untrained k-sparse autoencoder 784-1000-784 with tied weights, as in the paper."""
    from modern_sparsity import RevivingAutoencoder, TiedDecoder, TopK
    from sparse_autoencoder import keras

    small = keras.initializers.RandomNormal(stddev=0.02)  # rows of W2 about 0.5 long
    encoder = keras.layers.Dense(UNITS, kernel_initializer=small, name="encoder")
    encoder.build((None, 784))
    model = RevivingAutoencoder(encoder, TiedDecoder(encoder), TopK(25), name="autoencoder")
    model.build((None, 784))
    return model


def k_sparse(setting, seed, data):
    """Error of a logistic regression on frozen codes with all labels, in percent.

    Makhzani & Frey 2013, tables 1 and 3. The autoencoder learns from all images that are not test
    images, without labels. α and C are chosen on validation images; then the classifier is trained
    on those as well, and looks at the test images once.
    """
    from sklearn.base import clone

    from sparse_autoencoder import keras

    model = k_sparse_model()
    start = time.perf_counter()
    images = np.concatenate([data.x_train, data.x_validation])
    steps = len(images) // 128
    slower = keras.optimizers.schedules.CosineDecay(5e-4, K_SPARSE_EPOCHS * steps)
    settings = {"anneal": (100, 12), "learning_rate": slower, "seed": seed}
    train_modern(model, images, None, K_SPARSE_EPOCHS, steps_per_epoch=steps, **settings)
    row = {"setting": setting, "seed": seed, "epochs": K_SPARSE_EPOCHS}
    row["seconds"] = time.perf_counter() - start
    row["dead"] = figures_of(model, data.x_test)["dead"]

    def codes(alpha, *parts):
        """Codes of the parts, scaled by one number, as those of the training images."""
        model.sparsity.k.assign(25 * alpha)
        found = [model.encode(part).numpy() for part in (data.x_train, *parts)]
        return [code / found[0].std() for code in found]

    probes = {}
    for alpha in ALPHAS:
        train, validation = codes(alpha, data.x_validation)
        probe = measures.fit_probe_to_all(
            train, data.y_train, validation, data.y_validation, (0.01, 0.02, 0.03)
        )
        probes[alpha] = probe.score(validation, data.y_validation), probe
    alpha = max(probes, key=lambda alpha: probes[alpha][0])
    accuracy, probe = probes[alpha]
    row |= {"alpha": alpha, "c": probe.C, "error_validation": 100 * (1 - accuracy)}
    train, validation, test = codes(alpha, data.x_validation, data.x_test)
    labels = np.concatenate([data.y_train, data.y_validation])
    probe = clone(probe).fit(np.concatenate([train, validation]), labels)
    return [row | {"error": 100 * (1 - probe.score(test, data.y_test))}], {}


CURVE_COLUMNS = ["setting", "seed", "labels_per_class", "accuracy"]
ERRORS = ("error_validation", "error")
MODERN_COLUMNS = ["setting", "seed", "way", "strength", "l0", "fvu", "size", "dead"]
TABLES = {
    "learning-curve": runs.Table(
        DATA / "learning_curve.csv", CURVE_COLUMNS, FEATURES, 5, learning_curve
    ),
    "initialisation": runs.Table(
        DATA / "initialisation.csv",
        ["setting", "seed", "labels_per_class", "first_layer", "accuracy"],
        STARTS,
        3,
        initialisation,
    ),
    "modern": runs.Table(
        DATA / "modern.csv",
        [*MODERN_COLUMNS, "probe_10", "seconds"],
        [*MODERN, *REVIVALS],
        3,
        modern,
    ),
    "known-features": runs.Table(
        DATA / "known_features.csv", [*MODERN_COLUMNS, "cosine"], list(KNOWN), 5, known
    ),
    "k-sparse": runs.Table(
        DATA / "k_sparse.csv",
        [*("setting", "seed", "epochs", "seconds", "dead", "alpha", "c"), *ERRORS],
        ["k-sparse, k = 25"],
        5,
        k_sparse,
    ),
}

if __name__ == "__main__":
    import studies  # under its own name, so that workers import it rather than get a copy

    runs.command_line(studies.TABLES, __doc__)
