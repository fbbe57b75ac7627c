"""The playground's view in a page that is not Jupyter, beside an engine that trains nothing."""

import functools
import http.server
import io
import re
import threading
from pathlib import Path

import pytest
from PIL import Image

from sparse_autoencoder.playground.sweep import LABELS
from tests.browser import firefox
from tests.browser.firefox import needs_firefox

ROOT = Path(__file__).parents[2]
PLAYGROUND = ROOT / "sparse_autoencoder" / "playground"
VIEW = (PLAYGROUND / "view.js").read_text(encoding="utf-8")
BUSY = "Waiting: the kernel runs another cell."

pytestmark = [pytest.mark.slow, pytest.mark.browser]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def address():
    """Of the stub page, served from this folder: a module script needs a server."""
    handler = functools.partial(Quiet, directory=ROOT)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/tests/browser/stub.html"
        server.shutdown()


@pytest.fixture
def open_stub(page, address):
    """Opens the stub page in a context of its own; gives its page."""
    contexts, errors = [], []

    def open_it(width=950, height=600, options=None, clock=False, **how):
        viewport = {"width": width, "height": height}
        contexts.append(page.context.browser.new_context(viewport=viewport, **how))
        stub = contexts[-1].new_page()
        stub.on("pageerror", lambda error: errors.append(error))
        stub.set_default_timeout(10_000)
        if options:
            stub.add_init_script(f"window.options = {options}")
        if clock:
            stub.clock.install()
        stub.goto(address)
        stub.wait_for_function("window.engine.sent.length > 0")
        return stub

    yield open_it
    for context in contexts:
        context.close()
    assert not errors


@pytest.fixture
def stub(open_stub):
    """The stub page, with its first frame drawn."""
    return ready(open_stub())


def ready(stub):
    stub.wait_for_function("document.querySelector('.playground-features canvas')")
    stub.wait_for_function("document.querySelector('.playground-curves').innerHTML")
    return stub


def sent(stub, kind=None):
    """The requests of a kind, or all."""
    requests = stub.evaluate("engine.sent")
    return [request for request in requests if kind in (None, request["do"])]


def wait_until_sent(stub, kind, count=1):
    stub.wait_for_function(f"engine.sent.filter(r => r.do === '{kind}').length >= {count}")
    return sent(stub, kind)


def train(stub):
    stub.click(".playground-train")
    stub.wait_for_function("engine.state.step > 20")


def slide(stub, place):
    """A hand moves the first slider, which the page links to the view."""
    stub.locator(".beta").focus()
    stub.keyboard.press("ArrowRight")
    stub.evaluate(f"engine.set('place0', {place})")


def status(stub):
    return stub.locator(".playground-status")


def tile(stub, unit, mosaic="features"):
    return stub.locator(f".playground-{mosaic} [data-tile='{unit}']")


def color(stub, mosaic, x, y):
    """Of a pixel of a mosaic's canvas."""
    return stub.locator(f".playground-{mosaic} canvas").evaluate(
        f"canvas => [...canvas.getContext('2d').getImageData({x}, {y}, 1, 1).data]"
    )


# What is drawn


def test_the_first_frame_shows_everything_and_what_to_press(stub):
    assert "Ready: press Train." in status(stub).inner_text()
    facts = status(stub).evaluate("line => ({...line.dataset})")
    assert facts.items() >= {
        "state": "paused", "step": "0", "meanActivation": "0.07", "deadUnits": "1", "rho": "0.1"
    }.items()  # fmt: skip
    assert stub.locator(".playground-train").inner_text().strip() == "Train"
    for label in ("Seed", "Speed", "Preset", "Unit"):
        assert stub.get_by_label(label, exact=True).count() == 1
    assert stub.locator(".playground-curves").get_attribute("aria-label")
    assert stub.locator(".playground-heard").get_attribute("role") == "status"


