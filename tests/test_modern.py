"""TopK, JumpReLU, Gated and reviving against NumPy, and the gradients that are not the slope."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import differences

from sparse_autoencoder import L1Sparsity, build_autoencoder, sse, train
from sparse_autoencoder.modern import (
    Anneal,
    GatedAutoencoder,
    JumpReLU,
    RevivingAutoencoder,
    TiedDecoder,
    TopK,
    jump,
    kth_largest_of,
    start_tied,
)

RNG = np.random.default_rng(0)
CODE = RNG.normal(size=(64, 30)).astype("float32")
IMAGES = RNG.normal(size=(40, 12)).astype("float32")
TOLERANCE = {"float32": 1e-4, "float64": 1e-7}
in_both_precisions = pytest.mark.parametrize("dtype", TOLERANCE)
QUICK = {"epochs": 1, "steps_per_epoch": 3, "batch_size": 8, "progress": False}


def topk_by_numpy(code, k):
    kept = np.zeros_like(code)
    for before, after in zip(code, kept, strict=True):
        largest = np.argsort(-before)[:k]
        after[largest] = np.maximum(before[largest], 0)
    return kept


# ---------------------------------------------------------------------- TopK


@pytest.mark.parametrize("k", [1, 2, 5, 29, 30])
def test_the_kth_largest_is_that_of_numpy(k):
    expected = np.sort(CODE, axis=1)[:, [-k]]
    np.testing.assert_array_equal(kth_largest_of(CODE, k), expected)
    np.testing.assert_array_equal(kth_largest_of(1e4 * CODE, k), np.float32(1e4) * expected)


def test_k_changes_without_a_new_trace_also_where_it_is_compiled():
    layer = TopK(5)
    layer(CODE)
    kept = tf.function(layer.__call__, jit_compile=True)
    for k in (5, 2, 12):
        layer.k.assign(k)
        np.testing.assert_array_equal(kept(tf.constant(CODE)), topk_by_numpy(CODE, k))
    assert kept.experimental_get_tracing_count() == 1


def test_topk_keeps_the_k_largest_if_positive():
    np.testing.assert_array_equal(TopK(5)(CODE), topk_by_numpy(CODE, 5))
    assert not np.any(np.asarray(TopK(3)(-np.abs(CODE))))


@in_both_precisions
def test_topk_has_the_slope_of_what_it_keeps(dtype):
    weights, code = RNG.normal(size=(4, 9)), RNG.normal(size=(4, 9))
    layer, variable = TopK(3, dtype=dtype), tf.Variable(code.astype(dtype))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(variable) * weights.astype(dtype))
    expected = differences(lambda: np.sum(topk_by_numpy(code, 3) * weights), code, 1e-6)
    gradient = tape.gradient(total, variable)
    np.testing.assert_allclose(gradient, expected, rtol=TOLERANCE[dtype], atol=1e-7)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: TopK(0), "k is 0, but it must be finite and 1 or more"),
        (lambda: JumpReLU(-1), "lam is -1, but it must be finite and 0 or more"),
        (lambda: JumpReLU(1, theta=-0.1), "theta is -0.1, but it must be"),
        (lambda: JumpReLU(1, width=0), "window is 0, but it must be"),
    ],
)
def test_values_out_of_range_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ---------------------------------------------------------------------- JumpReLU


def test_jumprelu_counts_what_it_keeps():
    layer = JumpReLU(lam=0.5, theta=0.3)
    kept = np.asarray(layer(CODE))
    np.testing.assert_array_equal(kept, np.where(CODE > 0.3, CODE, 0))
    l0 = (CODE > 0.3).sum(axis=1).mean()
    assert float(layer.losses[0]) == pytest.approx(0.5 * l0, rel=1e-5)
    layer.offset.assign(np.full(30, 0.2))
    layer.theta.assign(0.6)
    np.testing.assert_array_equal(layer(CODE), np.where(CODE > np.float32(0.8), CODE, 0))


@in_both_precisions
def test_the_threshold_learns_from_a_window_around_it(dtype):
    """Of a straight-through estimator there is no true slope: compare with the paper's formula."""
    code, width = RNG.normal(size=(64, 30)), 0.2
    z, theta = tf.constant(code.astype(dtype)), tf.Variable(np.full(30, 0.3, dtype))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(z)
        kept, active = jump(z, theta, width)
        kept_sum, count = tf.reduce_sum(kept * z), tf.reduce_sum(active)
    window = (np.abs(code - 0.3) < width / 2) / width
    close = {"rtol": TOLERANCE[dtype], "atol": 10 * TOLERANCE[dtype]}
    expected = -(window * 0.3 * code).sum(axis=0)
    np.testing.assert_allclose(tape.gradient(kept_sum, theta), expected, **close)
    np.testing.assert_allclose(tape.gradient(count, theta), -window.sum(axis=0), **close)
    # By z it is the slope, wherever z is not at the threshold.
    expected = differences(lambda: np.sum(np.where(code > 0.3, code * code, 0)), code, 1e-6)
    gradient = tape.gradient(kept_sum, z)
    np.testing.assert_allclose(gradient, expected, rtol=TOLERANCE[dtype], atol=1e-6)


