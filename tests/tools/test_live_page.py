"""The live page in Debian's Chromium, opened as by a double click, and its engine against Keras."""

import json
import re

import numpy as np
import pytest

from sparse_autoencoder.images import ImageData
from tests.browser import firefox
from tests.browser.firefox import needs_firefox
from tests.conftest import needs_mnist
from tests.tools.test_live import (
    MATRICES,
    REPLAY,
    SETTINGS,
    WASM,
    images_as_given,
    keras_training,
    parts_of,
    script,
)
from tools import live

pytestmark = [pytest.mark.slow, pytest.mark.publish]

STATUS = ".playground-status"
LIMIT = 4_000_000  # bytes of the page
CHANGES = {
    "kl": {60: {"beta": 0.5, "rho": 0.2}, 120: {"lam2": 0.1}, 150: {"learning_rate": 0.001}},
    "l1": {60: {"lam1": 0.5}, 120: {"lam2": 0, "lam1": 0}, 150: {"learning_rate": 0.001}},
}
IN_A_WORKER = """({ source, given }) => new Promise((resolve, reject) => {
  const worker = new Worker(URL.createObjectURL(new Blob([source])));
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = ({ message }) => reject(new Error(message));
  worker.postMessage(given);
})"""


def as_bytes(data):
    """The same images as 8 bits hold them."""
    parts = (np.rint(255 * x) / 255 for x in (data.x_train, data.x_validation, data.x_test))
    x_train, x_validation, x_test = (part.astype(np.float32) for part in parts)
    y = data.y_train, data.y_validation, data.y_test
    return ImageData(
        data.name, data.image_shape, x_train, y[0], x_validation, y[1], x_test, y[2], data.steps
    )


@pytest.mark.parametrize("penalty", CHANGES)
def test_after_200_steps_it_is_where_keras_is(penalty, page, digits):
    data = as_bytes(digits)
    given = {
        "config": live.config(data),
        "settings": SETTINGS[penalty],
        "images": images_as_given(data),
        "wasm": WASM,
        "steps": 200,
        "changes": CHANGES[penalty],
    }
    source = f"const run = {script(REPLAY)}; onmessage = ({{ data }}) => postMessage(run(data));"
    page.goto("about:blank")
    done = page.evaluate(IN_A_WORKER, {"source": source, "given": json.loads(json.dumps(given))})
    assert done["kernels"] == "WebAssembly"

    training = keras_training(data, SETTINGS[penalty], done["start"], np.int32(done["rows"]))
    for end in [*CHANGES[penalty], 200]:
        training.train(end - training.step)
        training.set(**CHANGES[penalty].get(end, {}))
    figures = training.measure()
    for name, value in training.terms.items():
        assert done["after"][name] == pytest.approx(value, rel=1e-3)
    assert done["after"]["mean_activation"] == pytest.approx(figures["mean_activation"], rel=1e-3)
    encoder, decoder = training.model.encoder, training.model.decoder
    expected = encoder.kernel, decoder.kernel, encoder.bias, decoder.bias
    weights = parts_of(done["end"], 784, live.UNITS)
    for name, variable in zip(MATRICES, expected, strict=True):
        apart = np.linalg.norm(weights[name] - variable.numpy()) / np.linalg.norm(variable.numpy())
        assert apart <= 1e-3, name


@needs_mnist
def test_with_mnist_it_stays_small(mnist, tmp_path):
    file = live.make(tmp_path / "live.html", mnist)
    assert file.stat().st_size < LIMIT
    assert "Yann LeCun" in file.read_text(encoding="utf-8")


