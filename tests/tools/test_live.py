"""The engine of the live page against the notebook's, run by the Node that Playwright brings."""

import base64
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import playwright
import pytest

from sparse_autoencoder import KLSparsity, L1Sparsity, build_autoencoder, tf
from sparse_autoencoder.images import ImageData
from sparse_autoencoder.playground import controls
from sparse_autoencoder.playground.digit import centred
from sparse_autoencoder.playground.engine import LiveTraining, rounded
from sparse_autoencoder.playground.frames import Frames
from sparse_autoencoder.playground.session import Session
from tools import live

NODE = Path(playwright.__file__).parent / "driver" / f"node{'.exe' * (sys.platform == 'win32')}"
WASM = live.in_base64((live.PARTS / "kernels.wasm").read_bytes())
SETTINGS = {
    "kl": {"learning_rate": 0.003, "rho": 0.1, "beta": 2, "lam2": 0.01, "seed": 0},
    "l1": {"learning_rate": 0.003, "lam1": 0.1, "lam2": 0.01, "seed": 0},
}
MATRICES = "W1", "W2", "b1", "b2"

# What both scripts below need: arrays as text, and a training of what is given.
COMMON = """
const packed = (array) => btoa(new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
  .reduce((text, byte) => text + String.fromCharCode(byte), ""));
const packedParts = (parts) => Object.fromEntries(
  ["W1", "W2", "b1", "b2"].map((name) => [name, packed(parts[name])]));
const begin = ({ config, settings, images, wasm }) => {
  const pixels = config.image_shape[0] * config.image_shape[1];
  const [train, validation] = images.map(unpacked);
  return new Training(config, settings, { train, validation, pixels }, wasm && unpacked(wasm));
};
"""
REPLAY = """(given) => {
  const training = begin(given);
  const start = packedParts(training.weights);
  const before = training.measure();
  const rows = [];
  let gradients;
  for (let step = 0; step < given.steps; step++) {
    training.set(given.changes[step] ?? {});
    rows.push([...training.rows(step)]);
    training.train();
    gradients ??= packedParts(training.gradients);
  }
  const after = training.measure();
  const end = packedParts(training.weights);
  return { start, before, rows, gradients, after, end, kernels: training.kernels.name };
}"""
ASK = """(given) => {
  const training = begin(given);
  const start = packedParts(training.weights);
  const answers = [];
  let now = 0;
  const send = (content, buffers) => answers.push({ content, step: training.step,
    buffers: buffers.map((buffer) => packed(new Uint8Array(buffer))) });
  // Whatever is timed takes so many milliseconds.
  const engine = new Engine(given.config, training, send, () => (now += given.takes ?? 0));
  for (const { pass = 0, bytes, ...request } of given.requests) {
    now += pass;
    const buffers = bytes ? [new DataView(unpacked(bytes).buffer)] : [];
    engine.answer({ v: 1, view: "a", n: answers.length, ...request }, buffers);
  }
  return { start, answers, rows: Array.from({ length: 9 }, (_, step) => [...training.rows(step)]) };
}"""


def script(function):
    """A JavaScript function of what is given, with the engine around it."""
    engine = controls.script(live.PARTS, *live.WORKER)
    # In a worker it would listen to the page; here it shall not.
    return f"((WorkerGlobalScope) => {{\n{engine}\n{COMMON}\nreturn {function};\n}})()"


def run(function, given=None):
    given_text = 'require("fs").readFileSync(0, "utf8")'
    code = f"console.log(JSON.stringify({script(function)}(JSON.parse({given_text}))))"
    command = [NODE, "--input-type=commonjs", "-e", code]
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True)
    assert not done.returncode, done.stderr[-3000:]
    return json.loads(done.stdout)


def floats(text):
    return np.frombuffer(base64.b64decode(text), np.float32)


def parts_of(packed, pixels, units):
    """W1, W2, b1, b2 of a script's answer."""
    shapes = (pixels, units), (units, pixels), (units,), (pixels,)
    both = zip(MATRICES, shapes, strict=True)
    return {name: floats(packed[name]).reshape(shape) for name, shape in both}


def images_as_given(data):
    return [live.in_base64(np.uint8(np.rint(255 * x))) for x in (data.x_train, data.x_validation)]


