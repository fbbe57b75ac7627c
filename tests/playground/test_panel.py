"""The playground's widgets, driven by hand; in a browser: tests/browser/test_panels.py."""

import gc
import re
import weakref
from types import SimpleNamespace

import ipywidgets
import numpy as np
import pytest

from sparse_autoencoder import build_autoencoder, tf
from sparse_autoencoder.playground import Playground, controls
from sparse_autoencoder.playground.engine import LiveTraining

SLIDERS = ("rho", "beta", "lam2")

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture
def played(make, small):
    playground = Playground(make(), small, sliders=SLIDERS)
    yield playground
    playground.close()


@pytest.fixture
def slider(played, find):
    return lambda name: find(played, f"playground-{name}")


@pytest.fixture
def press(played, find):
    return lambda name: find(played, f"playground-{name}").click()


@pytest.fixture
def status(played, find):
    """What the status line says in its data attributes, and in words."""

    def read():
        line = re.search('<div class="playground-status".*?</div>', status_of(played))[0]
        facts = dict(re.findall(r'data-([\w-]+)="([^"]*)"', line))
        return {**facts, "words": re.search(">(.*?)<br>", line)[1]}

    return read


def status_of(widget):
    """The HTML of everything in a panel, one after the other."""
    own = str(widget.value) if isinstance(widget, ipywidgets.HTML) else ""
    return own + "".join(map(status_of, getattr(widget, "children", ())))


def features(training):
    return training.features.copy()


def test_it_offers_the_sliders_it_was_asked_for_and_zero_is_off(slider):
    rho, beta = slider("rho"), slider("beta")
    assert (beta.value, rho.value) == (0.5, 0.1) and slider("learning-rate") is None
    assert (beta.description, beta.options[0]) == ("β, KL strength", ("off", 0))
    assert dict(rho.options)["0.15"] == 0.15, "the source's is on the grid"


def test_a_hyperparameter_that_the_model_lacks_is_refused(small):
    for name in ("beta", "nonsense"):
        with pytest.raises(ValueError, match=f"no hyperparameter '{name}'"):
            Playground(build_autoencoder(5, pixels=196), small, sliders=(name,))


def test_a_slider_changes_the_model_and_leaves_a_mark(played, slider, status):
    slider("beta").value = 10
    assert played.training.hyperparameters["beta"] == 10
    assert status()["beta"] == "10.0" and ">β 10<" in status_of(played)


def test_a_preset_sets_every_slider(played, slider):
    slider("preset").value = "UFLDL's settings"
    now = played.training.hyperparameters
    assert (now["rho"], now["beta"], now["lam2"]) == (0.1, 6, 0.006)
    assert slider("beta").value == 6 and slider("preset").value == "choose"
    slider("preset").value = "this lesson's settings"
    assert played.training.hyperparameters["beta"] == 0.5


@pytest.mark.parametrize("value", [0.07, 0.007, 5.0, 1 / 3])
def test_a_value_off_the_grid_gets_a_place_on_the_slider(value, make, small, find):
    played = Playground(make("relu"), small, sliders=("lam1",))
    places = len(find(played, "playground-lam1").options)
    played.set(lam1=value)
    slider = find(played, "playground-lam1")
    assert slider.value == pytest.approx(value) and len(slider.options) == places + 1
    assert [v for _, v in slider.options] == sorted(v for _, v in slider.options)
    assert played.training.hyperparameters["lam1"] == slider.value
    assert played.training.marks == [(0, "lam1", pytest.approx(value, rel=1e-5))]
    played.close()


def test_set_changes_all_or_none_sliders_included(played, slider):
    before = played.training.hyperparameters
    for wrong in ({"beta": 3, "rho": 2}, {"beta": 3, "nonsense": 1}):
        with pytest.raises(ValueError):
            played.set(**wrong)
        assert played.training.hyperparameters == before
        assert slider("beta").value == 0.5 and not played.training.marks
    played.set(beta=3, learning_rate=0.01)
    assert slider("beta").value == 3 and played.training.hyperparameters["learning_rate"] == 0.01


def test_without_a_browser_a_cell_trains_to_the_same_weights(played, slider, make, small):
    figures = played.train(10, beta=3)
    assert figures["step"] == 10 and slider("beta").value == 3 and played.figures == figures
    other = LiveTraining(make(), small)
    other.set(beta=3)
    other.train(10)
    np.testing.assert_array_equal(features(played.training), features(other))


def test_the_buttons_step_and_start_again(played, press, status, slider):
    start = features(played.training)
    press("step")
    assert status()["step"] == "1" and "Took one step" in status()["words"]
    assert np.any(features(played.training) != start)
    press("reset")
    assert status()["step"] == "0"
    np.testing.assert_array_equal(features(played.training), start)
    slider("seed").value = 3
    assert np.any(features(played.training) != start)
    played.reset(seed=0)
    np.testing.assert_array_equal(features(played.training), start)


def test_the_train_button_says_what_it_would_do(played, press, slider):
    button = slider("train")
    assert (button.description, button.icon) == ("Train", "play")
    press("train")
    assert played.loop.playing and (button.description, button.icon) == ("Pause", "pause")
    press("train")
    assert not played.loop.playing and (button.description, button.icon) == ("Train", "play")