class Live:
    """The page, as a reader has it."""

    def __init__(self, page, file):
        self.page, self.address = page, file.as_uri()

    def open(self, hash=""):
        self.page.goto("about:blank")
        self.page.asked_for.clear()
        self.page.goto(self.address + hash)
        self.page.wait_for_selector(f"{STATUS}[data-step]")
        return self

    def status(self):
        return self.page.locator(STATUS).evaluate("line => ({...line.dataset})")

    def until(self, **facts):
        """Wait until the status says so."""
        marks = "".join(f'[data-{name.replace("_", "-")}="{facts[name]}"]' for name in facts)
        self.page.wait_for_selector(STATUS + marks)

    def trains(self):
        """Wait until it has taken some more steps."""
        step = int(self.status()["step"])
        self.page.wait_for_function(
            "([selector, step]) => document.querySelector(selector).dataset.step > step + 2",
            arg=[STATUS, step],
        )

    def press(self, name, key="Enter"):
        """A key on what has this name: of a slider, or of a button of the view."""
        of = f".playground-{name} input, button.playground-{name}"
        self.page.locator(of).first.focus()
        self.page.keyboard.press(key)

    def choose(self, name, option):
        self.page.locator(f".playground-{name} select").select_option(option)

    def text(self, name):
        return self.page.locator(name).inner_text()


@pytest.fixture(scope="module")
def file(digits, tmp_path_factory):
    return live.make(tmp_path_factory.mktemp("live") / "live.html", digits)


@pytest.fixture
def opened(page, file):
    yield Live(page, file)
    page.goto("about:blank")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1280, "height": 1000})


def test_a_reader_trains_by_keyboard_moves_a_slider_and_goes_back(opened):
    opened.open()
    opened.press("train")
    opened.trains()
    opened.press("beta", "ArrowRight")
    opened.until(beta=5, state="training")
    opened.trains()
    assert "β 5" in opened.page.locator(".playground-curves").text_content()
    opened.press("beta", "Home")
    opened.until(beta=0)
    assert opened.text(".playground-beta output") == "off"
    opened.press("train")
    opened.until(state="paused")
    step = int(opened.status()["step"])
    opened.press("step")
    opened.until(step=step + 1)
    opened.press("snapshot")
    opened.page.wait_for_selector(".playground-old-features:visible")
    opened.press("reset")
    opened.until(step=0, beta=0)


def test_no_frame_from_before_moves_a_slider_back(opened):
    opened.open()
    opened.choose("speed", "fast")
    opened.press("train")
    opened.trains()
    for value in (5, 10, 20):
        opened.press("beta", "ArrowRight")
        assert opened.text(".playground-beta output") == str(value)
    opened.until(beta=20)
    opened.trains()
    assert opened.text(".playground-beta output") == "20"


# Which ticks of the view no frame has answered yet, and the most there ever were.
COUNT_WAITING = """
const waiting = new Set();
window.most = 0;
window.Worker = class extends Worker {
  constructor(...all) {
    super(...all);
    this.addEventListener("message", ({ data: { content } }) => {
      if (content?.kind === "frame") waiting.delete(content.n);
    });
  }
  postMessage(message, ...rest) {
    if (message.content?.do === "tick") waiting.add(message.content.n);
    window.most = Math.max(window.most, waiting.size);
    super.postMessage(message, ...rest);
  }
};
"""


def test_a_slow_processor_obeys_and_queues_nothing(file, page):
    with page.context.browser.new_page() as slow:
        slow.asked_for = []
        slow.add_init_script(COUNT_WAITING)
        slow.context.new_cdp_session(slow).send("Emulation.setCPUThrottlingRate", {"rate": 4})
        opened = Live(slow, file).open()
        opened.press("train")
        opened.trains()
        for value in (5, 10, 20):
            opened.press("beta", "ArrowRight")
            assert opened.text(".playground-beta output") == str(value)
        opened.until(beta=20, state="training")
        opened.trains()
        assert opened.text(".playground-beta output") == "20"
        assert 1 <= slow.evaluate("window.most") <= 2


def test_a_page_that_is_opened_twice_trains_two_models(file, opened):
    opened.open()
    with opened.page.expect_popup() as popup:
        opened.page.evaluate("window.open('about:blank')")
    with popup.value as page:
        page.asked_for = []
        other = Live(page, file).open("#rho=0.1&beta=5")
        other.press("train")
        other.trains()
        assert opened.status()["step"] == "0"
        opened.until(rho=0.05, beta=3)
        opened.press("step")
        opened.until(step=1)
        other.trains()
        other.until(rho=0.1, beta=5)


