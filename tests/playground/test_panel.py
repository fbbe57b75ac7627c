"""The playground's widgets, driven by hand; in a browser: tests/browser/test_panels.py."""

import gc
import weakref
from types import SimpleNamespace

import ipywidgets
import numpy as np
import pytest

from sparse_autoencoder import build_autoencoder
from sparse_autoencoder.playground import Playground, ProbeExplorer, SweepExplorer, controls
from sparse_autoencoder.playground.engine import LiveTraining

SLIDERS = ("rho", "beta", "lam2")

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture
def played(make, small):
    playground = Playground(make(), small, sliders=SLIDERS)
    yield playground
    playground.close()


@pytest.fixture
def control(played, find):
    return lambda name: find(played, f"playground-{name}")


@pytest.fixture
def says(played):
    """Whether something stands in the HTML of the playground."""

    def html_of(widget):
        own = str(widget.value) if isinstance(widget, ipywidgets.HTML) else ""
        return own + "".join(map(html_of, getattr(widget, "children", ())))

    return lambda *texts: all(text in html_of(played) for text in texts)


def test_it_offers_the_sliders_it_was_asked_for_and_zero_is_off(control):
    rho, beta = control("rho"), control("beta")
    assert (beta.value, rho.value) == (0.5, 0.1) and control("learning-rate") is None
    assert (beta.description, beta.options[0]) == ("β, KL strength", ("off", 0))
    assert dict(rho.options)["0.15"] == 0.15, "the source's is on the grid"


def test_a_slider_for_what_the_model_lacks_is_refused(small):
    with pytest.raises(ValueError, match="no hyperparameter 'beta'"):
        Playground(build_autoencoder(5, pixels=196), small, sliders=("beta",))


def test_a_preset_sets_every_slider(played, control):
    control("preset").value = "UFLDL's settings"
    now = played.training.hyperparameters
    assert (now["rho"], now["beta"], now["lam2"]) == (0.1, 6, 0.006)
    assert control("beta").value == 6 and control("preset").value == "choose"
    control("preset").value = "this lesson's settings"
    assert played.training.hyperparameters["beta"] == 0.5


@pytest.mark.parametrize("value", [0.07, 1 / 3])
def test_a_value_off_the_grid_gets_a_place_on_the_slider(value, played, control):
    slider = control("beta")
    places = len(slider.options)
    played.set(beta=value)
    assert slider.value == pytest.approx(value) and len(slider.options) == places + 1
    assert [v for _, v in slider.options] == sorted(v for _, v in slider.options)
    assert played.training.hyperparameters["beta"] == slider.value
    assert played.training.marks == [(0, "beta", pytest.approx(value, rel=1e-5))]


def test_set_changes_all_or_none_sliders_included(played, control):
    with pytest.raises(ValueError):
        played.set(beta=3, rho=2)
    assert control("beta").value == played.training.hyperparameters["beta"] == 0.5
    played.set(beta=3, learning_rate=0.01)
    assert control("beta").value == 3 and played.training.hyperparameters["learning_rate"] == 0.01


def test_without_a_browser_a_cell_trains_to_the_same_weights(played, control, make, small):
    figures = played.train(5, beta=3)
    assert figures["step"] == 5 and control("beta").value == 3 and played.figures == figures
    other = LiveTraining(make(), small)
    other.set(beta=3)
    other.train(5)
    np.testing.assert_array_equal(played.training.features, other.features)
    played.reset(seed=2)
    other.reset(seed=2)
    np.testing.assert_array_equal(played.training.features, other.features)


def test_a_slider_moved_before_pause_reaches_step_and_reset(played, control, says):
    button = control("train")
    assert (button.description, button.icon) == ("Train", "play")
    button.click()
    assert played.loop.playing and (button.description, button.icon) == ("Pause", "pause")
    control("beta").value = 10
    button.click()
    assert not played.loop.playing and button.description == "Train"
    control("step").click()
    assert says("Took one step.", 'data-beta="10.0"')
    control("reset").click()
    assert says('data-step="0"', "Back at the start.", 'data-beta="10.0"')
    start = played.training.features
    control("seed").value = 3
    assert np.any(played.training.features != start)
    control("speed").value = "fast"
    assert played.loop.speed == "fast" and control("beta").value == 10


