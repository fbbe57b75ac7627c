"""The panels in real JupyterLab, in Debian's Chromium: what a reader does to them."""

import re

import nbformat
import pytest

from tests.browser import lab_browser
from tests.browser.lab_browser import Lab

pytestmark = [pytest.mark.slow, pytest.mark.browser]

SETUP = """
import helpers
from sparse_autoencoder import KLSparsity, build_autoencoder
from sparse_autoencoder.playground import Playground, ProbeExplorer, SweepExplorer
data = helpers.load_images("digits")
model = build_autoencoder(sparsity=KLSparsity(0.1, 0.5), lam2=0.001)
"""
PLAY = """
playground = Playground(model, data, sliders=("rho", "beta", "lam2"))
playground
"""

EXPLORE = 'SweepExplorer(sliders=("rho", "beta"), activation="sigmoid", lam2=0.003)'
PROBE = 'ProbeExplorer({"pixels": lambda x: x, "code": model.encode}, data)'


@pytest.fixture
def lab(browser):
    """A notebook whose cells 0 and 1 have been run: the playground stands below cell 1."""
    lab = browser(SETUP, PLAY, "", "", *["\n" * 60] * 4)
    lab.run(0)
    lab.run(1)
    lab.wait_for_state("paused")
    yield lab
    lab.close()


def evaluate(lab, source, number=2):
    """The text that a cell prints."""
    lab.write(number, source)
    return lab.run(number).strip()


def trains(lab, number=0):
    """Wait until it has trained some more steps."""
    before = lab.status(number)["step"]
    lab.until(lambda: lab.status(number)["step"] > before + 5, 120, "it does not train")


def start_training(lab, number=0):
    lab.click("train", number)
    trains(lab, number)


def stands(lab, number=0):
    """Whether no step is taken while one looks."""
    before = lab.status(number)["step"]
    lab.page.wait_for_timeout(1500)
    return lab.status(number)["step"] == before


def test_a_reader_trains_moves_a_slider_looks_closer_and_goes_back(lab):
    start = lab.picture()
    assert lab.status()["step"] == 0

    lab.click("train")
    lab.wait_for_state("training", timeout=120)  # it compiles first
    trains(lab)
    assert lab.picture() != start

    before = lab.status()
    lab.press("beta")
    lab.until(lambda: lab.status()["beta"] > before["beta"])
    assert lab.status()["step"] >= before["step"], "a slider must not start again"
    mark = f"β {lab.status()['beta']:g}"
    curves = lab.page.locator(".playground-curves")
    lab.until(lambda: mark in curves.text_content(), message="no mark says what was changed")
    for _ in range(20):
        lab.press("beta", "ArrowLeft")
    lab.until(lambda: lab.status()["beta"] == 0)
    assert "off" in lab.page.locator(".playground-beta .widget-readout").inner_text()
    trains(lab)

    lab.click("train")
    lab.wait_for_state("paused")
    assert stands(lab)
    frozen = lab.picture()
    lab.click("snapshot")
    lab.until(lambda: lab.picture("old-features") == frozen)
    lab.click("step")
    lab.until(lambda: lab.picture() != frozen)
    assert lab.picture("old-features") == frozen

    lab.click("reset")
    lab.until(lambda: lab.status()["step"] == 0)
    assert lab.picture() == start


def test_a_hand_points_at_features_and_draws_while_it_trains(lab):
    start_training(lab)
    unit = lab.page.locator(".playground-unit input")
    lab.page.locator(".playground-features canvas").click(position={"x": 3, "y": 3}, force=True)
    lab.until(lambda: "Mean activation" in lab.page.locator(".playground-unit-words").inner_text())
    assert unit.input_value() == "0"
    unit.fill("7")
    unit.press("Enter")
    lab.page.wait_for_selector("[data-unit='7']")

    lab.page.locator('[type="radio"][value="drawing"]').check()
    pad = lab.page.locator(".playground-pad").bounding_box()
    lab.page.mouse.move(pad["x"] + pad["width"] / 2, pad["y"] + 10)
    lab.page.mouse.down()
    lab.page.mouse.move(pad["x"] + pad["width"] / 2, pad["y"] + pad["height"] - 10, steps=5)
    lab.page.mouse.up()
    lab.until(lambda: lab.page.locator(".playground-drawn canvas").is_visible())
    lab.until(lambda: lab.picture("drawn") != lab.picture("drawn-reconstruction"))
    before = lab.picture("drawn-reconstruction")
    trains(lab)
    lab.until(lambda: lab.picture("drawn-reconstruction") != before, message="it is not live")


