"""The sweep explorer: sliders over data/sweep.csv and its pictures."""

import itertools

import numpy as np
import pytest

from sparse_autoencoder.playground import SweepExplorer
from sparse_autoencoder.tables import sweep_picture


@pytest.fixture
def explorer():
    explorer = SweepExplorer(sliders=("rho", "beta"), activation="sigmoid", lam2=0.003)
    yield explorer
    explorer.close()


@pytest.fixture
def relu():
    explorer = SweepExplorer(sliders=("lam1", "lam2"), activation="relu")
    yield explorer
    explorer.close()


@pytest.fixture
def shown(explorer, find):
    """Gives the status line, the scatter and the two pictures."""

    def look():
        images, scatter = explorer.children[-1].children
        words = find(explorer, "explorer-status", html=True).value
        return words, scatter.value, *(picture.value for picture in images.children)

    return look


def test_every_place_of_the_sliders_shows_its_own_model_and_a_page_gets_them_all(
    explorer, shown, find
):
    rho, beta = find(explorer, "explorer-rho"), find(explorer, "explorer-beta")
    assert (beta.description, beta.options[0]) == ("β, KL strength", ("off", 0.0))
    sliders, states = explorer.states()
    assert sliders == [
        {"label": s.description, "texts": [text for text, _ in s.options], "place": 2}
        for s in (rho, beta)
    ]
    seen = set()
    for i, j in itertools.product(range(5), range(5)):
        rho.index, beta.index = i, j
        name = f"sigmoid rho={rho.value:g} beta={beta.value:g} lam2=0.003"
        if beta.value == 0:  # then ρ makes no difference
            name = "sigmoid lam2=0.003"
        words, scatter, features, reconstructions = shown()
        row = explorer.table.loc[name]
        assert f'data-setting="{name}"' in words and f"SSE {row.sse_validation:.2f}" in words
        assert features == sweep_picture(name, "features").read_bytes()
        assert reconstructions == sweep_picture(name, "reconstructions").read_bytes()
        assert states[f"{i},{j}"] == {"words": words, "scatter": scatter, "setting": name}
        assert row.activation == "sigmoid" and row.lam2 == 0.003 and row.beta == beta.value
        assert (row.hidden_units, row.batch_size) == (196, 128)
        seen.add(features)
    assert len(seen) == 5 * 4 + 1 and len(states) == 25


def test_what_was_never_trained_is_said(explorer):
    with pytest.raises(ValueError, match="holds no models with {'activation': 'tanh'}"):
        SweepExplorer(sliders=("rho",), activation="tanh")
    assert explorer.setting(rho=0.02, beta=7) is None


def test_the_still_picture_shows_every_model_once(explorer):
    axes = explorer.still().axes
    pictures = {np.asarray(ax.images[0].get_array()).tobytes() for ax in axes if ax.images}
    assert len(axes) == 25 and len(pictures) == sum(len(ax.images) for ax in axes) == 21


def test_the_still_picture_is_wider_than_high(relu):
    axes = relu.still().axes
    names = [ax.get_xlabel() for ax in axes if ax.get_xlabel()]
    assert len(names) == 8 and all(name.startswith("λ₁ = ") for name in names)
    assert [ax.get_ylabel() for ax in axes if ax.get_ylabel()] == ["λ₂ = 0", "λ₂ = 0.001"]


def test_relu_models_have_sliders_of_their_own(relu, find):
    find(relu, "explorer-lam1").value = 0.1
    find(relu, "explorer-lam2").value = 0.001
    words = find(relu, "explorer-status", html=True).value
    assert 'data-setting="relu lam1=0.1 lam2=0.001"' in words


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
