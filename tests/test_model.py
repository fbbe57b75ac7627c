"""The loss and its terms, held against NumPy in float64; files; hyperparameters; errors."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT, differences

from sparse_autoencoder import (
    Autoencoder,
    KLSparsity,
    L1Sparsity,
    L2Penalty,
    build_autoencoder,
    kl_divergence,
    modern,
    sse,
)

TOLERANCE = {"float32": 1e-4, "float64": 1e-7}
RHO, BETA, LAM1, LAM2 = 0.15, 0.5, 0.1, 0.03
PIXELS, UNITS = 12, 5
IMAGES = np.random.default_rng(0).random((256, PIXELS)).astype("float32")

MODELS = {  # terms of the loss → how to build it
    ("sse",): {},
    ("sse", "l2"): {"lam2": LAM2},
    ("sse", "kl", "l2"): {"sparsity": lambda: KLSparsity(RHO, BETA), "lam2": LAM2},
    ("sse", "l1", "l2"): {
        "sparsity": lambda: L1Sparsity(LAM1),
        "lam2": LAM2,
        "activation": "relu",
        "reconstruction_activation": "softplus",
    },
}
KL, L1 = list(MODELS)[2:]
with_each_model = pytest.mark.parametrize("terms", MODELS, ids=" ".join)


def build(terms=KL, learning_rate=0.01):
    """A small model with these terms, compiled; always with the same weights."""
    options = dict(MODELS[terms])
    sparsity = options.pop("sparsity", lambda: None)()
    keras.utils.set_random_seed(1)
    model = build_autoencoder(UNITS, sparsity=sparsity, pixels=PIXELS, **options)
    optimizer = keras.optimizers.SGD(learning_rate)
    model.compile(optimizer=optimizer, loss=sse, metrics=[sse], run_eagerly=True)
    return model


def hyperparameters(model):
    """Those of all its penalties: key → variable."""
    return {
        key: variable
        for penalty in model.penalties
        for key, variable in penalty.hyperparameters.items()
    }


def fit(model, images=IMAGES, validation=IMAGES[:96], batch_size=128, **options):
    """The history of training without shuffling."""
    data = {"validation_data": (validation, validation), "shuffle": False, "verbose": 0}
    return model.fit(images, images, batch_size, **data, **options).history


def evaluate(model, images, batch_size):
    return model.evaluate(images, images, batch_size, return_dict=True, verbose=0)


# ---------------------------------------------------------------------- terms and gradients


def numpy_kl(rho, rho_hat):
    """KL(ρ‖ρ̂) and its slope, along the tangent where ρ̂ is within 1e-6 of 0 or 1, or beyond."""
    inside = np.clip(np.float64(rho_hat), 1e-6, 1 - 1e-6)
    value = rho * np.log(rho / inside) + (1 - rho) * np.log((1 - rho) / (1 - inside))
    slope = (inside - rho) / (inside * (1 - inside))
    return value + slope * (rho_hat - inside), slope


def numpy_term(name, activation, weights, images, rho=RHO, beta=BETA, lam1=LAM1, lam2=LAM2):
    """A term of the loss; a sigmoid encoder has a sigmoid decoder, others have softplus."""
    W1, b1, W2, b2 = weights
    if name == "l2":
        return lam2 / 2 * ((W1**2).sum() + (W2**2).sum())
    a = images @ W1 + b1
    code = {"sigmoid": 1 / (1 + np.exp(-a)), "relu": np.maximum(a, 0), "linear": a}[activation]
    if name == "kl":
        return beta * numpy_kl(rho, code.mean(axis=0))[0].sum()
    if name == "l1":
        return lam1 * np.abs(code).sum() / len(code)
    z = code @ W2 + b2
    reconstructions = 1 / (1 + np.exp(-z)) if activation == "sigmoid" else np.log1p(np.exp(z))
    return np.square(reconstructions - images).sum() / len(images)


def in_float64(variables):
    return [variable.numpy().astype("float64") for variable in variables]


def assert_close(result, expected, tolerance):
    """Relative error of a number or of a whole array; where 0 is expected, None may stand."""
    if not np.any(expected):
        assert result is None or not np.any(result)
    else:
        error = np.linalg.norm(np.asarray(result, "float64") - expected)
        assert error < tolerance * np.linalg.norm(expected)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    ("activation", "name", "sparsity"),
    [
        ("sigmoid", "kl", lambda dtype: KLSparsity(RHO, BETA, dtype=dtype)),
        ("sigmoid", "l1", lambda dtype: L1Sparsity(LAM1, dtype=dtype)),
        ("relu", "l1", lambda dtype: L1Sparsity(LAM1, dtype=dtype)),
        ("linear", "l1", lambda dtype: L1Sparsity(LAM1, dtype=dtype)),  # |h| of negative codes
    ],
)
def test_each_term_and_its_gradient_by_the_weights(activation, name, sparsity, dtype):
    keras.utils.set_random_seed(2)
    dense = {"dtype": dtype, "bias_initializer": keras.initializers.RandomNormal(stddev=0.5)}
    reconstruction = "sigmoid" if activation == "sigmoid" else "softplus"
    encoder = keras.layers.Dense(UNITS, activation, **dense)
    decoder = keras.layers.Dense(PIXELS, reconstruction, **dense)
    l2 = L2Penalty(LAM2, dtype=dtype)
    model = Autoencoder(encoder, decoder, sparsity(dtype), l2, dtype=dtype)
    model.build((None, PIXELS))
    assert {v.dtype for v in model.weights} == {dtype}
    images = IMAGES[:8].astype(dtype)
    with tf.GradientTape(persistent=True) as tape:
        terms = {"sse": keras.ops.mean(sse(images, model(images)))}
        terms |= {penalty.term.name: sum(penalty.losses) for penalty in model.penalties}
    assert set(terms) == {"sse", name, "l2"}
    variables = [*encoder.trainable_weights, *decoder.trainable_weights]
    weights = in_float64(variables)
    for term, result in terms.items():

        def value(term=term):
            return numpy_term(term, activation, weights, images.astype("float64"))

        assert_close(result, value(), TOLERANCE[dtype])
        for gradient, weight in zip(tape.gradient(result, variables), weights, strict=True):
            assert_close(gradient, differences(value, weight), TOLERANCE[dtype])


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


def test_an_array_that_was_written_to_is_encoded_anew():
    model, images = build(), np.zeros((3, PIXELS), np.float32)
    before = model.encode(images).numpy()
    images[:] = 1
    after = model.encode(images).numpy()
    np.testing.assert_array_equal(after, model.encoder(images.copy()))
    assert not np.array_equal(before, after)


def test_unit_norm_holds_the_rows_of_the_decoder_at_length_1():
    model = build_autoencoder(UNITS, pixels=PIXELS, unit_norm=True)
    model.compile(keras.optimizers.SGD(0.1), loss=sse, run_eagerly=True)
    before = model.decoder.kernel.numpy()
    fit(model)
    for kernel in (before, model.decoder.kernel.numpy()):
        np.testing.assert_allclose(np.linalg.norm(kernel, axis=1), 1, rtol=1e-5)
    assert not np.allclose(before, model.decoder.kernel)


# ---------------------------------------------------------------------- batches and history


@pytest.mark.parametrize("terms", [KL, L1], ids=" ".join)
def test_the_same_rows_eight_times_have_the_same_loss_in_batches_of_any_size(terms):
    model, rows = build(terms, learning_rate=0.0), IMAGES[:32]
    tiled, expected = np.tile(rows, (8, 1)), evaluate(model, rows, 32)
    assert set(expected) == {"loss", *terms}
    for batch_size in (32, 256):
        assert evaluate(model, tiled, batch_size) == pytest.approx(expected, rel=1e-6)
        history = fit(model, tiled, tiled, batch_size)
        for name, value in expected.items():
            assert history[name] == history["val_" + name] == pytest.approx([value], rel=1e-6)


def test_only_kl_is_larger_in_small_batches_of_different_rows():
    model = build()
    small, large = evaluate(model, IMAGES, 32), evaluate(model, IMAGES, 256)
    kl_of_small, kl_of_large = small.pop("kl"), large.pop("kl")
    assert kl_of_small > 1.0001 * kl_of_large  # KL is convex: a mean of KLs, the KL of a mean
    assert small.pop("loss") - large.pop("loss") == pytest.approx(kl_of_small - kl_of_large, 1e-2)
    assert small == pytest.approx(large, rel=1e-6)


@with_each_model
@pytest.mark.parametrize("batch_size", [128, 100])  # 100: the last batch is smaller
def test_each_term_is_in_the_history_by_name_and_they_sum_to_the_loss(terms, batch_size):
    history = fit(build(terms), batch_size=batch_size)
    assert set(history) == {start + name for start in ("", "val_") for name in ("loss", *terms)}
    for start in ("", "val_"):
        values = np.array([history[start + name] for name in terms])
        assert (values > 0).all()
        np.testing.assert_allclose(values.sum(axis=0), history[start + "loss"], rtol=2e-6)


def test_reported_terms_are_those_of_the_images_whatever_the_size_of_the_batches():
    model, images = build(L1), IMAGES[:130]
    weights, reported = in_float64(model.trainable_weights), evaluate(model, images, 100)
    for name in L1:
        expected = numpy_term(name, "relu", weights, images.astype("float64"))
        assert reported[name] == pytest.approx(expected, rel=1e-5)


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
    assert fit(build(), epochs=2, callbacks=[LookInBetween()]) == fit(build(), epochs=2)


# ---------------------------------------------------------------------- sliders and files


@keras.saving.register_keras_serializable("tests")
class CountedAutoencoder(Autoencoder):
    """Counts how often Python code runs: once for each time it is traced."""

    traces = 0

    def call(self, images):
        CountedAutoencoder.traces += 1
        return super().call(images)


class Move(keras.callbacks.Callback):
    """Assigns to hyperparameters before each epoch: [{key: value}]."""

    def __init__(self, moves):
        super().__init__()
        self.moves, self.traces = moves, []

    def on_epoch_begin(self, epoch, logs=None):
        for key, value in self.moves[epoch].items():
            hyperparameters(self.model)[key].assign(value)

    def on_epoch_end(self, epoch, logs=None):
        self.traces.append(CountedAutoencoder.traces)


def traces_while_terms_follow(model, activation, values, moves):
    """Train with hyperparameters moved before each epoch; returns how many traces that took."""
    weights = in_float64(model.trainable_weights)
    before, move = CountedAutoencoder.traces, Move(moves)
    history = fit(model, IMAGES, IMAGES, 256, epochs=len(moves), callbacks=[move])
    for epoch, moved in enumerate(moves):
        values = values | moved
        for start in ("", "val_"):
            total = history[start + "sse"][epoch]
            for name in ("kl" if "rho" in values else "l1", "l2"):
                value = numpy_term(name, activation, weights, IMAGES.astype("float64"), **values)
                assert history[start + name][epoch] == pytest.approx(value, rel=1e-5)
                total += value
            assert history[start + "loss"][epoch] == pytest.approx(total, rel=1e-5)
    assert set(move.traces) == {move.traces[0]}, "all in the first epoch"
    return move.traces[0] - before


@pytest.mark.parametrize(
    ("activation", "sparsity", "values", "moves"),
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
def test_the_loss_follows_its_hyperparameters_without_another_trace_also_after_loading(
    activation, sparsity, values, moves, tmp_path
):
    encoder = keras.layers.Dense(UNITS, activation=activation)
    decoder = keras.layers.Dense(PIXELS, activation="sigmoid")
    model = CountedAutoencoder(encoder, decoder, sparsity, L2Penalty(LAM2))
    model.build((None, PIXELS))
    still = keras.optimizers.SGD(0.0)  # the weights stay: hyperparameters alone move the terms
    model.compile(optimizer=still, loss=sse, metrics=[sse], jit_compile=False)
    assert set(hyperparameters(model)) == set(values)

    assert traces_while_terms_follow(model, activation, values, moves) > 0
    values = {key: value / 2 for key, value in values.items()}
    for key, value in values.items():
        hyperparameters(model)[key].assign(value)
    assert traces_while_terms_follow(model, activation, values, [{}]) == 0

    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert traces_while_terms_follow(loaded, activation, values, moves) > 0


@with_each_model
def test_a_loaded_model_is_the_saved_one_and_trains_on_like_it(terms, tmp_path):
    model = build(terms)
    fit(model)
    for variable in hyperparameters(model).values():
        variable.assign(0.75)  # a slider was moved
    model.save(tmp_path / "model.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        loaded = keras.saving.load_model(tmp_path / "model.keras")
    copy = Autoencoder.from_config(model.get_config())
    for other in (loaded, copy):
        values = {key: float(variable) for key, variable in hyperparameters(other).items()}
        assert values == dict.fromkeys(hyperparameters(model), 0.75)
        assert other.encoder.activation == model.encoder.activation
    assert np.array_equal(loaded(IMAGES), model(IMAGES))
    assert np.array_equal(loaded.encode(IMAGES), model.encode(IMAGES))
    assert fit(loaded) == fit(model)


# Saved by the course's first edition, before it was a package: mean SSE of 32 images, and terms.
EARLIER_FILES = {
    "kl": (1.3146603, {"kl": 4.5118456, "l2": 0.2051235}, {"rho": 0.15, "beta": 2, "lam2": 0.03}),
    "l1": (1.9097022, {"l1": 0.2143156, "l2": 0.1981483}, {"lam1": 0.1, "lam2": 0.03}),
    "topk": (3.0859022, {}, {}),
    "jumprelu": (5.0391097, {"l0": 0.1875}, {"lam0": 0.1, "theta": 0.05}),
    "gated": (3.5340343, {"l1": 0.2010912, "aux": 3.5949621}, {"lam1": 0.1}),
    "reviving": (5.9706059, {"aux": 0.0}, {}),
}


@pytest.mark.parametrize("name", EARLIER_FILES)
def test_files_of_earlier_editions_load(name):
    error, terms, values = EARLIER_FILES[name]
    model = keras.saving.load_model(ROOT / "tests" / "data" / f"{name}.keras")
    images = IMAGES[:32]
    assert float(np.mean(sse(images, model(images)))) == pytest.approx(error, rel=1e-5)
    result = {penalty.term.name: float(sum(penalty.losses)) for penalty in model.penalties}
    assert result == pytest.approx(terms, rel=1e-5)
    assert {k: float(v) for k, v in hyperparameters(model).items()} == pytest.approx(values)
    if isinstance(model.sparsity, modern.TopK):
        assert int(model.sparsity.k) == 2


# ---------------------------------------------------------------------- errors


STRENGTH = "finite and 0 or more"
REFUSED = {  # what the message names → how to make the layer, what is allowed, what is not
    "target activation rho": (
        lambda rho: KLSparsity(rho, 1),
        "between 0 and 1, both excluded",
        (0, 1, -0.1, np.nan),
    ),
    "KL strength beta": (lambda beta: KLSparsity(0.1, beta), STRENGTH, (-1, np.nan, np.inf)),
    "L1 strength lam": (L1Sparsity, STRENGTH, (-1, np.nan, np.inf)),
    "L2 strength lam": (L2Penalty, STRENGTH, (-1, np.nan, np.inf)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_value_out_of_range_is_refused_in_one_sentence(name):
    make, allowed, values = REFUSED[name]
    for value in values:
        with pytest.raises(ValueError) as error:
            make(value)
        assert str(error.value) == f"The {name} is {value:g}, but it must be {allowed}."


@pytest.mark.parametrize("activation", ["relu", "softplus", "tanh", "linear"])
def test_kl_is_refused_where_a_mean_activation_is_no_probability(activation):
    with pytest.raises(ValueError, match=f"KLSparsity.*probability.*{activation}.*use a sigmoid"):
        build_autoencoder(UNITS, activation, sparsity=KLSparsity(RHO, BETA), pixels=PIXELS)


def test_values_at_the_edge_are_accepted():
    for activation in ("sigmoid", "hard_sigmoid", "softmax"):
        build_autoencoder(UNITS, activation, sparsity=KLSparsity(1e-3, 0), lam2=0, pixels=PIXELS)
    L1Sparsity(0)
