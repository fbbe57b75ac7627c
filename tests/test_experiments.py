"""The named settings, the grid of the sweep, and the tables that are made from them."""

import ast
import csv
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

import experiments
import helpers

ROOT = Path(__file__).parent.parent
HAVE_MNIST = (ROOT / "data" / "mnist.npz").exists()


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_results_hold_five_seeds_of_every_setting_and_nothing_else():
    runs = [(row["setting"], int(row["seed"])) for row in rows_of(experiments.RESULTS)]
    names = [*experiments.BASELINES, *experiments.SETTINGS]
    assert sorted(runs) == sorted((name, seed) for name in names for seed in range(5))


def test_every_row_is_complete_and_plausible():
    for row in rows_of(experiments.RESULTS):
        filled = {k: float(v) for k, v in row.items() if v != "" and k != "setting"}
        assert all(np.isfinite(v) for v in filled.values())
        if row["setting"] in experiments.SETTINGS:
            assert filled["seconds"] > 0
            assert 0 < filled["sse_test"] < 52.9  # better than the mean image
            if "images" not in experiments.SETTINGS[row["setting"]]:
                assert 50 < filled["probe_10"] < filled["probe_100"] < 100


def test_scorecards_name_settings_that_exist():
    names = {*experiments.BASELINES, *experiments.SETTINGS}
    for path in (ROOT / "notebooks").glob("0*.ipynb"):
        (cell,) = [c for c in nbformat.read(path, as_version=4).cells if c.id == "scorecard"]
        calls = [n for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.Call)]
        (call,) = [n for n in calls if ast.unparse(n.func) == "helpers.scorecard"]
        (earlier,) = [k.value for k in call.keywords if k.arg == "earlier"]
        assert set(ast.literal_eval(earlier)) <= names


ALL_SETTINGS = experiments.SETTINGS | experiments.SWEEP


@pytest.mark.parametrize("setting", ALL_SETTINGS)
def test_every_setting_builds_the_model_that_it_names(setting):
    model, wanted = experiments.build(setting), ALL_SETTINGS[setting]
    if "rho" in wanted:
        assert float(model.sparsity.rho) == pytest.approx(wanted["rho"])
        assert float(model.sparsity.beta) == pytest.approx(wanted["beta"])
    elif "lam1" in wanted:
        assert float(model.sparsity.lam) == pytest.approx(wanted["lam1"])
    else:
        assert model.sparsity is None
    assert (model.l2 is None) == ("lam2" not in wanted)
    assert model.encoder.activation.__name__ == wanted.get("activation", "sigmoid")
    assert model.encoder.units == wanted.get("hidden_units", 196)


def test_the_sweep_has_about_sixty_settings_each_once():
    assert 60 <= len(experiments.SWEEP) <= 70
    assert len({str(sorted(setting.items())) for setting in experiments.SWEEP.values()}) == len(
        experiments.SWEEP
    )


def test_the_committed_sweep_is_complete_small_and_illustrated():
    rows = rows_of(helpers.SWEEP_RESULTS)
    assert {row["setting"] for row in rows} == set(experiments.SWEEP)
    for setting in experiments.SWEEP:
        for kind in ("features", "reconstructions"):
            with Image.open(helpers.sweep_picture(setting, kind)) as picture:
                assert picture.width >= 202
    files = [helpers.SWEEP_RESULTS, *helpers.SWEEP_PICTURES.iterdir()]
    assert sum(file.stat().st_size for file in files) < 4_000_000


def test_the_sweep_as_a_table_averages_over_seeds():
    table = helpers.sweep()
    name = experiments.sweep_name(rho=0.05, beta=3.0, lam2=0.003)
    runs = [float(r["sse_test"]) for r in rows_of(helpers.SWEEP_RESULTS) if r["setting"] == name]
    assert table.loc[name].sse_test == pytest.approx(np.mean(runs))
    assert table.loc[name].seeds == len(runs) and table.loc[name].rho == 0.05
    plain = table.loc[experiments.sweep_name(lam2=0.0)]
    assert plain.beta == 0 and np.isnan(plain.rho)


def make_results(path, *arguments):
    command = [sys.executable, "-m", "experiments", "results", "--path", path, "--jobs", "1"]
    command += arguments
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)


@pytest.mark.slow
@pytest.mark.skipif(not HAVE_MNIST, reason="data/mnist.npz is not there: run a lesson once online")
def test_results_are_made_once_and_resumed(tmp_path):
    path = tmp_path / "results.csv"
    make_results(path, "--only", "mean image", "--seeds", "1")
    before = path.read_text()
    (row,) = rows_of(path)
    assert float(row["sse_test"]) == pytest.approx(52.9, abs=0.05)
    assert row["probe_10"] == ""  # a mean image has no code

    make_results(path, "--only", "mean image", "PCA-196", "--seeds", "1")
    assert path.read_text().startswith(before)
    assert [row["setting"] for row in rows_of(path)] == ["mean image", "PCA-196"]
    assert float(rows_of(path)[1]["sse_test"]) == pytest.approx(1.81, abs=0.01)

    finished = path.read_text()
    make_results(path, "--only", "mean image", "PCA-196", "--seeds", "1")
    assert path.read_text() == finished
