"""The named settings: what model each one builds, and that the sweep and the lessons name them."""

import ast

import nbformat
import pytest
from conftest import ROOT

from sparse_autoencoder import keras, studies
from sparse_autoencoder.studies import settings
from sparse_autoencoder.vocabulary import HYPERPARAMETERS


def description(model):
    """Class, pixels, units, activations, hyperparameters, and whether rows of W2 have length 1."""
    activation, of_reconstruction = (
        keras.activations.serialize(layer.activation) for layer in (model.encoder, model.decoder)
    )
    layers = [layer for layer in (model.sparsity, model.l2) if layer is not None]
    chosen = {k: float(v) for layer in layers for k, v in layer.hyperparameters.items()}
    unit_norm = model.decoder.kernel_constraint is not None
    sizes = model.encoder.kernel.shape
    return (type(model).__name__, *sizes, activation, of_reconstruction, chosen, unit_norm)


A, G, R = "Autoencoder", "GatedAutoencoder", "RevivingAutoencoder"
LINEAR, SIGMOID = ("linear", "linear"), ("sigmoid", "sigmoid")
MODELS = {
    "MSE": (A, 784, 196, *SIGMOID, {}, False),
    "MSE + L2 + KLD": (A, 784, 196, *SIGMOID, {"rho": 0.15, "beta": 0.5, "lam2": 0.01}, False),
    "ReLU": (A, 784, 196, "relu", "softplus", {}, False),
    "ReLU + source's L1": (A, 784, 196, "relu", "softplus", {"lam1": 0.001 / 196}, False),
    "ReLU + L1, sigmoid output": (
        A,
        784,
        196,
        "relu",
        "sigmoid",
        {"lam1": 0.1, "lam2": 1e-3},
        False,
    ),
    "sigmoid + L1": (A, 784, 196, *SIGMOID, {"lam1": 0.1, "lam2": 0.001}, False),
    "relu lam1=0.1 lam2=0.001 units=49": (
        *(A, 784, 49, "relu", "sigmoid", {"lam1": 0.1, "lam2": 0.001}, False),
    ),
    "L1 0.3": (A, 784, 1000, "relu", "linear", {"lam1": 0.3}, True),
    "KLD 0.01": (A, 784, 1000, *SIGMOID, {"rho": 0.01, "beta": 3, "lam2": 0.003}, False),
    "TopK 25": (A, 784, 1000, *LINEAR, {"k": 25}, True),
    "JumpReLU 0.03": (A, 784, 1000, *LINEAR, {"lam0": 0.03, "theta": 0.1}, True),
    "Gated 0.5": (G, 784, 1000, *LINEAR, {"lam1": 0.5}, True),
    "TopK 25, auxiliary loss": (R, 784, 1000, *LINEAR, {"k": 25}, True),
    "known: KLD 0.01": (
        *(A, 64, 256, "sigmoid", "linear", {"rho": 0.01, "beta": 0.2, "lam2": 1e-4}, False),
    ),
    "known: Gated 2": (G, 64, 256, *LINEAR, {"lam1": 2}, True),
}
ALL = settings.SETTINGS | settings.SWEEP | settings.SAME_L0 | settings.REVIVALS
ALL |= {f"known: {name}": setting for name, setting in settings.KNOWN.items()}


def test_a_setting_builds_the_model_that_it_names():
    for name, expected in MODELS.items():
        *made, chosen, unit_norm = description(studies.build(ALL[name]))
        assert (*made, unit_norm) == (*expected[:-2], expected[-1]), name
        assert chosen == pytest.approx(expected[-2]), name


def test_no_setting_loses_a_hyperparameter_on_the_way_to_its_model():
    of_layers = HYPERPARAMETERS.keys() - {"learning_rate", "hidden_units"}
    for name, setting in ALL.items():
        small = {**setting, "hidden_units": 5, "pixels": 9}
        chosen = description(studies.build(small))[-2]
        wanted = {key: setting[key] for key in of_layers & setting.keys()}
        wanted |= {"theta": 0.1} if "lam0" in setting else {}
        assert chosen == pytest.approx(wanted), name


def test_a_setting_holds_nothing_that_is_not_used():
    known = {*HYPERPARAMETERS, "activation", "reconstruction_activation", "unit_norm", "kind"}
    known |= {"pixels", "epochs", "steps_per_epoch", "batch_size"}
    known |= {"images", "tied_start", "anneal", "variant"}
    assert set().union(*ALL.values()) <= known


def test_the_sweep_has_about_sixty_settings_each_once():
    assert 60 <= len(studies.SWEEP) <= 70
    different = {str(sorted(setting.items())) for setting in studies.SWEEP.values()}
    assert len(different) == len(studies.SWEEP)


def test_annealing_and_reviving_are_of_the_settings_that_name_them():
    for name, setting in settings.REVIVALS.items():
        assert ("annealed" in name) == ("anneal" in setting)
        assert ("auxiliary" in name) == ("kind" in setting)
        assert ("random start" in name) != setting["tied_start"]


def test_scorecards_name_settings_that_exist():
    scorecards = 0
    for path in (ROOT / "notebooks").glob("0*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type != "code" or "helpers.scorecard(" not in cell.source:
                continue
            calls = [n for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.Call)]
            (call,) = [call for call in calls if ast.unparse(call.func) == "helpers.scorecard"]
            (earlier,) = [k.value for k in call.keywords if k.arg == "earlier"]
            assert set(ast.literal_eval(earlier)) <= {*studies.BASELINES, *studies.SETTINGS}
            scorecards += 1
    assert scorecards >= 7
