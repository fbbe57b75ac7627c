"""The sweep explorer: sliders over data/sweep.csv and its pictures."""

import itertools

import numpy as np
import pytest

from sparse_autoencoder.playground import SweepExplorer
from sparse_autoencoder.tables import sweep_picture


@pytest.fixture
def explorer(front_end):
    explorer = SweepExplorer(sliders=("rho", "beta"), activation="sigmoid", lam2=0.003)
    yield explorer
    explorer.close()


@pytest.fixture
def relu():
    explorer = SweepExplorer(sliders=("lam1", "lam2"), activation="relu")
    yield explorer
    explorer.close()


def test_the_page_has_every_model_from_the_start(explorer, front_end):
    rho, beta = explorer.sliders.values()
    assert (beta.description, beta.options[0]) == ("β, KL strength", ("off", 0.0))
    (model,) = front_end.find("kind", "explorer")
    state = front_end.states[model]
    seen = set()
    for i, j in itertools.product(range(5), range(5)):
        (_, rho_value), (_, beta_value) = rho.options[i], beta.options[j]
        name = f"sigmoid rho={rho_value:g} beta={beta_value:g} lam2=0.003"
        if beta_value == 0:  # then ρ makes no difference
            name = "sigmoid lam2=0.003"
        number = state["places"][f"{i},{j}"]
        row, shown = explorer.table.loc[name], state["models"][number]
        assert shown["setting"] == name and f"SSE {row.sse_validation:.2f}" in shown["words"]
        assert (shown["x"], shown["y"]) == (row.sse_validation, row.probe_10_validation)
        for kind in ("features", "reconstructions"):
            assert state[kind][number] == sweep_picture(name, kind).read_bytes()
        assert row.activation == "sigmoid" and row.lam2 == 0.003 and row.beta == beta_value
        assert (row.hidden_units, row.batch_size) == (196, 128)
        seen.add(number)
    assert len(seen) == len(state["models"]) == 5 * 4 + 1 and len(state["places"]) == 25


def test_the_page_itself_tells_the_view_where_the_sliders_stand(explorer, front_end):
    (model,) = front_end.find("kind", "explorer")
    links = [s for s in front_end.states.values() if s.get("_model_name") == "DirectionalLinkModel"]
    for number, slider in enumerate(explorer.sliders.values()):
        ends = [f"IPY_MODEL_{slider.model_id}", "index"], [f"IPY_MODEL_{model}", f"place{number}"]
        assert {"source": ends[0], "target": ends[1]}.items() <= links[number].items()
        assert front_end.states[model][f"place{number}"] == slider.index == 2


def test_what_was_never_trained_is_said(explorer):
    with pytest.raises(ValueError, match="holds no models with {'activation': 'tanh'}"):
        SweepExplorer(sliders=("rho",), activation="tanh")
    assert explorer.setting(rho=0.02, beta=7) is None


def test_the_still_picture_shows_every_model_once(explorer):
    axes = explorer.still().axes
    pictures = {np.asarray(ax.images[0].get_array()).tobytes() for ax in axes if ax.images}
    assert len(axes) == 25 and len(pictures) == sum(len(ax.images) for ax in axes) == 21
    few = [ax for ax in explorer.still(rho=(0.05, 0.5), beta=(0.5, 3, 10)).axes if ax.images]
    assert [ax.get_xlabel() for ax in few[3:]] == ["β = 0.5", "β = 3", "β = 10"]
    assert len(few) == 6 and few[0].get_ylabel() == "ρ = 0.05"


def test_the_still_picture_is_wider_than_high(relu):
    axes = relu.still().axes
    names = [ax.get_xlabel() for ax in axes if ax.get_xlabel()]
    assert len(names) == 8 and all(name.startswith("λ₁ = ") for name in names)
    assert [ax.get_ylabel() for ax in axes if ax.get_ylabel()] == ["λ₂ = 0", "λ₂ = 0.001"]


def test_relu_models_have_sliders_of_their_own(relu):
    places = {name: dict(slider.options) for name, slider in relu.sliders.items()}
    assert list(places) == ["lam1", "lam2"]
    at = [[*places["lam1"].values()].index(0.1), [*places["lam2"].values()].index(0.001)]
    number = relu.places[",".join(map(str, at))]
    assert relu.models[number]["setting"] == "relu lam1=0.1 lam2=0.001"


def test_experiments_of_lesson_06(explorer):
    def column(name, *places):
        rows = [explorer.table.loc[explorer.setting(rho=rho, beta=beta)] for rho, beta in places]
        return [row[name] for row in rows]

    falling = [(rho, 3) for rho in (0.5, 0.2, 0.1, 0.05, 0.02)]
    active, sse = column("active_units", *falling), column("sse_validation", *falling)
    assert active == sorted(active, reverse=True) and active[0] > 95 and active[-1] < 5
    assert sse == sorted(sse) and 2.5 < sse[-1] / sse[0] < 3.5
    *probe, last = column("probe_10_validation", *falling)
    assert probe == sorted(probe) and 5 < probe[3] - probe[0] < 7 and 0.5 < probe[3] - last < 1.5
    weak, strong = (0.2, 0.5), (0.2, 10)
    assert abs(np.diff(column("probe_10_validation", weak, strong))) < 1
    assert 0.6 < np.divide(*column("active_units", strong, weak)) < 0.8
    pair = (0.02, 1), (0.05, 3)
    assert abs(np.diff(column("active_units", *pair))) < 1
    assert 1.5 < np.diff(column("probe_10_validation", *pair)) < 3
    assert abs(np.diff(column("sse_validation", *pair))) < 1.5
