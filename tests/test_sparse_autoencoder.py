"""The loss, its terms and training, held against NumPy in float64 on random images and digits."""

import os
import subprocess
import sys
import warnings
import weakref
from pathlib import Path

import keras
import numpy as np
import psutil
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

import image_data
import sparse_autoencoder
from sparse_autoencoder import (
    Autoencoder,
    KLSparsity,
    L1Sparsity,
    L2Penalty,
    batches,
    build_autoencoder,
    kl_divergence,
    sse,
    train,
)

ROOT = Path(sparse_autoencoder.__file__).parent
TOLERANCE = {"float32": 1e-4, "float64": 1e-7}
RHO, BETA, LAM1, LAM2 = 0.15, 0.5, 0.1, 0.03
PIXELS, UNITS = 12, 5
IMAGES = np.random.default_rng(0).random((256, PIXELS)).astype("float32")
DIGITS = (load_digits().data / 16).astype("float32")  # 1,797 images of 64 pixels

PENALTIES = {  # those that a model has → how to build it
    "none": {},
    "l2": {"lam2": LAM2},
    "kl and l2": {"sparsity": lambda: KLSparsity(RHO, BETA), "lam2": LAM2},
    "l1 and l2": {
        "sparsity": lambda: L1Sparsity(LAM1),
        "lam2": LAM2,
        "activation": "relu",
        "reconstruction_activation": "softplus",
    },
}
with_penalties = pytest.mark.parametrize("penalties", PENALTIES)


def build(penalties="kl and l2", learning_rate=0.01):
    """A small model with these penalties, compiled; always with the same weights."""
    settings = dict(PENALTIES[penalties])
    sparsity = settings.pop("sparsity", lambda: None)()
    keras.utils.set_random_seed(1)
    model = build_autoencoder(UNITS, sparsity=sparsity, pixels=PIXELS, **settings)
    optimizer = keras.optimizers.SGD(learning_rate)
    model.compile(optimizer=optimizer, loss=sse, metrics=[sse], run_eagerly=True)
    return model


def names(penalties):
    return ["sse"] + [name for name in ("kl", "l1", "l2") if name in penalties]


def evaluate(model, images, batch_size):
    return model.evaluate(images, images, batch_size, return_dict=True, verbose=0)


def fit(model, images=IMAGES, validation=IMAGES[:96], batch_size=128, **kwargs):
    """The history of training without shuffling, as arrays of one number an epoch."""
    history = model.fit(
        images,
        images,
        batch_size,
        validation_data=(validation, validation),
        shuffle=False,
        verbose=0,
        **kwargs,
    )
    return {name: np.array(values) for name, values in history.history.items()}


# ---------------------------------------------------------------------- terms and gradients


def numpy_kl(rho, rho_hat):
    """KL(ρ‖ρ̂) and its slope, along the tangent where ρ̂ is within 1e-6 of 0 or 1, or beyond."""
    inside = np.clip(np.float64(rho_hat), 1e-6, 1 - 1e-6)
    value = rho * np.log(rho / inside) + (1 - rho) * np.log((1 - rho) / (1 - inside))
    slope = (inside - rho) / (inside * (1 - inside))
    return value + slope * (rho_hat - inside), slope


def numpy_penalty(name, code, rho=RHO, beta=BETA, lam1=LAM1):
    """A sparsity penalty and its gradient by the code."""
    if name == "l1":
        return lam1 * np.abs(code).sum() / len(code), lam1 * np.sign(code) / len(code)
    kl, slope = numpy_kl(rho, code.mean(axis=0))
    return beta * kl.sum(), np.tile(beta * slope / len(code), (len(code), 1))


