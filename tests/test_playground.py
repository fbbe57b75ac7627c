"""The playground's engine and pictures, without a browser: see test_playground_browser.py."""

import io
import random
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import helpers
import live_pictures
import live_training
import playground as playground_module
from live_training import LiveTraining
from modern_sparsity import GatedAutoencoder, JumpReLU, RevivingAutoencoder, TopK, start_tied
from playground import Playground
from sparse_autoencoder import KLSparsity, L1Sparsity, build_autoencoder, keras, sse

HAVE_MNIST = (Path(__file__).parent.parent / "data" / "mnist.npz").exists()


@pytest.fixture(scope="module")
def data():
    return helpers.load_mnist("digits")


def kl_model():
    return build_autoencoder(sparsity=KLSparsity(0.1, 0.5), lam2=0.001)


def relu_model():
    return build_autoencoder(activation="relu", sparsity=L1Sparsity(0.1), lam2=0.001)


def topk_model():
    return build_autoencoder(300, "linear", "linear", sparsity=TopK(25), unit_norm=True)


def jumprelu_model():
    return build_autoencoder(300, "linear", "linear", sparsity=JumpReLU(0.1), unit_norm=True)


def gated_model():
    return build_autoencoder(
        300, "linear", "linear", sparsity=L1Sparsity(0.1), kind=GatedAutoencoder
    )


def reviving_model():
    return build_autoencoder(300, "linear", "linear", sparsity=TopK(5), kind=RevivingAutoencoder)


def sequential():
    layers = [
        keras.Input((784,)),
        keras.layers.Dense(50, activation="sigmoid", name="encoder"),
        keras.layers.Dense(784, activation="sigmoid", name="decoder"),
    ]
    return keras.Sequential(layers)


@pytest.fixture
def training(data):
    return LiveTraining(kl_model(), data)


def weights(training):
    return [variable.numpy() for variable in training.model.trainable_variables]


def same(some, others):
    return all(np.array_equal(a, b) for a, b in zip(some, others, strict=True))


# The engine


MODERN = [topk_model, jumprelu_model, gated_model, reviving_model]


@pytest.mark.parametrize("make", [kl_model, relu_model, sequential, *MODERN])
def test_it_trains_like_keras_fit_on_the_same_batches(make, data):
    training = LiveTraining(make(), data, learning_rate=1e-3)
    model = make()
    variables = zip(model.trainable_variables, weights(training), strict=True)
    for variable, start in variables:
        variable.assign(start)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=sse)
    rows = np.concatenate([training._batch(step) for step in range(20)])
    images = data.x_train[rows]
    model.fit(images, images, batch_size=128, shuffle=False, verbose=0)
    training.train(20)
    for mine, theirs in zip(weights(training), model.trainable_variables, strict=True):
        np.testing.assert_allclose(mine, theirs.numpy(), rtol=1e-3, atol=2e-5)


def test_a_pass_takes_every_image_once(training, data):
    per_pass = len(data.x_train) // 128
    first = np.concatenate([training._batch(step) for step in range(per_pass)])
    second = np.concatenate([training._batch(per_pass + step) for step in range(per_pass)])
    assert len(np.unique(first)) == per_pass * 128
    assert not np.array_equal(first, second)


def test_slices_do_not_matter_but_the_step_of_a_change_does(training):
    training.train(50)
    training.set(beta=3)
    training.train(20)
    whole = weights(training)
    training.set(beta=0.5)
    training.reset()
    for steps in (1, 32, 17):
        training.train(steps)
    training.set(beta=3)
    training.train(3)
    training.measure()
    training.train(17)
    assert same(weights(training), whole)

    training.set(beta=0.5)
    training.reset()
    training.train(49)
    training.set(beta=3)
    training.train(21)
    assert not same(weights(training), whole)


