"""What several tests share: the images, and a clean start for each test."""

import csv
import os
import sys
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")  # nothing opens a window

import matplotlib.pyplot as plt
import numpy as np
import pytest

import helpers
from sparse_autoencoder import keras, tf

ROOT = Path(__file__).parent.parent

# Tests run side by side, one on each core: threads that wait for each other would only crowd.
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)

needs_mnist = pytest.mark.skipif(
    not (ROOT / "data" / "mnist.npz").exists(), reason="needs data/mnist.npz"
)

PARTS = {"mnist", "browser", "publish", "nbgrader", "setup", "hosts", "hub"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Refuse a test that `make test` and `make test-all` would run never, or twice."""
    for item in items:
        marks = {mark.name for mark in item.iter_markers()}
        if len(marks & PARTS) != ("slow" in marks) or "ci" in marks and "slow" not in marks:
            raise pytest.UsageError(f"{item.nodeid}: slow tests, and no others, are in one part.")


@pytest.fixture(scope="session")
def digits():
    """scikit-learn's digits, which need no network."""
    return helpers.load_images("digits")


@pytest.fixture(scope="session")
def mnist():
    """MNIST, where it was downloaded already."""
    if not (ROOT / "data" / "mnist.npz").exists():
        pytest.skip("needs data/mnist.npz")
    return helpers.load_images("mnist")


@pytest.fixture(autouse=True)
def same_start():
    """Every test draws the same random numbers, and leaves no figure open."""
    keras.utils.set_random_seed(0)
    yield
    plt.close("all")


@pytest.fixture(scope="session")
def page():
    """A page of headless Chromium, which remembers all that it asked for."""
    from tests.browser import lab_browser

    if lab_browser.CHROMIUM is None:
        pytest.skip(lab_browser.NO_CHROMIUM)
    with lab_browser.chromium() as page:
        page.asked_for = []
        page.on("request", lambda request: page.asked_for.append(request.url))
        yield page


def make_site(source, folder):
    """Make pages as `make site` does; gives their folder."""
    if sys.version_info < (3, 11):
        pytest.skip("The pages need Python 3.11 or later.")
    from sphinx.cmd.build import build_main

    options = f"-W --keep-going -E -q -c {ROOT / 'site'} -d {folder / 'doctrees'}"
    assert build_main([*options.split(), str(source), str(folder / "pages")]) == 0
    return folder / "pages"


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The folder of all pages."""
    return make_site(ROOT, tmp_path_factory.mktemp("site"))


def rows_of(path):
    """The rows of a CSV file as dicts of text."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def differences(function, array, step=1e-5):
    """The gradient of function() by an array that it reads, by central finite differences."""
    gradient = np.zeros_like(array)
    for i in np.ndindex(array.shape):
        kept, sides = array[i], []
        for side in (kept + step, kept - step):
            array[i] = side
            sides.append(function())
        array[i] = kept
        gradient[i] = (sides[0] - sides[1]) / (2 * step)
    return gradient
