"""The playground's engine: a copy that trains while its hyperparameters change."""

import random
from dataclasses import replace

import numpy as np
import pytest

from sparse_autoencoder import build_autoencoder, keras, modern, sse
from sparse_autoencoder.playground.engine import POINTS, SHOWN, LiveTraining

MODERN = ["topk", "jumprelu", "gated", "reviving"]


@pytest.fixture(scope="module")
def compiled(make, small):
    """One engine for many tests, since compiling takes seconds."""
    return LiveTraining(make(), small)


@pytest.fixture
def training(compiled):
    compiled.set(rho=0.1, beta=0.5, lam2=0.001, learning_rate=3e-3)
    compiled.reset(seed=0)
    return compiled


def weights(training):
    return [variable.numpy() for variable in training.model.trainable_variables]


def same(some, others):
    return all(np.array_equal(a, b) for a, b in zip(some, others, strict=True))


def trained_by_keras(model, start, training, images, steps):
    """The weights after Keras' own fit on the engine's batches."""
    for variable, value in zip(model.trainable_variables, start, strict=True):
        variable.assign(value)
    rate = training.hyperparameters["learning_rate"]
    model.compile(optimizer=keras.optimizers.Adam(rate), loss=sse, run_eagerly=True)
    images = images[np.concatenate([training.batch(step) for step in range(steps)])]
    model.fit(images, images, batch_size=128, shuffle=False, verbose=0)
    return [variable.numpy() for variable in model.trainable_variables]


