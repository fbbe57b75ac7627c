"""The tables: that the committed ones are complete, and what a row is made of."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT, needs_mnist, rows_of
from PIL import Image
from sklearn.linear_model import LogisticRegression

from sparse_autoencoder import features, measures, studies, tables
from sparse_autoencoder.studies import __main__, runs, settings
from sparse_autoencoder.studies import tables as functions
from sparse_autoencoder.studies.tables import TABLES

QUICK = {"hidden_units": 50, "epochs": 1, "steps_per_epoch": 20}


@pytest.mark.parametrize("name", TABLES)
def test_the_committed_table_holds_every_setting_and_no_seed_is_missing_between(name):
    table, rows = TABLES[name], rows_of(tables.DATA / f"{name}.csv")
    assert list(rows[0]) == ["setting", "seed", *table.columns]
    seeds = {}
    for row in rows:
        seeds.setdefault(row["setting"], set()).add(int(row["seed"]))
        if "variant" in row:
            setting = table.settings[row["setting"]]
            key, _ = settings.VARIANTS[setting["variant"]]
            assert (row["variant"], float(row["strength"])) == (setting["variant"], setting[key])
    assert set(seeds) == set(table.settings)
    for of_setting in seeds.values():
        assert of_setting == set(range(len(of_setting))) and len(of_setting) <= table.seeds
        assert len(of_setting) == 5 or name != "results"


def test_committed_results_are_plausible():
    for row in rows_of(tables.DATA / "results.csv"):
        figures = {k: float(v) for k, v in row.items() if v != "" and k != "setting"}
        assert np.isfinite(list(figures.values())).all()
        if row["setting"] in settings.SETTINGS:
            assert figures["seconds"] > 0
            assert 0 < figures["sse_test"] < 52.9  # better than the mean image
            if "images" not in settings.SETTINGS[row["setting"]]:
                assert 50 < figures["probe_10"] < figures["probe_100"] < 100


def test_the_committed_sweep_is_small_and_illustrated():
    kinds = ("features", "reconstructions")
    pictures = [tables.sweep_picture(name, kind) for name in settings.SWEEP for kind in kinds]
    for path in pictures:
        with Image.open(path) as picture:
            assert picture.width >= 202
    assert sorted(pictures) == sorted((tables.DATA / "sweep").iterdir())
    files = [tables.DATA / "sweep.csv", *pictures]
    assert sum(file.stat().st_size for file in files) < 4_000_000


def test_a_table_is_filled_by_the_command_line(digits, monkeypatch, tmp_path):
    path = tmp_path / "results.csv"
    monkeypatch.setattr(runs, "load_images", lambda source: digits)
    command = ["studies", "results", "--seeds", "1", "--jobs", "1", "--path", str(path), "--only"]
    monkeypatch.setattr(sys, "argv", [*command, "mean image", "PCA-196"])
    __main__.main()
    mean, pca = rows_of(path)
    error = np.square(digits.x_test - digits.x_train.mean(axis=0)).sum(axis=1).mean()
    assert float(mean["sse_test"]) == pytest.approx(error, rel=1e-4)
    assert mean["probe_10"] == ""  # a mean image has no code
    assert float(pca["sse_test"]) < error / 10
    assert 50 < float(pca["probe_10"]) < float(pca["probe_100"]) < 100


@pytest.mark.slow
@pytest.mark.mnist
@needs_mnist
def test_baselines_on_mnist_in_processes_of_their_own(tmp_path):
    path = tmp_path / "results.csv"
    command = [sys.executable, "-m", "sparse_autoencoder.studies", "results", "--seeds", "1"]
    command += ["--jobs", "2", "--path", path, "--only", "mean image", "PCA-196"]
    subprocess.run(command, cwd=ROOT, check=True)
    errors = sorted(float(row["sse_test"]) for row in rows_of(path))
    assert errors == pytest.approx([1.81, 52.9], abs=0.05)


@pytest.fixture
def no_training(monkeypatch):
    """Models stay as they were built, probes score a half; gives the calls of fit."""
    calls = []

    def fit(model, setting, images, validation_images=(), *, seed, **others):
        calls.append((setting, len(images), len(validation_images), seed))
        return SimpleNamespace(seconds=7.0)

    half = SimpleNamespace(score=lambda features, labels: 0.5)
    monkeypatch.setattr(functions, "fit", fit)
    monkeypatch.setattr(measures, "fit_probe", lambda *arguments: half)
    return calls


def test_a_row_of_the_sweep_tells_what_was_chosen_and_draws_its_first_seed(digits, no_training):
    setting = settings.SWEEP["relu lam1=0.1 lam2=0.001 units=49"]
    ((row,), (second,)) = (functions.sweep(setting, seed, digits) for seed in (0, 1))
    files = row.pop("files")
    assert {str(path) for path in files} == {
        "sweep/relu_lam1=0.1_lam2=0.001_units=49_features.png",
        "sweep/relu_lam1=0.1_lam2=0.001_units=49_reconstructions.png",
    }
    assert all(content.startswith(b"\x89PNG") for content in files.values())
    assert row.keys() == second.keys() == {*TABLES["sweep"].columns} - {"rho", "beta"}
    assert [row[key] for key in ("lam1", "hidden_units", "batch_size")] == [0.1, 49, 128]
    assert 0 < row["active_units"] < 49 and (row["seconds"], row["probe_10"]) == (7, 50)
    assert no_training == [(setting, 1200, 297, seed) for seed in (0, 1)]


def test_a_setting_of_few_images_sees_only_those_and_has_no_probe(digits, no_training):
    setting = settings.SETTINGS["MSE, 500 images"]
    (row,) = functions.results(setting, 2, digits)
    assert no_training == [(setting, 500, 297, 2)]
    assert row["sse_train"] != row["sse_validation"] and "probe_10" not in row


@pytest.mark.filterwarnings("ignore:lbfgs failed")
@pytest.mark.parametrize(
    "name, setting, count",
    [
        ("learning_curve", settings.BASELINES["pixels"], 7),
        ("learning_curve", {"hidden_units": 20}, 7),
        ("initialisation", {}, 6),
        ("initialisation", None, 6),
        ("l1_changes", {**settings.L1_CHANGES["lesson 07"], "hidden_units": 20}, 1),
        ("modern", settings.variant_setting("JumpReLU", 0.1, hidden_units=20), 1),
        ("k_sparse", {"k": 3, "hidden_units": 30, "epochs": 2}, 1),
    ],
)
def test_rows_have_the_columns_of_their_table(
    name, setting, count, digits, no_training, monkeypatch
):
    def quick_probe(features, labels, *others):
        return LogisticRegression(max_iter=5).fit(features[:300], labels[:300])

    monkeypatch.setattr(measures, "fit_probe_to_all", quick_probe)
    monkeypatch.setattr(measures, "draw_labels", lambda *arguments: np.arange(100))
    monkeypatch.setattr(functions, "fit_classifier", lambda model, *arguments, **steps: model)
    rows = getattr(functions, name)(setting, 0, digits)
    assert len(rows) == count
    assert all(row.keys() == {*TABLES[name].columns} for row in rows)
    assert len(no_training) == (setting not in (None, settings.BASELINES["pixels"]))


@pytest.mark.parametrize("variant", studies.STRENGTHS)
def test_every_variant_trains_and_is_measured(variant, digits):
    strengths = studies.STRENGTHS[variant]
    setting = settings.variant_setting(variant, strengths[len(strengths) // 3], **QUICK)
    model = studies.build(setting)
    before = studies.code_metrics(model, digits.x_validation)
    studies.fit(model, setting, digits.x_train)
    after = studies.code_metrics(model, digits.x_validation)
    code = model.encode(digits.x_validation).numpy()
    active, alive = (0.5, 0.1) if variant == "KLD" else (0, 0)
    assert after["l0"] == pytest.approx((code > active).sum(axis=1).mean())
    assert after["dead"] == pytest.approx(100 * np.mean(code.max(axis=0) <= alive))
    assert after["fvu"] < before["fvu"]
    drawn = model.decoder(np.where(code > active, code, 0)).numpy()  # inactive units are set to 0
    x = digits.x_validation - digits.x_validation.mean(axis=0)
    error = np.square(digits.x_validation - drawn).sum() / np.square(x).sum()
    assert after["fvu"] == pytest.approx(error, rel=1e-4)
    if variant != "KLD":
        np.testing.assert_allclose(np.linalg.norm(model.decoder.kernel, axis=1), 1, rtol=1e-4)


SHORT = {"epochs": 1, "steps_per_epoch": 10}


def test_known_features_alone_need_no_images():
    assert [name for name, table in TABLES.items() if not table.needs_images] == ["recovery"]


@pytest.mark.parametrize("units", [64, 256])
def test_a_row_of_recovery_is_what_the_model_found(units, monkeypatch):
    trained = []
    monkeypatch.setattr(
        functions, "build", lambda s: trained.append(studies.build(s)) or trained[0]
    )
    setting = {**settings.RECOVERY["TopK 5"], **SHORT, "hidden_units": units}
    (row,) = functions.recovery(setting, 3)
    assert row.keys() == {*TABLES["recovery"].columns} and row["units"] == units
    examples, directions, sizes = features.known_examples(seed=3)
    rows = trained[0].decoder.kernel.numpy()
    assert row["best"] == pytest.approx(np.max(directions @ rows.T, axis=1).mean(), rel=1e-4)
    assert 0 < row["matched"] < row["best"] < 1 and 0 < row["f1"] < 1
    assert (row["matched"] < row["best"] / 2) == (units == 64)  # most features have no partner
    five = np.sum(sizes > 0, axis=1) == 5
    active = trained[0].encode(examples[five]).numpy() > 0
    silences = features.silences(directions, sizes[five], rows, active)
    assert (row["silent_with_child"], row["silent_alone"]) == pytest.approx(silences)


@pytest.mark.parametrize("side", ["encoder", "decoder"])
def test_a_frozen_side_keeps_its_random_start_while_the_other_learns(side):
    setting = {**settings.RECOVERY[f"TopK 5, {side} frozen"], **SHORT}
    examples, *_ = features.known_examples(1000)
    model = studies.build(setting)
    start = model.decoder.kernel.numpy()
    studies.fit(model, setting, examples)
    kernels = {"encoder": model.encoder.kernel.numpy().T, "decoder": model.decoder.kernel.numpy()}
    assert {name for name in kernels if np.array_equal(kernels[name], start)} == {side}


def test_pairs_of_models_are_compared_at_every_threshold(digits, no_training):
    rows = functions.overlap({"hidden_units": 20}, 0, digits)
    assert len(rows) == TABLES["overlap"].rows == 10 * len(functions.THRESHOLDS)
    assert all(row.keys() == {*TABLES["overlap"].columns} for row in rows)
    assert [seed for *_, seed in no_training] == [0, 1, 2, 3, 4]
    for pair in {row["pair"] for row in rows}:
        shares = [row["share"] for row in rows if row["pair"] == pair]
        assert shares == sorted(shares, reverse=True)
    assert not any(row["share"] for row in rows if row["threshold"] > 0.5)  # nothing was learnt


@pytest.mark.filterwarnings("ignore:lbfgs failed")
@pytest.mark.parametrize("trained", [True, False])
def test_a_look_inside_has_a_row_for_each_code(trained, digits, no_training, monkeypatch):
    fitted = []
    monkeypatch.setattr(functions, "fit_classifier", lambda model, *data: fitted.append(model))
    rows = functions.inside(trained, 0, digits)
    assert bool(fitted) == trained
    assert [row["code"] for row in rows] == ["hidden units", "sparse code", "PCA-10", "mean"]
    assert rows[0].keys() == {*TABLES["inside"].columns}
    own, sparse, pca, mean = rows
    assert own["fvu"] == 0 and mean["fvu"] == pytest.approx(1, abs=0.05)
    assert pca["fvu"] < sparse["fvu"] and "purity" not in mean


def test_a_lens_is_a_code_with_ten_active_units(no_training):
    hidden = np.random.default_rng(0).uniform(size=(50, 30)).astype("float32")
    code = np.asarray(studies.fit_lens(hidden, seed=4).encode(hidden))
    assert code.shape == (50, 400) and np.count_nonzero(code, axis=1).max() <= 10
    assert no_training == [({"tied_start": True}, 50, 0, 4)]


def test_the_k_sparse_model_stays_tied_while_it_trains(digits):
    setting = {**settings.K_SPARSE["k-sparse, k = 25"], "anneal": (100, 2)}
    model, images = functions.k_sparse_model(setting), digits.x_train[:200]
    studies.fit(model, setting, images, images, epochs=2, steps_per_epoch=10)
    assert float(model.sparsity.k) == 25
    expected = model.encode(images).numpy() @ model.encoder.kernel.numpy().T + model.decoder.bias
    np.testing.assert_allclose(model(images), expected, rtol=1e-4, atol=1e-5)
    assert studies.code_metrics(model, images)["fvu"] < 0.9


def test_a_classifier_starts_from_an_encoder_frozen_or_not(digits):
    encoder = studies.build({}).encoder
    for frozen in (False, True):
        model = studies.build_classifier(encoder, frozen)
        np.testing.assert_array_equal(model.layers[0].kernel, encoder.kernel)
        assert len(model.trainable_weights) == (2 if frozen else 4)
    studies.fit_classifier(model, digits.x_train, digits.y_train, seed=0, steps=500)
    np.testing.assert_array_equal(model.layers[0].kernel, encoder.kernel)
    assert np.mean(np.argmax(model(digits.x_test), axis=1) == digits.y_test) > 0.7