@pytest.fixture(scope="module")
def small():
    """Images of 14×14 pixels, of which most are 0, as ImageData."""
    rng = np.random.default_rng(0)
    x = rng.integers(1, 256, (88, 196)) * (rng.random((88, 196)) < 0.2)
    x, y = (x / 255).astype(np.float32), np.arange(88) % 10
    return ImageData("MNIST", (14, 14), x[:48], y[:48], x[48:], y[48:], x[48:], y[48:])


@pytest.fixture
def given(small):
    """What the scripts are given, but for what is done."""

    def make(penalty="kl", **more):
        config = live.config(small) | {"units": 28, "batch": 16}
        images = images_as_given(small)
        common = {"config": config, "settings": SETTINGS[penalty], "images": images, "wasm": WASM}
        return common | more

    return make


def loss_terms(x, w, settings):
    """The code, the reconstructions, and the terms of the loss, in float64."""
    a = x @ w["W1"] + w["b1"]
    h = 1 / (1 + np.exp(-a)) if "rho" in settings else np.maximum(a, 0)
    y = 1 / (1 + np.exp(-(h @ w["W2"] + w["b2"])))
    terms = {"sse": ((x - y) ** 2).sum(axis=1).mean()}
    if "rho" in settings:
        rho, rho_hat = settings["rho"], h.mean(axis=0)
        kl = rho * np.log(rho / rho_hat) + (1 - rho) * np.log((1 - rho) / (1 - rho_hat))
        terms["kl"] = settings["beta"] * kl.sum()
    else:
        terms["l1"] = settings["lam1"] * h.sum(axis=1).mean()
    terms["l2"] = settings["lam2"] / 2 * ((w["W1"] ** 2).sum() + (w["W2"] ** 2).sum())
    return h, y, terms


def loss_gradients(x, w, settings):
    """By W1, W2, b1, b2, but for the L2 term, in float64."""
    h, y, _ = loss_terms(x, w, settings)
    n = len(x)
    dy = 2 / n * (y - x) * y * (1 - y)
    dh = dy @ w["W2"].T
    if "rho" in settings:
        rho, rho_hat = settings["rho"], h.mean(axis=0)
        dh += settings["beta"] / n * ((1 - rho) / (1 - rho_hat) - rho / rho_hat)
        da = dh * h * (1 - h)
    else:
        da = (dh + settings["lam1"] / n) * (h > 0)
    return {"W1": x.T @ da, "W2": h.T @ dy, "b1": da.sum(axis=0), "b2": dy.sum(axis=0)}


@pytest.mark.parametrize("wasm", [WASM, ""], ids=["wasm", "plain"])
@pytest.mark.parametrize("penalty", SETTINGS)
def test_one_step_is_that_of_numpy_in_float64(penalty, wasm, given, small):
    done = run(REPLAY, given(penalty, wasm=wasm, steps=1, changes={}))
    assert done["kernels"] == ("WebAssembly" if wasm else "plain JavaScript")
    settings = SETTINGS[penalty]
    w = {name: np.float64(part) for name, part in parts_of(done["start"], 196, 28).items()}
    x = np.float64(small.x_train[done["rows"][0]])
    expected = loss_gradients(x, w, settings)
    for name, gradient in parts_of(done["gradients"], 196, 28).items():
        np.testing.assert_allclose(gradient, expected[name], rtol=1e-5, atol=1e-5)
    after = {name: np.float64(part) for name, part in parts_of(done["end"], 196, 28).items()}
    for figures, weights in [(done["before"], w), (done["after"], after)]:
        _, _, terms = loss_terms(np.float64(small.x_validation), weights, settings)
        assert {name: figures[name] for name in terms} == pytest.approx(terms, rel=1e-5)
    # Adam's first step is as long as the learning rate, against the gradient.
    gradient = expected["W2"] + settings["lam2"] * w["W2"]
    step = settings["learning_rate"] * gradient / (np.abs(gradient) + 1e-7 / np.sqrt(0.001))
    large = np.abs(gradient) > 1e-4
    np.testing.assert_allclose((after["W2"] - w["W2"])[large], -step[large], atol=2e-6)


