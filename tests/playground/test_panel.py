"""The playground's widgets, shown by a page that is none; in a browser: test_panels.py there."""

import gc
import json
import sys
import threading
import weakref
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import ipywidgets
import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from sparse_autoencoder import build_autoencoder
from sparse_autoencoder.playground import Playground, ProbeExplorer, SweepExplorer, controls
from sparse_autoencoder.playground.engine import LiveTraining

SLIDERS = ("rho", "beta", "lam2")

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture
def played(front_end, make, small):
    playground = Playground(make(), small, sliders=SLIDERS)
    yield playground
    playground.close()


@pytest.fixture
def ask(front_end, played):
    """Asks what the view would, and gives the answer's content."""
    view = front_end.view()
    return lambda *what, **more: view(*what, **more)[0]


@pytest.fixture
def slider(played, find):
    return lambda name: find(played, f"playground-{name}")


def test_it_offers_the_sliders_it_was_asked_for_and_zero_is_off(slider):
    rho, beta = slider("rho"), slider("beta")
    assert (beta.value, rho.value) == (0.5, 0.1) and slider("learning-rate") is None
    assert (beta.description, beta.options[0]) == ("β, KL strength", ("off", 0))
    assert dict(rho.options)["0.15"] == 0.15, "the source's is on the grid"


def test_a_slider_for_what_the_model_lacks_is_refused(small):
    with pytest.raises(ValueError, match="no hyperparameter 'beta'"):
        Playground(build_autoencoder(5, pixels=196), small, sliders=("beta",))


@pytest.mark.parametrize("shape", [(14, 14, 1), (7, 7)])
def test_images_that_cannot_be_drawn_are_refused(shape, make, small):
    with pytest.raises(ValueError, match="draws gray images, .* 196 numbers each"):
        Playground(make(), replace(small, image_shape=shape))


def test_a_new_view_has_its_first_frame_before_anybody_answers(front_end, ask):
    (model,) = front_end.find("kind", "playground")
    first = front_end.states[model]["first"]
    assert first["content"]["view"] is None and "originals" in first["content"]["buffers"]
    content, buffers = front_end.view()("hello", view="b")
    assert buffers == first["buffers"]
    assert content["setup"] == first["content"]["setup"]
    assert content["setup"]["symbols"]["lam2"] == "λ₂"


def test_the_view_trains_and_a_slider_is_in_the_next_frame(front_end, ask, played):
    ask("hello")
    assert ask("train", on=True)["state"] == "training"
    ask("tick")
    front_end.move("playground-beta", 0)
    assert ask("tick")["hyperparameters"]["beta"] == 0
    front_end.move("playground-beta", 1)
    assert ask("train", on=False)["hyperparameters"]["beta"] == 0.05
    front_end.move("playground-beta", 2)
    *_, (_, unasked, _) = front_end.sent
    assert unasked["view"] is None and unasked["hyperparameters"]["beta"] == 0.1
    assert unasked["marks"][-1][1] == "β 0.1"


def test_a_slider_whose_own_message_waits_is_moved_by_the_view(front_end, ask, slider):
    before = len(front_end.sent)
    frame = ask("tick", touched=True, places={"1": 0})
    assert slider("beta").value == frame["hyperparameters"]["beta"] == 0
    frames = [
        content for _, content, _ in front_end.sent[before:] if content.get("kind") == "frame"
    ]
    assert len(frames) == 1, "one picture for one move"


def test_a_preset_moves_the_sliders_in_the_page(front_end, ask, slider):
    now = ask("preset", preset="UFLDL's settings")["hyperparameters"]
    assert (now["rho"], now["beta"], now["lam2"]) == (0.1, 6, 0.006)
    (model,) = front_end.find("_dom_classes", "playground-beta")
    state = front_end.states[model]
    assert state["_options_labels"][state["index"]] == "6"
    assert ask("preset", preset="this lesson's settings")["hyperparameters"]["beta"] == 0.5


