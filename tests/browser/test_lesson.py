"""Lesson 03 as a reader meets it: run from top to bottom in JupyterLab, then played with."""

import nbformat
import pytest

from tests.browser import lab_browser
from tools import lessons

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.ci]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where JupyterLab finds the lesson, on the digits and with three epochs."""
    folder = tmp_path_factory.mktemp("course") / "notebooks"
    folder.mkdir()
    (folder.parent / "data").mkdir()
    notebook = lessons.lesson(lessons.read(lessons.SOURCES / "03_kl_sparsity.md"))
    for cell in notebook.cells:
        if "parameters" in lessons.tags(cell):
            cell.source += '\nSOURCE, EPOCHS = "digits", 3'
        elif cell.id == "check":
            cell.source = "print('All statements are about ten epochs.')"
    nbformat.write(notebook, folder / "lesson.ipynb")
    return folder


def test_a_reader_runs_lesson_03_and_plays(page, folder, monkeypatch):
    monkeypatch.delenv("MPLBACKEND")  # of the tests; a kernel shows its figures
    with lab_browser.jupyterlab(folder) as address:
        lab = lab_browser.Lab(page, address, "lesson.ipynb")
        try:
            walk(lab, folder / "lesson.ipynb")
        finally:
            lab.close()


def walk(lab, path):
    """Run all cells, look at what they left behind, then train, move a slider and pause."""
    lab.menu("Run", "Run All Cells")

    def ended():
        lab.page.wait_for_timeout(1000)
        lab.page.keyboard.press("Control+s")
        try:
            cells = lessons.code_cells(nbformat.read(path, as_version=4))
        except nbformat.reader.NotJSONError:  # read while it is being saved
            return None
        failed = [o for cell in cells for o in cell.outputs if o.output_type == "error"]
        assert not failed, failed[0].evalue
        return cells if all(cell.execution_count for cell in cells) else None

    cells = {cell.id: cell for cell in lab.until(ended, 300, "the lesson did not end")}
    assert any("image/png" in output.get("data", {}) for output in cells["kl-plot"].outputs)
    assert "digits, this run" in cells["scorecard"].outputs[0].data["text/html"]
    assert "is still to do" in cells["ex-layer-check"].outputs[0].text
    assert lessons.WIDGET_VIEW in cells["playground-run"].outputs[0].data

    scroll_until(lab, lab_browser.STATUS, -400)  # from the end upwards
    lab.wait_for_state("paused")
    lab.click("train")
    lab.until(lambda: lab.status()["step"] > 20, 120, "it does not train")
    before = lab.status()["beta"]
    lab.press("beta")
    lab.until(lambda: lab.status()["beta"] > before)
    lab.click("train")
    lab.wait_for_state("paused")


def scroll_until(lab, selector, distance):
    """Scroll to a widget: JupyterLab keeps no cells in the page that are far out of sight."""

    def in_the_page():
        lab.page.mouse.move(700, 500)
        lab.page.mouse.wheel(0, distance)
        return lab.page.locator(selector).count()

    lab.until(in_the_page, 60, f"{selector} is nowhere in the lesson")