def test_features_are_white_at_0_red_above_blue_below(stub):
    assert color(stub, "features", 3, 3) == [247, 247, 247, 255]
    assert color(stub, "features", 29 + 3, 3) == [103, 0, 31, 255]
    assert color(stub, "features", 2 * 29 + 3, 3) == [5, 48, 97, 255]
    assert color(stub, "features", 28, 3)[3] == 0, "the gap shows the page"


def test_on_one_scale_a_faint_feature_is_faint(stub):
    stub.check(".playground-common-scale")
    assert min(color(stub, "features", 29 + 3, 3)) > 240, "2/196 of the largest weight"
    assert color(stub, "features", 3, 3) == [247, 247, 247, 255]


def test_dead_units_are_marked_by_form_and_said(stub):
    assert "playground-is-dead" in tile(stub, 3).get_attribute("class")
    assert "gradient" in tile(stub, 3).evaluate("cell => getComputedStyle(cell).backgroundImage")
    assert "playground-is-dead" not in (tile(stub, 4).get_attribute("class") or "")
    tile(stub, 3).hover()
    assert stub.locator(".playground-readout").inner_text().endswith("dead")


def test_a_pixel_of_an_image_is_a_square_on_a_dense_screen(open_stub):
    stub = ready(open_stub(device_scale_factor=2))
    png = stub.locator(".playground-features").screenshot()
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    assert picture.width == 2 * 405
    x, y = 2 * (5 * 29), 2 * 29  # the tile of unit 19
    for i in range(0, 40, 2):
        block = {picture.getpixel((x + i + a, y + 20 + b)) for a in (0, 1) for b in (0, 1)}
        assert len(block) == 1, "smoothed"


def test_marks_that_stand_close_together_do_not_overprint(stub):
    stub.evaluate(
        """() => { engine.state.step = 400; engine.state.marks = [[40, "β 3"], [41, "λ₂ 0.006"],
        [42, "ρ 0.15"], [43, "β 5"], [44, "β 10"], [45, "β 20"], [300, "ρ 0.2"]]; }"""
    )
    stub.click(".playground-step")
    stub.wait_for_selector(".playground-curves .mark-text")
    texts = stub.locator(".playground-curves .mark-text")
    boxes = [texts.nth(i).bounding_box() for i in range(texts.count())]
    assert len(boxes) >= 4
    assert not any(overlap(a, b) for i, a in enumerate(boxes) for b in boxes[:i])
    lines = stub.locator(".playground-curves .mark title")
    assert {"β 3", "ρ 0.2"} <= set(lines.all_text_contents()), "a pointer is told what has no room"


def overlap(a, b):
    return (
        a["x"] < b["x"] + b["width"]
        and b["x"] < a["x"] + a["width"]
        and a["y"] + 1 < b["y"] + b["height"]
        and b["y"] + 1 < a["y"] + a["height"]
    )


