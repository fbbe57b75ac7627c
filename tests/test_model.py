"""The loss and its terms, held against NumPy in float64; files; hyperparameters; errors."""

import warnings
from functools import partial

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
    sse,
)
from sparse_autoencoder.modern import GatedAutoencoder, JumpReLU, RevivingAutoencoder, TopK

TOLERANCE = {"float32": 1e-4, "float64": 1e-7}
RHO, BETA, LAM1, LAM2 = 0.15, 0.5, 0.1, 0.03
PIXELS, UNITS = 12, 5
IMAGES = np.random.default_rng(0).random((256, PIXELS)).astype("float32")

LINEAR = {"activation": "linear", "reconstruction_activation": "linear"}
RELU = {"activation": "relu", "reconstruction_activation": "softplus"}
QUICK_TO_REVIVE = partial(RevivingAutoencoder, revived=4, weight=0.5, patience=1)
MODELS = {  # the terms of its loss, or its name → how to build it
    "sse": lambda: {},
    "sse kl l2": lambda: {"sparsity": KLSparsity(RHO, BETA), "lam2": LAM2},
    "sse l1 l2": lambda: {"sparsity": L1Sparsity(LAM1), "lam2": LAM2, **RELU},
    "TopK": lambda: {"sparsity": TopK(2), "unit_norm": True, **LINEAR},
    "JumpReLU": lambda: {"sparsity": JumpReLU(LAM1, width=0.3), **LINEAR},
    "Gated": lambda: {"sparsity": L1Sparsity(LAM1), "kind": GatedAutoencoder, **LINEAR},
    "reviving": lambda: {"sparsity": TopK(2), "kind": QUICK_TO_REVIVE, **LINEAR},
}


def build(name, learning_rate=0.01, eagerly=True, **options):
    """A small model, compiled; always with the same weights."""
    keras.utils.set_random_seed(1)
    model = build_autoencoder(UNITS, pixels=PIXELS, **MODELS[name](), **options)
    sgd = keras.optimizers.SGD(learning_rate)
    model.compile(sgd, loss=sse, metrics=[sse], run_eagerly=eagerly, jit_compile=False)
    return model


def hyperparameters(model):
    """Those of all its layers: key → variable."""
    layers = [layer for layer in (model.sparsity, model.l2) if layer is not None]
    return {key: number for layer in layers for key, number in layer.hyperparameters.items()}


def fit(model, batch_size=128, callbacks=()):
    """The terms reported by training for an epoch without shuffling."""
    options = {"validation_data": (IMAGES, IMAGES), "shuffle": False, "verbose": 0}
    history = model.fit(IMAGES, IMAGES, batch_size, callbacks=list(callbacks), **options).history
    return {name: value for name, (value,) in history.items()}


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
    ("activation", "make"),
    [
        ("sigmoid", partial(KLSparsity, RHO, BETA)),
        ("relu", partial(L1Sparsity, LAM1)),
        ("linear", partial(L1Sparsity, LAM1)),  # |h| of negative codes
    ],
)
def test_each_term_and_its_gradient_by_the_weights(activation, make, dtype):
    keras.utils.set_random_seed(2)
    dense = {"dtype": dtype, "bias_initializer": keras.initializers.RandomNormal(stddev=0.5)}
    reconstruction = "sigmoid" if activation == "sigmoid" else "softplus"
    encoder = keras.layers.Dense(UNITS, activation, **dense)
    decoder = keras.layers.Dense(PIXELS, reconstruction, **dense)
    penalties = make(dtype=dtype), L2Penalty(LAM2, dtype=dtype)
    model = Autoencoder(encoder, decoder, *penalties, dtype=dtype)
    model.build((None, PIXELS))
    assert {v.dtype for v in model.weights} == {dtype}
    images = IMAGES[:8].astype(dtype)
    with tf.GradientTape(persistent=True) as tape:
        terms = {"sse": keras.ops.mean(sse(images, model(images)))}
        terms |= {penalty.term.name: sum(penalty.losses) for penalty in model.penalties}
    assert set(terms) == {"sse", "kl" if activation == "sigmoid" else "l1", "l2"}
    variables = [*encoder.trainable_weights, *decoder.trainable_weights]
    weights = in_float64(variables)
    for term, result in terms.items():
        value = partial(numpy_term, term, activation, weights, images.astype("float64"))
        assert_close(result, value(), TOLERANCE[dtype])
        for gradient, weight in zip(tape.gradient(result, variables), weights, strict=True):
            assert_close(gradient, differences(value, weight), TOLERANCE[dtype])


