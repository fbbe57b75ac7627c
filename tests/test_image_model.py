"""Penalties in any Keras model, and what people do with models of images in Keras."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT

from sparse_autoencoder import (
    Autoencoder,
    KLSparsity,
    L1Sparsity,
    L2Penalty,
    batches,
    build_autoencoder,
    kl_divergence,
    measures,
    sse,
    train,
)
from sparse_autoencoder.image_model import penalties_of
from sparse_autoencoder.modern import JumpReLU, TopK
from sparse_autoencoder.playground.engine import LiveTraining

N, PIXELS, UNITS = 24, 16, 5
RHO, BETA = 0.1, 0.5
RNG = np.random.default_rng(0)
X = RNG.random((N, PIXELS), "float32")
PICTURES = X.reshape(N, 4, 4, 1)
Dense = keras.layers.Dense


def compiled(model, learning_rate=0.0, eagerly=True):
    optimizer = keras.optimizers.SGD(learning_rate)
    model.compile(optimizer, sse, metrics=[sse], run_eagerly=eagerly, jit_compile=False)
    return model


# ---------------------------------------------------------------------- penalties anywhere


def sequential(penalty, activation="sigmoid"):
    layers = [Dense(UNITS, activation, name="encoder"), penalty, Dense(PIXELS, "sigmoid")]
    return keras.Sequential([keras.Input((PIXELS,)), *layers])


def deferred(penalty):
    return keras.Sequential([Dense(UNITS, "sigmoid"), penalty, Dense(PIXELS, "sigmoid")])


def functional(penalty):
    images = keras.Input((PIXELS,))
    code = penalty(Dense(UNITS, "sigmoid", name="encoder")(images))
    return keras.Model(images, Dense(PIXELS, "sigmoid")(code))


class Subclass(keras.Model):
    def __init__(self, penalty):
        super().__init__()
        self.layer, self.penalty = Dense(UNITS, "sigmoid"), penalty
        self.last = Dense(PIXELS, "sigmoid")

    def call(self, images):
        return self.last(self.penalty(self.layer(images)))


def nested(penalty):
    encoder = keras.Sequential([keras.Input((PIXELS,)), Dense(UNITS, "sigmoid"), penalty])
    return Autoencoder(encoder, Dense(PIXELS, "sigmoid"))


def course(penalty):
    return build_autoencoder(UNITS, sparsity=penalty, pixels=PIXELS)


class Holder(keras.Model):
    """A model of the course within another."""

    def __init__(self, penalty):
        super().__init__()
        self.inner = course(penalty)

    def call(self, images):
        return self.inner(images)


def held(penalty):
    return keras.Sequential([keras.Input((PIXELS,)), course(penalty)])


MAKERS = [sequential, deferred, functional, Subclass, nested, course, Holder, held]


def term_of(penalty, code):
    """By NumPy, of one batch."""
    if isinstance(penalty, KLSparsity):
        return BETA * np.sum(kl_divergence(RHO, np.mean(code, axis=0)))
    return 0.3 * np.abs(code).sum() / len(code)


@pytest.mark.parametrize("eagerly", [True, False], ids=["eagerly", "compiled"])
@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("penalty", [lambda: KLSparsity(RHO, BETA), lambda: L1Sparsity(0.3)])
def test_a_penalty_is_reported_in_any_model_as_the_mean_over_the_images(make, penalty, eagerly):
    penalty = penalty()
    model = compiled(make(penalty), eagerly=eagerly)
    model(X)
    weights = [np.asarray(weight) for weight in model.trainable_weights[:2]]
    code = 1 / (1 + np.exp(-X @ weights[0] - weights[1]))
    parts = code[:20], code[20:]  # the last batch is small
    expected = sum(term_of(penalty, part) * len(part) for part in parts) / N
    history = model.fit(
        X, X, 20, epochs=2, validation_data=(X, X), validation_batch_size=20,
        shuffle=False, verbose=0, callbacks=[Onlooker()],
    ).history  # fmt: skip
    name = penalty.term.name
    assert history[name] == history[f"val_{name}"] == pytest.approx([expected] * 2, rel=1e-5)
    for epoch in range(2):
        total = history["sse"][epoch] + history[name][epoch]
        assert history["loss"][epoch] == pytest.approx(total, rel=1e-5)


class Onlooker(keras.callbacks.Callback):
    """Calls the model between steps, and predicts: no term may follow that."""

    def look(self, *args, **kwargs):
        self.model(0 * X)
        assert all(np.isfinite(sum(penalty.losses)) for penalty in penalties_of(self.model))
        self.model.predict_on_batch(0 * X)

    def predict(self, *args, **kwargs):
        self.model.predict(0 * X, verbose=0)

    on_train_batch_begin = on_train_batch_end = on_test_batch_begin = on_test_batch_end = look
    on_epoch_end = on_train_begin = on_train_end = predict


def test_a_penalty_can_go_from_a_model_of_the_course_to_another():
    old = course(KLSparsity(RHO, BETA))
    model = keras.Sequential([keras.Input((PIXELS,)), old.encoder, old.sparsity, Dense(PIXELS)])
    old(X)
    history = compiled(model).fit(X, X, verbose=0).history
    assert history["loss"][0] - history["sse"][0] == pytest.approx(history["kl"][0], rel=1e-4)
    assert history["kl"][0] > 0.1


@pytest.mark.parametrize("make", [sequential, functional])
def test_train_and_the_playground_read_a_penalty_of_any_model(make):
    model = make(KLSparsity(RHO, BETA))
    options = {"epochs": 1, "steps_per_epoch": 2, "batch_size": 8, "progress": False}
    history = train(model, X, X, **options).history
    assert history["loss"][0] - history["sse"][0] == pytest.approx(history["kl"][0], rel=1e-4)
    live = LiveTraining(model, data_of(X))
    live.set(rho=0.2, beta=0)
    assert live.measure()["kl"] == 0 and live.hyperparameters["rho"] == 0.2


def data_of(images):
    from types import SimpleNamespace

    parts = {f"{kind}_{part}": images if kind == "x" else np.arange(len(images)) % 2
             for kind in "xy" for part in ("train", "validation", "test")}  # fmt: skip
    return SimpleNamespace(name="own", image_shape=(4, 4), **parts)


def test_kl_is_refused_behind_another_activation_in_any_model():
    for make in (
        lambda: sequential(KLSparsity(RHO, BETA), "relu"),
        lambda: sequential(KLSparsity(RHO, BETA), keras.layers.LeakyReLU()),
        lambda: build_autoencoder(UNITS, lambda x: x * 2, sparsity=KLSparsity(RHO, BETA)),
        lambda: keras.Sequential(
            [keras.Input((4,)), Dense(3), keras.layers.ReLU(), KLSparsity(RHO, BETA)]
        ),
    ):
        with pytest.raises(ValueError, match="^KLSparsity reads .* use a sigmoid encoder") as error:
            make()
        assert len(str(error.value)) < 250


def test_kl_is_taken_behind_whatever_lies_between_0_and_1():
    layers = [keras.Input((PIXELS,)), Dense(UNITS), keras.layers.Activation("sigmoid")]
    keras.Sequential([*layers, KLSparsity(RHO, BETA)])
    keras.Sequential([*layers, keras.layers.Dropout(0.1), KLSparsity(RHO, BETA)])
    build_autoencoder(UNITS, lambda x: keras.ops.sigmoid(x), sparsity=KLSparsity(RHO, BETA))


# ---------------------------------------------------------------------- fit as Keras does it


def test_images_are_their_own_answers_however_they_come():
    model = compiled(course(KLSparsity(RHO, BETA)))
    expected = model.fit(X, X, verbose=0).history
    dataset = tf.data.Dataset.from_tensor_slices(X)
    ways = {
        "x": lambda: model.fit(X, verbose=0),
        "(x, x)": lambda: model.fit((X, X), verbose=0),
        "Dataset of x": lambda: model.fit(dataset.batch(N), verbose=0),
        "Dataset of (x, x)": lambda: model.fit(
            tf.data.Dataset.zip(dataset, dataset).batch(N), verbose=0
        ),
        "batches": lambda: model.fit(batches(X, N), steps_per_epoch=1, verbose=0),
        "generator": lambda: model.fit(((X, X) for _ in range(1)), verbose=0),
    }
    for name, way in ways.items():
        for term, value in way().history.items():
            assert value == pytest.approx(expected[term], rel=1e-5), name
    for given in ((X, X), [X, X], X, dataset.batch(N), X.astype("float64")):
        history = model.fit(X, validation_data=given, verbose=0).history
        assert history["val_sse"] == pytest.approx(expected["sse"], rel=1e-5)
    result = model.evaluate(dataset.batch(N), verbose=0, return_dict=True)
    assert result["kl"] == pytest.approx(expected["kl"][0], rel=1e-5)
    np.testing.assert_allclose(model.predict(dataset.batch(N), verbose=0), model(X), rtol=1e-5)


def test_a_dataset_of_bytes_is_refused_in_a_sentence():
    model, dataset = compiled(course(None)), tf.data.Dataset.from_tensor_slices(np.uint8(X))
    for use in (model.fit, model.predict, model.evaluate):
        with pytest.raises(ValueError, match="^The images come as uint8, but .*dataset.map"):
            use(dataset.batch(N), verbose=0)


def test_a_dataset_of_another_range_is_refused_in_a_sentence():
    model, dataset = compiled(course(None)), tf.data.Dataset.from_tensor_slices(255 * X)
    for use in (model.fit, model.predict, model.evaluate):
        with pytest.raises(ValueError, match=r"^The model draws .* scale them with X / 25"):
            use(dataset.batch(N), verbose=0)
    with pytest.raises(ValueError, match="^The model draws numbers from 0 to 1"):
        model.fit(batches(255 * X, N), steps_per_epoch=1, verbose=0)
    with pytest.raises(ValueError, match="but the validation images go from"):
        model.fit(X, validation_data=dataset.batch(N), verbose=0)


def streams(images, answers=None):
    """Images in batches, other than as a Dataset."""
    pair = images, images if answers is None else answers

    class Sequence(keras.utils.PyDataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return pair

    yield "generator", (pair for _ in range(2))
    yield "iterator", iter([pair, pair])
    yield "PyDataset", Sequence()


def test_images_of_another_range_are_refused_however_they_come():
    model = compiled(course(None))
    for _, stream in streams(255 * X):
        with pytest.raises(ValueError, match=r"^The model draws .* scale them with X / 25"):
            model.fit(stream, verbose=0)
    for name, stream in streams(X):
        history = model.fit(stream, verbose=0, steps_per_epoch=1, epochs=2 - (name == "PyDataset"))
        expected = model.evaluate(X, verbose=0, return_dict=True)["sse"]
        assert history.history["sse"] == pytest.approx([expected] * len(history.epoch), rel=1e-5)


def test_what_a_dataset_brings_wrongly_is_named_with_its_cure():
    model, labels = compiled(course(None)), np.arange(N)
    dataset = tf.data.Dataset.from_tensor_slices
    for given, cure in (
        (dataset((X, labels)).batch(N), r"with labels, .* dataset.map\(lambda x, y: x\)\.$"),
        (dataset((X, np.float32(labels))).batch(N), "^The images come with labels, but"),
        (dataset(X), r"one by one: use dataset.batch\(128\)\.$"),
        (dataset((X, X)), "^The Dataset brings images one by one"),
    ):
        with pytest.raises(ValueError, match=cure):
            model.fit(given, verbose=0)
    with pytest.raises(ValueError, match="Dataset: hand the Dataset to model.fit"):
        train(model, dataset(X).batch(N), progress=False)


def test_an_own_loss_in_add_loss_takes_images_alone():
    class Own(Autoencoder):
        def call(self, images):
            reconstructions = super().call(images)
            self.add_loss(keras.ops.mean(sse(images, reconstructions)))
            return reconstructions

    model = build_autoencoder(UNITS, sparsity=KLSparsity(RHO, BETA), pixels=PIXELS, kind=Own)
    model.compile("sgd", run_eagerly=True)
    history = model.fit(X, verbose=0).history
    assert history["loss"][0] > history["kl"][0] > 0


def test_a_model_that_draws_another_shape_is_refused():
    for other in (keras.Sequential([keras.Input((PIXELS,)), Dense(1)]),
                  Autoencoder(Dense(UNITS), Dense(3))):  # fmt: skip
        with pytest.raises(ValueError, match="last layer must draw as many numbers"):
            train(other, X, epochs=1, steps_per_epoch=1, progress=False)


# ---------------------------------------------------------------------- convolutions


def convolutional(sparsity=None, l2=None):
    keras.utils.set_random_seed(1)
    encoder = keras.layers.Conv2D(3, 3, activation="sigmoid", padding="same", name="encoder")
    decoder = keras.layers.Conv2D(1, 3, activation="sigmoid", padding="same", name="decoder")
    return Autoencoder(encoder, decoder, sparsity, l2)


def test_sse_and_penalties_of_a_convolutional_model_are_per_image():
    model = compiled(convolutional(L1Sparsity(0.3), L2Penalty(0.1)))
    code, drawn = model.encode(PICTURES).numpy(), model(PICTURES).numpy()
    kernels = model.encoder.kernel.numpy(), model.decoder.kernel.numpy()
    expected = {
        "sse": np.square(PICTURES - drawn).sum() / N,
        "l1": 0.3 * np.abs(code).sum() / N,
        "l2": 0.05 * sum(np.square(kernel).sum() for kernel in kernels),
    }
    history = model.fit(PICTURES, verbose=0).history
    assert {name: history[name][0] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert history["loss"][0] == pytest.approx(sum(expected.values()), rel=1e-5)


def test_a_convolutional_model_takes_what_is_plainly_a_picture():
    model = convolutional(KLSparsity(RHO, BETA))
    for pictures in (PICTURES.astype("float64"), PICTURES[..., 0], PICTURES.tolist()):
        np.testing.assert_allclose(model(pictures), model(PICTURES), rtol=1e-5)
    with pytest.raises(ValueError, match=r"shape \(any, any, 1\), but these have \(16,\): .*resh"):
        model.encode(X)
    assert measures.mean_sse(PICTURES, model(PICTURES)) > 0
    history = train(model, PICTURES, epochs=1, steps_per_epoch=1, batch_size=8, progress=False)
    assert np.isfinite(history.history["kl"]).all()


def test_an_encoder_of_several_layers():
    encoder = keras.Sequential(
        [keras.Input((PIXELS,)), Dense(8, "relu"), Dense(UNITS, "sigmoid")], name="encoder"
    )
    model = compiled(Autoencoder(encoder, Dense(PIXELS), KLSparsity(RHO, BETA), L2Penalty(0.1)))
    history = model.fit(X, verbose=0).history
    kernels = [weight for weight in model.get_weights() if weight.ndim == 2]
    assert len(kernels) == 3
    squares = 0.05 * sum(np.square(kernel).sum() for kernel in kernels)
    assert history["l2"][0] == pytest.approx(squares, rel=1e-5)
    assert measures.active_above(model) == (0.5, 0.1)


# ---------------------------------------------------------------------- figures of a code


@pytest.mark.parametrize("activation", ["tanh", "softmax", "hard_sigmoid", "gelu", "leaky_relu"])
def test_any_activation_is_measured_and_played_with(activation):
    model = build_autoencoder(UNITS, activation, pixels=PIXELS)
    row, figures = measures.score(data_of(X), model), LiveTraining(model, data_of(X)).measure()
    threshold = 0.5 if activation in ("softmax", "hard_sigmoid") else 0
    active = (np.abs(model.encode(X)) > threshold).sum() / N
    assert row["active_units"] == pytest.approx(active)
    assert 0 <= figures["active_units"] <= UNITS


def test_units_are_counted_behind_an_activation_of_its_own():
    layers = {"own": [Dense(UNITS, name="encoder"), keras.layers.Activation("sigmoid")],
              "within": [Dense(UNITS, "sigmoid", name="encoder")]}  # fmt: skip
    models = {}
    for name, code in layers.items():
        model = models[name] = keras.Sequential([keras.Input((PIXELS,)), *code, Dense(PIXELS)])
        model.set_weights([*map(np.ones_like, model.get_weights())] if name == "own"
                          else models["own"].get_weights())  # fmt: skip
        assert measures.active_above(model) == (0.5, 0.1)
    codes = [LiveTraining(model, data_of(X)).code for model in models.values()]
    assert all(((code >= 0) & (code <= 1)).all() for code in codes)
    rows = [measures.score(data_of(X), model) for model in models.values()]
    assert rows[0] == pytest.approx(rows[1], rel=1e-5) and rows[0]["dead_units"] == 0


def test_a_model_without_an_encoder_says_which_layers_it_has():
    model = keras.Sequential([keras.Input((PIXELS,)), Dense(PIXELS, name="lone")])
    for measure in (measures.active_above, lambda m: measures.score(data_of(X), m)):
        with pytest.raises(ValueError, match="\"encoder\" makes, but .* 'lone': rename one[.]$"):
            measure(model)


@pytest.mark.parametrize("layer", [TopK(2), JumpReLU(0.1)])
def test_a_code_that_makes_zeros_is_measured_in_a_sequential(layer):
    parts = [keras.Input((PIXELS,)), Dense(UNITS, name="encoder"), layer, Dense(PIXELS)]
    model = keras.Sequential(parts)
    figures = LiveTraining(model, data_of(X)).measure()
    assert figures["active_units"] <= (2 if isinstance(layer, TopK) else UNITS)


# ---------------------------------------------------------------------- files and settings


def test_a_model_is_saved_as_keras_and_not_as_h5(tmp_path):
    model = course(KLSparsity(RHO, BETA))
    for name in ("model.h5", "model.hdf5"):
        with pytest.raises(ValueError, match="save it with the ending .keras.$"):
            model.save(tmp_path / name)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(X), model(X))
    model.save_weights(tmp_path / "model.weights.h5")


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_a_half_precision_policy_is_refused_before_the_first_step(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = course(KLSparsity(RHO, BETA))
    finally:
        keras.config.set_dtype_policy("float32")
    for use in (compiled(model).fit, model.encode, lambda x: train(model, x),
                lambda x: LiveTraining(model, data_of(x))):  # fmt: skip
        with pytest.raises(ValueError, match="^Keras is set to .*16, but .*set_dtype_policy"):
            use(X)


@pytest.mark.parametrize("floatx", ["float64", "float16"])
def test_another_floatx_is_refused_before_the_first_step(floatx):
    keras.config.set_floatx(floatx)
    try:
        model = course(KLSparsity(RHO, BETA))
        with pytest.raises(ValueError, match=f"^Keras is set to {floatx}, but .*set_floatx"):
            train(model, X)
    finally:
        keras.config.set_floatx("float32")


def test_the_course_runs_on_tensorflow_whatever_the_shell_says():
    environment = os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT)}
    code = "from sparse_autoencoder import keras; print(keras.config.backend())"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert run.stdout == "tensorflow\n"