def numpy_term(name, activation, weights, images, lam2=LAM2, **sparsity_settings):
    """A term of the loss, and its gradients by W1, b1, W2 and b2."""
    w1, b1, w2, b2 = weights
    a = images @ w1 + b1
    if activation == "sigmoid":
        h = 1 / (1 + np.exp(-a))
        h_slope = h * (1 - h)
    else:
        h, h_slope = np.maximum(a, 0), a > 0
    if name == "l2":
        return lam2 / 2 * ((w1**2).sum() + (w2**2).sum()), [lam2 * w1, 0 * b1, lam2 * w2, 0 * b2]
    if name == "sse":
        z = h @ w2 + b2
        logistic = 1 / (1 + np.exp(-z))
        if activation == "sigmoid":
            r, r_slope = logistic, logistic * (1 - logistic)
        else:
            r, r_slope = np.log1p(np.exp(z)), logistic
        value = ((r - images) ** 2).sum() / len(images)
        by_z = 2 * (r - images) * r_slope / len(images)
        by_code, by_decoder = by_z @ w2.T, [h.T @ by_z, by_z.sum(axis=0)]
    else:
        value, by_code = numpy_penalty(name, h, **sparsity_settings)
        by_decoder = [0 * w2, 0 * b2]
    by_a = by_code * h_slope
    return value, [images.T @ by_a, by_a.sum(axis=0), *by_decoder]


def differences(value, array, step=1e-5):
    """The gradient of value() by an array, by central finite differences."""
    gradient = np.zeros_like(array)
    for i in np.ndindex(array.shape):
        kept, sides = array[i], []
        for side in (kept + step, kept - step):
            array[i] = side
            sides.append(value())
        array[i] = kept
        gradient[i] = (sides[0] - sides[1]) / (2 * step)
    return gradient


def in_float64(variables):
    return [v.numpy().astype("float64") for v in variables]


def assert_close(result, expected, tolerance):
    """Relative error of a number or of a whole array; where 0 is expected, None may stand."""
    if not np.any(expected):
        assert result is None or not np.any(result)
    else:
        error = np.linalg.norm(np.asarray(result, "float64") - expected)
        assert error < tolerance * np.linalg.norm(expected)


def terms_of(model, images):
    """Each term of the loss, {name: tensor}, in the names of the history."""
    terms = {"sse": keras.ops.mean(sse(images, model(images)))}
    for penalty in (model.sparsity, model.l2):
        if penalty is not None:
            (metric,), (terms_of_penalty,) = penalty.metrics, penalty.losses
            terms[metric.name] = terms_of_penalty
    return terms