@pytest.fixture
def eagerly():
    """Nothing is compiled, which takes longer than a few steps do."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def keras_training(data, settings, start, rows, units=196):
    """The notebook's engine, with these first weights and batches."""
    if "rho" in settings:
        how = {"sparsity": KLSparsity(settings["rho"], settings["beta"])}
    else:
        how = {"sparsity": L1Sparsity(settings["lam1"]), "activation": "relu"}
    pixels = data.x_train.shape[1]
    model = build_autoencoder(units, lam2=settings["lam2"], pixels=pixels, **how)

    def begin(model, _):
        parts = parts_of(start, pixels, units)
        for layer, part in ((model.encoder, "1"), (model.decoder, "2")):
            layer.kernel.assign(parts["W" + part])
            layer.bias.assign(parts["b" + part])

    training = LiveTraining(model, data, settings["learning_rate"], 0, len(rows[0]), begin)
    training.batch = lambda step: rows[step]
    return training


DRAWING = np.zeros((14, 14), np.uint8)
DRAWING[2:9, 3], DRAWING[8, 3:12] = 255, 120
REQUESTS = [
    {"do": "hello"},
    {"do": "step"},
    {"do": "look", "unit": 3},
    {"do": "explain", "image": 1},
    {"do": "switch", "unit": 2, "on": False},
    {"do": "draw", "bytes": live.in_base64(DRAWING)},
    {"do": "snapshot", "on": True},
    {"do": "set", "values": {"lam2": 0}},
    {"do": "step"},
    {"do": "hello"},
    {"do": "switch", "all": True},
    {"do": "draw", "image": 4},
    {"do": "snapshot", "on": False},
    {"do": "preset", "preset": "the source's settings"},
    {"do": "speed", "speed": "one step"},
    {"do": "train", "on": True},
    {"do": "tick"},
    {"do": "train", "on": False},
    {"do": "draw", "clear": True},
    {"do": "look", "unit": None},
    {"do": "reset"},
]


def assert_same(mine, other, place="frame"):
    """Equal, floats nearly so."""
    if isinstance(other, dict):
        assert mine.keys() == other.keys(), place
        for key in other:
            assert_same(mine[key], other[key], f"{place}.{key}")
    elif isinstance(other, list):
        assert len(mine) == len(other), place
        for i, (one, two) in enumerate(zip(mine, other, strict=True)):
            assert_same(one, two, f"{place}[{i}]")
    elif isinstance(other, float):
        assert mine == pytest.approx(other, rel=1e-4, abs=1e-6), place
    else:
        assert mine == other, place


@pytest.mark.parametrize("penalty", SETTINGS)
@pytest.mark.usefixtures("eagerly")
def test_every_frame_is_that_of_the_notebook(penalty, given, small):
    done = run(ASK, given(penalty, requests=REQUESTS))
    settings = SETTINGS[penalty]
    training = keras_training(small, settings, done["start"], done["rows"], units=28)
    sliders = [name for name in settings if name not in ("learning_rate", "seed")]
    presets = {
        title: {name: rounded(values[name]) for name in sliders}
        for title, values in ({"this page's settings": settings} | live.PRESETS).items()
        if values.keys() >= set(sliders)
    }
    sent = []
    frames = Frames(training, small.image_shape, sliders)
    session = Session(training, frames, lambda *frame: sent.append(frame), lambda _: None, presets)
    assert len(done["answers"]) == len(REQUESTS)
    for n, (request, answer) in enumerate(zip(REQUESTS, done["answers"], strict=True)):
        buffers = [base64.b64decode(request["bytes"])] if "bytes" in request else []
        more = {key: value for key, value in request.items() if key != "bytes"}
        session.answer({"v": 1, "view": "a", "n": n, **more}, buffers)
        content, buffers = sent[-1]
        content = json.loads(json.dumps(content))
        kinds = dict(zip(content.pop("buffers"), buffers, strict=True))
        names = answer["content"].pop("buffers")
        assert set(names) == kinds.keys(), request
        del content["ms"], answer["content"]["ms"]
        assert_same(answer["content"], content, str(request))
        for name, text in zip(names, answer["buffers"], strict=True):
            whole = re.search("steps|counts", name)
            number = re.search("scales|means|values|code|curve", name)
            kind = np.int32 if whole else np.float32 if number else np.uint8
            one, two = (np.frombuffer(b, kind) for b in (base64.b64decode(text), kinds[name]))
            # A byte may be rounded up here and down there.
            near = {"atol": 1} if kind is np.uint8 else {"rtol": 1e-3, "atol": 1e-5}
            np.testing.assert_allclose(np.float64(one), two, **near, err_msg=f"{request} {name}")


