"""The sweep explorer: sliders over data/sweep.csv and its pictures."""

import itertools

import ipywidgets
import numpy as np
import pytest

from sparse_autoencoder.playground import SweepExplorer
from sparse_autoencoder.tables import sweep, sweep_picture

KL = {"activation": "sigmoid", "lam2": 0.003}
RELU = {"sliders": ("lam1", "lam2"), "activation": "relu"}


@pytest.fixture
def explorer():
    explorer = SweepExplorer(sliders=("rho", "beta"), **KL)
    yield explorer
    explorer.close()


def shown(explorer, find):
    """What stands in the status line, and the two pictures."""
    pictures = find(explorer, "explorer-picture"), explorer.children[-1].children[0].children[1]
    return find(explorer, "explorer-status", html=True).value, *(p.value for p in pictures)


def test_sliders_offer_what_was_trained_and_beta_can_be_off(explorer, find):
    rho, beta = find(explorer, "explorer-rho"), find(explorer, "explorer-beta")
    assert [value for _, value in rho.options] == [0.02, 0.05, 0.1, 0.2, 0.5]
    assert beta.options[0] == ("off", 0.0) and beta.description == "β, KL strength"
    assert [value for _, value in beta.options][1:] == [0.5, 1, 3, 10]


def test_every_place_of_the_sliders_shows_its_own_model(explorer, find):
    table, seen = sweep(), {}
    rho, beta = find(explorer, "explorer-rho"), find(explorer, "explorer-beta")
    for rho.index, beta.index in itertools.product(range(5), range(5)):
        kl = (table.rho == rho.value) & (table.beta == beta.value)
        usual = (table.activation == "sigmoid") & (table.lam2 == 0.003)
        usual &= (table.hidden_units == 196) & (table.batch_size == 128)
        (name,) = table.index[usual & (kl if beta.value else table.rho.isna())]
        words, features, reconstructions = shown(explorer, find)
        assert f'data-setting="{name}"' in words
        assert f"SSE {table.loc[name].sse_validation:.2f}" in words
        assert features == sweep_picture(name, "features").read_bytes()
        assert reconstructions == sweep_picture(name, "reconstructions").read_bytes()
        seen[features] = name
    assert len(seen) == 5 * 4 + 1, "without β, ρ makes no difference"


def test_relu_models_have_sliders_of_their_own(find):
    explorer = SweepExplorer(**RELU)
    find(explorer, "explorer-lam1").value = 0.1
    find(explorer, "explorer-lam2").value = 0.001
    assert 'data-setting="relu lam1=0.1 lam2=0.001"' in shown(explorer, find)[0]
    explorer.close()


def test_what_was_never_trained_is_said(explorer):
    with pytest.raises(ValueError, match="holds no models with {'activation': 'tanh'}"):
        SweepExplorer(sliders=("rho",), activation="tanh")
    assert explorer.setting(rho=0.02, beta=7) is None


def test_a_page_without_a_kernel_is_given_all_that_the_sliders_show(explorer, find):
    sliders, states = explorer.states()
    rho, beta = find(explorer, "explorer-rho"), find(explorer, "explorer-beta")
    assert [slider["label"] for slider in sliders] == ["ρ, target activation", "β, KL strength"]
    assert [slider["place"] for slider in sliders] == [rho.index, beta.index] == [2, 2]
    assert sliders[1]["texts"] == ["off", "0.5", "1", "3", "10"] and len(states) == 25
    for places in ("0,0", "4,3"):
        rho.index, beta.index = map(int, places.split(","))
        words, *_ = shown(explorer, find)
        assert states[places]["words"] == words
        assert states[places]["setting"] == explorer.setting(rho=rho.value, beta=beta.value)
        assert states[places]["scatter"] == explorer.children[-1].children[1].value != ""


def test_the_still_picture_shows_every_model_once(explorer):
    fig = explorer.still()
    pictures = [ax.images[0].get_array() for ax in fig.axes if ax.images]
    assert len(fig.axes) == 25 and len(pictures) == 21
    assert len({np.asarray(picture).tobytes() for picture in pictures}) == 21


def test_the_still_picture_is_wider_than_high():
    explorer = SweepExplorer(**RELU)
    axes = explorer.still().axes
    names = [ax.get_xlabel() for ax in axes if ax.get_xlabel()]
    assert len(names) == 8 and all(name.startswith("λ₁ = ") for name in names)
    assert [ax.get_ylabel() for ax in axes if ax.get_ylabel()] == ["λ₂ = 0", "λ₂ = 0.001"]
    explorer.close()


def test_closing_removes_every_widget():
    before = len(ipywidgets.Widget.get_manager_state()["state"])
    SweepExplorer(**RELU).close()
    assert len(ipywidgets.Widget.get_manager_state()["state"]) == before


def test_experiments_of_lesson_06(explorer):
    table = explorer.table

    def row(rho, beta):
        return table.loc[explorer.setting(rho=rho, beta=beta)]

    falling = [row(rho, 3) for rho in (0.5, 0.2, 0.1, 0.05, 0.02)]
    active, sse = ([r[name] for r in falling] for name in ("active_units", "sse_validation"))
    assert active == sorted(active, reverse=True) and active[0] > 95 and active[-1] < 5
    assert sse == sorted(sse) and 2.5 < sse[-1] / sse[0] < 3.5
    probe = [r.probe_10_validation for r in falling]
    assert probe[:4] == sorted(probe[:4]) and 5 < probe[3] - probe[0] < 7
    assert 0.5 < probe[3] - probe[4] < 1.5
    weak, strong = row(0.2, 0.5), row(0.2, 10)
    assert abs(weak.probe_10_validation - strong.probe_10_validation) < 1
    assert 0.6 < strong.active_units / weak.active_units < 0.8
    one, other = row(0.02, 1), row(0.05, 3)
    assert abs(one.active_units - other.active_units) < 1
    assert 1.5 < other.probe_10_validation - one.probe_10_validation < 3
    assert abs(one.sse_validation - other.sse_validation) < 1.5