def test_presets_seeds_and_the_other_model_move_what_the_page_shows(opened):
    opened.open()
    opened.choose("preset", "UFLDL's settings")
    opened.until(rho=0.1, beta=6, lam2=0.006)
    assert [opened.text(f".playground-{name} output") for name in ("rho", "beta", "lam2")] == [
        *("0.1", "6", "0.006")
    ]
    seed = opened.page.locator(".playground-seed input")
    seed.fill("7")
    seed.press("Enter")
    opened.page.wait_for_function("location.hash === '#rho=0.1&beta=6&lam2=0.006&seed=7'")
    opened.press("beta", "ArrowLeft")
    opened.page.wait_for_function("location.hash === '#rho=0.1&beta=5&lam2=0.006&seed=7'")

    opened.page.locator("#model").select_option("l1")
    opened.until(lam1=0.1, step=0)
    assert opened.page.locator("#sliders label").count() == 2
    opened.press("train")
    opened.trains()
    assert "active units" in opened.text(".playground-counted").lower()
    assert opened.page.evaluate("location.hash") == "#lam1=0.1&lam2=0.001&seed=7"


def test_a_link_opens_with_its_settings_and_is_given_back(opened, file):
    opened.open("#rho=0.07&beta=0.4&lam2=0.01&seed=5")
    opened.until(rho=0.07, beta=0.4, lam2=0.01)
    assert opened.page.locator(".playground-seed input").input_value() == "5"
    opened.page.locator("#copy").click()
    link = opened.page.locator("#link").input_value()
    assert link.endswith("live.html#rho=0.07&beta=0.4&lam2=0.01&seed=5")
    assert opened.text("#message")
    line = opened.page.locator("#frame").input_value()
    course = file.with_name("course.html")
    course.write_text(f"<!doctype html><p>A page of a course.</p>{line}", encoding="utf-8")
    opened.page.goto(course.as_uri())
    frame = opened.page.frame_locator("iframe")
    frame.locator(f"{STATUS}[data-rho='0.07']").wait_for()
    assert not frame.locator("header").is_visible() and not frame.locator("footer").is_visible()
    assert frame.locator(".playground-train").is_visible()


def test_a_wrong_address_is_said_and_the_defaults_stand(opened):
    opened.open("#rho=7")
    assert "rho is 7, but it must be between 0 and 1, both" in opened.text("#message")
    opened.until(rho=0.05, beta=3)
    opened.page.evaluate("location.hash = '#lam1=0.2'")  # as if typed into the address bar
    opened.until(lam1=0.2)
    assert opened.text("#message") == ""


def test_nothing_is_asked_of_any_host_and_drawing_works_without_a_network(opened):
    opened.page.context.set_offline(True)
    try:
        opened.open()
        opened.press("train")
        opened.trains()
        opened.page.locator(".playground-tabs label", has_text="drawing").click()
        opened.page.locator(".playground-pad").click()
        opened.page.wait_for_selector(".playground-drawn:visible")
    finally:
        opened.page.context.set_offline(False)
    assert {re.match("[a-z]+:", url)[0] for url in opened.page.asked_for} <= {"file:", "blob:"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_by_day_and_by_night(scheme, opened):
    opened.page.set_viewport_size({"width": 360, "height": 740})
    opened.page.emulate_media(color_scheme=scheme)
    opened.open()
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 360
    ground = opened.page.evaluate("""() => {
      const pen = Object.assign(document.createElement("canvas").getContext("2d"));
      pen.fillStyle = getComputedStyle(document.querySelector(".playground-status")).color;
      return pen.fillStyle;
    }""")
    assert (int(ground[1:3], 16) > 128) == (scheme == "dark")


FIREFOX_SCRIPT = """
await until(() => part("status")?.dataset.step === "0", "a first frame");
part("train").click();
await until(() => part("status").dataset.step > 20, "training");
const slider = document.querySelector(".playground-beta input");
slider.value = slider.max;
slider.dispatchEvent(new Event("input", { bubbles: true }));
await until(() => part("status").dataset.beta === "20", "another strength");
await until(() => location.hash.includes("beta=20"), "an address");
part("train").click();
await until(() => part("status").dataset.state === "paused", "a pause");
return "as it should";
"""


@needs_firefox
def test_it_trains_in_firefox_too(file, tmp_path):
    assert firefox.run(FIREFOX_SCRIPT, file.as_uri(), tmp_path) == "as it should"