def test_sse_is_summed_over_pixels_and_not_over_images():
    images = np.array([[0, 1, 2], [3, 0, 0]], "float32")
    reconstructions = np.array([[0, 0, 0], [3, 1, 0]], "float32")
    assert np.array(sse(images, reconstructions)).tolist() == [5, 1]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-9)])
def test_kl_is_finite_and_pushes_back_even_where_it_has_no_value(dtype, tolerance):
    places = [RHO, -0.1, 0, 1e-9, 9e-7, 2e-6, 0.9999, 0.9999985, 1, 1.5]
    rho_hat = tf.constant(places, dtype)
    with tf.GradientTape() as tape:
        tape.watch(rho_hat)
        kl = kl_divergence(tf.constant(RHO, dtype), rho_hat)
    slope = tape.gradient(kl, rho_hat).numpy()
    value, expected_slope = numpy_kl(RHO, rho_hat.numpy().astype("float64"))
    assert kl.dtype == dtype
    np.testing.assert_allclose(kl, value, rtol=tolerance, atol=1e-12)
    np.testing.assert_allclose(slope[1:], expected_slope[1:], rtol=tolerance)
    assert kl[0] == 0 and abs(slope[0]) < 1e-6 and (kl[1:].numpy() > 0).all()
    np.testing.assert_array_equal(np.sign(slope[1:]), np.sign(np.array(places[1:]) - RHO))


def test_an_array_that_was_written_to_is_encoded_anew():
    model, images = build("sse kl l2"), np.zeros((3, PIXELS), np.float32)
    before = model.encode(images).numpy()
    images[:] = 1
    after = model.encode(images).numpy()
    np.testing.assert_array_equal(after, model.encoder(images.copy()))
    assert not np.array_equal(before, after)


def test_unit_norm_holds_the_rows_of_the_decoder_at_length_1():
    model = build("TopK", learning_rate=0.1)
    before = model.decoder.kernel.numpy()
    fit(model)
    for kernel in (before, model.decoder.kernel.numpy()):
        np.testing.assert_allclose(np.linalg.norm(kernel, axis=1), 1, rtol=1e-5)
    assert not np.allclose(before, model.decoder.kernel)


# ---------------------------------------------------------------------- history and sliders


def reported(model, terms, batch_size, **values):
    """The terms of all images by NumPy: a mean over the batches, a small one counting for less."""
    weights, images = in_float64(model.trainable_weights), IMAGES.astype("float64")
    batches = np.split(images, range(batch_size, len(images), batch_size))
    activation = model.encoder.activation.__name__
    result = {}
    for term in terms:
        of_each = [numpy_term(term, activation, weights, batch, **values) for batch in batches]
        result[term] = np.average(of_each, weights=[len(batch) for batch in batches])
    result["loss"] = sum(result.values())
    return {prefix + name: result[name] for prefix in ("", "val_") for name in result}


class LookInBetween(keras.callbacks.Callback):
    """Uses the model wherever a callback can."""

    def look(self, *args, **kwargs):
        self.model.encode(IMAGES[:3])
        self.model(0 * IMAGES[:3])

    def on_epoch_end(self, epoch, logs=None):
        self.model.predict(IMAGES[:2], verbose=0)

    on_train_batch_begin = on_train_batch_end = on_test_batch_begin = on_test_batch_end = look


@pytest.mark.parametrize("name", ["sse", "sse kl l2", "sse l1 l2"])
def test_each_term_is_in_the_history_by_name_and_they_sum_to_the_loss(name):
    model = build(name, learning_rate=0.0)
    history = fit(model, 100, [LookInBetween()])  # the last batch has 56
    assert history == pytest.approx(reported(model, name.split(), 100), rel=1e-5)


@keras.saving.register_keras_serializable("tests")
class CountedAutoencoder(Autoencoder):
    """Counts how often Python code runs: once for each time it is traced."""

    traces = 0

    def call(self, images):
        CountedAutoencoder.traces += 1
        return super().call(images)


def test_the_loss_follows_its_hyperparameters_without_another_trace_also_after_loading(tmp_path):
    terms = ("sse", "kl", "l2")
    model = build("sse kl l2", learning_rate=0.0, eagerly=False, kind=CountedAutoencoder)
    model.save(tmp_path / "model.keras")
    for each in (model, keras.saving.load_model(tmp_path / "model.keras")):
        fit(each, 256)
        traces = CountedAutoencoder.traces
        for values in ({"beta": 2.0, "rho": 0.3, "lam2": LAM2}, {"beta": 0.0, "lam2": 0.5}):
            for key, value in values.items():
                hyperparameters(each)[key].assign(value)
            expected = reported(each, terms, 256, **values)
            assert fit(each, 256) == pytest.approx(expected, rel=1e-5)
        assert CountedAutoencoder.traces == traces > 0