def test_a_slider_moved_before_pause_reaches_step_and_reset(played, press, slider):
    press("train")
    slider("beta").value = 10
    press("train")
    assert played.training.hyperparameters["beta"] == 10
    press("step")
    press("reset")
    assert played.training.hyperparameters["beta"] == slider("beta").value == 10


def test_the_speed_is_the_loops(played, slider):
    slider("speed").value = "fast"
    assert played.loop.speed == "fast"


def test_a_snapshot_stays_while_it_trains_on(played, slider, status):
    picture = slider("features").value
    slider("snapshot").value = True
    played.train(3)
    assert slider("old-features").value == picture != slider("features").value
    assert "At step 0: ρ 0.1, β 0.5, λ₂ 0.001;" in status_of(played)
    assert "SSE " in status_of(played) and "L2 term" in status_of(played)
    box = slider("snapshot")
    assert box.description == "Forget snapshot"
    box.value = False
    assert box.description == "Snapshot"


def test_the_closer_look_is_at_the_chosen_unit(played, slider):
    before = slider("unit-images").value
    slider("unit").value = 7
    code = np.sort(played.training.code[:, 7])[::-1]
    assert 'data-unit="7"' in status_of(played)
    assert f"activation {code[0]:.2f} to {code[8]:.2f}." in status_of(played)
    assert slider("unit-images").value != before and slider("unit").max == 29


def test_after_a_loss_that_is_not_finite_train_is_not_offered_until_reset(
    played, press, slider, status
):
    played.set(learning_rate=1e30)
    press("step")
    press("step")
    assert status()["state"] == "broken" and "no longer a finite number" in status()["words"]
    assert slider("train").disabled and slider("step").disabled
    played.set(learning_rate=0.003)
    press("reset")
    assert status()["state"] == "paused" and not slider("train").disabled
    press("step")
    assert status()["step"] == "1"


def test_what_a_callback_raises_is_said(played, press, status, monkeypatch):
    def out_of_memory(seed=None):
        raise MemoryError("no room")

    monkeypatch.setattr(played.training, "reset", out_of_memory)
    press("reset")
    assert "Paused: no room" in status()["words"]


def test_a_page_that_comes_or_goes_pauses(played, press, status):
    press("train")
    played._view_count = 1
    assert not played.loop.playing and "page was closed or loaded again" in status()["words"]


def test_a_screen_reader_is_told_at_most_once_a_second(played, find):
    played.loop.pause()
    line = find(played, "playground-hidden")
    told, now = [], played.loop.clock()
    line.observe(lambda change: told.append(change["new"]), "value")
    played.loop.clock = lambda: now
    played.loop.playing = True  # as while the thread trains
    for _ in range(50):
        now += 0.1
        played.training.step += 1
        played.loop.draw()
    assert 4 <= len(told) <= 6
    assert all('role="status"' in text for text in told)


@pytest.mark.parametrize("steps", [7, 30])
def test_the_still_picture_takes_the_steps_and_leaves_all_else_alone(played, steps):
    played.train(4, beta=2)
    before = features(played.training)
    fig = played.still(steps)
    assert fig.get_suptitle().startswith(f"Step {steps},")
    taken = fig.subfigs[1].axes[0].lines[0].get_xdata()
    assert list(taken) == list(range(steps + 1))
    np.testing.assert_array_equal(features(played.training), before)
    assert played.training.step == 4 and played.training.hyperparameters["beta"] == 2
    played.train(1)


def test_activations_of_any_kind_can_be_played_with(small):
    for activation in ("tanh", "softmax", "elu"):
        model = build_autoencoder(9, activation=activation, pixels=196)
        played = Playground(model, small)
        label = "Mean activation ρ̂" if activation == "softmax" else "Active units per image"
        assert played.train(2)["step"] == 2 and f"<b>{label}</b>" in status_of(played)
        played.still(2)
        played.close()


def widgets_alive():
    return len(ipywidgets.Widget.get_manager_state()["state"])


def test_closing_removes_every_widget_and_lets_go(make, small):
    before = widgets_alive()
    played = Playground(make(), small, sliders=SLIDERS)
    assert widgets_alive() > before + 40
    left = weakref.ref(played), weakref.ref(played.training)
    played.loop.play()
    played.close()
    played.close()
    assert widgets_alive() == before
    del played
    gc.collect()
    assert [reference() for reference in left] == [None, None]


def test_a_cell_that_is_run_again_closes_what_it_showed(make, small, monkeypatch):
    cell = {"metadata": {"cellId": "one"}}
    kernel = SimpleNamespace(get_parent=lambda channel: cell)
    monkeypatch.setattr(controls, "get_ipython", lambda: SimpleNamespace(kernel=kernel))
    first, second, third = (Playground(make(), small) for _ in range(3))
    bundle = first._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    first._repr_mimebundle_()
    assert first.comm is not None
    second._repr_mimebundle_()
    assert first.comm is None and second.comm is not None
    cell["metadata"]["cellId"] = "another"
    third._repr_mimebundle_()
    assert second.comm is not None
    gone = weakref.ref(third)
    for playground in (second, third):
        playground.close()
    del third, playground
    tf.keras.backend.clear_session()
    gc.collect()
    assert gone() is None
