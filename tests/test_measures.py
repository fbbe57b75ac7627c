"""The measures: small arrays whose figures can be counted by hand, and a probe on made-up data."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from sparse_autoencoder import build_autoencoder, keras, measures
from sparse_autoencoder.playground import ProbeExplorer

LABELS = np.repeat([0, 1, 2], [20, 30, 25])


def clouds(n, noise, seed=0):
    """So many points in 10 dimensions around one of two centres, and which of the two."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    return labels[:, None] * np.eye(10)[0] + noise * rng.normal(size=(n, 10)), labels


# ---------------------------------------------------------------------- figures


def test_sse_is_summed_over_pixels_averaged_over_images_and_not_rounded():
    images = np.array([[0, 1, 2], [3, 0, 0]], np.float32)
    reconstructions = np.array([[0, 0, 0], [3, 1, 0]], np.float32)
    result = measures.mean_sse(images, reconstructions)
    assert isinstance(result, float) and result == (5 + 1) / 2
    many = np.full((3000, 784), 0.1, np.float32)
    exact = 784 * float(np.float32(0.1)) ** 2
    assert measures.mean_sse(many, 0 * many) == pytest.approx(exact, rel=1e-9)


def test_mean_activation_is_of_each_unit_over_the_images():
    code = np.array([[0, 1, 0.5], [1, 1, 0], [0, 1, 0.25], [0, 1, 0.25]], np.float32)
    assert measures.mean_activation(code).tolist() == [0.25, 1, 0.25]


BETWEEN_0_AND_1 = {"sigmoid", "hard_sigmoid", "softmax"}
UNITS = np.array([[0, 0.1, 0.101, 0.5, 0.501, -0.9], [0, 0.05, 0, 0.1, 0.4, 0.6]])


@pytest.mark.parametrize(
    "activation", [*sorted(BETWEEN_0_AND_1), "relu", "linear", "softplus", "tanh", "gelu"]
)
def test_what_is_active_above_a_threshold_and_dead_at_it_is_read_off_the_model(activation):
    active, dead = ([2, 1], 2) if activation in BETWEEN_0_AND_1 else ([5, 4], 1)
    encoder = keras.layers.Dense(6, activation, name="encoder")
    foreign = keras.Sequential([keras.Input((4,)), encoder])
    for model in (activation, build_autoencoder(6, activation, pixels=4), foreign):
        assert measures.active_units(UNITS, model).tolist() == active
        assert measures.dead_units(UNITS, model).tolist() == [True] * dead + [False] * (6 - dead)
    for measure in (measures.active_units, measures.dead_units):
        with pytest.raises(TypeError):
            measure(UNITS)  # nothing is guessed


def test_unexplained_variance_is_1_for_the_mean_image_and_0_for_the_images():
    images = np.random.default_rng(0).random((50, 12))
    mean = np.tile(images.mean(axis=0), (50, 1))
    for reconstructions, expected in ((images, 0), (mean, 1), ((images + mean) / 2, 0.25)):
        assert measures.unexplained_variance(images, reconstructions) == pytest.approx(expected)


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


# ---------------------------------------------------------------------- labels and probes


def test_a_draw_has_as_many_labels_of_each_class_and_no_row_twice():
    rows = measures.draw_labels(LABELS, 12, seed=0)
    assert np.bincount(LABELS[rows]).tolist() == [12, 12, 12]
    assert len(np.unique(rows)) == 36
    whole_class = measures.draw_labels(LABELS, 20, seed=0)
    assert set(range(20)) <= set(whole_class.tolist())


def test_asking_for_more_labels_than_a_class_has_says_how_many_there_are():
    with pytest.raises(ValueError, match="^21 labels per class .* only 20 images: ask for fewer"):
        measures.linear_probe(LABELS[:, None], LABELS, LABELS[:, None], LABELS, 21)


def probe(noise=0.5, labels=None, test=None, labels_per_class=4, **options):
    """Accuracies; with so much noise, C, the draw and the test images all matter."""
    features, own_labels = clouds(200, noise)
    labels = own_labels if labels is None else labels
    test = test or clouds(300, noise, seed=1)
    return measures.linear_probe(features, labels, *test, labels_per_class, **options)


def test_the_probe_is_perfect_on_separable_classes_and_at_chance_on_shuffled_labels():
    assert probe(noise=0.02, draws=2).tolist() == [1, 1]
    labels = np.random.default_rng(1).permutation(clouds(200, 0.02)[1])
    test = clouds(2000, 0.02, seed=1)[0], np.random.default_rng(2).integers(0, 2, 2000)
    chance = probe(0.02, labels, test, labels_per_class=50, draws=2)
    assert np.abs(chance - 0.5).max() < 0.06


def test_test_labels_decide_nothing_but_the_score_and_each_image_is_scored_alone():
    accuracies, (features, labels) = probe(draws=2), clouds(300, 0.5, seed=1)
    # Were C chosen by the test labels, the opposite labels would choose another C.
    opposite = probe(test=(features, 1 - labels), draws=2)
    np.testing.assert_allclose(opposite, 1 - accuracies, rtol=0, atol=1e-12)
    halves = [
        probe(test=(features[half], labels[half]), draws=2)
        for half in (slice(0, 150), slice(150, 300))
    ]
    np.testing.assert_allclose(np.mean(halves, axis=0), accuracies, rtol=0, atol=1e-12)


def test_the_seed_alone_decides_every_draw_and_more_draws_keep_the_first():
    np.random.seed(1)
    accuracies = probe(seed=1)
    assert accuracies.shape == (5,) and len(np.unique(accuracies)) > 1
    np.random.seed(2)
    assert (probe(draws=2, seed=1) == accuracies[:2]).all()
    assert (probe(draws=2, seed=2) != accuracies[:2]).any()


