"""The sweep explorer: sliders over data/sweep.csv and its pictures."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import experiments
import helpers
from sweep_explorer import SweepExplorer

KL = {"activation": "sigmoid", "lam2": 0.003}


@pytest.fixture
def explorer():
    return SweepExplorer(sliders=("rho", "beta"), **KL)


def test_sliders_offer_what_was_trained_and_beta_can_be_off(explorer):
    rho, beta = explorer._sliders["rho"], explorer._sliders["beta"]
    assert [value for _, value in rho.options] == [0.02, 0.05, 0.1, 0.2, 0.5]
    assert beta.options[0] == ("off", 0.0)
    assert [value for _, value in beta.options][1:] == [0.5, 1, 3, 10]


def test_every_place_of_the_sliders_shows_its_own_model(explorer):
    seen = {}
    for _, rho in explorer._sliders["rho"].options:
        explorer._sliders["rho"].value = rho
        for _, beta in explorer._sliders["beta"].options:
            explorer._sliders["beta"].value = beta
            name = experiments.sweep_name(
                **({"rho": rho, "beta": beta} if beta else {}), lam2=0.003
            )
            assert f'data-setting="{name}"' in explorer._words.value
            assert f"SSE {helpers.sweep().loc[name].sse_validation:.2f}" in explorer._words.value
            seen[explorer._features.value] = name
            expected = helpers.sweep_picture(name, "features").read_bytes()
            assert explorer._features.value == expected
    assert len(seen) == 5 * 4 + 1, "without β, ρ makes no difference"


def test_relu_models_have_sliders_of_their_own():
    explorer = SweepExplorer(sliders=("lam1", "lam2"), activation="relu")
    explorer._sliders["lam1"].value, explorer._sliders["lam2"].value = 0.1, 0.001
    assert 'data-setting="relu lam1=0.1 lam2=0.001"' in explorer._words.value


def test_what_was_never_trained_is_said(explorer):
    with pytest.raises(ValueError, match="holds no models with {'activation': 'tanh'}"):
        SweepExplorer(sliders=("rho",), activation="tanh")
    assert explorer.setting(rho=0.02, beta=7) is None


def test_the_still_picture_shows_every_model_once(explorer):
    fig = explorer.still()
    pictures = [ax.images[0].get_array() for ax in fig.axes if ax.images]
    assert len(fig.axes) == 25 and len(pictures) == 21
    assert len({np.asarray(picture).tobytes() for picture in pictures}) == 21
    plt.close(fig)


def test_the_still_picture_is_wider_than_high():
    fig = SweepExplorer(sliders=("lam1", "lam2"), activation="relu").still()
    names = [ax.get_xlabel() for ax in fig.axes if ax.get_xlabel()]
    assert len(names) == 8 and all(name.startswith("λ₁") for name in names)
    plt.close(fig)


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