def test_drawings_are_placed_as_in_the_notebook():
    rng = np.random.default_rng(0)
    drawings = [np.zeros((28, 28), np.uint8), np.full((28, 28), 9, np.uint8)]
    for _ in range(20):
        drawn = np.zeros((28, 28), np.uint8)
        top, left = rng.integers(0, 20, 2)
        height, width = rng.integers(1, 29, 2)
        ink = drawn[top : top + height, left : left + width]
        ink[:] = rng.integers(0, 256, ink.shape) * (rng.random(ink.shape) < 0.5)
        drawings.append(drawn)
    function = "(given) => given.map((text) => packed(centred(unpacked(text), [28, 28])))"
    placed = run(function, [live.in_base64(drawn) for drawn in drawings])
    for drawn, image in zip(drawings, placed, strict=True):
        np.testing.assert_allclose(floats(image), centred(drawn / 255).ravel(), atol=1e-6)


def answers(given, *requests):
    return [answer["content"] for answer in run(ASK, given(requests=requests))["answers"]]


def test_it_trains_only_for_the_view_that_pressed_train_and_pauses_when_that_is_gone(given):
    tick, slow = {"do": "tick"}, {"do": "speed", "speed": "one step"}
    frames = answers(
        given,
        *[tick, slow, {"do": "train", "on": True}, tick, {**tick, "view": "b"}, tick],
        {**tick, "view": "b", "pass": 3000},
        tick,
        {"do": "train", "on": True, "view": "b"},
        {**tick, "view": "b"},
        {**tick, "view": "b", "pass": 11 * 60_000},
    )
    assert [frame["figures"]["step"] for frame in frames] == [0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 3]
    assert [frame["playing"] for frame in frames] == [
        *[False, False, True, True, True, True],
        *[False, False, True, True, False],
    ]
    assert "nothing was touched for 10 minutes" in frames[-1]["note"]


def test_what_cannot_be_done_is_said_and_nothing_changes(given):
    wrong = [
        ({"do": "fly"}, "no request fly"),
        ({"do": "look", "unit": 28}, "no unit 28, only 0 to 27"),
        ({"do": "explain", "image": 1.5}, "no image 1.5"),
        ({"do": "speed", "speed": "toString"}, "no speed toString"),
        ({"do": "preset", "preset": "mine"}, "no preset mine"),
        ({"do": "set", "values": {"beta": 5, "rho": 1}}, "rho is 1, but it must be between 0 and"),
        ({"do": "set", "values": {"lam1": 1}}, "no hyperparameter lam1"),
        ({"do": "draw"}, "has 0 bytes, but an image 196 pixels"),
    ]
    frames = answers(given, {"do": "train", "on": True}, *[request for request, _ in wrong])
    for (_, words), frame in zip(wrong, frames[1:], strict=True):
        assert words in frame["note"] and frame["state"] == "paused"
        assert frame["hyperparameters"] == answers(given, {"do": "hello"})[0]["hyperparameters"]


def test_a_loss_that_is_not_finite_stops_it_until_reset(given):
    frames = answers(
        given,
        {"do": "set", "values": {"learning_rate": 1e38}},
        *[{"do": "step"}] * 3,
        {"do": "train", "on": True},
        {"do": "hello"},
        {"do": "set", "values": {"learning_rate": 0.001}},
        {"do": "reset"},
    )
    assert [frame["state"] for frame in frames[3:]] == [*["broken"] * 4, "paused"]
    assert "lower the learning rate" in frames[4]["note"]
    assert frames[4]["buffers"] == [] and frames[5]["buffers"] == ["originals"]


def test_on_a_slow_computer_a_state_goes_ahead_and_a_slice_still_ends(given):
    requests = [{"do": "train", "on": True}, {"do": "tick"}, {"do": "train", "on": False}]
    sent = [
        answer["content"] for answer in run(ASK, given(requests=requests, takes=400))["answers"]
    ]
    assert [message["kind"] for message in sent] == ["state", "frame"] * 3
    assert [message["note"] for message in sent[::2]] == ["Working.", "Training.", "Training."]
    assert sent[3]["figures"]["step"] >= 1


