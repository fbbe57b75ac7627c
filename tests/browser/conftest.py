"""One JupyterLab for all tests in a browser, and environments with other packages."""

import contextlib
import subprocess
import sys
import sysconfig
from pathlib import Path

import nbformat
import pytest

from tests.browser import lab_browser


@contextlib.contextmanager
def serve(page, folder, python=sys.executable):
    """Gives a function that opens a notebook of the given cells in JupyterLab."""
    with lab_browser.jupyterlab(folder, python) as address:

        def open_notebook(*cells):
            nbformat.write(lab_browser.notebook(*cells), folder / "play.ipynb")
            return lab_browser.Lab(page, address, "play.ipynb")

        yield open_notebook


@pytest.fixture(scope="session")
def open_notebook(page, tmp_path_factory):
    """Opens a notebook of the given cells: gives a lab_browser.Lab, to be closed."""
    with serve(page, tmp_path_factory.mktemp("notebooks")) as opens:
        yield opens


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """Makes an environment of this one's packages but for those named; gives its Python."""

    def make(*packages):
        folder = tmp_path_factory.mktemp("environment")
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        find = "import sysconfig; print(sysconfig.get_path('purelib'))"
        run = {"capture_output": True, "text": True, "check": True}
        site = subprocess.run([python, "-c", find], **run).stdout.strip()
        also = [sysconfig.get_path("purelib"), str(Path(__file__).parents[2])]
        Path(site, "course.pth").write_text("\n".join(also))
        pip = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--ignore-installed"]
        subprocess.run([*pip, *packages], check=True)
        return str(python)

    return make


@pytest.fixture(scope="session")
def open_with_ipykernel_6(page, environment, tmp_path_factory):
    """The same with ipykernel 6, which many class rooms have."""
    python = environment("ipykernel>=6.29,<7")
    with serve(page, tmp_path_factory.mktemp("notebooks-6"), python) as opens:
        yield opens


@pytest.fixture(scope="session", params=[7, 6], ids=["ipykernel-7", "ipykernel-6"])
def browser(request):
    """open_notebook with each ipykernel in turn, which serve the page in different threads."""
    names = {7: "open_notebook", 6: "open_with_ipykernel_6"}
    return request.getfixturevalue(names[request.param])
