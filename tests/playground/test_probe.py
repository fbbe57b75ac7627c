"""Lesson 05's playground, without a browser: probes, their table, and what is shown."""

import io
import threading

import numpy as np
import pytest
from PIL import Image

from sparse_autoencoder import KLSparsity, build_autoencoder, keras, measures, train
from sparse_autoencoder.playground import ProbeExplorer


def broken(images):
    raise RuntimeError("cannot encode these")


FEATURES = {"pixels": np.asarray, "<left half>": lambda x: x[:, :98], "broken": broken}


@pytest.fixture
def explorer(small):
    explorer = ProbeExplorer(FEATURES, small)
    yield explorer
    explorer.close()


@pytest.fixture
def control(explorer, find):
    return lambda name: find(explorer, f"probe-{name}")


@pytest.fixture
def status(explorer, find):
    return lambda: find(explorer, "probe-status", html=True).value


@pytest.fixture
def told(explorer):
    """The columns of pictures and text: what it was told, what it gets wrong, what was tried."""
    return [column.children[-1] for column in explorer.children[-1].children]


def test_it_shows_the_probe_that_measures_knows_its_labels_and_wrong_guesses(
    explorer, small, status, control, told
):
    probe = measures.fit_probe(small.x_train, small.y_train, 10, [0])
    accuracy = probe.score(small.x_validation, small.y_validation)
    assert f'data-accuracy="{accuracy}"' in status() and 'data-state="done"' in status()
    assert "pixels, 10 labels per class, draw 0" in status() and "297 validation" in status()
    picture = np.asarray(Image.open(io.BytesIO(control("drawn").value)))
    assert picture.shape == (10 * 15 - 1, 10 * 15 - 1)  # ten labels of ten classes
    row = measures.draw_labels(small.y_train, 10, [0])[0]
    shown = np.rint(255 * small.x_train[row].reshape(14, 14))
    assert np.array_equal(picture[:14, :14], shown)
    guesses = probe.predict(small.x_validation)
    wrong = np.flatnonzero(guesses != small.y_validation)[0]
    assert told[1].value.startswith(f"{small.y_validation[wrong]} as {guesses[wrong]}")

    axes = explorer.still().axes
    assert [ax.get_title() for ax in axes] == ["all it was told", "some it gets wrong"]
    assert axes[1].get_xlabel().replace("\n", "<br>") == told[1].value
    assert all(ax.images for ax in axes)


def test_every_choice_trains_anew_and_stays_in_the_table(explorer, control, told):
    before = control("drawn").value
    control("draw").value = 1
    assert control("drawn").value != before
    control("labels").value = 3
    control("features").value = "<left half>"
    assert explorer.choice == ("<left half>", 3, 1)
    table = told[2]
    assert "&lt;left half&gt;" in table.value and table.value.count("<tr>") == 3
    both = [explorer.try_out("pixels", 10, draw) for draw in (0, 1)]
    assert f"{100 * np.mean(both):.1f} (2)" in table.value
    assert control("labels").options == (1, 2, 3, 5, 10, 20, 30, 50, 100)


def test_a_failure_is_said_and_the_next_choice_works(control, status):
    control("features").value = "broken"
    assert 'data-state="failed"' in status() and "cannot encode these" in status()
    control("features").value = "pixels"
    assert 'data-state="done"' in status()


def test_choices_left_again_while_it_works_are_skipped(control, status, monkeypatch):
    fitted, gate, started = [], threading.Event(), threading.Event()
    fit = measures.fit_probe

    def slow(features, labels, labels_per_class, seed):
        fitted.append(labels_per_class)
        started.set()
        gate.wait(20)
        return fit(features, labels, labels_per_class, seed)

    monkeypatch.setattr(measures, "fit_probe", slow)
    first = threading.Thread(target=lambda: setattr(control("labels"), "value", 1))
    first.start()
    started.wait(20)
    for count in (2, 3, 5):
        control("labels").value = count
    gate.set()
    first.join(20)
    assert fitted == [1, 5]
    assert "5 labels per class" in status()


def test_the_page_knows_by_itself_which_choice_is_not_begun_yet(front_end, small):
    explorer = ProbeExplorer(FEATURES, small)
    (model,) = front_end.find("kind", "waiting")
    state = front_end.states[model]
    assert state["done"] == [state[f"place{number}"] for number in range(3)] == [0, 4, 0]
    links = [s for s in front_end.states.values() if s.get("_model_name") == "DirectionalLinkModel"]
    assert [link["target"][1] for link in links] == ["place0", "place1", "place2"]
    front_end.move("probe-labels", 1)
    assert front_end.states[model]["done"] == [0, 1, 0]
    explorer.close()


@pytest.mark.slow
@pytest.mark.mnist
def test_experiments_of_lesson_05(mnist):
    def trained(**how):
        keras.utils.set_random_seed(0)
        model = build_autoencoder(**how)
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
