"""What the tests of the playground share: small models, and a way to its widgets."""

from dataclasses import replace

import numpy as np
import pytest

from sparse_autoencoder import KLSparsity, L1Sparsity, build_autoencoder, keras, modern, tf
from sparse_autoencoder.playground.engine import LiveTraining

UNITS, PIXELS = 30, 196


def sequential():
    layers = [
        keras.Input((PIXELS,)),
        keras.layers.Dense(UNITS, activation="sigmoid", name="encoder"),
        keras.layers.Dense(PIXELS, activation="sigmoid", name="decoder"),
    ]
    return keras.Sequential(layers)


def linear(sparsity, **how):
    return build_autoencoder(UNITS, "linear", "linear", sparsity=sparsity, pixels=PIXELS, **how)


MAKERS = {
    "kl": lambda: build_autoencoder(
        UNITS, sparsity=KLSparsity(0.1, 0.5), lam2=0.001, pixels=PIXELS
    ),
    "relu": lambda: build_autoencoder(
        UNITS, activation="relu", sparsity=L1Sparsity(0.1), lam2=0.001, pixels=PIXELS
    ),
    "sequential": sequential,
    "topk": lambda: linear(modern.TopK(5), unit_norm=True),
    "jumprelu": lambda: linear(modern.JumpReLU(0.1), unit_norm=True),
    "gated": lambda: linear(L1Sparsity(0.1), kind=modern.GatedAutoencoder),
    "reviving": lambda: linear(modern.TopK(5), kind=modern.RevivingAutoencoder),
}


@pytest.fixture(scope="session")
def make():
    """Makes a small model of a kind, a name in MAKERS."""
    return lambda kind="kl": MAKERS[kind]()


@pytest.fixture(scope="session")
def small(digits):
    """The digits with every other row and column alone, 14 × 14 pixels: quick to train on."""
    parts = {name: getattr(digits, name) for name in ("x_train", "x_validation", "x_test")}
    halved = {
        name: np.ascontiguousarray(x.reshape(-1, 28, 28)[:, ::2, ::2]).reshape(-1, PIXELS)
        for name, x in parts.items()
    }
    return replace(digits, image_shape=(14, 14), **halved)


@pytest.fixture(scope="session")
def compiled(make, small):
    """One engine for many tests, since compiling takes seconds."""
    return LiveTraining(make(), small)


@pytest.fixture
def eagerly():
    """Nothing is compiled, which takes longer than a few steps do."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="session")
def find():
    """Finds the widget of a panel that has a CSS class, or whose HTML has an element with it."""

    def search(widget, name, html=False):
        value = getattr(widget, "value", "")
        if f'class="{name}"' in str(value) if html else name in widget._dom_classes:
            return widget
        found = (search(child, name, html) for child in getattr(widget, "children", ()))
        return next(filter(None, found), None)

    return search