def test_a_change_is_not_traced_again(training):
    training.train(40)
    for name, value in {"rho": 0.3, "beta": 0, "lam2": 0.1, "learning_rate": 0.01}.items():
        training.set(**{name: value})
        training.train(3)
        assert training.settings[name] == value
    assert training._steps.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("make", MODERN)
def test_todays_models_have_settings_too_and_start_again(make, data):
    training = LiveTraining(make(), data)
    training.train(20)
    before = weights(training)
    names = [name for name in training.settings if name != "learning_rate"]
    assert names == {"topk_model": ["k"], "jumprelu_model": ["lam0", "theta"]}.get(
        make.__name__, ["lam1"] if make is gated_model else ["k"]
    )
    for name in names:
        training.set(**{name: 2})
    training.train(5)
    assert training._steps.experimental_get_tracing_count() == 1
    if "k" in names:
        training.measure()
        assert training.active_units.max() == 2
    for name, value in training.settings.items():
        training.set(**{name: {"k": 25 if make is topk_model else 5}.get(name, value)})
    if make in (topk_model, reviving_model):
        training.reset()
        training.train(20)
        assert same(weights(training), before)


def test_the_model_and_the_lessons_random_numbers_are_left_alone(data):
    keras.utils.set_random_seed(7)
    model = kl_model()
    model.compile(loss="mse")
    before = [value.numpy() for value in model.variables]
    random_state, numpy_state = random.getstate(), np.random.get_state()[1]
    expected = build_autoencoder().get_weights()

    keras.utils.set_random_seed(7)
    kl_model()
    LiveTraining(model, data).train(5)
    assert random.getstate() == random_state and same([np.random.get_state()[1]], [numpy_state])
    assert same(build_autoencoder().get_weights(), expected)
    assert same([value.numpy() for value in model.variables], before)
    assert model.loss == "mse"


def test_the_start_depends_on_the_seed_alone(data):
    model = kl_model()
    training = LiveTraining(model, data, seed=3)
    start = weights(training)
    assert np.ptp(start[0]) > 0.1 and not np.any(start[1])
    training.train(5)
    training.reset()
    assert same(weights(training), start) and training.step == 0
    training.reset(seed=4)
    assert not same(weights(training), start)
    model.set_weights([0 * value for value in model.get_weights()])  # trained or not
    assert same(weights(LiveTraining(kl_model(), data, seed=3)), start)


def test_a_start_of_its_own_is_come_back_to(data):
    training = LiveTraining(topk_model(), data, start=start_tied)
    first = weights(training)
    np.testing.assert_array_equal(first[0], first[2].T)
    training.train(3)
    training.reset()
    assert same(weights(training), first)


def test_settings_stay_when_it_starts_again(training):
    training.set(rho=0.2)
    training.reset()
    assert training.settings["rho"] == 0.2


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"lam1": 1}, "no setting 'lam1', only learning_rate, rho, beta, lam2"),
        ({"rho": 0}, "rho is 0, but it must be between 0 and 1"),
        ({"beta": -1}, "beta is -1, but it must be finite and 0 or more"),
        ({"lam2": float("nan")}, "lam2 is nan"),
        ({"k": 5}, "no setting 'k'"),
    ],
)
def test_settings_that_cannot_be(training, settings, message):
    before = training.settings
    with pytest.raises(ValueError, match=message):
        training.set(**settings)
    assert training.settings == before and training.marks == []


def test_moves_between_two_steps_leave_one_mark(training):
    training.train(3)
    for beta in (1, 2, 5):
        training.set(beta=beta)
    training.set(rho=0.3)
    assert training.marks == [(3, "beta", 5), (3, "rho", 0.3)]


def test_figures_are_those_of_numpy(training, data):
    training.train(30)
    figures = training.measure()
    x = data.x_validation[: live_training.SHOWN].astype(np.float64)
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


