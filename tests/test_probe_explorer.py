"""Lesson 05's playground, without a browser: probes, their table, and what is shown."""

import io
import threading
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

import helpers
import measures
import probe_explorer
from probe_explorer import ProbeExplorer
from sparse_autoencoder import KLSparsity, build_autoencoder, keras, train

HAVE_MNIST = (Path(__file__).parent.parent / "data" / "mnist.npz").exists()


@pytest.fixture(scope="module")
def data():
    return helpers.load_mnist("digits")


@pytest.fixture
def explorer(data):
    return ProbeExplorer({"pixels": np.asarray, "<left half>": lambda x: x[:, :392]}, data)


def test_it_shows_the_probe_that_measures_knows(explorer, data):
    expected = measures.fit_probe(data.x_train, data.y_train, 10, [0])
    accuracy = expected.score(data.x_validation, data.y_validation)
    status = explorer._status.value
    assert f'data-accuracy="{accuracy}"' in status and 'data-state="done"' in status
    assert "pixels, 10 labels per class, draw 0" in status and "297 validation images" in status


def test_every_choice_trains_anew_and_stays_in_the_table(explorer, data):
    before = explorer._drawn.value
    explorer._draw_number.value = 1
    assert explorer._drawn.value != before
    explorer._labels.value = 3
    explorer._name.value = "<left half>"
    table = explorer._table.value
    assert "&lt;left half&gt;" in table and table.count("<tr>") == 3
    both = [explorer.try_out("pixels", 10, draw) for draw in (0, 1)]
    assert f"{100 * np.mean(both):.1f} (2)" in explorer._table.value
    assert explorer._labels.options == (1, 2, 3, 5, 10, 20, 30, 50, 100)


def test_the_pictures_are_of_the_drawn_labels_and_of_wrong_guesses(explorer, data):
    picture = np.asarray(Image.open(io.BytesIO(explorer._drawn.value)))
    assert picture.shape == (10 * 29 - 1, 10 * 29 - 1)  # ten labels of ten classes
    rows = measures.draw_labels(data.y_train, 10, [0])
    first = np.uint8(255 * data.x_train[rows[0]].reshape(28, 28))
    assert any(
        np.array_equal(picture[i : i + 28, j : j + 28], first) for i in range(3) for j in range(3)
    )
    probe = measures.fit_probe(data.x_train, data.y_train, 10, [0])
    guesses = probe.predict(data.x_validation)
    wrong = np.flatnonzero(guesses != data.y_validation)[0]
    assert explorer._guesses.value.startswith(f"{data.y_validation[wrong]} as {guesses[wrong]}")


def test_a_failure_is_said_and_the_next_choice_works(explorer):
    explorer._encode["broken"] = lambda x: x[:, :0]
    explorer._name.options = ["pixels", "<left half>", "broken"]
    explorer._name.value = "broken"
    assert 'data-state="failed"' in explorer._status.value
    explorer._name.value = "pixels"
    assert 'data-state="done"' in explorer._status.value


def test_choices_left_again_while_it_works_are_skipped(explorer, monkeypatch):
    fitted, gate, started = [], threading.Event(), threading.Event()
    fit = measures.fit_probe

    def slow(features, labels, labels_per_class, seed):
        fitted.append(labels_per_class)
        started.set()
        gate.wait(10)
        return fit(features, labels, labels_per_class, seed)

    monkeypatch.setattr(probe_explorer.measures, "fit_probe", slow)
    first = threading.Thread(target=lambda: setattr(explorer._labels, "value", 1))
    first.start()
    started.wait(10)
    for count in (2, 3, 5):
        explorer._labels.value = count
    gate.set()
    first.join(20)
    assert fitted == [1, 5]
    assert "5 labels per class" in explorer._status.value


def test_the_still_picture_shows_the_same(explorer, data):
    fig = explorer.still()
    assert [ax.get_title() for ax in fig.axes] == ["all it was told", "some it gets wrong"]
    assert fig.axes[1].get_xlabel().replace("\n", "<br>") == explorer._guesses.value
    assert all(ax.images for ax in fig.axes)
    plt.close(fig)


@pytest.mark.slow
@pytest.mark.skipif(not HAVE_MNIST, reason="needs data/mnist.npz")
def test_experiments_of_lesson_05():
    mnist = helpers.load_mnist("mnist")

    def trained(**settings):
        keras.utils.set_random_seed(0)
        model = build_autoencoder(**settings)
        train(model, mnist.x_train, mnist.x_validation, seed=0, progress=False)
        return model.encode

    sparser = trained(sparsity=KLSparsity(0.05, 3.0), lam2=0.003)
    features = {"pixels": np.asarray, "MSE code": trained(), "sparser code": sparser}
    explorer = ProbeExplorer(features, mnist)
    lucky = [explorer.try_out("pixels", 1, draw) for draw in range(5)]
    assert 0.12 < np.ptp(lucky) < 0.2
    ten = np.mean([explorer.try_out("sparser code", 10, draw) for draw in range(3)])
    twenty = np.mean([explorer.try_out("pixels", 20, draw) for draw in range(3)])
    assert abs(ten - twenty) < 0.02
    pixels, plain, sparse = (explorer.try_out(name, 100) for name in features)
    assert sparse - pixels > 0.04 and 0 < pixels - plain < 0.02