def test_labels_of_the_curves_do_not_overlap_and_say_what_is_off(stub):
    stub.evaluate(
        """() => { const whole = engine.frame.bind(engine); engine.frame = (kind) => {
        const [frame, bytes] = whole(kind);
        bytes[frame.buffers.indexOf("curve_kl")] = new DataView(new ArrayBuffer(160));
        return [frame, bytes]; } }"""
    )
    stub.click(".playground-step")
    stub.wait_for_function(
        "document.querySelector('.playground-curves').textContent.includes('KL term off')"
    )
    texts = stub.locator(".playground-curves text:not([class*=mark])")
    labels = [texts.nth(i) for i in range(texts.count()) if "term" in texts.nth(i).text_content()]
    boxes = [label.bounding_box() for label in labels]
    assert not any(overlap(a, b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_the_last_number_of_an_axis_is_not_cut_off(stub):
    stub.evaluate(
        """() => { const whole = engine.frame.bind(engine); engine.frame = (kind) => {
        const [frame, bytes] = whole(kind);
        return [{ ...frame, histogram: { ...frame.histogram, upper: 1000 } }, bytes]; } }"""
    )
    stub.click(".playground-step")
    last = stub.locator(".playground-histogram text", has_text=re.compile(r"^1,000$")).last
    number, chart = last.bounding_box(), stub.locator(".playground-histogram").bounding_box()
    assert number["x"] + number["width"] <= chart["x"] + chart["width"]


# The clock


def test_while_it_trains_two_requests_are_on_the_way_at_most(stub):
    train(stub)
    stub.wait_for_timeout(1200)  # a touch is over then
    stub.wait_for_function("engine.open === 2")
    before = len(sent(stub, "tick"))
    wait_until_sent(stub, "tick", before + 10)
    assert stub.evaluate("engine.most") == 2


def test_after_a_touch_there_is_one_and_it_hurries(stub):
    train(stub)
    stub.wait_for_timeout(1200)
    stub.evaluate("engine.most = 0")
    slide(stub, 3)
    wait_until_sent(stub, "tick", len(sent(stub, "tick")) + 8)
    ticks = sent(stub, "tick")
    (touched,) = [i for i, request in enumerate(ticks) if request.get("touched")]
    assert all(request.get("hurry") for request in ticks[touched : touched + 3])


def test_paused_it_asks_nothing_but_after_a_touch_of_the_sliders(stub):
    stub.wait_for_timeout(500)
    assert [request["do"] for request in sent(stub)] == ["hello"]
    stub.evaluate("engine.set('place0', 2)")  # as a cell does
    assert stands(stub)
    slide(stub, 3)
    stub.wait_for_function("engine.sent.length > 1")
    assert sent(stub)[1].items() >= {"do": "tick", "touched": True, "places": {"0": 3}}.items()


def test_a_hidden_page_asks_no_more_and_goes_on_when_it_is_seen(stub):
    train(stub)
    hide = """hidden => { Object.defineProperty(document, "hidden",
        { configurable: true, get: () => hidden });
        document.dispatchEvent(new Event("visibilitychange")); }"""
    stub.evaluate(hide, True)
    assert stands(stub)
    stub.evaluate(hide, False)
    goes_on(stub)


def test_out_of_the_page_it_asks_no_more_and_scrolled_out_of_sight_it_does(stub):
    train(stub)
    stub.evaluate("document.querySelector('.course-panel').style.marginTop = '3000px'")
    goes_on(stub)
    stub.evaluate("window.panel = document.querySelector('.course-panel'); panel.remove()")
    assert stands(stub)
    stub.evaluate("document.body.append(panel)")
    goes_on(stub)


def stands(stub):
    stub.wait_for_timeout(200)  # what was on the way
    before = len(sent(stub))
    stub.wait_for_timeout(700)
    return len(sent(stub)) == before


def goes_on(stub):
    before = stub.evaluate("engine.state.step")
    stub.wait_for_function(f"engine.state.step > {before + 20}")


def test_what_ends_the_view_ends_its_requests_and_listeners(stub):
    train(stub)
    stub.evaluate("end()")
    assert stands(stub)
    assert stub.locator(".playground-status").count() == 0
    assert stub.evaluate("[...engine.listeners.values()].flat().length") == 0


def test_an_answer_that_was_lost_is_asked_for_again(stub):
    train(stub)
    stub.evaluate("engine.delay = null")
    stub.wait_for_function("engine.open === 2")
    last = sent(stub)[-1]["n"]
    stub.evaluate("engine.delay = 10")
    stub.wait_for_function(f"engine.sent.at(-1).n > {last + 20}", timeout=15_000)


def test_a_pause_that_was_lost_is_said_again(stub):
    train(stub)
    stub.evaluate("engine.delay = null")
    stub.click(".playground-train")
    assert stub.locator(".playground-train").inner_text().strip() == "Train", "it reacts at once"
    stub.wait_for_timeout(500)
    stub.evaluate("engine.delay = 10")
    stub.wait_for_function("!engine.state.playing", timeout=15_000)
    stub.wait_for_function(
        "document.querySelector('.playground-status').dataset.state === 'paused'"
    )


def test_of_two_views_one_clocks_and_both_draw(stub):
    stub.evaluate("show(engine)")
    stub.wait_for_function("document.querySelectorAll('.playground-features canvas').length === 2")
    train(stub)
    views = {request["view"] for request in sent(stub, "tick")}
    assert len(views) == 1
    steps = "[...document.querySelectorAll('.playground-status')].map(line => +line.dataset.step)"
    stub.wait_for_function(f"{steps}.every(step => step > 20)")
    stub.locator(".playground-train").nth(1).click()
    stub.wait_for_function("!engine.state.playing")


def test_at_one_step_it_rests_between_two_requests(stub):
    stub.evaluate("engine.state.wait = 300")
    stub.click(".playground-train")
    ticks = wait_until_sent(stub, "tick", 5)[-3:]
    assert all(b["at"] - a["at"] > 280 for a, b in zip(ticks, ticks[1:], strict=False))


# Where something waits


def test_it_says_within_half_a_second_that_the_kernel_is_busy(stub):
    stub.evaluate("engine.delay = null")
    stub.locator(".beta").focus()
    waits = stub.evaluate(
        """() => new Promise(resolve => { const start = performance.now();
        document.querySelector(".beta").dispatchEvent(
            new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
        engine.set("place0", 3);
        const look = () => document.querySelector(".playground-status").textContent
            .includes("Waiting") ? resolve(performance.now() - start) : setTimeout(look, 5);
        look(); })"""
    )
    assert waits < 500
    assert BUSY in status(stub).inner_text()
    assert status(stub).get_attribute("data-state") == "waiting"
    stub.wait_for_function(
        f"document.querySelector('.playground-heard').textContent.includes('{BUSY}')"
    )
    stub.evaluate("engine.delay = 10")
    stub.wait_for_function(
        "document.querySelector('.playground-status').dataset.state === 'paused'", timeout=15_000
    )


def test_it_says_that_the_step_is_compiled(stub):
    note = "Compiling the training step: a few seconds, once."
    state = {"v": 1, "kind": "state", "state": "compiling", "note": note}
    stub.evaluate("engine.delay = 1000")
    stub.click(".playground-train")
    stub.evaluate("state => engine.emit('msg:custom', state, [])", state)
    assert note in status(stub).inner_text()
    assert status(stub).get_attribute("data-state") == "compiling"
    stub.evaluate("engine.delay = 10")
    stub.wait_for_function(
        "document.querySelector('.playground-status').dataset.state === 'training'"
    )


@pytest.mark.parametrize("death", ["engine.emit('comm_live_update')", "engine.dead = true"])
def test_when_the_kernel_is_gone_it_says_what_to_do(stub, death):
    stub.evaluate(death)
    stub.click(".playground-step", force=True)
    assert "run this cell again" in status(stub).inner_text()
    assert stub.locator(".playground-train").is_disabled()
    assert status(stub).get_attribute("data-state") == "gone"


def test_after_a_long_silence_it_says_that_the_kernel_may_be_gone(open_stub):
    stub = ready(open_stub(clock=True))
    stub.evaluate("engine.delay = null")
    stub.click(".playground-step")
    stub.clock.run_for(25_000)
    assert "No answer: the kernel is still busy, or it was restarted." in status(stub).inner_text()
    assert 2 < len(sent(stub)) < 9, "a busy kernel is not buried in requests"


def test_a_page_without_a_kernel_says_it_in_its_own_words(open_stub):
    stub = open_stub(options="{ delay: null }")
    words = {"busy": "Waiting: the page is still computing.", "gone": "Load the page again."}
    stub.evaluate("words => { engine.traits.words = words; end(); show(engine); }", words)
    stub.wait_for_function(f"document.body.innerText.includes('{words['busy']}')")
    stub.evaluate("engine.emit('comm_live_update')")
    stub.wait_for_function(f"document.body.innerText.includes('{words['gone']}')")


def test_another_version_is_refused_in_a_sentence(stub):
    stub.evaluate("engine.emit('msg:custom', {v: 2, kind: 'frame'}, [])")
    assert "version 2" in status(stub).inner_text()
    assert stub.locator(".playground-train").is_disabled()
    assert stands(stub)


def test_a_frame_may_be_there_before_anybody_answers(open_stub):
    stub = open_stub(options="{ delay: null }")
    stub.evaluate(
        """() => { const [content, buffers] = engine.frame("hello");
        engine.traits.first = { content, buffers }; end(); return show(engine); }"""
    )
    ready(stub)
    assert color(stub, "features", 29 + 3, 3) == [103, 0, 31, 255]


# What a hand does


def test_a_click_chooses_a_unit_and_shows_it_large(stub):
    tile(stub, 17).click()
    stub.wait_for_selector("[data-unit='17']")
    assert sent(stub)[-1]["do"] == "look" and sent(stub)[-1]["unit"] == 17
    words = stub.locator(".playground-unit-words").inner_text()
    assert "against ρ 0.1" in words and "0.90 to 0.40" in words
    assert stub.locator(".playground-unit input").input_value() == "17"
    assert "playground-is-chosen" in tile(stub, 17).get_attribute("class")
    assert stub.locator(".playground-unit-counts rect").count() > 3
    assert stub.locator(".playground-unit-images canvas").is_visible()


def test_arrow_keys_move_over_the_mosaic_and_say_where_they_are(stub):
    mosaic = stub.locator(".playground-features")
    assert mosaic.get_attribute("role") == "grid"
    mosaic.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowDown", "ArrowUp"):
        stub.keyboard.press(key)
    cell = stub.locator(f"#{mosaic.get_attribute('aria-activedescendant')}")
    label = cell.get_attribute("aria-label")
    assert re.fullmatch(r"Unit 3, mean activation 0\.\d+, dead", label)
    stub.keyboard.press("Enter")
    stub.wait_for_selector("[data-unit='3']")
    assert "Dead." in stub.locator(".playground-unit-words").inner_text()


def test_a_unit_is_chosen_by_its_number_and_nonsense_is_refused(stub):
    number = stub.locator(".playground-unit input")
    number.fill("9999")
    number.press("Enter")
    assert not sent(stub, "look")
    assert number.evaluate("input => !input.validity.valid")
    number.fill("42")
    number.press("Enter")
    stub.wait_for_selector("[data-unit='42']")


def test_a_unit_is_switched_off_and_on(stub):
    tile(stub, 20).hover()
    stub.locator(".playground-features").focus()
    tile(stub, 20).hover()
    stub.keyboard.press("x")
    stub.wait_for_selector(".playground-features [data-tile='20'].playground-is-off")
    tile(stub, 21).click()
    stub.wait_for_selector("[data-unit='21']")
    stub.click(".playground-switch")
    stub.wait_for_selector(".playground-features [data-tile='21'].playground-is-off")
    assert stub.locator(".playground-switch").inner_text() == "Switch on"
    assert "switched off" in stub.locator(".playground-readout").inner_text() or True
    stub.click(".playground-all-on")
    stub.wait_for_function("document.querySelectorAll('.playground-is-off').length === 0")
    assert sent(stub, "switch")[-1]["all"] is True


def test_a_click_on_a_reconstruction_explains_it(stub):
    tile(stub, 3, "reconstructions").click()
    stub.wait_for_function(
        "document.querySelector('.playground-explained').textContent.includes('Image 3')"
    )
    captions = stub.locator(".playground-parts span").evaluate_all(
        "cells => cells.map(cell => cell.dataset.caption)"
    )
    assert captions == ["5: 0.91", "17: 0.52", "40: 0.40", "101: 0.30"]
    stub.locator(".playground-parts span").nth(1).click()
    stub.wait_for_selector("[data-unit='17']")


def test_a_digit_is_drawn_by_pointer_taken_and_cleared(stub):
    stub.check("[value=drawing]")
    pad = stub.locator(".playground-pad").bounding_box()
    stub.mouse.move(pad["x"] + 30, pad["y"] + 20)
    stub.mouse.down()
    stub.mouse.move(pad["x"] + 30, pad["y"] + 90, steps=4)
    stub.mouse.up()
    stub.wait_for_selector(".playground-drawn canvas")
    ink = stub.evaluate("[...engine.bytes.findLast(buffers => buffers.length)[0]]")
    assert len(ink) == 784 and max(ink) == 255
    rows = [max(ink[28 * y : 28 * y + 28]) for y in range(28)]
    assert rows[5] and rows[15] and not rows[1] and not rows[27]
    assert 0 < min(value for value in ink if value) < 255, "the brush is soft"
    assert stub.locator(".playground-drawn-code rect").count() > 3
    stub.click(".playground-clear")
    stub.wait_for_function("!document.querySelector('.playground-drawn canvas').checkVisibility()")
    stub.locator(".playground-image input").fill("4")
    stub.click(".playground-take")
    assert wait_until_sent(stub, "draw")[-1]["image"] == 4
    tile(stub, 6, "originals").click()
    assert wait_until_sent(stub, "draw")[-1]["image"] == 6
    assert stub.locator(".playground-image input").input_value() == "6"
    assert not stub.evaluate(
        """[...document.querySelector('.playground-pad').getContext('2d')
        .getImageData(0, 0, 28, 28).data].some((value, i) => i % 4 < 3 && value)"""
    )


def test_a_finger_draws_and_chooses(open_stub):
    stub = ready(open_stub(has_touch=True))
    tile(stub, 30).tap()
    stub.wait_for_selector("[data-unit='30']")
    stub.check("[value=drawing]")
    stub.locator(".playground-pad").tap()
    wait_until_sent(stub, "draw")
    touch = stub.locator(".playground-pad").evaluate("pad => getComputedStyle(pad).touchAction")
    assert touch == "none", "else the page would scroll"


def test_the_snapshot_stands_beside_at_the_same_size(open_stub):
    stub = ready(open_stub(1500, 700))
    train(stub)
    stub.click(".playground-snapshot")
    stub.wait_for_selector(".playground-old-features canvas")
    new = stub.locator(".playground-features canvas").bounding_box()
    old = stub.locator(".playground-old-features canvas").bounding_box()
    assert (old["y"], old["width"], old["height"]) == (new["y"], new["width"], new["height"])
    assert "At step" in stub.locator(".playground-old-words").inner_text()
    now = stub.locator(".playground-reconstructions canvas").bounding_box()
    before = stub.locator(".playground-old-reconstructions canvas").bounding_box()
    assert (before["x"], before["width"]) == (now["x"], now["width"])
    tile(stub, 25).hover()
    stub.wait_for_selector(".playground-old-features [data-tile='25'].playground-is-active")
    assert stub.locator(".playground-snapshot").get_attribute("aria-pressed") == "true"
    stub.click(".playground-snapshot")
    stub.wait_for_function("!document.querySelector('.playground-old-features').checkVisibility()")


def test_a_bar_of_the_histogram_marks_its_units(stub):
    chart = stub.locator(".playground-histogram")
    chart.focus()
    stub.keyboard.press("ArrowRight")
    words = chart.get_attribute("aria-valuetext")
    count = int(re.search(r": (\d+) hidden units", words)[1])
    marked = stub.locator(".playground-features .playground-is-counted").count()
    assert marked == count > 0
    stub.keyboard.press("ArrowRight")
    assert chart.get_attribute("aria-valuetext") != words
    stub.keyboard.press("Escape")
    assert stub.locator(".playground-features .playground-is-counted").count() == 0
    bar = stub.locator(".playground-histogram rect").nth(1).bounding_box()
    stub.mouse.click(bar["x"] + bar["width"] / 2, bar["y"] + bar["height"] / 2)
    assert stub.locator(".playground-features .playground-is-counted").count() > 0


def test_the_other_buttons_say_what_they_are_for(stub):
    stub.click(".playground-reset")
    wait_until_sent(stub, "reset")
    stub.locator(".playground-seed input").fill("7")
    stub.locator(".playground-seed input").press("Enter")
    assert wait_until_sent(stub, "reset", 2)[-1]["seed"] == 7
    stub.locator(".playground-speed select").select_option("fast")
    assert wait_until_sent(stub, "speed")[-1]["speed"] == "fast"
    stub.locator(".playground-preset select").select_option("UFLDL's settings")
    assert wait_until_sent(stub, "preset")[-1]["preset"] == "UFLDL's settings"
    assert stub.locator(".playground-preset select").input_value() == "choose"
    stub.evaluate("engine.state.state = 'broken'")
    stub.click(".playground-reset")
    stub.wait_for_function("document.querySelector('.playground-train').disabled")
    assert stub.locator(".playground-step").is_disabled()
    assert not stub.locator(".playground-reset").is_disabled()


def test_a_screen_reader_is_told_at_most_once_a_second(stub):
    stub.evaluate(
        """() => { window.told = []; new MutationObserver(() => told.push(performance.now()))
        .observe(document.querySelector(".playground-heard"), { childList: true }); }"""
    )
    train(stub)
    stub.wait_for_function("told.length >= 3")
    told = stub.evaluate("told")
    assert all(b - a > 900 for a, b in zip(told, told[1:], strict=False))


# The page around it


@pytest.mark.parametrize("width", [950, 800, 683, 400])
def test_the_controls_stay_in_sight_and_nothing_is_wider_than_the_page(open_stub, width):
    stub = ready(open_stub(width, 600))
    tile(stub, 17).click()
    stub.wait_for_selector("[data-unit='17']")
    assert stub.evaluate("document.documentElement.scrollWidth") <= width
    if width > 600:
        assert stub.evaluate("document.documentElement.scrollHeight") <= 610
    pictures = stub.locator(".playground-pictures")
    pictures.evaluate("part => part.scrollTo(0, 1e6)")
    assert stub.locator(".playground-train").bounding_box()["y"] >= 0


@pytest.mark.parametrize(("width", "height"), [(360, 740), (740, 360)])
def test_on_a_phone_the_page_scrolls_and_nothing_in_it(open_stub, width, height):
    stub = ready(open_stub(width, height))
    assert stub.locator(".playground-pictures").evaluate(
        "part => part.scrollHeight <= part.clientHeight + 1 && innerHeight < part.clientHeight"
    )


@pytest.mark.parametrize("width", [740, 820])
def test_where_two_mosaics_have_no_room_the_rest_stays_beside(open_stub, width):
    stub = ready(open_stub(width, 700))
    stub.click(".playground-snapshot")
    stub.wait_for_selector(".playground-old-features canvas")
    now, before, side = (
        stub.locator(f".playground-{name}").first.bounding_box()
        for name in ("features", "old-features", "side")
    )
    assert before["x"] == now["x"] and before["y"] > now["y"] + now["height"]
    assert side["x"] > now["x"] + now["width"] and side["y"] < now["y"]


def test_the_words_of_the_explorer_fit_a_phone(open_stub):
    stub = ready(open_stub(360, 700))
    stub.evaluate("labels => explore(labels)", LABELS)
    texts = stub.locator(".explorer-row text")
    assert texts.count() > 5
    for i in range(texts.count()):
        box = texts.nth(i).bounding_box()
        assert 0 <= box["x"] and box["x"] + box["width"] <= 360, texts.nth(i).text_content()


def test_on_a_usual_screen_everything_is_in_sight(open_stub):
    stub = ready(open_stub(935, 600))
    tile(stub, 17).click()
    stub.wait_for_selector("[data-unit='17']")
    assert stub.locator(".playground-pictures").evaluate(
        "part => part.scrollHeight <= part.clientHeight + 1"
    )


def test_it_follows_the_width_of_the_page(stub):
    before = stub.locator(".playground-curves").bounding_box()["width"]
    stub.set_viewport_size({"width": 1400, "height": 700})
    stub.wait_for_function(
        f"document.querySelector('.playground-curves').clientWidth > {before + 50}"
    )
    axis = ".playground-curves .axis"
    stub.wait_for_function(f"+document.querySelector('{axis}').getAttribute('x2') > {before}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read_in_light_and_dark(open_stub, scheme):
    stub = ready(open_stub(color_scheme=scheme))
    for does in ("train", "pause"):
        for selector in (".playground-train", ".playground-step", ".playground-status",
                         ".playground-readout", ".playground-head b"):  # fmt: skip
            assert contrast(stub, selector) >= 4.5, (selector, does)
        if does == "train":
            stub.click(".playground-train")


def contrast(stub, selector):
    """Of a text with what stands behind it, as WCAG has it."""
    colors = stub.locator(selector).first.evaluate(
        """element => { const flat = document.createElement("canvas").getContext("2d");
        const seen = (color, ground) => { flat.fillStyle = ground; flat.fillRect(0, 0, 1, 1);
            flat.fillStyle = color; flat.fillRect(0, 0, 1, 1);
            return `rgb(${[...flat.getImageData(0, 0, 1, 1).data].slice(0, 3)})`; };
        const page = matchMedia("(prefers-color-scheme: dark)").matches ? "#121212" : "#fff";
        const grounds = [];
        for (let at = element; at; at = at.parentElement)
            grounds.unshift(getComputedStyle(at).backgroundColor);
        const ground = grounds.reduce((below, above) => seen(above, below), page);
        return [seen(getComputedStyle(element).color, ground), ground]; }"""
    )

    def luminance(color):
        parts = [int(part) / 255 for part in re.findall(r"\d+", color)]
        parts = [p / 12.92 if p <= 0.04 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(
            weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True)
        )

    light, dark = sorted(map(luminance, colors), reverse=True)
    return (light + 0.05) / (dark + 0.05)


# The protocol, and the house's rules


def test_each_request_of_the_view_is_in_the_protocol(stub):
    table = (PLAYGROUND / "PROTOCOL.md").read_text(encoding="utf-8")
    known = set(re.findall(r"^\| `(\w+)` \|", table.split("## Engine → view")[0], re.M))
    asked = set(re.findall(r"""(?:do: |ask\()"(\w+)""", VIEW))
    assert {"hello", "tick", "train", "look", "draw"} <= asked <= known
    train(stub)
    requests = sent(stub)
    for number, request in enumerate(requests, 1):
        assert (request["v"], request["n"]) == (1, number)
        assert request["view"] and request["do"] in known


@pytest.mark.parametrize(("name", "most"), [("view", 900), ("charts", 200), ("explorer", 100)])
def test_it_is_read_in_one_sitting(name, most):
    lines = (PLAYGROUND / f"{name}.js").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= most
    starts = [i for i, line in enumerate(lines) if re.match(r"(export |  )?\S.*[{`(]$", line)]
    for start in starts:
        indent = re.match(" *", lines[start])[0]
        ends = (i for i in range(start, len(lines)) if re.match(rf"{indent}\S*[}}`]", lines[i]))
        if "class " not in lines[start]:
            assert next(ends, start) - start <= 60, lines[start]


# Another browser


@needs_firefox
def test_it_trains_draws_and_points_in_firefox_too(address, tmp_path):
    assert firefox.run(FIREFOX_SCRIPT, address, tmp_path) == "as it should"


FIREFOX_SCRIPT = """
await until(() => part("features")?.querySelector("canvas"), "features");
await until(() => part("curves").innerHTML, "curves");
const red = part("features").querySelector("canvas").getContext("2d").getImageData(32, 3, 1, 1);
if (`${red.data}` !== "103,0,31,255") throw `a feature is ${red.data}`;
part("train").click();
await until(() => engine.state.step > 50, "training");
document.querySelector(".playground-features [data-tile='17']").click();
await until(() => part("look-unit").dataset.unit === "17", "a unit");
const shown = (name) => getComputedStyle(part(`look-${name}`)).display;
if (shown("unit") !== "flex" || shown("drawing") !== "none") throw "the wrong tab";
part("take").click();
await until(() => shown("drawing") === "flex" && shown("unit") === "none", "the pad");
await until(() => part("drawn-code").querySelector("rect"), "a code");
part("snapshot").click();
await until(() => part("old-features").getBoundingClientRect().width === 405, "a snapshot");
part("train").click();
await until(() => !engine.state.playing, "a pause");
return "as it should";
"""