def model_in(dtype, activation, sparsity):
    """A small model in float32 or float64, its biases not 0."""
    keras.utils.set_random_seed(2)
    reconstruction_activation = {"sigmoid": "sigmoid", "relu": "softplus"}[activation]
    dense = {"dtype": dtype, "bias_initializer": keras.initializers.RandomNormal(stddev=0.5)}
    model = Autoencoder(
        keras.layers.Dense(UNITS, activation=activation, **dense),
        keras.layers.Dense(PIXELS, activation=reconstruction_activation, **dense),
        sparsity=KLSparsity(RHO, BETA, dtype=dtype)
        if sparsity == "kl"
        else L1Sparsity(LAM1, dtype=dtype),
        l2=L2Penalty(LAM2, dtype=dtype),
        dtype=dtype,
    )
    model.build((None, PIXELS))
    return model


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    ("activation", "sparsity"), [("sigmoid", "kl"), ("sigmoid", "l1"), ("relu", "l1")]
)
def test_each_term_and_its_gradient_by_the_weights(activation, sparsity, dtype):
    model = model_in(dtype, activation, sparsity)
    variables = [*model.encoder.trainable_weights, *model.decoder.trainable_weights]
    assert [v.dtype for v in model.weights] == [dtype] * len(model.weights)
    images = IMAGES[:8].astype(dtype)
    with tf.GradientTape(persistent=True) as tape:
        terms = terms_of(model, images)
    assert set(terms) == {"sse", sparsity, "l2"}
    weights = in_float64(variables)
    for name, term in terms.items():

        def value(name=name):
            return numpy_term(name, activation, weights, images.astype("float64"))[0]

        expected, by_weights = numpy_term(name, activation, weights, images.astype("float64"))
        assert_close(term, expected, TOLERANCE[dtype])
        gradients = tape.gradient(term, variables)
        for gradient, by_weight, weight in zip(gradients, by_weights, weights, strict=True):
            assert_close(gradient, by_weight, TOLERANCE[dtype])
            assert_close(gradient, differences(value, weight), TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", ["kl", "l1"])
def test_each_sparsity_penalty_and_its_gradient_by_the_code(name, dtype):
    code = np.random.default_rng(3).uniform(0.02, 0.98, (6, UNITS))
    if name == "l1":
        code -= 0.5  # |h| must hold for negative codes, too
    settings = {"kl": (KLSparsity, RHO, BETA), "l1": (L1Sparsity, LAM1)}[name]
    penalty = settings[0](*settings[1:], dtype=dtype)
    tensor = tf.constant(code, dtype)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        passed_on = penalty(tensor)
        (term,) = penalty.losses
    assert np.array_equal(passed_on, tensor)
    value, gradient = numpy_penalty(name, code)
    by_differences = differences(lambda: numpy_penalty(name, code)[0], code)
    assert_close(term, value, TOLERANCE[dtype])
    result = tape.gradient(term, tensor)
    assert_close(result, gradient, TOLERANCE[dtype])
    assert_close(result, by_differences, TOLERANCE[dtype])


def test_sse_is_summed_over_pixels_and_not_over_images():
    images = np.array([[0, 1, 2], [3, 0, 0]], "float32")
    reconstructions = np.array([[0, 0, 0], [3, 1, 0]], "float32")
    assert np.array(sse(images, reconstructions)).tolist() == [5, 1]
    mse = keras.losses.MeanSquaredError()(IMAGES, IMAGES[::-1])
    assert_close(np.mean(sse(IMAGES, IMAGES[::-1])), PIXELS * float(mse), 1e-6)


def test_l1_with_0_001_over_196_is_the_sources_mean_over_images_and_units():
    code = np.random.default_rng(4).exponential(size=(50, 196)).astype("float32")
    penalty = L1Sparsity(0.001 / 196)
    penalty(code)
    assert_close(penalty.losses[0], 0.001 * np.mean(np.abs(code)), 1e-6)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("rho_hat", [-0.1, 0, 1e-9, 9e-7, 2e-6, 0.15, 0.9999, 0.9999985, 1, 1.5])
def test_kl_is_finite_and_pushes_back_even_where_it_has_no_value(rho_hat, dtype):
    tensor, rho = tf.constant(rho_hat, dtype), tf.constant(RHO, dtype)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        kl = kl_divergence(rho, tensor)
    slope = float(tape.gradient(kl, tensor))
    value, expected_slope = numpy_kl(RHO, float(tensor))
    tolerance = {"float32": 1e-5, "float64": 1e-9}[dtype]
    assert kl.dtype == dtype and np.isfinite([kl, slope]).all()
    assert float(kl) == pytest.approx(value, rel=tolerance, abs=1e-12)
    if rho_hat == RHO:
        assert float(kl) == 0 and abs(slope) < 1e-6
    else:
        assert slope == pytest.approx(expected_slope, rel=tolerance)
        assert float(kl) > 0 and np.sign(slope) == np.sign(rho_hat - RHO)


# ---------------------------------------------------------------------- size of the batch


@pytest.mark.parametrize("activation, sparsity", [("sigmoid", "kl"), ("relu", "l1")])
def test_the_same_rows_eight_times_have_the_same_terms(activation, sparsity):
    model = model_in("float64", activation, sparsity)
    rows = IMAGES[:32].astype("float64")
    once, tiled = terms_of(model, rows), terms_of(model, np.tile(rows, (8, 1)))
    for name, term in once.items():
        assert term > 0
        assert_close(tiled[name], term, 1e-12)


@pytest.mark.parametrize("penalties", ["kl and l2", "l1 and l2"])
def test_the_same_rows_eight_times_have_the_same_loss_in_batches_of_any_size(penalties):
    model = build(penalties, learning_rate=0.0)
    rows = IMAGES[:32]
    tiled = np.tile(rows, (8, 1))
    expected = evaluate(model, rows, 32)
    assert set(expected) == {"loss", *names(penalties)}
    for batch_size in (32, 256):
        assert evaluate(model, tiled, batch_size) == pytest.approx(expected, rel=1e-6)
        history = fit(model, tiled, tiled, batch_size)
        for name, value in expected.items():
            assert history[name] == pytest.approx(value, rel=1e-6)
            assert history["val_" + name] == pytest.approx(value, rel=1e-6)


def test_only_kl_is_larger_in_small_batches_of_different_rows():
    model = build()
    small, large = evaluate(model, IMAGES, 32), evaluate(model, IMAGES, 256)
    kl_of_small, kl_of_large = small.pop("kl"), large.pop("kl")
    assert kl_of_small > 1.0001 * kl_of_large  # KL is convex: a mean of KLs, the KL of a mean
    assert small.pop("loss") - large.pop("loss") == pytest.approx(kl_of_small - kl_of_large, 1e-2)
    assert small == pytest.approx(large, rel=1e-6)


# ---------------------------------------------------------------------- the history


@with_penalties
@pytest.mark.parametrize("batch_size", [128, 100])  # 100: the last batch is smaller
def test_each_term_is_in_the_history_by_name_and_they_sum_to_the_loss(penalties, batch_size):
    history = fit(build(penalties), batch_size=batch_size, epochs=2)
    keys = {"loss", *names(penalties)}
    assert set(history) == keys | {"val_" + key for key in keys}
    for start in ("", "val_"):
        terms = [history[start + name] for name in names(penalties)]
        assert (np.array(terms) > 0).all()
        np.testing.assert_allclose(np.sum(terms, axis=0), history[start + "loss"], rtol=2e-6)


def test_reported_terms_are_those_of_the_images_whatever_the_size_of_the_batches():
    model = build("l1 and l2")
    weights = in_float64(model.trainable_weights)
    images = IMAGES[:130].astype("float64")
    reported = evaluate(model, IMAGES[:130], 100)
    for name in names("l1 and l2"):
        assert reported[name] == pytest.approx(numpy_term(name, "relu", weights, images)[0], 1e-5)


class LookInBetween(keras.callbacks.Callback):
    """Uses the model wherever a callback can."""

    def look(self, *args, **kwargs):
        self.model.encode(IMAGES[:3])
        self.model(0 * IMAGES[:3])

    def predict(self, *args, **kwargs):
        self.model.predict(IMAGES[:2], verbose=0)

    on_epoch_begin = on_epoch_end = predict
    on_train_batch_begin = on_train_batch_end = on_test_batch_begin = on_test_batch_end = look


def test_using_the_model_in_between_changes_no_reported_term():
    undisturbed = fit(build(), epochs=2)
    disturbed = fit(build(), epochs=2, callbacks=[LookInBetween()])
    assert {name: values.tolist() for name, values in disturbed.items()} == {
        name: values.tolist() for name, values in undisturbed.items()
    }


# ---------------------------------------------------------------------- sliders and files


@keras.saving.register_keras_serializable("test_sparse_autoencoder")
class CountedAutoencoder(Autoencoder):
    """Counts how often Python code runs: once for each time it is traced."""

    traces = 0

    def call(self, images):
        CountedAutoencoder.traces += 1
        return super().call(images)


class Move(keras.callbacks.Callback):
    """Assigns to settings before each epoch: [{name: value}]."""

    def __init__(self, steps):
        super().__init__()
        self.steps, self.traces = steps, []

    def on_epoch_begin(self, epoch, logs=None):
        for name, value in self.steps[epoch].items():
            setting(self.model, name).assign(value)

    def on_epoch_end(self, epoch, logs=None):
        self.traces.append(CountedAutoencoder.traces)


def setting(model, name):
    penalty = model.l2 if name == "lam2" else model.sparsity
    return getattr(penalty, "lam" if name in ("lam1", "lam2") else name)


def assert_terms_follow(model, activation, settings, steps):
    """Train with the settings moved before each epoch; returns how many traces that took."""
    weights = in_float64(model.trainable_weights)
    terms = ("kl" if "rho" in settings else "l1", "l2")
    before, move = CountedAutoencoder.traces, Move(steps)
    history = fit(model, IMAGES, IMAGES, 256, epochs=len(steps), callbacks=[move])
    for epoch, step in enumerate(steps):
        settings = settings | step
        sparsity_settings = {k: v for k, v in settings.items() if k != "lam2"}
        for start in ("", "val_"):
            total = history[start + "sse"][epoch]
            for name in terms:
                kwargs = {"lam2": settings["lam2"]} if name == "l2" else sparsity_settings
                value = numpy_term(name, activation, weights, IMAGES.astype("float64"), **kwargs)[0]
                assert history[start + name][epoch] == pytest.approx(value, rel=1e-5)
                total += value
            assert history[start + "loss"][epoch] == pytest.approx(total, rel=1e-5)
    assert set(move.traces) == {move.traces[0]}  # all in the first epoch
    return move.traces[0] - before


@pytest.mark.parametrize(
    ("activation", "sparsity", "settings", "steps"),
    [
        (
            "sigmoid",
            KLSparsity(RHO, BETA),
            {"rho": RHO, "beta": BETA, "lam2": LAM2},
            [{}, {"beta": 2.0}, {"rho": 0.3}, {"lam2": 0.5}, {"beta": 0.0, "lam2": 0.0}],
        ),
        (
            "relu",
            L1Sparsity(LAM1),
            {"lam1": LAM1, "lam2": LAM2},
            [{}, {"lam1": 2.0}, {"lam2": 0.5}, {"lam1": 0.0, "lam2": 0.0}],
        ),
    ],
)
def test_the_loss_follows_its_settings_without_another_trace_also_after_loading(
    activation, sparsity, settings, steps, tmp_path
):
    encoder = keras.layers.Dense(UNITS, activation=activation)
    decoder = keras.layers.Dense(PIXELS, activation="sigmoid")
    model = CountedAutoencoder(encoder, decoder, sparsity, L2Penalty(LAM2))
    model.build((None, PIXELS))
    still = keras.optimizers.SGD(0.0)  # the weights stay, so only the settings move the terms
    model.compile(optimizer=still, loss=sse, metrics=[sse], jit_compile=False)

    assert assert_terms_follow(model, activation, settings, steps) > 0
    settings = {name: value / 2 for name, value in settings.items()}
    for name, value in settings.items():
        setting(model, name).assign(value)
    assert assert_terms_follow(model, activation, settings, [{}]) == 0

    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert assert_terms_follow(loaded, activation, settings, steps) > 0


@with_penalties
def test_a_loaded_model_is_the_saved_one_and_trains_on_like_it(penalties, tmp_path):
    model = build(penalties)
    fit(model)
    for name in {"kl and l2": ("rho", "beta", "lam2"), "l1 and l2": ("lam1",)}.get(penalties, ()):
        setting(model, name).assign(0.7)  # a slider was moved
    model.save(tmp_path / "model.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert np.array_equal(loaded(IMAGES), model(IMAGES))
    assert np.array_equal(loaded.encode(IMAGES), model.encode(IMAGES))
    assert [float(v) for v in loaded.non_trainable_weights] == [
        float(v) for v in model.non_trainable_weights
    ]
    trained_on, expected = fit(loaded), fit(model)
    assert list(trained_on) == list(expected)
    for name, values in expected.items():
        assert trained_on[name].tolist() == values.tolist()


def test_a_copy_made_from_the_config_has_the_settings_moved_to():
    for penalties, moved in (("kl and l2", ("rho", "beta", "lam2")), ("l1 and l2", ("lam1",))):
        model = build(penalties)
        for name in moved:
            setting(model, name).assign(0.25)
        copy = Autoencoder.from_config(model.get_config())
        assert [float(setting(copy, name)) for name in moved] == [0.25] * len(moved)
        assert copy.encoder.activation == model.encoder.activation


# ---------------------------------------------------------------------- errors


@pytest.mark.parametrize("rho", [0, 1, -0.1, float("nan")])
def test_a_target_activation_that_is_no_probability_is_refused(rho):
    with pytest.raises(ValueError) as error:
        KLSparsity(rho, 1)
    reason = "it must be between 0 and 1, both excluded."
    assert str(error.value) == f"The target activation rho is {rho:g}, but {reason}"


@pytest.mark.parametrize("weight", [-1, float("nan"), float("inf")])
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("The KL weight beta", lambda weight: KLSparsity(0.1, weight)),
        ("The L1 weight lam", L1Sparsity),
        ("The L2 weight lam", L2Penalty),
    ],
    ids=["beta", "lam1", "lam2"],
)
def test_a_weight_that_is_negative_or_not_finite_is_refused(name, make, weight):
    with pytest.raises(ValueError) as error:
        make(weight)
    assert str(error.value) == f"{name} is {weight:g}, but it must be finite and 0 or more."