def test_curves_stay_short_and_keep_both_ends(training):
    for _ in range(700):
        training.step += 10
        training.measure()
    steps = [step for step, _ in training.history]
    assert len(steps) <= live_training.POINTS + 1
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
    before = weights(training), training.step, training.settings, list(training.history)
    training.train(5)
    after = weights(training)
    training.reset()
    training.train(10)
    with training.aside():
        training.set(beta=2)
        training.reset()
        training.train(3)
    assert same(weights(training), before[0]) and training.step == before[1]
    assert training.settings == before[2]
    training.train(5)  # Adam's memory is there again too
    assert same(weights(training), after)


def test_fewer_images_than_a_batch(data):
    few = replace(data, x_train=data.x_train[:50], y_train=data.y_train[:50])
    training = LiveTraining(kl_model(), few)
    training.train(3)
    assert training.measure()["epoch"] == 3


def test_models_that_do_not_fit_are_refused(data):
    nameless = keras.Sequential([keras.Input((784,)), keras.layers.Dense(784, name="only")])
    with pytest.raises(ValueError, match="layer named \"encoder\".*'only'"):
        LiveTraining(nameless, data)
    with pytest.raises(ValueError, match="100 pixels, but these have 784"):
        LiveTraining(build_autoencoder(pixels=100), data)
    with pytest.raises(ValueError, match="no setting 'beta'"):
        Playground(build_autoencoder(), data, sliders=("beta",))


# The pictures


def test_the_recording_in_the_readme_is_small_and_moves():
    with Image.open(helpers.RESULTS.with_name("playground.gif")) as recording:
        assert recording.n_frames >= 15
    assert helpers.RESULTS.with_name("playground.gif").stat().st_size < 2_000_000


def test_features_are_red_where_positive_and_blue_where_negative():
    weights = np.zeros((4, 3))
    weights[0], weights[3] = 5.0, -5.0
    picture = Image.open(io.BytesIO(live_pictures.features_png(weights, 2, (2, 2), scale=2)))
    assert picture.size == (10, 10)  # two tiles and the gap between them, twice as large
    pixels = np.asarray(picture.convert("RGB")).astype(int)
    red, blue, nothing = pixels[0, 0], pixels[3, 3], pixels[0, 3]
    assert red[0] > red[2] + 50 and blue[2] > blue[0] + 30 and nothing.min() > 240


def test_images_are_gray_and_what_lies_outside_is_cut_off():
    picture = Image.open(
        io.BytesIO(live_pictures.images_png(np.array([[0, 1, 2, -1.0]]), 1, (2, 2)))
    )
    assert np.asarray(picture).tolist() == [[0, 255], [255, 0]]


def svg(text):
    return ElementTree.fromstring(text)


def texts(picture):
    return [element.text for element in picture.iter("text")]


def test_each_term_is_a_curve_and_one_that_is_off_is_not_drawn():
    history = [(0, {"sse": 100.0, "kl": 1.0}), (10, {"sse": 10.0, "kl": 0.0})]
    picture = svg(live_pictures.curves_svg(history, [(10, "beta", 0)]))
    lines = {line.get("stroke"): line for line in picture.iter("polyline")}
    points = lines[live_pictures.TERMS["sse"][1]].get("points").split()
    (x0, y0), (x1, y1) = (map(float, point.split(",")) for point in points)
    assert x1 > x0 and y1 > y0, "time goes right, and a smaller value stands lower"
    kl = lines[live_pictures.TERMS["kl"][1]].get("points").split()
    assert len(set(kl)) == 1, "only the point where it was on"
    assert {"SSE", "KL term off", "β off", "step"} <= set(texts(picture))


def test_a_decade_is_as_high_anywhere():
    history = [(step, {"sse": 10.0**-step}) for step in range(4)]
    (line,) = svg(live_pictures.curves_svg(history)).iter("polyline")
    heights = [float(point.split(",")[1]) for point in line.get("points").split()]
    np.testing.assert_allclose(np.diff(heights), np.diff(heights)[0], atol=0.2)


