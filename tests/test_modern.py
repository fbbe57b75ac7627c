"""TopK, JumpReLU, Gated and reviving against NumPy, and the gradients that are not the slope."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import differences

from sparse_autoencoder import Autoencoder, L1Sparsity, build_autoencoder, sse, train
from sparse_autoencoder.modern import (
    Anneal,
    BatchTopK,
    GatedAutoencoder,
    JumpReLU,
    MatryoshkaAutoencoder,
    RevivingAutoencoder,
    TiedDecoder,
    TopK,
    jump,
    kth_largest_of,
    start_tied,
)

RNG = np.random.default_rng(0)
CODE = RNG.normal(size=(64, 30)).astype("float32")
IMAGES = RNG.random(size=(40, 12)).astype("float32")
TOLERANCE = {"float32": 1e-4, "float64": 1e-7}
in_both_precisions = pytest.mark.parametrize("dtype", TOLERANCE)


def assert_close(result, expected, dtype, atol=1e-6):
    np.testing.assert_allclose(result, expected, rtol=TOLERANCE[dtype], atol=atol)


def topk_by_numpy(code, k):
    kept = np.zeros_like(code)
    for before, after in zip(code, kept, strict=True):
        largest = np.argsort(-before)[:k]
        after[largest] = np.maximum(before[largest], 0)
    return kept


def topk_model():
    return build_autoencoder(20, "linear", "linear", TopK(4), pixels=12, unit_norm=True)


# ---------------------------------------------------------------------- TopK


@pytest.mark.parametrize("k", [1, 2, 5, 29, 30])
def test_the_kth_largest_is_that_of_numpy(k):
    expected = np.sort(CODE, axis=1)[:, [-k]]
    np.testing.assert_array_equal(kth_largest_of(CODE, k), expected)
    np.testing.assert_array_equal(kth_largest_of(1e4 * CODE, k), np.float32(1e4) * expected)


def test_topk_keeps_the_k_largest_if_positive_and_k_changes_without_a_new_trace():
    layer = TopK(5)
    compiled = tf.function(layer.__call__, jit_compile=True)
    for k in (5, 2, 12):
        layer.k.assign(k)
        for keep in (layer, compiled):
            np.testing.assert_array_equal(keep(tf.constant(CODE)), topk_by_numpy(CODE, k))
            assert not np.any(keep(tf.constant(-np.abs(CODE))))
    assert compiled.experimental_get_tracing_count() == 1


@in_both_precisions
def test_topk_has_the_slope_of_what_it_keeps(dtype):
    weights, code = RNG.normal(size=(4, 9)), RNG.normal(size=(4, 9))
    layer, variable = TopK(3, dtype=dtype), tf.Variable(code.astype(dtype))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(variable) * weights.astype(dtype))
    expected = differences(lambda: np.sum(topk_by_numpy(code, 3) * weights), code, 1e-6)
    assert_close(tape.gradient(total, variable), expected, dtype)


# ---------------------------------------------------------------------- BatchTopK


def batch_topk_by_numpy(code, k):
    smallest = max(np.sort(code, axis=None)[-k * len(code)], 0)
    return np.where(code >= smallest, np.maximum(code, 0), 0), smallest


def test_images_of_a_batch_compete_while_a_model_trains():
    layer = BatchTopK(5)
    compiled = tf.function(layer.__call__, jit_compile=True)
    for k in (5, 2, 12, 30):
        layer.k.assign(k)
        expected, _ = batch_topk_by_numpy(CODE, k)
        assert k == 30 or np.count_nonzero(expected) == 64 * k
        for keep in (layer, compiled):
            np.testing.assert_array_equal(keep(tf.constant(CODE), training=True), expected)
            assert not np.any(keep(tf.constant(-np.abs(CODE)), training=True))
    assert compiled.experimental_get_tracing_count() == 1


def test_afterwards_a_fixed_threshold_stands_for_the_competition():
    layer, batches = BatchTopK(5), RNG.normal(size=(600, 64, 30)).astype("float32")
    threshold, compete = 0, tf.function(layer.__call__)
    for code in batches:
        compete(tf.constant(code), training=True)
        threshold = 0.99 * threshold + 0.01 * batch_topk_by_numpy(code, 5)[1]
    assert float(layer.threshold) == pytest.approx(threshold, rel=1e-4)
    kept = np.asarray(layer(CODE))
    np.testing.assert_array_equal(kept, np.where(CODE >= layer.threshold, CODE, 0))
    np.testing.assert_array_equal(layer(CODE[:1]), kept[:1])  # no company needed
    assert np.mean(np.asarray(layer(batches.reshape(-1, 30))) > 0) * 30 == pytest.approx(5, abs=0.1)


@pytest.mark.parametrize("kind", [Autoencoder, MatryoshkaAutoencoder])
def test_a_model_tells_it_when_it_trains(kind):
    model = build_autoencoder(20, "linear", "linear", BatchTopK(4), pixels=12, kind=kind)
    start_tied(model, IMAGES)
    model(IMAGES)
    assert float(model.sparsity.threshold) == 0
    train(model, IMAGES, epochs=1, steps_per_epoch=3, batch_size=8, progress=False)
    learnt = float(model.sparsity.threshold)
    assert learnt > 0
    model.predict(IMAGES, verbose=0)
    model.evaluate(IMAGES, verbose=0)
    assert float(model.sparsity.threshold) == learnt


@in_both_precisions
def test_batch_topk_has_the_slope_of_what_it_keeps(dtype):
    weights, code = RNG.normal(size=(4, 9)), RNG.normal(size=(4, 9))
    layer, variable = BatchTopK(3, dtype=dtype), tf.Variable(code.astype(dtype))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(variable, training=True) * weights.astype(dtype))
    expected = differences(lambda: np.sum(batch_topk_by_numpy(code, 3)[0] * weights), code, 1e-6)
    assert_close(tape.gradient(total, variable), expected, dtype)


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
    by_theta = -(window * 0.3 * code).sum(axis=0)
    assert_close(tape.gradient(kept_sum, theta), by_theta, dtype, atol=10 * TOLERANCE[dtype])
    assert_close(tape.gradient(count, theta), -window.sum(axis=0), dtype)
    # By z it is the slope, wherever z is not at the threshold.
    by_z = differences(lambda: np.sum(np.where(code > 0.3, code * code, 0)), code, 1e-6)
    assert_close(tape.gradient(kept_sum, z), by_z, dtype)


def test_a_higher_l0_strength_leaves_fewer_active_units():
    active = []
    for lam in (0.0, 1.0):
        layer = JumpReLU(lam, theta=0.3, width=0.5)
        for _ in range(20):
            with tf.GradientTape() as tape:
                kept = layer(CODE)
                loss = tf.reduce_mean(sse(CODE, kept)) + layer.losses[0]
            layer.offset.assign_sub(0.1 * tape.gradient(loss, layer.offset.value))
        active.append(np.sum(kept.numpy() > 0))
    assert active[1] < 0.7 * active[0]


def test_a_threshold_of_0_rises_again_at_a_price():
    layer, code = JumpReLU(lam=1.0, theta=0.0), np.full((4, 3), 0.01, "float32")
    layer(code)
    for offset in (0.0, -0.5):
        layer.offset.assign(np.full(3, offset))
        with tf.GradientTape() as tape:
            layer(code)
            loss = layer.losses[0]
        assert np.all(tape.gradient(loss, layer.offset.value) < 0)


# ---------------------------------------------------------------------- Gated


def dense(units=20, pixels=12, dtype="float32"):
    """An encoder and a decoder, always with the same weights."""
    keras.utils.set_random_seed(1)
    sizes = ((units, "encoder"), (pixels, "decoder"))
    return [keras.layers.Dense(n, name=name, dtype=dtype) for n, name in sizes]


def weights_of(model):
    return [w.numpy() for w in (*model.encoder.weights, *model.decoder.weights)]


@in_both_precisions
def test_gated_losses_are_those_of_numpy_and_the_gates_own_does_not_train_the_decoder(dtype):
    model = GatedAutoencoder(*dense(dtype=dtype), L1Sparsity(0.3, dtype=dtype), dtype=dtype)
    model.build((None, 12))
    for weights in (model.shift, model.log_scale, model.decoder.bias):
        weights.assign(RNG.normal(size=weights.shape) / 3)
    x = IMAGES.astype(dtype)
    with tf.GradientTape() as tape:
        reconstructions = model(x)
        gate_error = model.gate_error.losses[0]
    W1, b1, W2, b2 = weights_of(model)
    z, scale = x @ W1 + b1, np.exp(model.log_scale.numpy())
    code = np.where(z > 0, np.maximum(scale * z + model.shift.numpy(), 0), 0)
    assert_close(model.encode(x), code, dtype)
    assert_close(reconstructions, code @ W2 + b2, dtype)
    gate = np.maximum(z, 0)
    terms = {penalty.term.name: sum(penalty.losses) for penalty in model.penalties}
    assert terms.keys() == {"l1", "gate"}
    assert_close(terms["l1"], 0.3 * gate.sum(axis=1).mean(), dtype)
    assert_close(terms["gate"], np.square(x - gate @ W2 - b2).sum(axis=1).mean(), dtype)
    variables = [model.encoder.kernel, *model.decoder.weights]
    by_encoder, *by_decoder = tape.gradient(gate_error, variables)
    assert by_decoder == [None, None] and np.any(by_encoder)


# ---------------------------------------------------------------------- reviving


def test_the_dead_alone_learn_what_was_left_over():
    model = RevivingAutoencoder(*dense(), TopK(3), revived=4, weight=0.5, patience=2)
    model.build((None, 12))
    model.encoder.bias.assign([-100.0] * 8 + [0.0] * 12)  # the first eight are never active
    model(IMAGES, training=True)
    assert float(model.auxiliary.losses[0]) == 0, "no unit is dead yet"
    model(IMAGES, training=True)
    W1, b1, W2, _ = weights_of(model)
    active = topk_by_numpy(IMAGES @ W1 + b1, 3).any(axis=0)
    np.testing.assert_array_equal(model.silent.numpy(), np.where(active, 0, 2))
    model.encoder.bias.assign([0.0] * 20)  # the dead would be active again
    with tf.GradientTape() as tape:
        reconstructions = model(IMAGES)
        auxiliary = model.auxiliary.losses[0]
    of_the_dead = topk_by_numpy(np.where(active, 0, IMAGES @ W1), 4)
    left_over = IMAGES - reconstructions.numpy() - of_the_dead @ W2
    assert_close(auxiliary, 0.5 * np.square(left_over).sum(axis=1).mean(), "float32")
    learns = np.any(tape.gradient(auxiliary, model.encoder.kernel), axis=0)
    np.testing.assert_array_equal(learns, of_the_dead.any(axis=0))


# ---------------------------------------------------------------------- tied starts, annealing


def test_the_first_units_of_a_matryoshka_draw_alone_as_well():
    model = build_autoencoder(8, "linear", "linear", TopK(3), pixels=6, kind=MatryoshkaAutoencoder)
    images = RNG.uniform(size=(5, 6)).astype("float32")
    reconstructions, code = model(images).numpy(), model.encode(images).numpy()
    W2, b2 = model.decoder.get_weights()
    parts = [code[:, :first] @ W2[:first] + b2 for first in (1, 2, 4)]
    error = sum(np.square(images - part).sum(axis=1).mean() for part in parts)
    np.testing.assert_allclose(sum(model.losses), error, rtol=1e-5)
    np.testing.assert_allclose(reconstructions, code @ W2 + b2, rtol=1e-5, atol=1e-6)


def test_a_tied_start_begins_at_the_mean_image():
    model = topk_model()
    start_tied(model, IMAGES)
    W1, _, W2, b2 = weights_of(model)
    np.testing.assert_array_equal(W1, W2.T)
    np.testing.assert_allclose(np.linalg.norm(W2, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(b2, IMAGES.mean(axis=0), atol=1e-6)
    centred = IMAGES - IMAGES.mean(axis=0)
    np.testing.assert_allclose(model.encode(IMAGES), topk_by_numpy(centred @ W2.T, 4), atol=1e-4)


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
    assert_close(loss, error(), dtype)
    expected = differences(error, W1, 1e-6)
    distance = np.linalg.norm(tape.gradient(loss, encoder.kernel.value) - expected)
    assert distance / np.linalg.norm(expected) < TOLERANCE[dtype]


def test_k_is_annealed_epoch_by_epoch_in_the_model_that_trains():
    model, seen = topk_model(), []
    anneal = Anneal(model.sparsity, start=10, epochs=3)
    look = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(float(model.sparsity.k))
    )
    model.compile(loss=sse, run_eagerly=True)
    model.fit(IMAGES, IMAGES, 40, epochs=5, callbacks=[anneal, look], verbose=0)
    assert seen == [10, 7, 4, 4, 4]
    with pytest.raises(ValueError, match="not part of the model: give it the one"):
        model.fit(IMAGES, IMAGES, callbacks=[Anneal(TopK(4), 10, 2)])