def test_the_browser_trains_to_the_same_weights_as_a_cell(lab, request):
    start_training(lab)
    lab.press("beta")
    trains(lab)
    lab.click("train")
    lab.wait_for_state("paused")
    same = evaluate(
        lab,
        """
        (step, name, value), = playground.training.marks
        again = Playground(model, data, sliders=("rho", "beta", "lam2"))
        again.train(step)
        again.train(playground.training.step - step, **{name: value})
        print(name, (again.training.features == playground.training.features).all())
        import ipykernel
        print(ipykernel.version_info[0])
        """,
    )
    assert same.split() == ["beta", "True", str(request.node.callspec.params["browser"])]


def test_a_slider_moved_right_before_pause_reaches_the_model(lab):
    start_training(lab)
    for beta in (20, 0):
        lab.press("beta", "End" if beta else "Home")
        lab.click("train")
        lab.wait_for_state("paused")
        lab.until(lambda beta=beta: lab.status()["beta"] == beta)
        lab.click("train")
        trains(lab)


def test_a_value_off_the_grid_has_a_place_on_the_slider_and_keys_go_on_from_there(lab):
    evaluate(lab, "playground.set(beta=0.7)")
    readout = lab.page.locator(".playground-beta .widget-readout")
    lab.until(lambda: readout.inner_text() == "0.7" and lab.status()["beta"] == 0.7)
    lab.press("beta")
    lab.until(lambda: readout.inner_text() == "1" and lab.status()["beta"] == 1)


def test_run_again_an_explorer_leaves_no_widget_behind(browser):
    lab = browser(SETUP, PROBE, EXPLORE, "")
    count = """
    import ipywidgets
    print(len(ipywidgets.Widget.get_manager_state()["state"]))
    """
    lab.run(0)
    for cell, name in ((1, ".probe"), (2, ".explorer-status")):
        lab.run(cell)
        alive = evaluate(lab, count, 3)
        lab.run(cell)
        assert evaluate(lab, count, 3) == alive
        assert lab.page.locator(name).count() == 1
    lab.close()


def test_the_explorers_answer_to_the_keyboard(browser):
    """Lesson 06's explorer of the sweep, and lesson 05's of probes."""
    lab = browser(SETUP, EXPLORE, PROBE, "import time; time.sleep(8)")
    for cell in range(3):
        lab.run(cell)
    picture, setting = lab.page.locator("img.explorer-features"), ".explorer-status"
    before = picture.get_attribute("src")
    assert "beta=1 " in lab.page.locator(setting).get_attribute("data-setting")
    lab.page.locator(".explorer-beta .noUi-handle").focus()
    lab.page.keyboard.press("ArrowRight")
    lab.page.wait_for_selector(f"{setting}[data-setting*='beta=3 ']")
    assert picture.get_attribute("src") != before

    status = lab.page.locator(".probe-status")
    lab.until(lambda: "pixels, 10 labels per class" in status.inner_text())
    drawn = lab.page.locator("img.probe-drawn").get_attribute("src")
    lab.page.locator(".probe-labels .noUi-handle").focus()
    lab.page.keyboard.press("ArrowLeft")
    lab.until(lambda: "pixels, 5 labels per class" in status.inner_text())
    assert lab.page.locator("img.probe-drawn").get_attribute("src") != drawn
    assert lab.page.locator(".probe table tr").count() == 2
    lab.page.locator(".probe-features select").select_option("code")
    lab.until(lambda: "code, 5 labels per class" in status.inner_text())
    assert lab.page.locator(".probe table tr").count() == 3

    lab.start(3)  # a cell that takes its time: the one answers all the same, the other says why not
    lab.page.locator(".explorer-beta .noUi-handle").focus()
    lab.page.keyboard.press("Home")
    lab.page.wait_for_selector(f"{setting}[data-setting='sigmoid lam2=0.003']", timeout=2000)
    lab.page.locator(".probe-labels .noUi-handle").focus()
    lab.page.keyboard.press("Home")
    waiting = lab.page.locator(".course-waiting")
    lab.until(
        lambda: "Waiting" in waiting.inner_text() or "code, 1 labels" in status.inner_text(), 2
    )
    lab.until(lambda: "code, 1 labels per class" in status.inner_text())
    lab.until(lambda: waiting.inner_text() == "")
    lab.kernel("restart")
    lab.page.locator(".explorer-beta .noUi-handle").focus()
    lab.page.keyboard.press("End")
    lab.page.wait_for_selector(f"{setting}[data-setting*='beta=10 ']", timeout=2000)
    lab.close()