def test_names_at_the_curves_ends_do_not_overlap():
    history = [(0, {"sse": 1.0, "kl": 1.0, "l2": 1.01, "l1": 0.99})]
    picture = svg(live_pictures.curves_svg(history))
    names = {name for name, *_ in live_pictures.TERMS.values()}
    places = sorted(float(t.get("y")) for t in picture.iter("text") if t.text in names)
    assert len(places) == 4 and min(np.diff(places)) >= 12


def test_histogram_counts_and_shows_the_target():
    values = np.r_[np.full(30, 0.11), np.full(10, 0.91)]
    picture = svg(live_pictures.histogram_svg(values, 1, "ρ̂ <&>", "units", target=0.1))
    bars = sorted(picture.iter("rect"), key=lambda bar: float(bar.get("x")))
    heights = [float(bar.get("height")) for bar in bars]
    assert len(bars) == 2 and heights[0] == pytest.approx(3 * heights[1], abs=0.2)
    target = next(line for line in picture.iter("line") if line.get("stroke") == "#D55E00")
    assert 0 <= float(bars[0].get("x")) - float(target.get("x1")) < 8
    assert "target ρ = 0.1" in texts(picture) and "ρ̂ <&>" in texts(picture)


# The playground around them


def test_it_offers_the_sliders_it_was_asked_for_and_zero_is_off(data):
    played = Playground(kl_model(), data, sliders=("rho", "beta"))
    assert list(played._sliders) == ["rho", "beta"]
    assert played._sliders["beta"].value == 0.5 and played._sliders["rho"].value == 0.1
    assert played._sliders["beta"].options[0] == ("off", 0)
    assert dict(played._sliders["rho"].options)["0.15"] == 0.15, "the source's is on the grid"


def test_a_preset_sets_every_slider(data):
    played = Playground(kl_model(), data, sliders=("rho", "beta", "lam2"))
    played._preset.value = "UFLDL's settings"
    settings = played.training.settings
    assert (settings["rho"], settings["beta"], settings["lam2"]) == (0.1, 6, 0.006)
    played._preset.value = "this lesson's settings"
    assert played.training.settings["beta"] == 0.5


def test_without_a_browser_a_cell_trains_to_the_same_weights(data):
    played = Playground(kl_model(), data, sliders=("rho", "beta"))
    figures = played.train(40, beta=3)
    assert figures["step"] == 40 and played._sliders["beta"].value == 3
    other = LiveTraining(kl_model(), data)
    other.set(beta=3)
    other.train(40)
    assert same(weights(played.training), weights(other))


def test_without_a_browser_training_stops_by_itself(data, monkeypatch):
    monkeypatch.setattr(playground_module, "PATIENCE", 0.3)
    monkeypatch.setattr(playground_module, "GIVE_UP", 1)
    played = Playground(kl_model(), data)
    played._train_button.value = True
    end = time.monotonic() + 30
    while played._train_button.value and time.monotonic() < end:
        time.sleep(0.1)
    assert "the page did not answer" in played._status.value
    step = played.training.step
    time.sleep(0.3)
    assert played.training.step == step


def test_an_answer_that_was_lost_is_asked_for_again(data, monkeypatch):
    monkeypatch.setattr(playground_module, "PATIENCE", 0.3)
    played, seen = Playground(kl_model(), data), []

    def answer(change):  # as a page does, but for its third answer
        seen.append(change["new"])
        if len(seen) != 3:
            played._answer.value = change["new"]

    played._frame.observe(answer, "value")
    played._train_button.value = True
    end = time.monotonic() + 30
    while len(seen) < 8 and played._train_button.value and time.monotonic() < end:
        time.sleep(0.01)
    assert len(seen) >= 8 and played.figures["step"] > 0
    played.close()


def test_train_right_after_pause_trains(data):
    played = Playground(kl_model(), data)
    for _ in range(5):
        played._train_button.value = True
        played._train_button.value = False
    played._train_button.value = True
    step, end = played.training.step, time.monotonic() + 30
    while played.training.step == step and time.monotonic() < end:
        time.sleep(0.01)
    assert played.training.step > step and played._playing
    played.close()


