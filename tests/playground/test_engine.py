"""The playground's engine: a copy that trains while its hyperparameters change."""

import random
from dataclasses import replace

import numpy as np
import pytest

from sparse_autoencoder import build_autoencoder, keras, modern, sse
from sparse_autoencoder.playground.engine import POINTS, SHOWN, LiveTraining

CHANGED = {"topk": ["k"], "reviving": ["k"], "jumprelu": ["lam0", "theta"], "gated": ["lam1"]}
BETWEEN_0_AND_1 = ["hard_sigmoid", "softmax"]


@pytest.fixture
def training(compiled):
    compiled.set(rho=0.1, beta=0.5, lam2=0.001, learning_rate=3e-3)
    compiled.reset(seed=0)
    return compiled


def weights(training):
    return [variable.numpy() for variable in training.model.trainable_variables]


def same(some, others):
    return all(np.array_equal(a, b) for a, b in zip(some, others, strict=True))


def assert_trains_like_keras(training, model, images, steps=10):
    """Ten steps lead to the weights of Keras' own fit on the same batches from the same start."""
    for variable, value in zip(model.trainable_variables, weights(training), strict=True):
        variable.assign(value)
    rate = training.hyperparameters["learning_rate"]
    model.compile(optimizer=keras.optimizers.Adam(rate), loss=sse, run_eagerly=True)
    images = images[np.concatenate([training.batch(step) for step in range(steps)])]
    model.fit(images, images, batch_size=128, shuffle=False, verbose=0)
    training.train(steps)
    for mine, theirs in zip(weights(training), model.trainable_variables, strict=True):
        np.testing.assert_allclose(mine, theirs.numpy(), rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("kind", ["relu", "sequential"])
def test_it_trains_like_keras_fit_on_the_same_batches(kind, make, small, eagerly):
    training = LiveTraining(make(kind), small, learning_rate=1e-3)
    assert_trains_like_keras(training, make(kind), small.x_train)


def test_compiled_it_trains_like_keras_too(training, make, small):
    assert_trains_like_keras(training, make(), small.x_train)


@pytest.mark.parametrize("kind", CHANGED)
def test_todays_models_train_change_and_start_again(kind, make, small):
    training = LiveTraining(make(kind), small)
    before = training.hyperparameters
    assert list(before) == ["learning_rate", *CHANGED[kind]]
    assert_trains_like_keras(training, make(kind), small.x_train)
    trained = weights(training)
    training.set(**dict.fromkeys(CHANGED[kind], 2))
    training.train(5)
    if kind == "topk":
        training.measure()
        assert training.active_units.max() == 2
    assert training.times_compiled == 1
    if kind != "reviving":  # which draws at random when it revives
        training.set(**before)
        training.reset()
        training.train(10)
        assert same(weights(training), trained)


def test_a_pass_takes_every_image_once(training, small):
    per_pass = len(small.x_train) // 128
    rows = [training.batch(step) for step in range(2 * per_pass)]
    first, second = np.concatenate(rows[:per_pass]), np.concatenate(rows[per_pass:])
    assert len(np.unique(first)) == per_pass * 128
    assert not np.array_equal(first, second)


def test_slices_do_not_matter_but_the_step_of_a_change_does(training):
    def trained(*slices, change_at):
        training.set(beta=0.5)
        training.reset()
        for steps in slices:
            if training.step == change_at:
                training.set(beta=3)
            training.train(steps)
            training.measure()
        return weights(training)

    whole = trained(70, 20, change_at=70)
    assert same(trained(1, 32, 37, 3, 17, change_at=70), whole)
    assert not same(trained(69, 21, change_at=69), whole)


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
    before = model.get_weights()
    random_state, numpy_state = random.getstate(), np.random.get_state()[1]
    expected = build_autoencoder(5).get_weights()

    keras.utils.set_random_seed(7)
    make()
    LiveTraining(model, small).train(2)
    assert random.getstate() == random_state and same([np.random.get_state()[1]], [numpy_state])
    assert same(build_autoencoder(5).get_weights(), expected)
    assert same(model.get_weights(), before) and model.loss == "mse"


def test_the_start_depends_on_the_seed_alone(training, make, small):
    training.set(rho=0.2)
    training.reset(seed=3)
    start = weights(training)
    assert np.ptp(start[0]) > 0.1 and not np.any(start[1])
    training.train(5)
    training.reset()
    assert same(weights(training), start) and training.step == 0
    assert training.hyperparameters["rho"] == 0.2
    training.reset(seed=4)
    assert not same(weights(training), start)


@pytest.mark.parametrize("kind", ["kl", "jumprelu"])
def test_the_start_depends_not_on_what_the_model_has_learnt(kind, make, small, eagerly):
    model = make(kind)
    fresh = LiveTraining(model, small, seed=3)
    for variable in model.trainable_variables:
        variable.assign(variable + 1)
    assert same(weights(LiveTraining(model, small, seed=3)), weights(fresh))


def test_a_start_of_its_own_is_come_back_to(make, small, eagerly):
    training = LiveTraining(make("topk"), small, start=modern.start_tied)
    first = weights(training)
    np.testing.assert_array_equal(first[0], first[2].T)
    training.train(2)
    training.reset()
    assert same(weights(training), first)


@pytest.mark.parametrize(
    "hyperparameters, message",
    [
        ({"lam1": 1}, "no hyperparameter 'lam1', only learning_rate, rho, beta, lam2"),
        ({"rho": 0.3, "nonsense": 1}, "no hyperparameter 'nonsense'"),
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
    expected = {
        "step": 30,
        "epoch": 30 * 128 / 1200,
        "sse": ((x - y) ** 2).sum(axis=1).mean(),
        "kl": 0.5 * kl.sum(),
        "l2": 0.001 / 2 * ((W1**2).sum() + (W2**2).sum()),
        "mean_activation": p.mean(),
        "active_units": (h > 0.5).sum(axis=1).mean(),
        "dead_units": (h.max(axis=0) <= 0.1).sum(),
    }
    assert figures == pytest.approx(expected, rel=1e-3)
    words = training.in_words(figures)
    assert words.startswith(f"Step 30, epoch 3.2: SSE {figures['sse']:.2f}, mean ρ̂")
    assert "against ρ 0.1" in words and words.endswith("of 30 units dead")
    assert training.histogram.target == 0.1


@pytest.mark.parametrize("steps", [30, 75])
def test_it_takes_exactly_the_steps_and_measures_on_the_way(training, steps):
    training.train(2)
    figures = training.train_and_measure(steps)
    assert figures["step"] == training.step == steps + 2
    taken = [step for step, _ in training.history]
    assert taken[0] == 2 and taken[-1] == steps + 2 and len(taken) == min(steps, 50) + 1
    assert max(np.diff(taken)) <= 2


def test_curves_stay_short_and_keep_both_ends(training):
    for training.step in range(0, 7000, 10):
        training.measure()
    steps = [step for step, _ in training.history]
    assert len(steps) <= POINTS + 1
    assert steps[0] == 0 and steps[-1] == 6990 and steps == sorted(steps)


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
    def state():
        return training.step, training.seed, training.hyperparameters, training.terms

    training.train(10)
    training.measure()
    arrays, before = [*weights(training), training.code, training.reconstructions], state()
    with training.aside():
        training.set(beta=2)
        training.reset(seed=8)
        training.train(3)
        training.measure()
    assert same([*weights(training), training.code, training.reconstructions], arrays)
    assert state() == before and training.history[-1][0] == 10 and not training.marks
    training.train(5)
    after = weights(training)
    training.reset()
    training.train(15)
    assert same(weights(training), after), "Adam's memory was there again too"


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


@pytest.mark.parametrize("activation", [*BETWEEN_0_AND_1, "tanh"])
def test_any_activation_can_be_counted(activation, small, eagerly):
    training = LiveTraining(build_autoencoder(12, activation=activation, pixels=196), small)
    between = activation in BETWEEN_0_AND_1
    active = np.sum(np.abs(training.code) > (0.5 if between else 0), axis=1)
    assert training.measure()["active_units"] == pytest.approx(active.mean())
    values, *rest = training.histogram
    np.testing.assert_array_equal(values, training.rho_hat if between else active)
    one = [1, "mean activation ρ̂", "hidden units", None]
    assert rest == (one if between else [12, "active units per image", "images", None])
