"""TopK, JumpReLU and Gated against NumPy, and the gradients that are not the slope."""

import numpy as np
import pytest

import helpers
from modern_sparsity import GatedAutoencoder, JumpReLU, TopK, jump
from sparse_autoencoder import build_autoencoder, keras, sse, tf

RNG = np.random.default_rng(0)
CODE = RNG.normal(size=(64, 30)).astype("float32")


def test_topk_keeps_the_k_largest_if_positive():
    kept = np.asarray(TopK(5)(CODE))
    for before, after in zip(CODE, kept, strict=True):
        largest = set(np.argsort(-before)[:5])
        expected = [v if i in largest and v > 0 else 0 for i, v in enumerate(before)]
        np.testing.assert_array_equal(after, np.float32(expected))
    assert not np.any(np.asarray(TopK(3)(-np.abs(CODE))))


def test_topk_trains_only_what_it_keeps():
    code = tf.Variable(CODE)
    with tf.GradientTape() as tape:
        kept = TopK(5)(code)
        total = tf.reduce_sum(kept)
    np.testing.assert_array_equal(tape.gradient(total, code), np.asarray(kept) > 0)


def test_jumprelu_counts_what_it_keeps():
    layer = JumpReLU(lam=0.5, threshold=0.3)
    kept = np.asarray(layer(CODE))
    np.testing.assert_array_equal(kept, np.where(CODE > 0.3, CODE, 0))
    l0 = (CODE > 0.3).sum(axis=1).mean()
    assert float(layer.losses[0]) == pytest.approx(0.5 * l0, rel=1e-5)


def test_the_threshold_learns_from_a_window_around_it():
    """Of a straight-through estimator there is no true slope: compare with the paper's formula."""
    theta, width = np.full(30, 0.3, "float32"), 0.2
    z, variable = tf.constant(CODE), tf.Variable(theta)
    with tf.GradientTape(persistent=True) as tape:
        kept, active = jump(z, variable, width)
        kept_sum, count = tf.reduce_sum(kept * CODE), tf.reduce_sum(active)
    window = (np.abs(CODE - 0.3) < width / 2) / width
    expected = -(window * 0.3 * CODE).sum(axis=0)
    np.testing.assert_allclose(tape.gradient(kept_sum, variable), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(tape.gradient(count, variable), -window.sum(axis=0), rtol=1e-5)


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


def gated():
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(n, name=name) for n, name in ((20, "encoder"), (12, "decoder"))]
    model = GatedAutoencoder(*layers, lam=0.3)
    model.build((None, 12))
    return model


def test_gated_losses_are_those_of_numpy():
    model, x = gated(), RNG.normal(size=(40, 12)).astype("float32")
    model.shift.assign(RNG.normal(size=20))
    drawn = model(x).numpy()
    W1, b1, W2, b2 = (w.numpy() for w in (*model.encoder.weights, *model.decoder.weights))
    z = x @ W1 + b1
    code = np.where(z > 0, np.maximum(z + model.shift.numpy(), 0), 0)
    np.testing.assert_allclose(model.encode(x), code, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(drawn, code @ W2 + b2, rtol=1e-3, atol=1e-4)
    gate = np.maximum(z, 0)
    l1, auxiliary = (float(loss) for loss in model.losses)
    assert l1 == pytest.approx(0.3 * gate.sum(axis=1).mean(), rel=1e-4)
    expected = np.square(x - gate @ W2 - b2).sum(axis=1).mean()
    assert auxiliary == pytest.approx(expected, rel=1e-4)


def test_the_gates_own_reconstruction_does_not_train_the_decoder():
    model, x = gated(), RNG.normal(size=(40, 12)).astype("float32")
    with tf.GradientTape() as tape:
        model(x)
        auxiliary = model.losses[1]
    by_encoder, by_decoder = tape.gradient(auxiliary, [model.encoder.kernel, model.decoder.kernel])
    assert by_decoder is None or not np.any(by_decoder)
    assert np.any(by_encoder)


@pytest.mark.parametrize("make", [lambda: TopK(5), lambda: JumpReLU(0.1)])
def test_saved_and_loaded_it_gives_the_same(make, tmp_path):
    model = build_autoencoder(50, "linear", "linear", sparsity=make())
    x = RNG.random((10, 784)).astype("float32")
    before = model(x).numpy()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x).numpy(), before)


def test_a_gated_model_is_saved_and_loaded_too(tmp_path):
    model, x = gated(), RNG.normal(size=(10, 12)).astype("float32")
    before = model(x).numpy()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x).numpy(), before)
    assert loaded.lam == 0.3
