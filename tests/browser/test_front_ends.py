"""The panels where JupyterLab is older than the pinned one, and in Notebook 7."""

import nbformat
import pytest

from tests.browser import lab_browser
from tests.browser.test_panels import EXPLORE, PLAY, SETUP, start_training

pytestmark = [pytest.mark.slow, pytest.mark.browser]

# What is started, where a notebook stands in its addresses, and the packages that bring it.
FRONT_ENDS = {
    "JupyterLab 4.4": ("jupyterlab", "lab/tree", ["jupyterlab==4.4.*"]),
    "Notebook 7": ("notebook", "notebooks", ["notebook==7.*", "jupyterlab"]),
}


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_a_reader_trains_moves_sliders_and_points(name, page, environment, tmp_path):
    application, place, packages = FRONT_ENDS[name]
    python = environment(*packages, "jupyterlab_widgets", "anywidget")
    nbformat.write(lab_browser.notebook(SETUP, PLAY, EXPLORE), tmp_path / "play.ipynb")
    with lab_browser.jupyterlab(tmp_path, server=(python, application)) as address:
        lab = lab_browser.Lab(page, address, "play.ipynb", place)
        for cell in range(3):
            lab.run(cell)
        lab.wait_for_state("paused")
        start_training(lab)
        lab.press("beta")
        lab.until(lambda: lab.status()["beta"] == 1)
        lab.press("beta", "ArrowLeft")
        lab.until(lambda: lab.status()["beta"] == 0.5)
        unit = page.locator(".playground-unit input")
        unit.fill("7")
        unit.press("Enter")
        page.wait_for_selector("[data-unit='7']")
        page.locator(".playground-features").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("x")
        page.wait_for_selector(".playground-features [data-tile='8'].playground-is-off")
        lab.click("train")
        lab.wait_for_state("paused")
        page.locator(".explorer-beta .noUi-handle").focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_selector(".explorer-status[data-setting*='beta=3 ']")
        lab.close()