@pytest.mark.parametrize("activation", ["relu", "softplus", "tanh", "linear"])
def test_kl_is_refused_where_a_mean_activation_is_no_probability(activation):
    with pytest.raises(ValueError, match=f"KLSparsity.*probability.*{activation}.*use a sigmoid"):
        build_autoencoder(UNITS, activation, sparsity=KLSparsity(RHO, BETA), pixels=PIXELS)


def test_settings_at_the_edge_are_accepted():
    for activation in ("sigmoid", "hard_sigmoid", "softmax"):
        build_autoencoder(UNITS, activation, sparsity=KLSparsity(1e-3, 0), lam2=0, pixels=PIXELS)
    L1Sparsity(0)


def test_training_that_diverges_stops_with_a_sentence():
    keras.utils.set_random_seed(1)
    model = build_autoencoder(8, "relu", "softplus", pixels=64)
    with pytest.raises(FloatingPointError, match="^The loss became .*: lower the learning rate"):
        train(model, DIGITS[:200], DIGITS[:200], epochs=2, learning_rate=1e30, progress=False)


# ---------------------------------------------------------------------- batches and training


def passes(count, images=12, batch_size=4, seed=0):
    """The images' numbers in each of so many batches."""
    numbers = np.arange(images, dtype="float32")[:, None]
    pairs = list(batches(numbers, batch_size, seed).take(count))
    for x, y in pairs:
        assert x.shape == (batch_size, 1) and np.array_equal(x, y)
    return [np.array(x).ravel().astype(int).tolist() for x, _ in pairs]


