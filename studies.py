"""The long measurements of lesson 05, over seeds: two tables in data/.

    python -m studies learning-curve    # how good is a code with few labels, and with many?
    python -m studies initialisation    # do an encoder's weights help a classifier to start?

Needs real MNIST. Tables are resumable, as those of experiments.py.
"""

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
    from sparse_autoencoder import as_tensor, keras, tf

    images, labels = as_tensor(images), as_tensor(labels)
    rows = tf.data.Dataset.range(len(images)).shuffle(len(images), seed=seed).repeat().batch(100)
    model.compile(
        keras.optimizers.Adam(learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=True,
        steps_per_execution=500,
    )
    model.fit(
        rows.map(lambda picked: (tf.gather(images, picked), tf.gather(labels, picked))),
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


CURVE_COLUMNS = ["setting", "seed", "labels_per_class", "accuracy"]
TABLES = {
    "learning-curve": runs.Table(
        DATA / "learning_curve.csv", CURVE_COLUMNS, FEATURES, 5, learning_curve
    ),
    "initialisation": runs.Table(
        DATA / "initialisation.csv",
        ["setting", "seed", "labels_per_class", "first_layer", "accuracy"],
        STARTS,
        5,
        initialisation,
    ),
}

if __name__ == "__main__":
    import studies  # under its own name, so that workers import it rather than get a copy

    runs.command_line(studies.TABLES, __doc__)