def assert_trains_like_keras(training, model, images, steps=10):
    start = weights(training)
    training.train(steps)
    expected = trained_by_keras(model, start, training, images, steps)
    for mine, theirs in zip(weights(training), expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("kind", ["relu", "sequential"])
def test_it_trains_like_keras_fit_on_the_same_batches(kind, make, small, eagerly):
    training = LiveTraining(make(kind), small, learning_rate=1e-3)
    assert_trains_like_keras(training, make(kind), small.x_train)


def test_compiled_it_trains_like_keras_too(training, make, small):
    assert_trains_like_keras(training, make(), small.x_train)


@pytest.mark.parametrize("kind", MODERN)
def test_todays_models_train_change_and_start_again(kind, make, small):
    training = LiveTraining(make(kind), small)
    before = training.hyperparameters
    names = {"topk": ["k"], "reviving": ["k"], "jumprelu": ["lam0", "theta"], "gated": ["lam1"]}
    assert list(before) == ["learning_rate", *names[kind]]
    assert_trains_like_keras(training, make(kind), small.x_train)
    trained = weights(training)
    for name in names[kind]:
        training.set(**{name: 2})
    training.train(5)
    training.measure()
    if "k" in before:
        assert training.active_units.max() == 2
    assert training.times_compiled == 1
    if kind != "reviving":  # which draws at random when it revives
        training.set(**before)
        training.reset()
        training.train(10)
        assert same(weights(training), trained)


def test_a_pass_takes_every_image_once(training, small):
    per_pass = len(small.x_train) // 128
    first = np.concatenate([training.batch(step) for step in range(per_pass)])
    second = np.concatenate([training.batch(per_pass + step) for step in range(per_pass)])
    assert len(np.unique(first)) == per_pass * 128
    assert not np.array_equal(first, second)


def test_slices_do_not_matter_but_the_step_of_a_change_does(training):
    training.train(70)
    training.set(beta=3)
    training.train(20)
    whole = weights(training)
    training.set(beta=0.5)
    training.reset()
    for steps in (1, 32, 37):
        training.train(steps)
    training.set(beta=3)
    training.train(3)
    training.measure()
    training.train(17)
    assert same(weights(training), whole)

    training.set(beta=0.5)
    training.reset()
    training.train(69)
    training.set(beta=3)
    training.train(21)
    assert not same(weights(training), whole)


def test_a_change_is_not_compiled_again(training):
    training.train(40)
    for name, value in {"rho": 0.3, "beta": 0, "lam2": 0.1, "learning_rate": 0.01}.items():
        training.set(**{name: value})
        training.train(3)
        assert training.hyperparameters[name] == value
    assert training.times_compiled == 1


def test_the_model_and_the_lessons_random_numbers_are_left_alone(make, small, eagerly):
    keras.utils.set_random_seed(7)
    model = make()
    model.compile(loss="mse")
    before = [value.numpy() for value in model.variables]
    random_state, numpy_state = random.getstate(), np.random.get_state()[1]
    expected = build_autoencoder(5).get_weights()

    keras.utils.set_random_seed(7)
    make()
    LiveTraining(model, small).train(2)
    assert random.getstate() == random_state and same([np.random.get_state()[1]], [numpy_state])
    assert same(build_autoencoder(5).get_weights(), expected)
    assert same([value.numpy() for value in model.variables], before)
    assert model.loss == "mse"


def test_the_start_depends_on_the_seed_alone(training, make, small):
    training.reset(seed=3)
    start = weights(training)
    assert np.ptp(start[0]) > 0.1 and not np.any(start[1])
    training.train(5)
    training.reset()
    assert same(weights(training), start) and training.step == 0
    training.reset(seed=4)
    assert not same(weights(training), start)
    model = make()
    for variable in model.trainable_variables:  # trained or not
        variable.assign(0 * variable)
    assert same(weights(LiveTraining(model, small, seed=3)), start)


def test_a_start_of_its_own_is_come_back_to(make, small, eagerly):
    training = LiveTraining(make("topk"), small, start=modern.start_tied)
    first = weights(training)
    np.testing.assert_array_equal(first[0], first[2].T)
    training.train(2)
    training.reset()
    assert same(weights(training), first)


def test_hyperparameters_stay_when_it_starts_again(training):
    training.set(rho=0.2)
    training.reset()
    assert training.hyperparameters["rho"] == 0.2


@pytest.mark.parametrize(
    "hyperparameters, message",
    [
        ({"lam1": 1}, "no hyperparameter 'lam1', only learning_rate, rho, beta, lam2"),
        ({"k": 5}, "no hyperparameter 'k'"),
        ({"rho": 0.3, "nonsense": 1}, "no hyperparameter 'nonsense'"),
        ({"rho": 0}, "rho is 0, but it must be between 0 and 1"),
        ({"rho": 0.3, "beta": -1}, "beta is -1, but it must be finite and 0 or more"),
        ({"lam2": float("nan")}, "lam2 is nan"),
    ],
)
def test_of_hyperparameters_that_cannot_be_none_is_set(training, hyperparameters, message):
    before = training.hyperparameters
    with pytest.raises(ValueError, match=message):
        training.set(**hyperparameters)
    assert training.hyperparameters == before and training.marks == []


def test_moves_between_two_steps_leave_one_mark(training):
    training.train(3)
    for beta in (1, 2, 5):
        training.set(beta=beta)
    training.set(rho=0.3)
    training.set(rho=0.3)  # not a change
    assert training.marks == [(3, "beta", 5), (3, "rho", 0.3)]


def test_figures_are_those_of_numpy(training, small):
    training.train(30)
    figures = training.measure()
    x = small.x_validation[:SHOWN].astype(np.float64)
    W1, b1, W2, b2 = (w.astype(np.float64) for w in weights(training))
    h = 1 / (1 + np.exp(-(x @ W1 + b1)))
    y = 1 / (1 + np.exp(-(h @ W2 + b2)))
    p = h.mean(axis=0)
    kl = 0.1 * np.log(0.1 / p) + 0.9 * np.log(0.9 / (1 - p))
    assert figures["sse"] == pytest.approx(((x - y) ** 2).sum(axis=1).mean(), rel=1e-4)
    assert figures["kl"] == pytest.approx(0.5 * kl.sum(), rel=1e-3)
    assert figures["l2"] == pytest.approx(0.001 / 2 * ((W1**2).sum() + (W2**2).sum()), rel=1e-4)
    assert figures["mean_activation"] == pytest.approx(p.mean(), rel=1e-4)
    assert figures["active_units"] == pytest.approx((h > 0.5).sum(axis=1).mean(), abs=0.05)
    assert figures["dead_units"] == (h.max(axis=0) <= 0.1).sum()
    assert figures["step"] == 30 and figures["epoch"] == pytest.approx(30 * 128 / 1200)
    words = training.in_words(figures)
    assert words.startswith(f"Step 30, epoch 3.2: SSE {figures['sse']:.2f}, mean ρ̂")
    assert "against ρ 0.1" in words and words.endswith("of 30 units dead")


@pytest.mark.parametrize("steps", [30, 75, 120])
def test_it_takes_exactly_the_steps_and_measures_on_the_way(training, steps):
    training.train(2)
    figures = training.train_and_measure(steps)
    assert figures["step"] == training.step == steps + 2
    taken = [step for step, _ in training.history]
    assert taken[0] == 0 and taken[-1] == steps + 2 and len(taken) >= min(steps, 50)
    assert max(np.diff(taken)) <= 3


def test_curves_stay_short_and_keep_both_ends(training):
    for _ in range(700):
        training.step += 10
        training.measure()
    steps = [step for step, _ in training.history]
    assert len(steps) <= POINTS + 1
    assert steps[0] == 0 and steps[-1] == 7000 and steps == sorted(steps)


def test_a_loss_that_is_not_finite_says_what_to_do(training):
    training.set(learning_rate=1e30)
    training.train(10)
    with pytest.raises(FloatingPointError, match="lower the learning rate .* press Reset"):
        training.measure()
    training.set(learning_rate=1e-3)
    training.reset()
    training.train(10)
    assert np.isfinite(training.measure()["sse"])


def test_what_happens_aside_leaves_no_trace(training):
    training.train(10)
    training.measure()
    before = weights(training), training.step, training.hyperparameters, list(training.history)
    code, reconstructions, terms = training.code, training.reconstructions, training.terms
    training.train(5)
    after = weights(training)
    training.reset()
    training.train(10)
    training.measure()
    with training.aside():
        training.set(beta=2)
        training.reset(seed=8)
        training.train(3)
        training.measure()
    assert same(weights(training), before[0]) and training.step == before[1]
    assert training.hyperparameters == before[2] and training.seed == 0
    assert same((training.code, training.reconstructions), (code, reconstructions))
    assert training.terms == terms and training.history[-1][0] == 10 and not training.marks
    training.train(5)  # Adam's memory is there again too
    assert same(weights(training), after)


def test_fewer_images_than_a_batch(make, small, eagerly):
    few = replace(small, x_train=small.x_train[:50], y_train=small.y_train[:50])
    training = LiveTraining(make(), few)
    training.train(3)
    assert training.measure()["epoch"] == 3


def test_models_that_do_not_fit_are_refused(small):
    nameless = keras.Sequential([keras.Input((196,)), keras.layers.Dense(196, name="only")])
    with pytest.raises(ValueError, match="layer named \"encoder\".*'only'"):
        LiveTraining(nameless, small)
    with pytest.raises(ValueError, match="100 pixels, but these have 196"):
        LiveTraining(build_autoencoder(pixels=100), small)


BETWEEN = ["sigmoid", "hard_sigmoid", "softmax"]


@pytest.mark.parametrize("activation", [*BETWEEN, "tanh", "elu", "softplus", "relu", "linear"])
def test_any_activation_can_be_counted(activation, small, eagerly):
    training = LiveTraining(build_autoencoder(12, activation=activation, pixels=196), small)
    training.train(2)
    figures, histogram = training.measure(), training.histogram
    active = np.abs(training.code) > (0.5 if activation in BETWEEN else 0)
    assert figures["active_units"] == pytest.approx(active.sum(axis=1).mean())
    if activation in BETWEEN:
        assert histogram[1:] == (1, "mean activation ρ̂", "hidden units", None)
        np.testing.assert_array_equal(histogram.values, training.rho_hat)
    else:
        assert histogram[1:] == (12, "active units per image", "images", None)
        np.testing.assert_array_equal(histogram.values, training.active_units)


def test_the_histogram_has_the_target_of_the_penalty(training):
    training.set(rho=0.2)
    assert training.histogram.target == 0.2