def test_a_screen_reader_is_told_at_most_once_a_second(data):
    played = Playground(kl_model(), data)
    told = []
    played._announcement.observe(lambda change: told.append(change["new"]), "value")
    moment = time.monotonic()
    played.clock = lambda: moment
    played._state = "training"
    for _ in range(100):
        moment += 0.1
        played.training.step += 1
        played._draw()
    assert 9 <= len(told) <= 11
    assert all('role="status"' in text for text in told)


def test_the_still_picture_leaves_what_is_played_with_alone(data, monkeypatch):
    import matplotlib.pyplot as plt

    played = Playground(kl_model(), data, sliders=("rho", "beta"))
    played.train(20, beta=2)
    before = weights(played.training)
    fig = played.still(steps=100)
    assert "Step 100" in fig.get_suptitle()
    assert same(weights(played.training), before) and played.training.step == 20
    assert played.training.settings["beta"] == 2
    plt.close(fig)


def test_closing_removes_every_widget(data):
    import ipywidgets

    before = set(ipywidgets.widgets.widget._instances)
    played = Playground(kl_model(), data, sliders=("rho", "beta"))
    assert len(set(ipywidgets.widgets.widget._instances) - before) > 40
    played.close()
    assert set(ipywidgets.widgets.widget._instances) <= before


# The guided experiments of the lessons, each with the steps and the claims that stand there


@pytest.fixture(scope="module")
def mnist():
    return helpers.load_mnist("mnist")


def roughness(training):
    """How much neighbouring weights of a feature differ, for the median feature."""
    features = training.features.T.reshape(-1, 28, 28)
    squares = sum(np.square(np.diff(features, axis=axis)).sum(axis=(1, 2)) for axis in (1, 2))
    return np.median(squares / np.square(features).sum(axis=(1, 2)))


def play(training, *phases):
    """Start again, and go through phases of (steps, settings); gives the figures after each."""
    training.set(**phases[0][1])
    training.reset()
    seen = []
    for steps, settings in phases:
        training.set(**settings)
        training.train(steps)
        seen.append({**training.measure(), "roughness": roughness(training)})
    return seen


needs_mnist = pytest.mark.skipif(not HAVE_MNIST, reason="needs data/mnist.npz")


@pytest.mark.slow
@needs_mnist
def test_experiments_of_lesson_01(mnist):
    training = LiveTraining(build_autoencoder(), mnist)
    (slow,) = play(training, (1000, {"learning_rate": 1e-5}))
    assert slow["sse"] > 60
    good, _, back = play(
        training,
        (1000, {"learning_rate": 3e-3}),
        (300, {"learning_rate": 0.1}),
        (1000, {"learning_rate": 3e-3}),
    )
    assert good["sse"] < 6 and back["sse"] > 60
    (faster,) = play(training, (1000, {"learning_rate": 0.01}))
    assert faster["sse"] < 0.8 * good["sse"]
    (many_dead,) = play(training, (1000, {"learning_rate": 0.03}))
    assert many_dead["dead_units"] > 50


@pytest.mark.slow
@needs_mnist
def test_experiments_of_lesson_02(mnist):
    training = LiveTraining(build_autoencoder(lam2=0.01), mnist)
    noise, blobs = play(training, (1000, {"lam2": 0}), (1000, {"lam2": 0.1}))
    assert noise["sse"] < 6 and 30 < blobs["sse"] < 40
    assert blobs["roughness"] < 0.5 * noise["roughness"]
    alike, after = play(training, (1000, {"lam2": 0.3}), (1000, {"lam2": 0}))
    assert 45 < alike["sse"] < 55 and after["sse"] < 10
    first, off, again = play(
        training, (1000, {"lam2": 0.01}), (1000, {"lam2": 0}), (1000, {"lam2": 0.01})
    )
    assert off["sse"] < 5 and abs(again["sse"] - first["sse"]) < 2


