"""TopK, JumpReLU, Gated and reviving against NumPy, and the gradients that are not the slope."""

import numpy as np
import pytest

import helpers
from modern_sparsity import (
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
from sparse_autoencoder import L1Sparsity, build_autoencoder, keras, sse, tf, train

RNG = np.random.default_rng(0)
CODE = RNG.normal(size=(64, 30)).astype("float32")
IMAGES = RNG.normal(size=(40, 12)).astype("float32")
TOLERANCE = {"float32": 1e-4, "float64": 1e-7}
in_both_precisions = pytest.mark.parametrize("dtype", TOLERANCE)


def slopes(function, at, eps=1e-6):
    """Central finite differences in float64."""
    found = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        step = np.zeros_like(at)
        step[index] = eps
        found[index] = (function(at + step) - function(at - step)) / (2 * eps)
    return found


@pytest.mark.parametrize("k", [1, 2, 5, 29, 30])
def test_the_kth_largest_is_that_of_numpy(k):
    expected = np.sort(CODE, axis=1)[:, [-k]]
    np.testing.assert_array_equal(kth_largest_of(CODE, k), expected)
    np.testing.assert_array_equal(kth_largest_of(1e4 * CODE, k), np.float32(1e4) * expected)
    compiled = tf.function(kth_largest_of, jit_compile=True)
    np.testing.assert_array_equal(compiled(CODE, tf.constant(float(k))), expected)


def topk_by_numpy(code, k):
    kept = np.zeros_like(code)
    for before, after in zip(code, kept, strict=True):
        largest = np.argsort(-before)[:k]
        after[largest] = np.maximum(before[largest], 0)
    return kept


def test_topk_keeps_the_k_largest_if_positive():
    np.testing.assert_array_equal(TopK(5)(CODE), topk_by_numpy(CODE, 5))
    assert not np.any(np.asarray(TopK(3)(-np.abs(CODE))))


@in_both_precisions
def test_topk_has_the_slope_of_what_it_keeps(dtype):
    weights, code = RNG.normal(size=(4, 9)), RNG.normal(size=(4, 9))
    layer, variable = TopK(3, dtype=dtype), tf.Variable(code.astype(dtype))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(variable) * weights.astype(dtype))
    expected = slopes(lambda z: np.sum(topk_by_numpy(z, 3) * weights), code)
    found = tape.gradient(total, variable)
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE[dtype], atol=1e-7)


def test_k_changes_without_a_new_trace():
    layer = TopK(5)
    layer(CODE)
    kept = tf.function(layer.__call__, jit_compile=True)
    for k in (5, 2, 12):
        layer.k.assign(k)
        assert int(np.max(np.sum(kept(tf.constant(CODE)).numpy() > 0, axis=1))) == k
    assert kept.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: TopK(0), "k is 0, but it must be"),
        (lambda: JumpReLU(-1), "lam is -1, but it must be finite and 0 or more"),
        (lambda: JumpReLU(1, theta=-0.1), "theta is -0.1, but it must be"),
        (lambda: JumpReLU(1, width=0), "window is 0, but it must be"),
    ],
)
def test_settings_out_of_range_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


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
    expected = slopes(lambda z: np.sum(np.where(z > 0.3, z * z, 0)), code)
    np.testing.assert_allclose(
        tape.gradient(kept_sum, z), expected, rtol=TOLERANCE[dtype], atol=1e-6
    )


def test_a_higher_price_leaves_fewer_active_units():
    images = helpers.load_mnist("digits").x_train
    active = []
    for lam in (0.0, 1.0):
        keras.utils.set_random_seed(0)
        model = build_autoencoder(50, "linear", "linear", sparsity=JumpReLU(lam, width=0.5))
        model.compile(keras.optimizers.Adam(1e-2), loss=sse)
        model.fit(images, images, epochs=10, verbose=0)
        active.append(np.sum(model.encode(images).numpy() > 0))
    assert active[1] < 0.7 * active[0]


def layers(units=20, pixels=12, dtype="float32"):
    sizes = ((units, "encoder"), (pixels, "decoder"))
    return [keras.layers.Dense(n, name=name, dtype=dtype) for n, name in sizes]


def gated(dtype="float32"):
    keras.utils.set_random_seed(1)
    model = GatedAutoencoder(*layers(dtype=dtype), L1Sparsity(0.3, dtype=dtype), dtype=dtype)
    model.build((None, 12))
    model.shift.assign(np.random.default_rng(2).normal(size=20))
    model.log_scale.assign(np.random.default_rng(3).normal(size=20) / 3)
    return model


def weights_of(model):
    return [w.numpy() for w in (*model.encoder.weights, *model.decoder.weights)]


@in_both_precisions
def test_gated_losses_are_those_of_numpy(dtype):
    model, x = gated(dtype), IMAGES.astype(dtype)
    drawn = model(x).numpy()
    W1, b1, W2, b2 = weights_of(model)
    z, scale = x @ W1 + b1, np.exp(model.log_scale.numpy())
    code = np.where(z > 0, np.maximum(scale * z + model.shift.numpy(), 0), 0)
    close = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
    np.testing.assert_allclose(model.encode(x), code, **close)
    np.testing.assert_allclose(drawn, code @ W2 + b2, **close)
    gate = np.maximum(z, 0)
    assert {penalty.term.name for penalty in model.penalties} == {"l1", "aux"}
    l1, auxiliary = model.sparsity.losses[0], model.auxiliary.losses[0]
    np.testing.assert_allclose(l1, 0.3 * gate.sum(axis=1).mean(), rtol=TOLERANCE[dtype])
    expected = np.square(x - gate @ W2 - b2).sum(axis=1).mean()
    np.testing.assert_allclose(auxiliary, expected, rtol=TOLERANCE[dtype])