def test_every_image_comes_once_in_each_pass_and_each_pass_in_another_order():
    first, second = np.reshape(passes(6), (2, 12)).tolist()
    assert sorted(first) == sorted(second) == list(range(12))
    assert len({tuple(order) for order in (first, second, range(12))}) == 3


def test_the_seed_decides_the_order_of_the_batches():
    assert passes(6, seed=1) == passes(6, seed=1) != passes(6, seed=2)


def test_fewer_images_than_a_batch_fill_it_by_turns():
    for batch in passes(5, images=3, batch_size=8):
        assert set(np.bincount(batch, minlength=3)) <= {2, 3, 4}
    whole = np.concatenate(passes(3, images=3, batch_size=8))
    assert np.bincount(whole).tolist() == [8, 8, 8]


def test_images_come_with_their_targets_where_there_are_some():
    numbers = np.arange(12, dtype="float32")[:, None]
    for x, y in batches(numbers, 5, targets=np.arange(12) * 10).take(4):
        np.testing.assert_array_equal(y, np.ravel(x) * 10)


@pytest.fixture(scope="module")
def training():
    """Trained on 500 digits, validated on the other 1,297, which no batch size divides."""
    keras.utils.set_random_seed(1)
    model = build_autoencoder(16, sparsity=KLSparsity(RHO, BETA), lam2=0.001, pixels=64)
    return model, train(model, DIGITS[:500], DIGITS[500:], epochs=2, progress=False).history