def test_what_is_touched_while_a_cell_runs_is_waited_for_and_not_lost(lab):
    start_training(lab)
    lab.write(2, "import time; time.sleep(6)")
    lab.start(2)
    before = lab.status()["step"]
    # At once, for ipykernel 7 may go on training between the two.
    lab.page.evaluate(
        """() => { for (const name of ["reset", "step"])
        document.querySelector(`.playground-${name}`).click(); }"""
    )
    lab.until(lambda: lab.status()["state"] == "waiting" or lab.status()["step"] == 1, 5)
    lab.until(lambda: lab.status()["step"] == 1, 20)
    assert before > 1 and lab.wait_for_state("paused")


def test_run_again_while_playing(lab):
    start_training(lab)
    lab.run(1)
    lab.wait_for_state("paused")
    assert lab.status()["step"] == 0
    assert lab.page.locator(lab_browser.STATUS).count() == 1
    assert stands(lab)
    start_training(lab)
    alive = "print(sum(p.session.playing for p in [playground]), playground.training.step > 0)"
    assert evaluate(lab, alive) == "1 True"


@pytest.mark.parametrize("run_again", [False, True])
def test_loaded_again_while_playing(lab, run_again):
    start_training(lab)
    if run_again:
        lab.run(1)
        lab.wait_for_state("paused")
    lab.menu("File", "Save Notebook")
    lab.page.wait_for_selector(".jp-mod-dirty", state="detached")
    lab.page.reload()
    lab.ready()
    lab.wait_for_state("paused")
    assert stands(lab)
    assert "Loading widget" not in lab.page.locator(".jp-Notebook").inner_text()
    start_training(lab)
    lab.press("beta")
    lab.until(lambda: lab.status()["beta"] > 0.5)


def test_scrolled_away(lab):
    start_training(lab)
    lab.cell(7).scroll_into_view_if_needed()
    lab.page.wait_for_timeout(1000)
    trains(lab)
    lab.cell(1).scroll_into_view_if_needed()
    trains(lab)
    lab.press("beta")
    lab.until(lambda: lab.status()["beta"] > 0.5)


def test_output_cleared(lab):
    start_training(lab)
    lab.cell(1).locator(".cm-content").click()
    lab.menu("Edit", "Clear Cell Output")
    lab.page.wait_for_selector(lab_browser.STATUS, state="detached")
    lab.page.wait_for_timeout(500)
    step = evaluate(lab, "print(playground.training.step)")
    lab.page.wait_for_timeout(1500)
    assert evaluate(lab, "print(playground.training.step)") == step


def test_interrupted(lab):
    start_training(lab)
    lab.kernel("interrupt")
    lab.page.wait_for_timeout(1000)
    lab.press("beta")
    lab.until(lambda: lab.status()["beta"] > 0.5)
    if lab.status()["state"] == "paused":
        start_training(lab)


def test_kernel_restarted(lab):
    start_training(lab)
    lab.menu("Kernel", "Restart Kernel…")
    lab.page.locator(".jp-Dialog button.jp-mod-accept").click()
    lab.until(lambda: "run this cell again" in lab.status()["words"])
    assert lab.page.locator(".playground-train").is_disabled()
    lab.run(0)
    lab.run(1)
    lab.until(lambda: lab.status()["state"] == "paused" and lab.status()["step"] == 0)
    start_training(lab)


def test_two_views_of_one_playground(lab):
    lab.write(2, "playground")
    lab.run(2)
    lab.until(lambda: lab.page.locator(lab_browser.STATUS).count() == 2)
    start_training(lab, 0)
    lab.until(lambda: lab.status(1)["step"] > 0 and lab.status(1)["state"] == "training")
    lab.click("train", 1)
    lab.until(lambda: {lab.status(n)["state"] for n in (0, 1)} == {"paused"})
    assert stands(lab, 0)
    start_training(lab, 1)
    lab.cell(1).locator(".cm-content").click()
    lab.menu("Edit", "Clear Cell Output")
    lab.until(lambda: lab.page.locator(lab_browser.STATUS).count() == 1)
    trains(lab, 0)