def test_the_gates_own_reconstruction_does_not_train_the_decoder():
    model = gated()
    with tf.GradientTape() as tape:
        model(IMAGES)
        auxiliary = model.auxiliary.losses[0]
    by_encoder, by_decoder = tape.gradient(auxiliary, [model.encoder.kernel, model.decoder.kernel])
    assert by_decoder is None or not np.any(by_decoder)
    assert np.any(by_encoder)


def reviving():
    keras.utils.set_random_seed(1)
    model = RevivingAutoencoder(*layers(), TopK(3), revived=4, weight=0.5, patience=2)
    model.build((None, 12))
    model.encoder.bias.assign([-100.0] * 8 + [0.0] * 12)  # the first eight are never active
    return model


def test_dead_units_draw_what_was_left_over():
    model = reviving()
    model(IMAGES, training=True)
    assert float(model.auxiliary.losses[0]) == 0, "nobody is dead yet"
    model(IMAGES, training=True)
    W1, b1, W2, _ = weights_of(model)
    z = IMAGES @ W1 + b1
    active = topk_by_numpy(z, 3).any(axis=0)
    np.testing.assert_array_equal(model.silent.numpy(), np.where(active, 0, 2))
    model.encoder.bias.assign([0.0] * 20)  # the dead would speak again
    z = IMAGES @ W1
    drawn = model(IMAGES).numpy()
    of_the_dead = topk_by_numpy(np.where(active, 0, z), 4)
    expected = 0.5 * np.square(IMAGES - drawn - of_the_dead @ W2).sum(axis=1).mean()
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


def test_a_tied_start_begins_at_the_mean_image():
    model = build_autoencoder(20, "linear", "linear", sparsity=TopK(5), pixels=12, unit_norm=True)
    start_tied(model, IMAGES)
    W1, b1, W2, b2 = weights_of(model)
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

    def error(W1):
        return np.sum((images - images @ W1 @ W1.T) ** 2, axis=1).mean()

    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(sse(images, decoder(encoder(images))))
    assert float(loss) == pytest.approx(error(W1), rel=TOLERANCE[dtype])
    gradient = tape.gradient(loss, encoder.kernel.value)
    expected = slopes(error, W1)
    error = np.linalg.norm(gradient - expected) / np.linalg.norm(expected)
    assert error < TOLERANCE[dtype]


def test_the_decoder_keeps_its_norm_while_it_trains():
    model = build_autoencoder(
        20, "relu", "linear", sparsity=L1Sparsity(0.1), pixels=12, unit_norm=True
    )
    before = model.decoder.kernel.numpy()
    train(model, IMAGES, IMAGES, 2, 5, batch_size=8, progress=False)
    after = model.decoder.kernel.numpy()
    np.testing.assert_allclose(np.linalg.norm(after, axis=1), 1, rtol=1e-5)
    assert not np.allclose(before, after)


def test_k_is_annealed_epoch_by_epoch():
    model = build_autoencoder(20, "linear", "linear", sparsity=TopK(4), pixels=12)
    seen = []
    look = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(float(model.sparsity.k))
    )
    anneal = [Anneal(model.sparsity, start=10, epochs=3), look]
    train(model, IMAGES, IMAGES, 5, 3, batch_size=8, progress=False, callbacks=anneal)
    assert seen == [10, 7, 4, 4, 4]


def test_annealing_a_layer_of_no_model_is_refused():
    model = build_autoencoder(20, "linear", "linear", sparsity=TopK(4), pixels=12)
    with pytest.raises(ValueError, match="not part of the model: give it the one"):
        train(model, IMAGES, IMAGES, 2, 3, progress=False, callbacks=[Anneal(TopK(4), 10, 2)])


MODELS = {
    "TopK": lambda: build_autoencoder(20, "linear", "linear", sparsity=TopK(5), pixels=12),
    "JumpReLU": lambda: build_autoencoder(20, "linear", "linear", JumpReLU(0.1), pixels=12),
    "unit norm": lambda: build_autoencoder(20, sparsity=TopK(5), pixels=12, unit_norm=True),
    "Gated": gated,
    "reviving": reviving,
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_saved_and_loaded_it_gives_the_same_and_keeps_its_settings(make, tmp_path):
    model = make()
    train(model, IMAGES, IMAGES, 1, 3, batch_size=8, progress=False)
    for variable in model.sparsity.settings.values():
        variable.assign(3.0)
    before = model(IMAGES).numpy()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(IMAGES).numpy(), before)
    assert {n: float(v) for n, v in loaded.sparsity.settings.items()} == {
        n: float(v) for n, v in model.sparsity.settings.items()
    }
    np.testing.assert_array_equal(loaded(IMAGES, training=True), model(IMAGES, training=True))


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_every_term_is_in_the_history_and_they_add_up(make):
    model = make()
    history = train(model, IMAGES, IMAGES, 2, 3, batch_size=8, progress=False).history
    terms = ["sse", *(penalty.term.name for penalty in model.penalties)]
    for prefix in ("", "val_"):
        total = np.sum([history[prefix + term] for term in terms], axis=0)
        np.testing.assert_allclose(history[prefix + "loss"], total, rtol=1e-4)