@pytest.mark.parametrize("value", [0.07, 1 / 3])
def test_a_value_off_the_grid_gets_a_place_on_the_slider(value, played, slider):
    beta = slider("beta")
    places = len(beta.options)
    played.set(beta=value)
    assert beta.value == pytest.approx(value) and len(beta.options) == places + 1
    assert [v for _, v in beta.options] == sorted(v for _, v in beta.options)
    assert played.training.hyperparameters["beta"] == beta.value
    assert played.training.marks == [(0, "beta", pytest.approx(value, rel=1e-5))]


def test_set_changes_all_or_none_sliders_included(played, slider):
    with pytest.raises(ValueError):
        played.set(beta=3, rho=2)
    assert slider("beta").value == played.training.hyperparameters["beta"] == 0.5
    played.set(beta=3, learning_rate=0.01)
    assert slider("beta").value == 3 and played.training.hyperparameters["learning_rate"] == 0.01


def test_without_a_browser_a_cell_trains_to_the_same_weights(played, slider, make, small):
    figures = played.train(5, beta=3)
    assert figures["step"] == 5 and slider("beta").value == 3 and played.figures == figures
    other = LiveTraining(make(), small)
    other.set(beta=3)
    other.train(5)
    np.testing.assert_array_equal(played.training.features, other.features)
    played.reset(seed=2)
    other.reset(seed=2)
    np.testing.assert_array_equal(played.training.features, other.features)


def test_what_a_cell_does_is_shown(front_end, played):
    for do in (lambda: played.train(2), lambda: played.reset(seed=3), lambda: played.set(beta=2)):
        do()
        _, frame, buffers = front_end.sent[-1]
        assert frame["view"] is None and frame["figures"] == played.figures
        assert frame["hyperparameters"] == played.training.hyperparameters
        assert len(buffers) == len(frame["buffers"]) > 0


def test_a_touch_changes_widgets_in_its_own_thread_and_no_other(front_end, ask):
    def page():
        ask("hello")
        ask("train", on=True)
        for _ in range(3):
            ask("tick")
        front_end.move("playground-beta", 7)
        ask("tick", hurry=True)
        ask("preset", preset="UFLDL's settings")
        ask("train", on=False)

    front_end.threads.clear()
    before = threading.active_count()
    thread = threading.Thread(target=page)
    thread.start()
    ident = thread.ident
    thread.join(60)
    assert front_end.threads == {ident} and threading.active_count() == before


def test_where_the_view_is_missing_a_picture_and_a_sentence_stand_until_it_speaks(front_end, ask):
    (box,) = front_end.find("_dom_classes", "course-else")
    layout = front_end.states[front_end.states[box]["layout"].removeprefix("IPY_MODEL_")]
    words, *pictures = (
        front_end.states[child.removeprefix("IPY_MODEL_")]
        for child in front_end.states[box]["children"]
    )
    assert "anywidget" in words["value"] and "playground.still()" in words["value"]
    assert [picture["value"][:4] for picture in pictures] == 2 * [b"\x89PNG"]
    assert layout["display"] is None
    ask("hello")
    assert layout["display"] == "none"


def test_after_a_loss_that_is_not_finite_only_a_reset_helps(ask, played):
    played.set(learning_rate=1e30)
    for _ in range(3):
        now = ask("step")
    assert now["state"] == "broken" and "no longer a finite number" in now["note"]
    json.dumps(now, allow_nan=False)
    played.set(learning_rate=0.003)
    assert ask("reset")["state"] == "paused"


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
    assert widgets_alive() > before + 10
    left = [weakref.ref(panel), weakref.ref(getattr(panel, "training", panel))]
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


def test_the_recording_in_the_readme_is_small_and_moves():
    with Image.open(ROOT / "data" / "playground.gif") as recording:
        assert recording.n_frames >= 15
    assert (ROOT / "data" / "playground.gif").stat().st_size < 2_000_000


def test_colab_is_asked_to_show_widgets_of_others(make, small, monkeypatch):
    asked = []
    output = ModuleType("google.colab.output")
    output.enable_custom_widget_manager = lambda: asked.append(True)
    monkeypatch.setitem(sys.modules, "google.colab.output", output)
    Playground(make(), small).close()
    assert asked
