"""One door for images: a table of what people hand in, by all that takes images.

Each pair is either right, equal to what float32 images give, or refused in one sentence.
"""

from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import tensorflow as tf

import helpers
from sparse_autoencoder import (
    KLSparsity,
    as_tensor,
    batches,
    build_autoencoder,
    measures,
    modern,
    sse,
    train,
)
from sparse_autoencoder.arrays import as_images
from sparse_autoencoder.image_model import ImageModel
from sparse_autoencoder.playground import ProbeExplorer
from sparse_autoencoder.playground.engine import LiveTraining
from sparse_autoencoder.playground.still import still

N, PIXELS, UNITS = 12, 16, 5
RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (N, PIXELS)).astype("uint8")
BYTES[0, :2] = 0, 255
X = (BYTES / 255).astype("float32")
BITS = BYTES > 127
ONCE = {"epochs": 1, "steps_per_epoch": 1, "batch_size": N, "progress": False}


@pytest.fixture(autouse=True)
def eagerly(monkeypatch):
    """Nothing is compiled, which takes longer than these few steps do."""
    compile_model, eager = ImageModel.compile, {"jit_compile": False, "run_eagerly": True}
    monkeypatch.setattr(
        ImageModel, "compile", lambda self, *a, **kw: compile_model(self, *a, **kw | eager)
    )


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    model = build_autoencoder(UNITS, sparsity=KLSparsity(0.1, 0.5), pixels=PIXELS)
    model.start = model.get_weights()
    return compiled(model)


# ---------------------------------------------------------------------- what people hand in


def put(value, dtype="float64"):
    """The images with one number replaced."""
    images = X.astype(dtype)
    images[7, 3] = value
    return images


def objects(change=float):
    images = np.empty((N, PIXELS), object)
    images[:] = [[change(value) for value in row] for row in X]
    return images


def read_only():
    images = X.copy()
    images.flags.writeable = False
    return images


FEW = {  # name → images that are X, whatever holds them
    "float64": X.astype("float64"),
    "tensor of bytes (n, 4, 4, 1)": tf.constant(BYTES.reshape(N, 4, 4, 1)),
    "lists": X.tolist(),
}
FEW_OF_PAIRS = {"bytes (n, 4, 4)": BYTES.reshape(N, 4, 4)}
RIGHT = FEW | {
    "bytes": BYTES,
    "(n, 4, 4, 1)": X.reshape(N, 4, 4, 1),
    "float16": X.astype("float16"),
    "long double": X.astype(np.longdouble),
    "big-endian": X.astype(">f4"),
    "columns first": np.asfortranarray(X),
    "every other": np.repeat(X, 2, axis=0)[::2],
    "read-only": read_only(),
    "(n, 4, 4)": X.reshape(N, 4, 4),
    "bytes (n, 4, 4)": BYTES.reshape(N, 4, 4),
    "list of arrays": list(X),
    "list of pictures": list(X.reshape(N, 4, 4)),
    "tuple of rows": tuple(X),
    "DataFrame": pd.DataFrame(X),
    "DataFrame of bytes": pd.DataFrame(BYTES),
    "object": objects(),
    "sparse": scipy.sparse.csr_matrix(X),
    "matrix": np.asmatrix(X),
    "masked nowhere": np.ma.MaskedArray(X),
    "tensor": tf.constant(X),
    "tensor of float64": tf.constant(X, tf.float64),
    "tensor of bytes": tf.constant(BYTES),
    "variable": tf.Variable(X),
    "Keras variable": keras.Variable(X),
}
BINARY = {  # name → images that are BITS
    "booleans": BITS,
    "integers 0 and 1": BITS.astype("int64"),
    "bytes 0 and 1": BITS.astype("uint8"),
    "lists of booleans": BITS.tolist(),
}
NO_NUMBERS = "must be an array of numbers"
BROKEN = {  # name → images that nothing takes; what the sentence says
    "NaN": (put(np.nan), "X[7] has nan"),
    "inf": (put(np.inf), "X[7] has inf"),
    "-inf": (put(-np.inf), "X[7] has -inf"),
    "beyond float32": (put(1e300), "X[7] has 1e+300"),
    "NaN in float32": (put(np.nan, "float32"), "X[7] has nan"),
    "NaN in a DataFrame": (pd.DataFrame(put(np.nan)), "nan_to_num"),
    "None among numbers": (objects(lambda value: value or None), NO_NUMBERS),
    "text": (X.astype(str), NO_NUMBERS),
    "text in objects": (objects(lambda value: f"{value:.2f} "), NO_NUMBERS),
    "complex": (X + 0j, "complex64"),
    "dates": (BYTES.astype("datetime64[D]"), "datetime64"),
    "ragged": ([[0.1, 0.2], [0.3]], "bring each to the same size"),
    "dict": ({"images": X}, NO_NUMBERS),
    "dicts in a pair": (({"images": X}, {"images": X}), NO_NUMBERS),
    "text alone": ("images.npy", "read the file first"),
    "a path": (Path("images.npy"), "read the file first"),
    "masked": (np.ma.MaskedArray(X, BITS), "X.filled(0)"),
    "data set": (SimpleNamespace(x_train=X), NO_NUMBERS),
    "one image": (X[0], "X[None]"),
    "a number": (0.5, "X[None]"),
    "none": (X[:0], "There are no"),
    "empty list": ([], "There are no"),
}
NOT_ITS_OWN = {  # and what a model of 16 pixels with a sigmoid does not take
    "0 to 255": (BYTES.astype("float32"), "X / 255"),
    "0 to 255 as float64": (BYTES.astype("float64"), "X / 255"),
    "0 to 255 as integers": (BYTES.astype("int64"), "X / 255"),
    "0 to 255 as a tensor": (tf.constant(BYTES, tf.float32), "X / 255"),
    "0 to 16": (16 * X, "X / 16"),
    "0 to 65535": (BYTES.astype("uint16") * 257, "X / 65535"),
    "standardised": ((X - X.mean()) / X.std() * 3, "(X - X.min())"),
    "other pixels": (X[:, :9], "reads images of 16 pixels, but these have 9"),
    "with labels": (np.c_[BITS[:, 0], X], "column of labels, as in X[:, 1:]"),
    "labels": (np.arange(N), "if these are labels, drop them"),
    "turned": (X.T, "X.T"),
    "one picture": (X[0].reshape(4, 4), "X.reshape(1, 16)"),
    "colour": (np.repeat(X, 3, 1).reshape(N, 4, 4, 3), "X.mean(-1)"),
}