def test_a_snapshot_says_where_it_was_taken_and_stays(played, control, says):
    picture, snapshot = control("features").value, control("snapshot")
    snapshot.value = True
    played.train(3)
    assert control("old-features").value == picture != control("features").value
    assert says("At step 0: ρ 0.1, β 0.5, λ₂ 0.001;", "SSE ", "L2 term")
    assert snapshot.description == "Forget snapshot"
    snapshot.value = False
    assert snapshot.description == "Snapshot"


def test_the_closer_look_is_at_the_chosen_unit(played, control, says):
    control("unit").value = 7
    code = np.sort(played.training.code[:, 7])[::-1]
    assert says('data-unit="7"', f"activation {code[0]:.2f} to {code[8]:.2f}.")
    assert control("unit").max == 29


def test_after_a_loss_that_is_not_finite_train_is_not_offered_until_reset(played, control, says):
    played.set(learning_rate=1e30)
    for _ in range(2):
        control("step").click()
    assert says('data-state="broken"', "no longer a finite number")
    assert control("train").disabled and control("step").disabled
    played.set(learning_rate=0.003)
    control("reset").click()
    assert says('data-state="paused"') and not control("train").disabled


def test_what_a_callback_raises_is_said(played, control, says, monkeypatch):
    def out_of_memory(seed=None):
        raise MemoryError("no room")

    monkeypatch.setattr(played.training, "reset", out_of_memory)
    control("reset").click()
    assert says("Paused: no room")


def test_a_screen_reader_is_told_at_most_once_a_second(played, find):
    played.loop.pause()
    line = find(played, "course-heard-only")
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


def test_the_still_picture_takes_the_steps_and_leaves_all_else_alone(played):
    played.train(4, beta=2)
    before = played.training.features
    fig = played.still(7)
    assert fig.get_suptitle().startswith("Step 7,")
    assert list(fig.subfigs[1].axes[0].lines[0].get_xdata()) == list(range(8))
    np.testing.assert_array_equal(played.training.features, before)
    assert played.training.step == 4 and played.training.hyperparameters["beta"] == 2


def widgets_alive():
    return len(ipywidgets.Widget.get_manager_state()["state"])


PANELS = {
    "playground": lambda model, data: Playground(model, data, sliders=SLIDERS),
    "probe": lambda model, data: ProbeExplorer({"pixels": np.asarray}, data),
    "sweep": lambda model, data: SweepExplorer(sliders=("lam1", "lam2"), activation="relu"),
}


@pytest.mark.parametrize("name", PANELS)
def test_closing_removes_every_widget_and_lets_go(name, make, small):
    before = widgets_alive()
    panel = PANELS[name](make(), small)
    assert widgets_alive() > before + 20
    left = [weakref.ref(panel), weakref.ref(getattr(panel, "training", panel))]
    if name == "playground":
        panel.loop.play()
    panel.close()
    panel.close()
    assert widgets_alive() == before
    del panel
    gc.collect()
    assert [reference() for reference in left] == [None, None]


def test_a_cell_that_is_run_again_closes_what_it_showed(monkeypatch):
    cell = {"metadata": {"cellId": "one"}}
    kernel = SimpleNamespace(get_parent=lambda channel: cell)
    monkeypatch.setattr(controls, "get_ipython", lambda: SimpleNamespace(kernel=kernel))
    first, second, third = (controls.Panel([]) for _ in range(3))
    bundle = first._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    first._repr_mimebundle_()
    assert first.comm is not None
    second._repr_mimebundle_()
    assert first.comm is None and second.comm is not None
    cell["metadata"]["cellId"] = "another"
    third._repr_mimebundle_()
    assert second.comm is not None
    second.close()
    gone = weakref.ref(second)
    del second
    gc.collect()
    assert gone() is None, "nothing keeps a panel that is closed"