def test_a_higher_l0_strength_leaves_fewer_active_units():
    active = []
    for lam in (0.0, 1.0):
        keras.utils.set_random_seed(0)
        model = build_autoencoder(20, "linear", "linear", JumpReLU(lam, width=0.5), pixels=12)
        train(model, IMAGES, epochs=1, steps_per_epoch=64, learning_rate=0.01, progress=False)
        active.append(np.sum(model.encode(IMAGES).numpy() > 0))
    assert active[1] < 0.7 * active[0]


# ---------------------------------------------------------------------- Gated


def dense(units=20, pixels=12, dtype="float32"):
    """An encoder and a decoder, always with the same weights."""
    keras.utils.set_random_seed(1)
    sizes = ((units, "encoder"), (pixels, "decoder"))
    return [keras.layers.Dense(n, name=name, dtype=dtype) for n, name in sizes]


def gated(dtype="float32"):
    model = GatedAutoencoder(*dense(dtype=dtype), L1Sparsity(0.3, dtype=dtype), dtype=dtype)
    model.build((None, 12))
    model.shift.assign(np.random.default_rng(2).normal(size=20))
    model.log_scale.assign(np.random.default_rng(3).normal(size=20) / 3)
    return model


def weights_of(model):
    return [w.numpy() for w in (*model.encoder.weights, *model.decoder.weights)]


@in_both_precisions
def test_gated_losses_are_those_of_numpy(dtype):
    model, x = gated(dtype), IMAGES.astype(dtype)
    model.decoder.bias.assign(RNG.normal(size=12))
    reconstructions = model(x).numpy()
    W1, b1, W2, b2 = weights_of(model)
    z, scale = x @ W1 + b1, np.exp(model.log_scale.numpy())
    code = np.where(z > 0, np.maximum(scale * z + model.shift.numpy(), 0), 0)
    close = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
    np.testing.assert_allclose(model.encode(x), code, **close)
    np.testing.assert_allclose(reconstructions, code @ W2 + b2, **close)
    gate = np.maximum(z, 0)
    terms = {penalty.term.name: sum(penalty.losses) for penalty in model.penalties}
    assert terms.keys() == {"l1", "aux"}
    np.testing.assert_allclose(terms["l1"], 0.3 * gate.sum(axis=1).mean(), rtol=TOLERANCE[dtype])
    expected = np.square(x - gate @ W2 - b2).sum(axis=1).mean()
    np.testing.assert_allclose(terms["aux"], expected, rtol=TOLERANCE[dtype])


def test_the_gates_own_reconstruction_does_not_train_the_decoder():
    model = gated()
    with tf.GradientTape() as tape:
        model(IMAGES)
        auxiliary = model.auxiliary.losses[0]
    by_encoder, *by_decoder = tape.gradient(
        auxiliary, [model.encoder.kernel, *model.decoder.weights]
    )
    assert not any(np.any(gradient) for gradient in by_decoder if gradient is not None)
    assert np.any(by_encoder)


# ---------------------------------------------------------------------- reviving


def reviving():
    model = RevivingAutoencoder(*dense(), TopK(3), revived=4, weight=0.5, patience=2)
    model.build((None, 12))
    model.encoder.bias.assign([-100.0] * 8 + [0.0] * 12)  # the first eight are never active
    return model


def test_dead_units_learn_what_was_left_over():
    model = reviving()
    model(IMAGES, training=True)
    assert float(model.auxiliary.losses[0]) == 0, "no unit is dead yet"
    model(IMAGES, training=True)
    W1, b1, W2, _ = weights_of(model)
    active = topk_by_numpy(IMAGES @ W1 + b1, 3).any(axis=0)
    np.testing.assert_array_equal(model.silent.numpy(), np.where(active, 0, 2))
    model.encoder.bias.assign([0.0] * 20)  # the dead would be active again
    reconstructions = model(IMAGES).numpy()
    of_the_dead = topk_by_numpy(np.where(active, 0, IMAGES @ W1), 4)
    expected = 0.5 * np.square(IMAGES - reconstructions - of_the_dead @ W2).sum(axis=1).mean()
    assert float(model.auxiliary.losses[0]) == pytest.approx(expected, rel=1e-4)