def test_a_message_of_another_version_is_not_obeyed(given):
    (said,) = answers(given, {"v": 2, "do": "step"})
    assert said["kind"] == "state" and said["note"].startswith("Load the page again")


def test_seeds_give_the_same_run_again_and_others_another(given):
    def of(seed):
        settings = SETTINGS["kl"] | {"seed": seed}
        return run(REPLAY, given(settings=settings, steps=10, changes={}))

    one, again, other = of(1), of(1), of(2)
    assert one["end"] == again["end"] and one["rows"] == again["rows"]
    assert one["start"] != other["start"] and one["rows"] != other["rows"]
    for first in (0, 3, 6):  # passes over 48 images in batches of 16
        assert sorted(np.ravel(one["rows"][first : first + 3])) == list(range(48))
    assert one["rows"][:3] != one["rows"][3:6]
    w = parts_of(one["start"], 196, 28)["W1"]
    assert np.abs(w).max() <= np.sqrt(6 / 224) and np.std(w) == pytest.approx(
        np.sqrt(2 / 224), rel=0.05
    )


def test_curves_keep_few_points_and_the_last(given):
    script = """(given) => {
      const training = begin(given);
      for (let i = 0; i < 40; i++) { training.measure(); training.train(); }
      training.measure();
      return training.history.map(({ step }) => step);
    }"""
    given = given()
    given["config"]["points"] = 16
    steps = run(script, given)
    assert len(steps) <= 16 and steps[0] == 0 and steps[-1] == 40 and steps == sorted(steps)


ADDRESS = """({ config, hash }) => {
  const asked = fromAddress(config, hash);
  return { ...asked, again: toAddress(config, asked.model, asked.settings) };
}"""


@pytest.mark.parametrize(
    "address",
    [
        "#rho=0.05&beta=3&lam2=0.003&seed=0",
        "#rho=0.123&beta=0&lam2=1&seed=999",
        "#lam1=0.1&lam2=0.001&seed=7",
        "#lam1=0&lam2=0&seed=7&learning_rate=0.01",
    ],
)
def test_an_address_means_its_settings_and_settings_give_it_back(address, given):
    asked = run(ADDRESS, {"config": given()["config"], "hash": address})
    assert asked["again"] == address
    assert not asked["wrong"] and asked["model"] == ("l1" if "lam1" in address else "kl")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("#rho=2", "rho is 2, but it must be between 0 and 1, both excluded"),
        ("#beta=-1", "beta is -1, but it must be finite and 0 or more"),
        ("#lam2=much", "lam2 is NaN"),
        ("#lam2=", "lam2 is NaN"),
        ("#seed=1.5", "seed is 1.5, but it must be a whole number from 0 to 999"),
        ("#rho=0.1&lam1=0.1", "rho, lam1 do not go together"),
        ("#colour=red", "colour do not go together"),
    ],
)
def test_a_wrong_address_gives_a_sentence_and_the_defaults(address, words, given):
    asked = run(ADDRESS, {"config": given()["config"], "hash": address})
    assert words in asked["wrong"]
    assert asked["settings"] == given()["config"]["models"]["kl"]["settings"]


def test_the_kernels_are_compiled_from_their_source(tmp_path):
    """Byte by byte where Debian's clang is the one that compiled what is committed."""
    clang = shutil.which("clang")
    said = clang and subprocess.run([clang, "--version"], capture_output=True, text=True).stdout
    if not said or "Debian clang version 14.0.6" not in said or not shutil.which("wasm-ld"):
        pytest.skip("needs Debian's clang 14.0.6 and lld")
    live.compile_kernels(tmp_path / "kernels.wasm")
    compiled = (tmp_path / "kernels.wasm").read_bytes()
    assert compiled == (live.PARTS / "kernels.wasm").read_bytes()


def test_the_page_holds_its_images_and_is_small(tmp_path, small):
    data = replace(small, name="digits")
    text = live.make(tmp_path / "live.html", data).read_text(encoding="utf-8")
    assert "scikit-learn's digits" in text and "MNIST was not at hand" in text
    assert len(text) < 200_000
    assert not re.search(r"https?://(?!www\.w3\.org)", text)