# ---------------------------------------------------------------------- what takes images


def compiled(model):
    model.compile(keras.optimizers.SGD(0.01), loss=sse, metrics=[sse])
    return model


def data_of(train=X, validation=X, test=X, labels=None):
    parts = {"x_train": train, "x_validation": validation, "x_test": test}
    labels = np.arange(N) % 2 if labels is None else labels
    parts |= {f"y_{part}": labels for part in ("train", "validation", "test")}
    return SimpleNamespace(name="own", image_shape=(4, 4), **parts)


def terms(run, prefix=""):
    return [run.history[prefix + name] for name in ("loss", "sse", "kl")]


def live(model, data):
    return list(LiveTraining(model, data).measure().values())


def drawn(ax):
    return np.asarray(ax.images[0].get_array())


def probed(x):
    pixels = {"pixels": lambda x: np.reshape(x, (len(x), -1))}
    return ProbeExplorer(pixels, data_of(x, x)).try_out("pixels", 3)


def from_validation(model, x):
    return terms(model.fit(X, validation_data=(x, x), verbose=0), "val_")


QUICK = {
    "as_images": lambda m, x: as_images(x, m),
    "encode": lambda m, x: m.encode(x),
    "call": lambda m, x: m(x),
}
SLOW = {  # with only a few of the right images
    "predict": lambda m, x: m.predict(x, verbose=0),
    "predict_on_batch": lambda m, x: m.predict_on_batch(x),
    "score": lambda m, x: measures.score(data_of(test=x), m)["sse_test"],
    "train": lambda m, x: terms(train(m, x, **ONCE)),
    "train, (X, X)": lambda m, x: terms(train(m, (x, x), **ONCE)),
    "train, validation": lambda m, x: terms(train(m, X, x, **ONCE), "val_"),
    "train, (V, V)": lambda m, x: terms(train(m, X, (x, x), **ONCE), "val_"),
    "train, [V, V]": lambda m, x: terms(train(m, X, [x, x], **ONCE), "val_"),
    "fit": lambda m, x: terms(m.fit(x, verbose=0)),
    "fit, (x, x)": lambda m, x: terms(m.fit(x, x, verbose=0)),
    "fit, answers": lambda m, x: terms(m.fit(X, x, verbose=0)),
    "fit, validation": from_validation,
    "evaluate": lambda m, x: m.evaluate(x, verbose=0),
    "evaluate, (x, x)": lambda m, x: m.evaluate(x, x, verbose=0),
    "train_on_batch": lambda m, x: m.train_on_batch(x, x),
    "test_on_batch": lambda m, x: m.test_on_batch(x),
    "playground": lambda m, x: live(m, data_of(x)),
    "playground, validation": lambda m, x: live(m, data_of(validation=x)),
}
ALONE = {
    "as_images alone": lambda m, x: as_images(x),
    "as_tensor": lambda m, x: as_tensor(x),
}
WITHOUT_MODEL = {
    "batches": lambda m, x: np.sort(next(iter(batches(x, N)))[0], axis=0),
    "show_images": lambda m, x: drawn(helpers.show_images(x, 4, (4, 4))),
    "show_reconstructions": lambda m, x: drawn(
        helpers.show_reconstructions(x, X[::-1], image_shape=(4, 4))
    ),
}
MEASURES = {  # these take any numbers, also those beyond float32; NaN gives NaN
    "mean_sse": lambda m, x: measures.mean_sse(x, X[::-1]),
    "unexplained_variance": lambda m, x: measures.unexplained_variance(x, X[::-1]),
    "size": lambda m, x: measures.size_of_reconstructions(x, X[::-1]),
}
EXPLORERS = {"probe explorer": lambda m, x: probed(x)}
TAKERS = QUICK | SLOW | ALONE | WITHOUT_MODEL | MEASURES | EXPLORERS