@pytest.mark.slow
@needs_mnist
def test_experiments_of_lesson_03(mnist):
    training = LiveTraining(build_autoencoder(sparsity=KLSparsity(0.05, 3), lam2=0.003), mnist)
    lesson = {"rho": 0.05, "beta": 3, "lam2": 0.003}
    first, free, back = play(training, (1000, lesson), (1000, {"beta": 0}), (1000, lesson))
    assert 0.3 < free["mean_activation"] < 0.5 and free["sse"] < first["sse"] / 2
    assert free["active_units"] > 8 * first["active_units"] and back["mean_activation"] < 0.08
    _, half = play(training, (1000, lesson), (1000, {"rho": 0.5}))
    assert abs(half["mean_activation"] - 0.5) < 0.02 and half["active_units"] > 80
    _, spread = play(training, (1000, lesson), (1000, {"beta": 0}))
    wide = training.rho_hat.std()
    play(training, (1000, lesson), (1000, {"rho": 0.5}))
    assert training.rho_hat.std() < 0.6 * wide
    before, rough = play(training, (1000, lesson), (1000, {"lam2": 0}))
    assert abs(rough["mean_activation"] - 0.05) < 0.03 and rough["sse"] < 0.6 * before["sse"]
    _, with_l2 = play(training, (1000, lesson), (1000, {}))
    assert rough["roughness"] > 1.15 * with_l2["roughness"]


@pytest.mark.slow
@needs_mnist
def test_experiments_of_lesson_04(mnist):
    model = build_autoencoder(
        activation="relu",
        reconstruction_activation="softplus",
        sparsity=L1Sparsity(0.1),
        lam2=0.001,
    )
    training = LiveTraining(model, mnist, learning_rate=1e-3)
    lesson = {"lam1": 0.1, "lam2": 0.001}
    first, free, back = play(training, (1000, lesson), (1000, {"lam1": 0}), (1000, lesson))
    assert 60 < first["active_units"] < 85 and free["active_units"] > 150
    assert 85 < back["active_units"] < 115
    before, strong, after = play(training, (1000, lesson), (1000, {"lam1": 1}), (1000, lesson))
    assert before["dead_units"] < 10 < 40 < strong["dead_units"]
    assert after["dead_units"] > strong["dead_units"] / 2
    (whole,) = play(training, (2000, lesson))
    _, cheat = play(training, (1000, lesson), (1000, {"lam2": 0}))
    assert cheat["l1"] < 0.95 * whole["l1"] and abs(cheat["sse"] - whole["sse"]) < 0.3


@pytest.mark.slow
@needs_mnist
def test_experiments_of_lesson_07(mnist):
    model = build_autoencoder(1000, "linear", "linear", sparsity=TopK(25), unit_norm=True)
    training = LiveTraining(model, mnist, 1e-3, start=start_tied)
    before, two, back = play(training, (1000, {"k": 25}), (500, {"k": 2}), (500, {"k": 25}))
    assert 8 < before["sse"] < 10 and 20 < two["sse"] < 26.5 and 8 < back["sse"] < 10
    assert back["dead_units"] > before["dead_units"] + 50
    model = build_autoencoder(1000, "linear", "linear", sparsity=JumpReLU(0.2), unit_norm=True)
    training = LiveTraining(model, mnist, 1e-3, start=start_tied)
    free, priced, again = play(
        training, (1000, {"lam0": 0, "theta": 0.1}), (1000, {"lam0": 0.2}), (1000, {"lam0": 0})
    )
    assert free["active_units"] > 600 and priced["active_units"] < 30
    assert 80 < again["active_units"] < 150
    low, high, after = play(
        training, (1000, {"lam0": 0, "theta": 0.1}), (1, {"theta": 1}), (500, {})
    )
    assert high["active_units"] < 30 and 35 < high["sse"] < 42
    assert after["sse"] < 10 and 25 < after["active_units"] < 60
    assert after["dead_units"] > 2 * low["dead_units"]