# ---------------------------------------------------------------------- files

CHOSEN = {"width", "revived", "weight", "patience"}  # numbers that are no variables


@pytest.mark.parametrize("name", MODELS)
def test_a_loaded_model_is_the_saved_one_and_trains_on_like_it(name, tmp_path):
    model = build(name)
    history = fit(model, 256)
    terms = ["sse", *(penalty.term.name for penalty in model.penalties)]
    for prefix in ("", "val_"):
        total = sum(history[prefix + term] for term in terms)
        assert history[prefix + "loss"] == pytest.approx(total, rel=1e-5)
    for variable in hyperparameters(model).values():
        variable.assign_add(0.25)  # a slider was moved
    model.save(tmp_path / "model.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        loaded = keras.saving.load_model(tmp_path / "model.keras")
    for other in (loaded, type(model).from_config(model.get_config())):
        assert other.encoder.activation == model.encoder.activation
        assert hyperparameters(other) == hyperparameters(model)
        for ours, theirs in ((model, other), (model.sparsity, other.sparsity)):
            for number in CHOSEN & set(dir(ours)):
                assert getattr(theirs, number) == getattr(ours, number)
    assert np.array_equal(loaded(IMAGES), model(IMAGES))
    assert np.array_equal(loaded.encode(IMAGES), model.encode(IMAGES))
    assert fit(loaded, 256) == fit(model, 256)


# Saved by the course's first edition, before it was a package: mean SSE of 32 images, and terms.
EARLIER_FILES = {
    "kl": (1.3146603, {"kl": 4.5118456, "l2": 0.2051235}, {"rho": 0.15, "beta": 2, "lam2": 0.03}),
    "l1": (1.9097022, {"l1": 0.2143156, "l2": 0.1981483}, {"lam1": 0.1, "lam2": 0.03}),
    "topk": (3.0859022, {}, {"k": 2}),
    "jumprelu": (5.0391097, {"l0": 0.1875}, {"lam0": 0.1, "theta": 0.05}),
    "gated": (3.5340343, {"l1": 0.2010912, "gate": 3.5949621}, {"lam1": 0.1}),
    "reviving": (5.9706059, {"aux": 0.0}, {"k": 2}),
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


# ---------------------------------------------------------------------- errors

A_PROBABILITY, FROM_0 = "between 0 and 1, both excluded", "finite and 0 or more"
REFUSED = {  # what the message names → how to make the layer, what is allowed, what is not
    "target activation rho": (partial(KLSparsity, beta=1), A_PROBABILITY, (0, 1, -0.1, np.nan)),
    "KL strength beta": (partial(KLSparsity, 0.1), FROM_0, (-1, np.nan, np.inf)),
    "L1 strength lam": (L1Sparsity, FROM_0, (-1, np.nan, np.inf)),
    "L2 strength lam": (L2Penalty, FROM_0, (-1, np.nan, np.inf)),
    "active units k": (TopK, "finite and 1 or more", (0,)),
    "L0 strength lam": (JumpReLU, FROM_0, (-1,)),
    "threshold theta": (partial(JumpReLU, 1), FROM_0, (-0.1,)),
    "width of the window": (partial(JumpReLU, 1, 0.1), "above 0", (0,)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_value_out_of_range_is_refused_in_one_sentence(name):
    make, allowed, values = REFUSED[name]
    for value in values:
        with pytest.raises(ValueError) as error:
            make(value)
        assert str(error.value) == f"The {name} is {value:g}, but it must be {allowed}."


def test_values_at_the_edge_are_accepted():
    for activation in ("sigmoid", "hard_sigmoid", "softmax"):
        build_autoencoder(UNITS, activation, sparsity=KLSparsity(1e-3, 0), lam2=0, pixels=PIXELS)
    L1Sparsity(0)


@pytest.mark.parametrize("activation", ["relu", "softplus", "tanh", "linear"])
def test_kl_is_refused_where_a_mean_activation_is_no_probability(activation):
    with pytest.raises(ValueError, match=f"KLSparsity.*probability.*{activation}.*use a sigmoid"):
        build_autoencoder(UNITS, activation, sparsity=KLSparsity(RHO, BETA), pixels=PIXELS)