def result(taker, model, images):
    compiled(model)
    keras.utils.set_random_seed(2)
    model.set_weights(model.start)
    value = TAKERS[taker](model, images)
    value = value.numpy() if hasattr(value, "numpy") else np.asarray(value)
    return value.reshape(len(value), -1) if value.ndim > 2 else value


def refusal(function, *arguments):
    """The sentence that refuses, which is one, ends as one, and is nobody else's."""
    with pytest.raises(ValueError) as error:
        function(*arguments)
    sentence = str(error.value)
    assert "\n" not in sentence and len(sentence) < 400 and sentence.endswith("."), sentence
    assert ": " in sentence and not any(word in sentence for word in ("Op ", "tf.", "Exception"))
    return sentence


@pytest.mark.parametrize("taker", TAKERS)
def test_the_same_images_give_the_same_result_whatever_holds_them(taker, model):
    expected = result(taker, model, X)
    table = RIGHT if taker in QUICK | ALONE | MEASURES else FEW_OF_PAIRS if "," in taker else FEW
    for name, images in table.items():
        given, tolerance = result(taker, model, images), 2e-2 if name == "float16" else 1e-5
        assert given.dtype.kind == "f" and given.shape == expected.shape, name
        np.testing.assert_allclose(given, expected, tolerance, 1e-3 * tolerance, err_msg=name)


