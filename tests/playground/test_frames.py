"""What a frame holds, against NumPy."""

import numpy as np
import pytest

from sparse_autoencoder import keras, tf
from sparse_autoencoder.playground.digit import centred
from sparse_autoencoder.playground.engine import PICTURED, LiveTraining
from sparse_autoencoder.playground.frames import BINS, DRAWING, Frames
from tests.playground.conftest import MAKERS, PIXELS, UNITS

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture
def look(make, small):
    """Makes a training of a kind of model with some steps, its frames, and a way to see them."""

    def begin(kind="kl", steps=5):
        training = LiveTraining(make(kind), small)
        training.train(steps)
        frames = Frames(training, small.image_shape, ["learning_rate"])

        def see():
            return frames.frame(training.measure())

        see()
        return training, frames, see

    return begin


def code_of(training, images):
    """The code, by the model's own layers."""
    model = training.model
    if hasattr(model, "encode"):
        return np.array(model.encode(images))
    return np.array(model.get_layer("encoder")(images))


def decoded(training, code):
    return np.asarray(training.model.get_layer("decoder")(code))


def as_bytes(images):
    return np.rint(255 * np.clip(images, 0, 1))


@pytest.mark.parametrize("kind", MAKERS)
def test_pictures_are_those_of_the_model(kind, look, small):
    training, _, see = look(kind)
    content, arrays = see()
    W1 = training.features
    scales = np.abs(W1).max(axis=0)
    np.testing.assert_allclose(arrays["scales"], scales)
    np.testing.assert_allclose(arrays["features"], 128 + 127 * (W1 / scales).T, atol=0.501)
    x = small.x_validation
    code, shown = code_of(training, x), x[:PICTURED]
    np.testing.assert_allclose(arrays["code"], code[:PICTURED], atol=1e-5)
    np.testing.assert_allclose(arrays["means"], code.mean(axis=0), atol=1e-5)
    whole = as_bytes(np.asarray(training.model(shown)))
    np.testing.assert_allclose(arrays["reconstructions"], whole, atol=1)
    up_to = 0.1 if kind in ("kl", "sequential") else 0
    np.testing.assert_array_equal(arrays["dead"], np.abs(code).max(axis=0) <= up_to)
    assert content["figures"]["dead_units"] == arrays["dead"].sum()
    assert content["histogram"]["of"] == ("units" if up_to else "images")
    assert arrays["curve_steps"].tolist() == [step for step, _ in training.history]
    curve = [terms["sse"] for _, terms in training.history]
    np.testing.assert_allclose(arrays["curve_sse"], curve, rtol=1e-6)


def test_a_feature_of_nothing_is_white(look):
    training, _, see = look()
    kernel = training.model.encoder.kernel
    kernel.assign(kernel * np.r_[0, np.ones(UNITS - 1)].astype(np.float32))
    _, arrays = see()
    assert arrays["scales"][0] == 0 and set(arrays["features"][0]) == {128}


@pytest.mark.parametrize("kind", MAKERS)
def test_a_unit_that_is_off_draws_nothing_and_trains_on(kind, look, small):
    training, frames, see = look(kind)
    before = see()[0]["figures"]
    full = code_of(training, small.x_validation[:PICTURED])
    unit = int(np.argmax(full.sum(axis=0)))
    frames.switch(unit=unit, on=False)
    frames.switch(unit=0, on=False)
    frames.draw(image=3)
    content, arrays = see()
    assert content["off"] == sorted({0, unit}) and content["figures"] == before
    assert f"{len({0, unit})} switched off" in content["words"]
    code = full.copy()
    code[:, [0, unit]] = 0
    np.testing.assert_allclose(arrays["code"], code, atol=1e-5)
    images = as_bytes(decoded(training, code))
    np.testing.assert_allclose(arrays["reconstructions"], images, atol=1)
    assert np.abs(images - as_bytes(decoded(training, full))).max() > 0
    np.testing.assert_allclose(arrays["drawn_code"], code[3], atol=1e-5)
    np.testing.assert_array_equal(arrays["drawn_reconstruction"], arrays["reconstructions"][3])
    if kind != "sequential":
        kernel = training.model.encoder.kernel.numpy()
        training.train(3)
        assert np.any(training.model.encoder.kernel.numpy()[:, unit] != kernel[:, unit])
    frames.switch(all=True)
    content, arrays = see()
    assert content["off"] == [] and np.any(arrays["code"][:, unit])


def test_what_is_off_or_drawn_is_the_same_compiled_and_compiled_once(compiled, small):
    tf.config.run_functions_eagerly(False)
    compiled.reset()
    frames = Frames(compiled, small.image_shape, ["beta"])
    compiled.train(2)
    plain = frames.frame(compiled.measure())[1]["reconstructions"]
    frames.switch(unit=1, on=False)
    frames.draw(image=1)
    other = frames.frame(compiled.measure())[1]["reconstructions"]
    assert np.any(plain != other) and compiled.times_compiled == 1
    frames.switch(all=True)
    np.testing.assert_array_equal(frames.frame(compiled.measure())[1]["reconstructions"], plain)


