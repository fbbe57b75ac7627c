"""The measures: small arrays whose figures can be counted by hand, and a probe on made-up data."""

from types import SimpleNamespace

import numpy as np
import pytest

from sparse_autoencoder import KLSparsity, build_autoencoder, keras, measures
from sparse_autoencoder.modern import TopK

LABELS = np.repeat([0, 1, 2], [20, 30, 25])


def clouds(n, noise, seed=0):
    """So many points in 10 dimensions around one of two centres, and which of the two."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    return labels[:, None] * np.eye(10)[0] + noise * rng.normal(size=(n, 10)), labels


# ---------------------------------------------------------------------- figures


def test_sse_is_summed_over_pixels_and_averaged_over_images():
    images = np.array([[0, 1, 2], [3, 0, 0]], np.float32)
    reconstructions = np.array([[0, 0, 0], [3, 1, 0]], np.float32)
    result = measures.mean_sse(images, reconstructions)
    assert isinstance(result, float) and result == (5 + 1) / 2


def test_sse_of_many_images_is_not_rounded():
    images = np.full((3000, 784), 0.1, np.float32)
    exact = 784 * float(np.float32(0.1)) ** 2
    assert measures.mean_sse(images, 0 * images) == pytest.approx(exact, rel=1e-9)


def test_mean_activation_is_of_each_unit_over_the_images():
    code = np.array([[0, 1, 0.5], [1, 1, 0], [0, 1, 0.25], [0, 1, 0.25]], np.float32)
    assert measures.mean_activation(code).tolist() == [0.25, 1, 0.25]


ABOVE_HALF = [[0.5, 0.501, 0.9], [0.1, 0.5, 0.2], [0.6, 0.7, 0.8]]
ABOVE_0 = [[0, 0.001, 3], [0, 0, 0], [0.4, 0, -0.1]]


@pytest.mark.parametrize(
    ("activation", "code", "active"),
    [
        *[(name, ABOVE_HALF, [2, 0, 3]) for name in ("sigmoid", "hard_sigmoid", "softmax")],
        *[(name, ABOVE_0, [2, 0, 2]) for name in ("relu", "linear", "softplus", "tanh", "gelu")],
    ],
)
def test_a_unit_is_active_above_the_threshold_and_not_at_it(activation, code, active):
    assert measures.active_units(np.array(code), activation).tolist() == active


@pytest.mark.parametrize(
    ("activation", "code", "dead"),
    [
        ("sigmoid", [[0.1, 0.101, 0, 0.9], [0.05, 0, 0, 0.9]], [True, False, True, False]),
        ("hard_sigmoid", [[0.1, 0.101, 0, 0.9], [0.05, 0, 0, 0.9]], [True, False, True, False]),
        ("relu", [[0, 0, 0.001, 5], [0, 1, 0, 5]], [True, False, False, False]),
        ("tanh", [[0, 0, -0.001, 1], [0, 1, 0, 1]], [True, False, False, False]),
    ],
)
def test_a_unit_is_dead_at_the_threshold_and_not_above_it(activation, code, dead):
    assert measures.dead_units(np.array(code), activation).tolist() == dead


def test_what_counts_as_active_is_read_off_the_model():
    code = np.array([[0.05, 0.3, 0.7]])
    for activation, sparsity, active, dead in [
        ("sigmoid", KLSparsity(0.1, 1), 1, [True, False, False]),
        ("hard_sigmoid", None, 1, [True, False, False]),
        ("relu", None, 3, [False] * 3),
        ("linear", TopK(2), 3, [False] * 3),
        ("tanh", None, 3, [False] * 3),
    ]:
        model = build_autoencoder(3, activation, sparsity=sparsity, pixels=4)
        assert measures.active_units(code, model).tolist() == [active]
        assert measures.dead_units(code, model).tolist() == dead
    foreign = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "relu", name="encoder")])
    assert measures.active_units(code, foreign).tolist() == [3]
    for measure in (measures.active_units, measures.dead_units):
        with pytest.raises(TypeError):
            measure(code)  # nothing is guessed


# ---------------------------------------------------------------------- draws of labels


def test_a_draw_has_as_many_labels_of_each_class_and_no_row_twice():
    rows = measures.draw_labels(LABELS, 12, seed=0)
    assert np.bincount(LABELS[rows]).tolist() == [12, 12, 12]
    assert len(np.unique(rows)) == 36
    whole_class = measures.draw_labels(LABELS, 20, seed=0)
    assert set(range(20)) <= set(whole_class.tolist())


def test_the_seed_alone_decides_the_draw():
    np.random.seed(1)
    rows = measures.draw_labels(LABELS, 5, seed=3)
    np.random.seed(2)
    assert (measures.draw_labels(LABELS, 5, seed=3) == rows).all()
    assert set(measures.draw_labels(LABELS, 5, seed=4)) != set(rows)


def test_asking_for_more_labels_than_a_class_has_says_how_many_there_are():
    with pytest.raises(ValueError, match="^21 labels per class .* only 20 images: ask for fewer"):
        measures.draw_labels(LABELS, 21, seed=0)
    with pytest.raises(ValueError, match="ask for fewer"):
        measures.linear_probe(LABELS[:, None], LABELS, LABELS[:, None], LABELS, 21)


# ---------------------------------------------------------------------- linear probe


def test_the_probe_is_perfect_on_separable_classes():
    features, labels = clouds(200, noise=0.02)
    accuracies = measures.linear_probe(features, labels, features, labels, 5, draws=2)
    assert accuracies.shape == (2,) and (accuracies == 1).all()


def test_the_probe_is_at_chance_on_shuffled_labels():
    features, labels = clouds(2200, noise=0.02)
    labels = np.random.default_rng(1).permutation(labels)
    accuracies = measures.linear_probe(
        features[:200], labels[:200], features[200:], labels[200:], 50, draws=2
    )
    assert np.abs(accuracies - 0.5).max() < 0.06


def probe(test_features=None, test_labels=None, draws=2, **kwargs):
    """Accuracies on data so noisy that C, the draw and the test images all matter."""
    features, labels = clouds(200, noise=0.5)
    features_there, labels_there = clouds(300, noise=0.5, seed=1)
    test_features = features_there if test_features is None else test_features
    test_labels = labels_there if test_labels is None else test_labels
    return measures.linear_probe(
        features, labels, test_features, test_labels, 4, draws=draws, **kwargs
    )


def test_test_labels_decide_nothing_but_the_score():
    # Were C chosen by the test labels, the opposite labels would choose another C.
    labels = clouds(300, noise=0.5, seed=1)[1]
    np.testing.assert_allclose(probe(test_labels=1 - labels), 1 - probe(), rtol=0, atol=1e-12)


def test_each_test_image_is_scored_alone():
    features, labels = clouds(300, noise=0.5, seed=1)
    halves = [probe(features[half], labels[half]) for half in (slice(0, 150), slice(150, 300))]
    np.testing.assert_allclose(np.mean(halves, axis=0), probe(), rtol=0, atol=1e-12)


def test_the_seed_alone_decides_the_probe():
    np.random.seed(1)
    accuracies = probe(seed=1)
    np.random.seed(2)
    assert (probe(seed=1) == accuracies).all()
    assert (probe(seed=2) != accuracies).any()


def test_every_draw_has_labels_of_its_own_and_more_draws_keep_the_first():
    features, labels = clouds(60, noise=0.5)
    accuracies = measures.linear_probe(features, labels, features, labels, 4)
    assert accuracies.shape == (5,) and len(np.unique(accuracies)) > 1
    fewer = measures.linear_probe(features, labels, features, labels, 4, draws=1)
    assert fewer == accuracies[:1]


# ---------------------------------------------------------------------- scorecard


def two_clouds():
    """Images of classes easily told apart."""
    (x_train, y_train), (x_test, y_test) = clouds(240, 0.02), clouds(50, 0.02, seed=1)
    return SimpleNamespace(x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
def test_a_row_of_the_scorecard_measures_the_test_images(activation):
    data, model = two_clouds(), build_autoencoder(10, activation, pixels=10)
    model.encoder.kernel.assign(np.eye(10))
    row = measures.score(data, model, seconds=3)
    code, images = model.encode(data.x_test).numpy(), data.x_test
    assert row == {
        "seconds": 3,
        "sse_test": pytest.approx(np.square(images - model(images)).sum() / 50, rel=1e-5),
        "mean_activation": pytest.approx(code.sum() / 500, rel=1e-5),
        "active_units": pytest.approx((code > {"sigmoid": 0.5, "relu": 0}[activation]).sum() / 50),
        "dead_units": 0,
        "probe_10": 100,
        "probe_100": 100,
    }


def test_another_code_of_a_model_can_be_scored():
    data, model = two_clouds(), build_autoencoder(3, pixels=10)
    row = measures.score(data, model, encode=np.abs)
    assert row["mean_activation"] == pytest.approx(np.abs(data.x_test).mean())
    assert row["active_units"] == pytest.approx((data.x_test[:, 0] > 0.5).mean())
    assert row["dead_units"] == 9


def test_features_that_are_no_code_have_no_units_to_count():
    row = measures.score(two_clouds(), encode=np.asarray)
    assert row == {"seconds": None, "probe_10": 100, "probe_100": 100}


def test_the_seed_decides_the_probe_of_the_scorecard():
    (x_train, y_train), (x_test, y_test) = clouds(240, 0.5), clouds(300, 0.5, seed=1)
    data = SimpleNamespace(x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    rows = [measures.score(data, encode=np.asarray, seed=seed) for seed in (1, 1, 2)]
    assert rows[0] == rows[1] != rows[2]
    for labels_per_class, draws in ((10, 3), (100, 1)):
        expected = measures.linear_probe(
            x_train, y_train, x_test, y_test, labels_per_class, draws, seed=1
        )
        assert rows[0][f"probe_{labels_per_class}"] == pytest.approx(100 * expected.mean())


def test_the_probe_on_all_labels_chooses_c_on_the_validation_images():
    features, labels = clouds(200, noise=0.5)
    held_out = clouds(300, noise=0.5, seed=1)
    choices = (1e-4, 0.1, 10)
    chosen = measures.fit_probe_to_all(features, labels, *held_out, choices).score(*held_out)
    each = [measures.fit_probe_to_all(features, labels, *held_out, [c]) for c in choices]
    assert chosen == max(probe.score(*held_out) for probe in each)


def test_unexplained_variance_is_1_for_the_mean_image_and_0_for_the_images():
    images = np.random.default_rng(0).random((50, 12))
    mean = np.tile(images.mean(axis=0), (50, 1))
    assert measures.unexplained_variance(images, images) == 0
    assert measures.unexplained_variance(images, mean) == pytest.approx(1)
    half = (images + mean) / 2
    assert measures.unexplained_variance(images, half) == pytest.approx(0.25)


def test_size_tells_by_which_factor_images_come_back_about_the_mean():
    rng = np.random.default_rng(0)
    images = rng.random((400, 12))
    mean = images.mean(axis=0)
    for factor in (0.7, 1, 1.3):
        scaled = mean + factor * (images - mean)
        assert measures.size_of_reconstructions(images, scaled) == pytest.approx(factor)
    # The best scale, found by trying: it undoes the size where the error is no mere scale.
    blurred = mean + 0.8 * (images - mean) + 0.05 * rng.normal(size=images.shape)
    gamma = measures.size_of_reconstructions(images, blurred)
    tries = np.linspace(0.5, 1.5, 1001)
    errors = [np.square(images - mean - (blurred - mean) / g).sum() for g in tries]
    assert tries[np.argmin(errors)] == pytest.approx(gamma, abs=2e-3)