def test_training_learns_and_reports_the_reconstruction_error_of_all_images(training):
    model, history = training
    assert int(model.optimizer.iterations) == 2 * 390
    images = DIGITS[500:].astype("float64")
    error = ((images - model(DIGITS[500:]).numpy()) ** 2).sum(axis=1).mean()
    assert history["val_sse"][-1] == pytest.approx(error, rel=1e-5)
    mean_image = ((images - DIGITS[:500].mean(axis=0)) ** 2).sum(axis=1).mean()
    assert error < 0.75 * mean_image


def test_training_reports_each_term_of_the_loss_apart(training):
    _, history = training
    keys = {"loss", "sse", "kl", "l2"}
    assert set(history) == keys | {"val_" + key for key in keys}
    for start in ("", "val_"):
        total = sum(np.array(history[start + name]) for name in ("sse", "kl", "l2"))
        np.testing.assert_allclose(total, history[start + "loss"], rtol=1e-5)


def weights_of_training(batch_seed):
    keras.utils.set_random_seed(1)
    model = build_autoencoder(8, pixels=64)
    settings = {"epochs": 3, "steps_per_epoch": 20, "seed": batch_seed, "progress": False}
    train(model, DIGITS, DIGITS[:100], **settings)
    assert int(model.optimizer.iterations) == 60
    return np.concatenate([weight.numpy().ravel() for weight in model.weights])


