"""The long measurements of lessons 05 and 07: what they are made of, and that they are complete."""

import csv

import numpy as np
import pytest

import helpers
import studies
from sparse_autoencoder import keras


def rows_of(table):
    with open(table.path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", studies.TABLES)
def test_the_committed_table_holds_every_setting_and_no_seed_is_missing_between(name):
    table = studies.TABLES[name]
    rows = rows_of(table)
    assert list(rows[0]) == list(table.columns)
    seeds = {}
    for row in rows:
        seeds.setdefault(row["setting"], set()).add(int(row["seed"]))
    assert set(seeds) == set(table.settings)
    for of_setting in seeds.values():
        assert of_setting == set(range(len(of_setting))) and len(of_setting) <= table.seeds


def test_known_features_are_of_length_one_and_few_at_a_time():
    examples, features = studies.known_features(256, 64, examples=4000, active=5, seed=1)
    assert examples.shape == (4000, 64) and features.shape == (256, 64)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-5)
    # About five features of size about 1 in each example; their cross terms vanish on average.
    energy = np.square(examples).sum(axis=1).mean()
    assert energy == pytest.approx(5 * (1 + 1 / 12), rel=0.1)
    same, _ = studies.known_features(256, 64, examples=4000, active=5, seed=1)
    np.testing.assert_array_equal(examples, same)


def test_recovery_is_the_cosine_to_the_nearest_row():
    features = np.eye(3, 4, dtype="float32")
    decoder = np.array([[0, 2, 0, 0], [1, 0, 0, 1], [-5, 0, 0, 0], [0, 0, 0, 0]], "float32")
    np.testing.assert_allclose(studies.recovery(features, decoder), [np.sqrt(0.5), 1, 0])


@pytest.mark.parametrize("way", studies.STRENGTHS)
def test_every_way_trains_and_is_measured(way):
    data = helpers.load_mnist("digits")
    keras.utils.set_random_seed(0)
    model = studies.modern_model(way, studies.STRENGTHS[way][1], units=50)
    before = studies.figures_of(model, data.x_validation)
    studies.train_modern(model, data.x_train, data.x_validation, 2, steps_per_epoch=60)
    after = studies.figures_of(model, data.x_validation)
    code = model.encode(data.x_validation).numpy()
    threshold = 0.5 if way == "KLD" else 0
    assert after["l0"] == pytest.approx((code > threshold).sum(axis=1).mean())
    assert after["fvu"] < before["fvu"]
    if way == "KLD":  # the units that are not active are set to 0
        drawn = model.decoder(np.where(code > 0.5, code, 0)).numpy()
        error = np.square(data.x_validation - drawn).sum()
        mean = data.x_validation.mean(axis=0)
        assert after["fvu"] == pytest.approx(
            error / np.square(data.x_validation - mean).sum(), 1e-4
        )
    else:
        np.testing.assert_allclose(np.linalg.norm(model.decoder.kernel, axis=1), 1, rtol=1e-4)


def test_annealing_and_reviving_are_of_the_settings_that_name_them():
    for name, how in studies.REVIVALS.items():
        assert ("annealed" in name) == ("anneal" in how)
        assert ("auxiliary" in name) == how.get("revive", False)


def test_the_k_sparse_model_stays_tied_while_it_trains():
    keras.utils.set_random_seed(0)
    model, images = studies.k_sparse_model(), helpers.load_mnist("digits").x_train[:200]
    studies.train_modern(model, images, images, epochs=2, steps_per_epoch=10, anneal=(100, 2))
    assert float(model.sparsity.k) == 25
    expected = model.encode(images).numpy() @ model.encoder.kernel.numpy().T + model.decoder.bias
    np.testing.assert_allclose(model(images), expected, rtol=1e-4, atol=1e-5)
    assert studies.figures_of(model, images)["fvu"] < 0.9