@pytest.mark.parametrize("taker", QUICK | ALONE | MEASURES)
def test_yes_and_no_are_1_and_0(taker, model):
    expected = result(taker, model, BITS.astype("float32"))
    for name, images in BINARY.items():
        given = result(taker, model, images)
        np.testing.assert_allclose(given, expected, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("taker", TAKERS)
def test_what_cannot_be_used_is_refused_in_a_sentence(taker, model):
    for name, (images, words) in (
        BROKEN | NOT_ITS_OWN if taker in QUICK | SLOW else BROKEN
    ).items():
        if taker == "show_images" and words == "There are no":
            assert (result(taker, model, images) == 0.5).all()
        elif taker == "as_tensor" and name == "one image":
            assert as_tensor(images).shape == (PIXELS,)  # one number for each image, such as labels
        elif taker in MEASURES and (words.startswith("X[7]") or "NaN" in name):
            assert name == "beyond float32" or not np.isfinite(result(taker, model, images))
        else:
            sentence = refusal(TAKERS[taker], model, images)
            assert words in sentence or taker in MEASURES, (name, sentence)


# ---------------------------------------------------------------------- range, shape, memory


@pytest.mark.parametrize(
    ("activation", "least", "most"),
    [
        ("sigmoid", 0, 1),
        ("hard_sigmoid", 0, 1),
        ("softmax", 0, 1),
        pytest.param(keras.layers.Activation("sigmoid"), 0, 1, id="a layer"),
        pytest.param(lambda x: keras.ops.sigmoid(x), 0, 1, id="a function"),
        ("tanh", -1, 1),
        ("softplus", 0, np.inf),
        ("relu", 0, np.inf),
        ("elu", -1, np.inf),
        ("linear", -np.inf, np.inf),
        pytest.param(keras.layers.LeakyReLU(), -np.inf, np.inf, id="LeakyReLU"),
    ],
)
def test_the_output_says_the_range(activation, least, most):
    model = build_autoencoder(UNITS, "relu", activation, pixels=PIXELS)
    for low, high in ((0, 1), (-1, 1), (0, 255), (-3, 3), (0, 1e6)):
        images = np.linspace(low, high, 2 * PIXELS, dtype="float32").reshape(2, PIXELS)
        if least <= low and high <= most:
            assert as_images(images, model) is images
        else:
            assert f"go from {low:g} to {high:g}" in refusal(as_images, images, model)


def test_images_with_noise_may_be_looked_at_but_are_no_answers(model):
    noisy = X + 0.1 * RNG.normal(size=X.shape).astype("float32")
    np.testing.assert_array_equal(model.encode(noisy), model.encode(tf.constant(noisy)))
    np.testing.assert_allclose(model.predict(noisy, verbose=0), model(noisy), rtol=1e-6)
    compiled(model).fit(noisy, X, verbose=0)
    for learn in (compiled(model).fit, lambda x: train(model, x)):
        assert "from 0 to 1, but the images go from" in refusal(learn, noisy)


def test_images_that_are_right_pass_in_their_own_memory(model, tmp_path):
    np.save(tmp_path / "images.npy", X)
    for mode in ("r", "c"):
        images = np.load(tmp_path / "images.npy", mmap_mode=mode)
        for given in (X, images, images[2:]):
            assert np.shares_memory(as_images(given, model), given)
            assert np.shares_memory(as_images(given), given)
        np.testing.assert_array_equal(model.encode(images), model.encode(X))


def test_a_gradient_by_the_images_is_found(model):
    images = tf.Variable(X)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(images)) + tf.reduce_sum(model.encode(images))
    assert np.abs(tape.gradient(loss, images)).min() > 0


def test_bytes_are_divided_with_one_sentence(model, capsys):
    for _ in range(2):
        as_images(BYTES, model, "pictures of this test")
    said = "The pictures of this test are whole numbers from 0 to 255: divided by 255.\n"
    assert capsys.readouterr().out == said


# ---------------------------------------------------------------------- pairs and counts


def test_answers_that_are_not_the_images_are_refused(model):
    labels = np.arange(N) % 2
    for answers in (labels, X[::-1], X[:3]):
        for given in ((X, answers), [X, answers]):
            assert "hand in the images alone" in refusal(train, model, given)
            assert "hand in the images alone" in refusal(lambda v: train(model, X, v), given)
    assert "one image a row" in refusal(compiled(model).fit, X, labels)
    assert "12 images, but 3 answers" in refusal(compiled(model).fit, X, X[:3])
    assert "hand in the images alone" in refusal(train, model, (X, X, labels))


@pytest.mark.parametrize(
    "wrong", [{"steps_per_epoch": 100 // 128}, {"steps_per_epoch": 100 / 128}]
    + [{name: value} for name in ("epochs", "batch_size") for value in (0, -1, 1.5, "3", None)]
    + [{"learning_rate": value} for value in (0, -1, np.nan, np.inf, "fast", None)],
    ids=str,
)  # fmt: skip
def test_counts_and_learning_rates_that_cannot_be_are_refused(wrong, model):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name} is .*[.]$"):
        train(model, X, **ONCE | wrong)


def test_fewer_images_than_a_batch_are_enough(model):
    assert np.isfinite(train(model, X[:3], X[:1], **ONCE | {"batch_size": 128}).history["sse"])


def test_a_schedule_is_a_learning_rate(model):
    schedule = keras.optimizers.schedules.ExponentialDecay(0.01, 10, 0.9)
    assert np.isfinite(train(model, X, **ONCE, learning_rate=schedule).history["loss"])


def test_a_tied_start_reads_bytes():
    linear = build_autoencoder(UNITS, "linear", "linear", pixels=PIXELS, unit_norm=True)
    biases = []
    for images in (X, BYTES):
        modern.start_tied(linear, images)
        biases.append(linear.decoder.bias.numpy())
    np.testing.assert_allclose(*biases, rtol=1e-5)


def test_the_playground_shows_few_images_above_their_own_reconstructions(model):
    training = LiveTraining(model, data_of(validation=X[:3]))
    pictures = still(training, 0, (4, 4)).axes[1]
    shown = drawn(pictures)
    assert shown.shape == (9, 14)
    np.testing.assert_allclose(shown[:4, 10:], X[2].reshape(4, 4))