def test_two_playgrounds(lab):
    lab.write(2, PLAY.replace("playground", "second"))
    lab.run(2)
    lab.until(lambda: lab.page.locator(lab_browser.STATUS).count() == 2)
    start_training(lab, 0)
    assert lab.status(1)["step"] == 0
    start_training(lab, 1)
    trains(lab, 0)
    lab.press("beta", number=1)
    lab.until(lambda: lab.status(1)["beta"] > 0.5)
    assert lab.status(0)["beta"] == 0.5
    lab.click("train", 0)
    lab.wait_for_state("paused", 0)
    trains(lab, 1)


def test_a_hundred_quick_moves(lab):
    start_training(lab)
    for i in range(100):
        lab.press("beta", "ArrowRight" if i % 10 < 5 else "ArrowLeft")
    lab.press("beta", "End")
    lab.until(lambda: lab.status()["beta"] == 20, timeout=5)
    trains(lab)
    assert evaluate(lab, "print(len({s for s, *_ in playground.training.marks}) > 5)") == "True"


def test_no_key_of_many_is_lost(lab):
    start_training(lab)
    for key, presses, value in (("ArrowRight", 12, 20), ("ArrowLeft", 12, 0), ("ArrowRight", 7, 3)):
        for _ in range(presses):
            lab.press("beta", key)
        lab.until(lambda value=value: lab.status()["beta"] == value, timeout=10)


def test_a_page_that_does_not_ask_is_not_trained_for(lab):
    """The browser stands still, as in a computer that sleeps, and comes back."""
    start_training(lab)
    look = """
    import time
    time.sleep(3)
    before = playground.training.step
    time.sleep(2)
    print("steps:", playground.training.step - before)
    """
    lab.write(2, look)
    lab.start(2)
    lab.page.evaluate("() => { const end = Date.now() + 9000; while (Date.now() < end); }")
    lab.until(lambda: "steps: 0" in lab.cell(2).inner_text())
    trains(lab)


def test_it_goes_on_after_a_later_cell(lab):
    start_training(lab)
    evaluate(lab, "import time; time.sleep(4)")
    trains(lab)


def test_it_is_used_by_keyboard_alone_and_every_control_has_a_name(lab):
    lab.page.locator(".playground-rho .noUi-handle").focus()
    seen = []
    for _ in range(20):
        seen.append(
            lab.page.evaluate(
                """() => {
                    const now = document.activeElement, box = now.closest('.playground');
                    if (!box) return '';
                    const row = now.closest('.widget-inline-hbox, button, label') ?? now;
                    return row.ariaLabel ?? row.innerText.trim();
                }"""
            )
        )
        lab.page.keyboard.press("Tab")
    for label in (
        *("ρ", "β", "λ₂", "Train", "Step", "Reset", "Seed", "Speed", "Preset", "Snapshot"),
        *("features", "originals", "reconstructions"),
    ):
        assert any(name.startswith(label) for name in seen), (label, seen)


def contrast(page, selector):
    """Between a text and the page behind it, as WCAG defines it: 1 is none, 21 black on white."""
    colors = page.locator(selector).first.evaluate(
        """element => {
            let behind = element;
            const color = element => getComputedStyle(element).backgroundColor;
            const opaque = element => !/rgba\\(.*, 0\\)|transparent/.test(color(element));
            while (behind.parentElement && !opaque(behind)) behind = behind.parentElement;
            const style = getComputedStyle(element);
            const text = element instanceof SVGElement ? style.fill : style.color;
            return [text, color(behind)];
        }"""
    )

    def luminance(color):
        parts = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
        parts = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    light, dark = sorted((luminance(color) for color in colors), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_it_can_be_read_in_the_light_and_in_the_dark_theme(theme, page, tmp_path):
    nbformat.write(lab_browser.notebook(SETUP, PLAY), tmp_path / "play.ipynb")
    with lab_browser.jupyterlab(tmp_path, theme=theme) as address:
        lab = Lab(page, address, "play.ipynb")
        lab.run(0)
        lab.run(1)
        lab.wait_for_state("paused")
        is_dark = page.locator("body").get_attribute("data-jp-theme-light") == "false"
        assert is_dark == theme.endswith("Dark")
        for text in (".playground-status", ".playground-curves text", ".playground .widget-label"):
            assert contrast(page, text) >= 4.5, text