@pytest.mark.parametrize("kind", ["kl", "relu", "topk"])
def test_the_closer_look_is_at_the_chosen_unit(kind, look, small):
    training, frames, see = look(kind)
    assert see()[0]["unit"] is None
    frames.look(7)
    content, arrays = see()
    unit, code = content["unit"], code_of(training, small.x_validation)[:, 7]
    order = np.argsort(-code, kind="stable")[:9]
    assert unit["number"] == 7 and unit["mean"] == pytest.approx(code.mean(), abs=1e-5)
    np.testing.assert_allclose(unit["strongest"], code[order], atol=1e-5)
    assert arrays["unit_images"].shape == (9, PIXELS)
    np.testing.assert_allclose(arrays["unit_images"][0], as_bytes(small.x_validation[order[0]]))
    upper = 1 if kind in ("kl", "sequential") else code.max() or 1
    assert unit["upper"] == pytest.approx(upper, abs=1e-5) and len(arrays["unit_counts"]) == BINS
    assert arrays["unit_counts"].sum() == (code >= 0).sum()
    np.testing.assert_array_equal(arrays["unit_feature"], arrays["features"][7])
    frames.look(None)
    assert see()[0]["unit"] is None


@pytest.mark.parametrize("kind", ["sequential", "topk", "gated"])
def test_a_reconstruction_is_drawn_by_activation_times_length_of_the_row(kind, look, small):
    training, frames, see = look(kind)
    frames.explain(2)
    content, arrays = see()
    rows = training.model.get_layer("decoder").kernel.numpy()
    code = code_of(training, small.x_validation[:PICTURED])[2]
    share = np.abs(code) * np.linalg.norm(rows, axis=1)
    units = [int(unit) for unit in np.argsort(-share)[:DRAWING] if share[unit] > 0]
    explained = content["explained"]
    assert explained["image"] == 2 and explained["units"] == units
    np.testing.assert_allclose(explained["activations"], code[units], atol=1e-5)
    scaled = rows[units] / np.abs(rows[units]).max(axis=1)[:, None]
    np.testing.assert_allclose(arrays["explain_features"], 128 + 127 * scaled, atol=0.501)
    frames.switch(unit=units[0], on=False)
    assert see()[0]["explained"]["units"][0] == units[1], "what is off draws nothing"


def test_a_drawing_is_placed_and_seen_by_the_model(look):
    training, frames, see = look()
    assert "drawn" not in see()[1]
    drawing = np.zeros((14, 14), np.uint8)
    drawing[1:8, 2:5] = 255
    frames.draw(drawing.tobytes())
    _, arrays = see()
    placed = centred(drawing / 255).ravel()
    np.testing.assert_array_equal(arrays["drawn"], as_bytes(placed))
    code = code_of(training, placed[None])
    np.testing.assert_allclose(arrays["drawn_code"], code[0], atol=1e-5)
    back = as_bytes(decoded(training, code)[0])
    np.testing.assert_allclose(arrays["drawn_reconstruction"], back, atol=1)
    frames.draw(image=5)
    _, arrays = see()
    np.testing.assert_array_equal(arrays["drawn"], as_bytes(training.shown[5]))
    frames.draw(clear=True)
    assert "drawn" not in see()[1]


def test_a_snapshot_stays_as_it_was_and_says_where_it_was_taken(look):
    training, frames, see = look()
    _, before = see()
    assert frames.old == {}
    frames.snapshot(on=True)
    training.train(3)
    content, arrays = see()
    for name in ("features", "scales", "dead", "reconstructions"):
        np.testing.assert_array_equal(frames.old[f"old_{name}"], before[name])
    assert np.any(arrays["features"] != before["features"])
    words = content["snapshot"]["words"]
    assert words.startswith("At step 5: learning rate 0.003; SSE ") and "L2 term" in words
    frames.snapshot(on=False)
    assert see()[0]["snapshot"] is None and frames.old == {}


def test_what_there_is_not_is_refused(look):
    _, frames, see = look()
    before = see()[0]
    for name, asked, message in [
        ("look", {"unit": UNITS}, "no unit 30, only 0 to 29"),
        ("switch", {"unit": -1, "on": False}, "no unit -1"),
        ("explain", {"image": PICTURED}, "no image 14, only 0 to 13"),
        ("draw", {"image": "3"}, "no image 3"),
        ("draw", {"pixels": b"123"}, "the drawing has 3 bytes, but an image 196 pixels"),
    ]:
        with pytest.raises(ValueError, match=message):
            getattr(frames, name)(**asked)
    assert see()[0] == before


def test_a_model_without_rows_that_draw_cannot_be_explained(small):
    deep = keras.Sequential(
        [
            keras.Input((PIXELS,)),
            keras.layers.Dense(UNITS, "relu", name="encoder"),
            keras.layers.Dense(9, "relu"),
            keras.layers.Dense(PIXELS, "sigmoid", name="decoder"),
        ]
    )
    training = LiveTraining(deep, small)
    frames = Frames(training, small.image_shape, [])
    with pytest.raises(ValueError, match='Dense layer "decoder" right behind the code'):
        frames.explain(0)
    frames.switch(unit=2, on=False)
    code = code_of(training, small.x_validation[:PICTURED])
    code[:, 2] = 0
    expected = as_bytes(decoded(training, training.model.layers[1](code)))
    _, arrays = frames.frame(training.measure())
    np.testing.assert_allclose(arrays["reconstructions"], expected, atol=1)
