"""The guided experiments of the lessons on MNIST, each with the steps and claims that stand there.

Those of lesson 05 are in test_probe.py, those of lesson 06 in test_sweep.py.
"""

import numpy as np
import pytest

from sparse_autoencoder import KLSparsity, L1Sparsity, build_autoencoder
from sparse_autoencoder.modern import JumpReLU, TopK, start_tied
from sparse_autoencoder.playground.engine import LiveTraining

pytestmark = [pytest.mark.slow, pytest.mark.mnist]


def roughness(training):
    """How much neighbouring weights of a feature differ, for the median feature."""
    features = training.features.T.reshape(-1, 28, 28)
    squares = sum(np.square(np.diff(features, axis=axis)).sum(axis=(1, 2)) for axis in (1, 2))
    return np.median(squares / np.square(features).sum(axis=(1, 2)))


def play(training, *phases):
    """Start again, and go through phases (steps, hyperparameters); gives the figures of each."""
    training.set(**phases[0][1])
    training.reset()
    seen = []
    for steps, hyperparameters in phases:
        training.set(**hyperparameters)
        training.train(steps)
        seen.append({**training.measure(), "roughness": roughness(training)})
    return seen


def test_experiments_of_lesson_01(mnist):
    training = LiveTraining(build_autoencoder(), mnist)
    (slow,) = play(training, (1000, {"learning_rate": 1e-5}))
    assert slow["sse"] > 60
    good, _, back = play(
        training,
        (1000, {"learning_rate": 3e-3}),
        (300, {"learning_rate": 0.1}),
        (1000, {"learning_rate": 3e-3}),
    )
    assert good["sse"] < 6 and back["sse"] > 60
    (faster,) = play(training, (1000, {"learning_rate": 0.01}))
    assert faster["sse"] < 0.8 * good["sse"]
    (many_dead,) = play(training, (1000, {"learning_rate": 0.03}))
    assert many_dead["dead_units"] > 50


def test_experiments_of_lesson_02(mnist):
    training = LiveTraining(build_autoencoder(lam2=0.01), mnist)
    noise, blobs = play(training, (1000, {"lam2": 0}), (1000, {"lam2": 0.1}))
    assert noise["sse"] < 6 and 30 < blobs["sse"] < 40
    assert blobs["roughness"] < 0.5 * noise["roughness"]
    alike, after = play(training, (1000, {"lam2": 0.3}), (1000, {"lam2": 0}))
    assert 45 < alike["sse"] < 55 and after["sse"] < 10
    first, off, again = play(
        training, (1000, {"lam2": 0.01}), (1000, {"lam2": 0}), (1000, {"lam2": 0.01})
    )
    assert off["sse"] < 5 and abs(again["sse"] - first["sse"]) < 2


def test_experiments_of_lesson_03(mnist):
    training = LiveTraining(build_autoencoder(sparsity=KLSparsity(0.05, 3), lam2=0.003), mnist)
    lesson = {"rho": 0.05, "beta": 3, "lam2": 0.003}
    first, free, back = play(training, (1000, lesson), (1000, {"beta": 0}), (1000, lesson))
    assert 0.3 < free["mean_activation"] < 0.5 and free["sse"] < first["sse"] / 2
    assert free["active_units"] > 8 * first["active_units"] and back["mean_activation"] < 0.08
    _, half = play(training, (1000, lesson), (1000, {"rho": 0.5}))
    assert abs(half["mean_activation"] - 0.5) < 0.02 and half["active_units"] > 80
    _, spread = play(training, (1000, lesson), (1000, {"beta": 0}))
    wide = training.rho_hat.std()
    play(training, (1000, lesson), (1000, {"rho": 0.5}))
    assert training.rho_hat.std() < 0.6 * wide
    before, rough = play(training, (1000, lesson), (1000, {"lam2": 0}))
    assert abs(rough["mean_activation"] - 0.05) < 0.03 and rough["sse"] < 0.6 * before["sse"]
    _, with_l2 = play(training, (1000, lesson), (1000, {}))
    assert rough["roughness"] > 1.15 * with_l2["roughness"]


def test_experiments_of_lesson_04(mnist):
    model = build_autoencoder(activation="relu", sparsity=L1Sparsity(0.1), lam2=0.001)
    training = LiveTraining(model, mnist, learning_rate=1e-3)
    lesson = {"lam1": 0.1, "lam2": 0.001}
    first, free, back = play(training, (1000, lesson), (1000, {"lam1": 0}), (1000, lesson))
    assert 50 < first["active_units"] < 65 and free["active_units"] > 150
    assert 60 < back["active_units"] < 80
    before, strong, after = play(training, (1000, lesson), (1000, {"lam1": 1}), (1000, lesson))
    assert before["dead_units"] < 20 and 80 < strong["dead_units"] < 120
    assert after["dead_units"] > 0.75 * strong["dead_units"]
    (whole,) = play(training, (2000, lesson))
    _, cheat = play(training, (1000, lesson), (1000, {"lam2": 0}))
    assert cheat["l1"] < 0.95 * whole["l1"] and 0.95 < cheat["sse"] / whole["sse"] < 1


def test_experiments_of_lesson_07(mnist):
    model = build_autoencoder(1000, "linear", "linear", sparsity=TopK(25), unit_norm=True)
    training = LiveTraining(model, mnist, 1e-3, start=start_tied)
    before, two, back = play(training, (1000, {"k": 25}), (500, {"k": 2}), (500, {"k": 25}))
    assert 8 < before["sse"] < 10 and 20 < two["sse"] < 26.5 and 8 < back["sse"] < 10
    assert back["dead_units"] > before["dead_units"] + 50
    model = build_autoencoder(1000, "linear", "linear", sparsity=JumpReLU(0.2), unit_norm=True)
    training = LiveTraining(model, mnist, 1e-3, start=start_tied)
    free, priced, again = play(
        training, (1000, {"lam0": 0, "theta": 0.1}), (1000, {"lam0": 0.2}), (1000, {"lam0": 0})
    )
    assert free["active_units"] > 600 and priced["active_units"] < 30
    assert 80 < again["active_units"] < 150
    low, high, after = play(
        training, (1000, {"lam0": 0, "theta": 0.1}), (1, {"theta": 1}), (500, {})
    )
    assert high["active_units"] < 30 and 35 < high["sse"] < 42
    assert after["sse"] < 10 and 25 < after["active_units"] < 60
    assert after["dead_units"] > 2 * low["dead_units"]