def test_only_the_dead_are_trained_by_their_loss():
    model = reviving()
    for _ in range(2):
        model(IMAGES, training=True)
    dead = model.silent.numpy() >= 2
    model.encoder.bias.assign([0.0] * 20)
    with tf.GradientTape() as tape:
        model(IMAGES)
        auxiliary = model.auxiliary.losses[0]
    by_encoder = tape.gradient(auxiliary, model.encoder.kernel).numpy()
    assert np.all(by_encoder[:, dead].any(axis=0)) and not np.any(by_encoder[:, ~dead])


# ---------------------------------------------------------------------- tied starts, annealing


def test_a_tied_start_begins_at_the_mean_image():
    model = build_autoencoder(20, "linear", "linear", sparsity=TopK(5), pixels=12, unit_norm=True)
    start_tied(model, IMAGES)
    W1, _, W2, b2 = weights_of(model)
    np.testing.assert_array_equal(W1, W2.T)
    np.testing.assert_allclose(np.linalg.norm(W2, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(b2, IMAGES.mean(axis=0), atol=1e-6)
    centred = IMAGES - IMAGES.mean(axis=0)
    np.testing.assert_allclose(model.encode(IMAGES), topk_by_numpy(centred @ W2.T, 5), atol=1e-4)


@in_both_precisions
def test_a_tied_decoder_teaches_the_encoder_by_both_its_uses(dtype):
    encoder = keras.layers.Dense(5, dtype=dtype)
    encoder.build((None, 12))
    decoder = TiedDecoder(encoder)
    assert len(decoder.trainable_weights) == 1, "its bias alone"
    images, W1 = IMAGES.astype(dtype), encoder.kernel.numpy().astype("float64")

    def error():
        return np.sum((images - images @ W1 @ W1.T) ** 2, axis=1).mean()

    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(sse(images, decoder(encoder(images))))
    assert float(loss) == pytest.approx(error(), rel=TOLERANCE[dtype])
    expected = differences(error, W1, 1e-6)
    distance = np.linalg.norm(tape.gradient(loss, encoder.kernel.value) - expected)
    assert distance / np.linalg.norm(expected) < TOLERANCE[dtype]


def test_k_is_annealed_epoch_by_epoch():
    model, seen = build_autoencoder(20, "linear", "linear", sparsity=TopK(4), pixels=12), []
    look = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(float(model.sparsity.k))
    )
    anneal = Anneal(model.sparsity, start=10, epochs=3)
    train(model, IMAGES, **QUICK | {"epochs": 5}, callbacks=[anneal, look])
    assert seen == [10, 7, 4, 4, 4]


def test_annealing_a_layer_of_no_model_is_refused():
    model = build_autoencoder(20, "linear", "linear", sparsity=TopK(4), pixels=12)
    with pytest.raises(ValueError, match="not part of the model: give it the one"):
        train(model, IMAGES, **QUICK, callbacks=[Anneal(TopK(4), 10, 2)])


# ---------------------------------------------------------------------- all of them

CHOSEN = {"width", "revived", "weight", "patience"}  # numbers that are no variables
MODELS = {
    "TopK": lambda: build_autoencoder(20, "linear", "linear", sparsity=TopK(5), pixels=12),
    "JumpReLU": lambda: build_autoencoder(
        20, "linear", "linear", JumpReLU(0.1, width=0.3), pixels=12
    ),
    "unit norm": lambda: build_autoencoder(20, sparsity=TopK(5), pixels=12, unit_norm=True),
    "Gated": gated,
    "reviving": reviving,
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_terms_add_up_in_the_history_and_a_loaded_model_goes_on_as_the_saved_one(make, tmp_path):
    model = make()
    model.compile(keras.optimizers.Adam(), loss=sse, metrics=[sse], run_eagerly=True)
    data = {"validation_data": (IMAGES, IMAGES), "batch_size": 16, "verbose": 0}
    history = model.fit(IMAGES, IMAGES, **data).history
    terms = ["sse", *(penalty.term.name for penalty in model.penalties)]
    for prefix in ("", "val_"):
        total = np.sum([history[prefix + term] for term in terms], axis=0)
        np.testing.assert_allclose(history[prefix + "loss"], total, rtol=1e-4)

    for variable in model.sparsity.hyperparameters.values():
        variable.assign(3.0)  # a slider was moved
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(IMAGES).numpy(), model(IMAGES).numpy())
    values = [float(v) for v in loaded.sparsity.hyperparameters.values()]
    assert values == [3.0] * len(values)
    np.testing.assert_array_equal(loaded(IMAGES, training=True), model(IMAGES, training=True))
    for ours, theirs in ((model, loaded), (model.sparsity, loaded.sparsity)):
        for name in CHOSEN & set(dir(ours)):
            assert getattr(theirs, name) == getattr(ours, name)