def test_the_probe_on_drawn_images_is_the_one_that_draws_them_itself():
    features, labels = clouds(200, noise=0.5)
    rows = measures.draw_labels(labels, 5, [0, 1])
    drawn = measures.fit_probe_to_drawn(features[rows], labels[rows], 5)
    itself = measures.fit_probe(features, labels, 5, [0, 1])
    assert (drawn.predict_proba(features) == itself.predict_proba(features)).all()


def test_the_probe_on_all_labels_chooses_c_on_the_validation_images():
    labelled, held_out = clouds(200, noise=0.5), clouds(300, noise=0.5, seed=1)
    *each, chosen = [
        measures.fit_probe_to_all(*labelled, *held_out, choices).score(*held_out)
        for choices in ([1e-4], [0.1], [10], [1e-4, 0.1, 10])
    ]
    assert chosen == max(each) > each[0]  # not the first of them


# ---------------------------------------------------------------------- scorecard


def two_clouds(noise=0.02):
    """Images of two classes, easily told apart where there is little noise."""
    (x_train, y_train), (x_test, y_test) = clouds(240, noise), clouds(50, noise, seed=1)
    return SimpleNamespace(x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
def test_a_row_of_the_scorecard_measures_the_test_images(activation):
    data, model = two_clouds(), build_autoencoder(10, activation, pixels=10)
    model.encoder.kernel.assign(np.eye(10))
    row = measures.score(data, model)
    code, images = model.encode(data.x_test).numpy(), data.x_test
    assert row == {
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


def test_features_that_are_no_code_have_the_probe_of_the_seed_and_no_units_to_count():
    data = two_clouds(noise=0.5)
    row = measures.score(data, encode=np.asarray, seed=1)
    arrays = (data.x_train, data.y_train, data.x_test, data.y_test)
    for labels, draws in ((10, 3), (100, 1)):
        expected = measures.linear_probe(*arrays, labels, draws, seed=1)
        assert row.pop(f"probe_{labels}") == pytest.approx(100 * expected.mean())
    assert not row


# ---------------------------------------------------------------------- whatever holds the numbers


def test_bytes_are_compared_with_bytes_in_their_own_unit_and_with_numbers_from_0_to_1():
    zeros, sixteen = np.zeros((1, 1), "uint8"), np.full((1, 1), 16, "uint8")
    assert measures.mean_sse(zeros, sixteen) == measures.mean_sse(sixteen, zeros) == 256
    images = np.random.default_rng(0).integers(0, 256, (5, 7)).astype("uint8")
    for same in (images, images.astype(float), images / 255, (images / 255).tolist()):
        assert measures.mean_sse(images, same) == pytest.approx(0, abs=1e-8)
    assert measures.mean_sse(images > 9, images <= 9) == 7


@pytest.mark.parametrize("shape", [(3, 4), (5, 3), (4, 5), (4,), (0, 5), (5,)])
def test_what_cannot_be_compared_is_refused(shape):
    images, other = np.ones((5, 4)), np.ones(shape)
    if shape == (4,):  # one image for all
        assert measures.mean_sse(images, other) == 0
    else:
        with pytest.raises(ValueError, match="cannot be compared .*: there must be one for each"):
            measures.mean_sse(images, other)


@pytest.mark.parametrize("holder", [np.ndarray.tolist, pd.DataFrame, tf.constant, np.float16])
def test_a_code_is_measured_whatever_holds_it(holder):
    code = np.random.default_rng(0).random((6, 3), "float32")
    np.testing.assert_allclose(measures.mean_activation(holder(code)), code.mean(0), rtol=1e-3)
    for measure in (measures.active_units, measures.dead_units):
        np.testing.assert_array_equal(measure(holder(code), "sigmoid"), measure(code, "sigmoid"))


FOUR = 4  # images of each class
KINDS = {
    "letters": list("ab" * FOUR),
    "words": np.array(["cat", "dog"] * FOUR, object),
    "1 to 26": np.array([1, 26] * FOUR),
    "negative": np.array([-1, 1] * FOUR),
    "floats": np.array([0.0, 1.0] * FOUR),
    "booleans": np.array([False, True] * FOUR),
    "a column": np.array([[3], [7]] * FOUR),
    "Series": pd.Series(["x", "y"] * FOUR, index=range(10, 18)),
    "categories": pd.Series(["x", "y"] * FOUR, dtype="category"),
    "tensor": tf.constant([0, 5] * FOUR),
}


@pytest.mark.parametrize("kind", KINDS)
def test_labels_of_any_kind(kind):
    labels, images = KINDS[kind], np.zeros((2 * FOUR, 3), "float32")
    images[1::2] = 0.9
    assert measures.linear_probe(images, labels, images, labels, 2, draws=1).tolist() == [1]
    assert set(measures.draw_labels(labels, 3, 0) % 2) == {0, 1}
    parts = {f"x_{part}": images for part in ("train", "validation", "test")}
    parts |= {f"y_{part}": labels for part in ("train", "validation", "test")}
    data = SimpleNamespace(name="own", image_shape=(1, 3), **parts)
    assert "probe_10" not in measures.score(data, encode=np.asarray)  # so many there are not
    assert ProbeExplorer({"pixels": np.asarray}, data).try_out("pixels", 2) == 1


def test_labels_that_are_none_are_refused():
    for wrong in (np.eye(3), [], 3):
        with pytest.raises(ValueError, match="one number or word for each image, .*argmax"):
            measures.draw_labels(wrong, 1, 0)