def test_the_seeds_decide_the_weights_to_the_bit_and_nothing_is_printed(capfd):
    weights = weights_of_training(batch_seed=0)
    assert np.array_equal(weights_of_training(batch_seed=0), weights)
    assert not np.array_equal(weights_of_training(batch_seed=1), weights)
    assert capfd.readouterr() == ("", "")


# ---------------------------------------------------------------------- what is printed


def run_python(code, *search_path):
    path = os.pathsep.join(map(str, [*search_path, ROOT]))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TF_CPP")}
    environment |= {"PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    return run.returncode, run.stdout.decode(), run.stderr.decode()


QUIET = """
import os
import sparse_autoencoder
os.write(2, b"imported.")  # stderr is back
print("imported", flush=True)
import numpy as np
from sparse_autoencoder import build_autoencoder, sse, train
x = np.random.default_rng(0).random((200, 8)).astype("float32")
train(build_autoencoder(4, lam2=0.1, pixels=8), x, x, epochs=2)
for _ in range(6):  # TensorFlow would warn of "retracing"
    model = build_autoencoder(4, pixels=8)
    model.compile(loss=sse, jit_compile=False)
    model.evaluate(x, x, 200, verbose=0)
"""


def test_the_import_prints_nothing_and_training_one_line():
    code, out, err = run_python(QUIET)
    assert (code, err) == (0, "imported.")
    assert out.startswith("imported\n\r") and out.endswith("\n") and out.count("\n") == 2
    last = out.split("\r")[-1]
    assert "2/2" in last and "l2=" in last and "val_sse=" in last


BROKEN_TENSORFLOW = """
import os
os.write(2, b"a library is missing")
raise ImportError("broken here")
"""


def test_an_import_that_fails_shows_why_and_what_was_written(tmp_path):
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text(BROKEN_TENSORFLOW)
    code, out, err = run_python("import sparse_autoencoder", tmp_path)
    assert code == 1 and out == ""
    assert err.startswith("a library is missing")
    assert err.endswith("ImportError: broken here\n")


def test_an_array_that_was_written_to_is_encoded_anew():
    model = build_autoencoder(5, pixels=12)
    images = np.zeros((3, 12), np.float32)
    before = model.encode(images).numpy()
    images[:] = 1
    expected = model.encoder(images.copy()).numpy()
    np.testing.assert_array_equal(model.encode(images).numpy(), expected)
    assert not np.array_equal(before, expected)


def as_load_mnist_makes_them():
    grays = np.random.default_rng(0).integers(0, 256, (40, 28, 28), np.uint8)
    return image_data._pixels(grays)


def test_batches_do_not_hold_the_images_a_second_time():
    images = image_data._pixels(np.zeros((50_000, 784), np.uint8))  # 157 MB
    next(iter(batches(images[:256])))  # what tf.data needs at its first start
    before = psutil.Process().memory_info().rss
    iterator = iter(batches(images))
    next(iterator)
    assert psutil.Process().memory_info().rss - before < images.nbytes / 2


def read_only(images):
    images.flags.writeable = False
    return images


def test_a_tensor_shares_the_memory_of_the_images_and_lets_it_go():
    images = as_load_mnist_makes_them()
    memory = weakref.ref(images.base)
    tensor = sparse_autoencoder.as_tensor(images[7:])
    assert np.shares_memory(np.asarray(tensor), images)
    np.testing.assert_array_equal(tensor, images[7:])
    del images
    assert tensor.shape == (33, 784) and memory() is not None
    del tensor
    assert memory() is None


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("operation", [tf.square, tf.nn.relu, tf.negative, lambda x: x + 1])
def test_no_operation_writes_into_the_images_behind_a_tensor(operation, compiled):
    images = as_load_mnist_makes_them()
    before = images.copy()
    function = tf.function(operation, jit_compile=True) if compiled else operation
    function(sparse_autoencoder.as_tensor(images))
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("change", [lambda x: x[:, 1:], lambda x: x.ravel()[1:785], read_only])
def test_images_that_tensorflow_cannot_read_in_place_are_copied(change):
    images = change(as_load_mnist_makes_them())
    tensor = sparse_autoencoder.as_tensor(images)
    assert not np.shares_memory(np.asarray(tensor), images)
    np.testing.assert_array_equal(tensor, images)


def test_a_stack_of_batches_is_as_many_steps():
    """Nine steps by threes, against nine steps of plain Keras on the same batches."""
    histories, weights = [], []
    for stack in (1, 3):
        keras.utils.set_random_seed(0)
        model = build_autoencoder(16, sparsity=KLSparsity(RHO, BETA), lam2=0.01, pixels=64)
        model.compile(keras.optimizers.Adam(3e-3), loss=sse, metrics=[sse], jit_compile=True)
        data = batches(DIGITS[:500], 32, 0, stack)
        fitted = model.fit(data, epochs=2, steps_per_epoch=9 // stack, shuffle=False, verbose=0)
        assert int(model.optimizer.iterations) == 18
        histories.append(fitted.history)
        weights.append(model.get_weights())
    for name, values in histories[0].items():
        np.testing.assert_allclose(values, histories[1][name], rtol=1e-5)
    for mine, theirs in zip(*weights, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("steps", [7, 37, 64])  # a prime above 32 is not stacked
def test_training_takes_the_steps_it_is_told(steps):
    model = build_autoencoder(4, pixels=64)
    images = DIGITS[:200]
    history = train(model, images, None, epochs=2, steps_per_epoch=steps, progress=False).history
    assert int(model.optimizer.iterations) == 2 * steps
    assert sorted(history) == ["loss", "sse"], "and validates nothing if there is nothing"


def test_any_model_of_keras_can_be_trained():
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(8), keras.layers.Dense(64)])
    history = train(model, DIGITS[:500], DIGITS[500:], epochs=2, progress=False).history
    assert int(model.optimizer.iterations) == 2 * 390
    assert history["val_sse"][-1] < history["val_sse"][0]
