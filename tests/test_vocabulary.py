"""Every quantity once, and the words and grids that sliders, plots and tables take from there."""

import re

import pytest

from sparse_autoencoder import modern
from sparse_autoencoder.model import KLSparsity, L1Sparsity, L2Penalty
from sparse_autoencoder.vocabulary import HYPERPARAMETERS, PRESETS, SCORECARD, TERMS, value_in_words

SWITCHES = {"beta", "lam1", "lam2", "lam0"}  # strengths, which 0 switches off


@pytest.mark.parametrize("key", HYPERPARAMETERS)
def test_a_sliders_grid_rises_within_the_range(key):
    hyperparameter = HYPERPARAMETERS[key]
    assert list(hyperparameter.grid) == sorted(set(hyperparameter.grid))
    for value in hyperparameter.grid:
        hyperparameter.check(key, value)
    assert (0 in hyperparameter.grid) == (key in SWITCHES | {"theta"})


def test_the_layers_have_the_hyperparameters_of_the_vocabulary():
    layers = [KLSparsity(0.1, 1), L1Sparsity(1), L2Penalty(1), modern.TopK(3), modern.JumpReLU(1)]
    keys = [key for layer in layers for key in layer.hyperparameters]
    assert sorted(keys) == sorted(set(HYPERPARAMETERS) - {"learning_rate", "hidden_units"})
    for layer in layers:
        for key, variable in layer.hyperparameters.items():
            assert variable is getattr(layer, re.sub(r"^lam\d$", "lam", key))


def test_terms_are_told_apart_by_colour_and_by_dashes():
    looks = {key: (term.color, term.dashes) for key, term in TERMS.items()}
    assert looks.pop("l0") == looks["l1"]  # no model has both
    assert looks.pop("gate") == looks.pop("nested") == looks["aux"]  # nor these
    assert len({color for color, _ in looks.values()}) == len(looks)
    assert len({dashes for _, dashes in looks.values()}) == len(looks)
    assert len({term.label for term in TERMS.values()}) == len(TERMS)
    assert TERMS["sse"].linestyle == "-" and TERMS["kl"].linestyle == (0, TERMS["kl"].dashes)


def test_labels_name_symbol_and_quantity_once():
    assert HYPERPARAMETERS["beta"].label == "β, KL strength"
    assert HYPERPARAMETERS["learning_rate"].label == "learning rate"
    symbols = [HYPERPARAMETERS[key].symbol for key in ("rho", "lam1", "lam2", "lam0")]
    assert symbols == ["ρ", "λ₁", "λ₂", "λ₀"]
    assert len({measure.label for measure in SCORECARD.values()}) == len(SCORECARD)


def test_presets_are_other_peoples_values_in_the_courses_units():
    # A mean over 196 units there; UFLDL halves the SSE: β = 3 and λ = 0.003 there.
    source = {"learning_rate": 1e-4, "rho": 0.15, "beta": 0.5, "lam2": 0.01, "lam1": 0.001 / 196}
    assert PRESETS["the source's settings"] == pytest.approx(source)
    assert PRESETS["UFLDL's settings"] == {"rho": 0.1, "beta": 2 * 3, "lam2": 2 * 0.003}


def test_0_is_off():
    assert [value_in_words(value) for value in (0, 0.003, 20.0)] == ["off", "0.003", "20"]
