"""The named settings: what model each one builds, and how it is trained."""

import numpy as np
import pytest

from sparse_autoencoder import keras, studies
from sparse_autoencoder.studies import models, settings
from sparse_autoencoder.vocabulary import HYPERPARAMETERS

ALL = settings.SETTINGS | settings.SWEEP | settings.SAME_L0 | settings.REVIVALS
ALL |= settings.L1_CHANGES | settings.CONTROLS
ALL |= {f"recovery: {name}": setting for name, setting in settings.RECOVERY.items()}
ALL |= {f"overlap: {name}": setting for name, setting in settings.OVERLAP.items()}


def hyperparameters(model):
    layers = [layer for layer in (model.sparsity, model.l2) if layer is not None]
    return {key: float(v) for layer in layers for key, v in layer.hyperparameters.items()}


def description(model):
    """Class, pixels, units, activations, whether rows of W2 have length 1, hyperparameters."""
    sides = [keras.activations.serialize(x.activation) for x in (model.encoder, model.decoder)]
    unit_norm = ["unit_norm"] * (model.decoder.kernel_constraint is not None)
    chosen = [f"{key}={value:.3g}" for key, value in hyperparameters(model).items()]
    sizes = "-".join(map(str, model.encoder.kernel.shape))
    return " ".join([type(model).__name__, sizes, *sides, *unit_norm, *chosen])


@pytest.mark.parametrize(
    "name, built",
    {
        "MSE": "Autoencoder 784-196 sigmoid sigmoid",
        "MSE + L2 + KLD": "Autoencoder 784-196 sigmoid sigmoid rho=0.15 beta=0.5 lam2=0.01",
        "ReLU": "Autoencoder 784-196 relu sigmoid",
        "ReLU + L1": "Autoencoder 784-196 relu sigmoid lam1=0.1",
        "ReLU + L1 + L2": "Autoencoder 784-196 relu sigmoid lam1=0.1 lam2=0.001",
        "ReLU + L1 + L2, softplus": "Autoencoder 784-196 relu softplus lam1=0.1 lam2=0.001",
        "sigmoid + L1 + L2": "Autoencoder 784-196 sigmoid sigmoid lam1=0.1 lam2=0.001",
        "relu lam1=0.1 lam2=0.001 units=49": "Autoencoder 784-49 relu sigmoid lam1=0.1 lam2=0.001",
        "L1 0.3": "Autoencoder 784-1000 relu linear unit_norm lam1=0.3",
        "KLD 0.01": "Autoencoder 784-1000 sigmoid sigmoid rho=0.01 beta=3 lam2=0.003",
        "TopK 25": "Autoencoder 784-1000 linear linear unit_norm k=25",
        "BatchTopK 25": "Autoencoder 784-1000 linear linear unit_norm k=25",
        "JumpReLU 0.03": "Autoencoder 784-1000 linear linear unit_norm lam0=0.03 theta=0.1",
        "Gated 0.5": "GatedAutoencoder 784-1000 linear linear unit_norm lam1=0.5",
        "TopK 25, auxiliary loss": "RevivingAutoencoder 784-1000 linear linear unit_norm k=25",
        "recovery: TopK 5, decoder frozen": "Autoencoder 64-256 linear linear unit_norm k=5",
        "recovery: TopK 5, 64 units": "Autoencoder 64-64 linear linear unit_norm k=5",
        "recovery: TopK 5, Matryoshka": (
            "MatryoshkaAutoencoder 64-256 linear linear unit_norm k=5"
        ),
        "overlap: TopK": "Autoencoder 784-196 linear linear unit_norm k=25",
    }.items(),
)
def test_a_setting_builds_the_model_that_it_names(name, built):
    assert description(studies.build(ALL[name])) == built


def test_no_setting_loses_a_hyperparameter_on_the_way_to_its_model():
    of_layers = HYPERPARAMETERS.keys() - {"learning_rate", "hidden_units"}
    for name, setting in ALL.items():
        wanted = {key: setting[key] for key in of_layers & setting.keys()}
        wanted |= {"theta": 0.1} if "lam0" in setting else {}
        small = studies.build({**setting, "hidden_units": 5, "pixels": 9})
        assert hyperparameters(small) == pytest.approx(wanted), name


def test_a_setting_holds_nothing_that_is_not_used():
    used = models.BUILDING | models.TRAINING | HYPERPARAMETERS.keys()
    others = {"kind", "layer", "images", "tied_start", "anneal", "frozen", "variant"}
    assert set().union(*ALL.values()) <= used | others


def test_the_sweep_has_about_sixty_settings_each_once():
    assert 60 <= len(settings.SWEEP) <= 70
    different = {str(sorted(setting.items())) for setting in settings.SWEEP.values()}
    assert len(different) == len(settings.SWEEP)


def test_the_changes_lead_from_lesson_04s_l1_model_to_lesson_07s():
    def lacks(name):
        setting = settings.L1_CHANGES[name]
        return {key for key in last if setting.get(key) != last[key]}

    last = {**settings.SAME_L0["L1 1"], "epochs": 3}
    del last["variant"]
    assert settings.L1_CHANGES["lesson 07"] == last
    first = settings.L1_CHANGES["lesson 04"]
    assert first == {**settings.SETTINGS["ReLU + L1 + L2, softplus"], "epochs": 3}
    differences = {change: set(keys) & last.keys() for change, keys in settings.CHANGES.items()}
    assert lacks("lesson 04") == set().union(*differences.values())
    for change, keys in differences.items():
        assert lacks(f"lesson 04 + {change}") == lacks("lesson 04") - keys
        assert lacks(f"lesson 07 − {change}") == keys


def test_annealing_and_reviving_are_of_the_settings_that_name_them():
    for name, setting in settings.REVIVALS.items():
        assert ("annealed" in name) == ("anneal" in setting)
        assert ("auxiliary" in name) == ("kind" in setting)
        assert ("random start" in name) != setting["tied_start"]


@pytest.mark.parametrize(
    "setting, tied, learning_rate",
    [
        *[
            (settings.SAME_L0[n], True, 1e-3)
            for n in ("L1 0.1", "TopK 10", "BatchTopK 25", "JumpReLU 1", "Gated 1")
        ],
        (settings.SAME_L0["KLD 0.1"], False, 3e-3),
        (settings.REVIVALS["TopK 25, random start"], False, 1e-3),
        (settings.REVIVALS["TopK 25, annealed"], True, 1e-3),
        (settings.SETTINGS["ReLU"], False, 1e-3),
        ({"activation": "sigmoid", "tied_start": True, "learning_rate": 0.01}, True, 0.01),
    ],
)
def test_training_follows_the_setting(setting, tied, learning_rate, monkeypatch, digits):
    monkeypatch.setattr(models, "train", lambda model, images, validation, **given: given)
    model = studies.build(setting)
    given = studies.fit(model, setting, digits.x_train, seed=3)
    assert np.allclose(model.encoder.kernel, np.transpose(model.decoder.kernel)) == tied
    assert given.get("learning_rate", 3e-3) == learning_rate
    assert (given["seed"], given.get("epochs")) == (3, setting.get("epochs"))
    courses = [anneal.get_config()["course"] for anneal in given["callbacks"]]
    assert courses == ([[200, 112.5, 25]] if "anneal" in setting else [])
