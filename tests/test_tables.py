"""The results that come with the course, as lessons read them."""

import numpy as np
import pytest
from conftest import rows_of

from sparse_autoencoder import tables
from sparse_autoencoder.studies import sweep_name


def test_a_table_is_read_by_its_name():
    curve = tables.table("learning_curve")
    assert list(curve) == ["setting", "seed", "labels_per_class", "accuracy"]
    assert len(curve) == len(rows_of(tables.DATA / "learning_curve.csv"))


def test_a_wrong_name_lists_the_right_ones():
    with pytest.raises(FileNotFoundError, match="no table 'curves'.*inside, k_sparse"):
        tables.table("curves")


def test_a_row_that_is_still_being_written_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "DATA", tmp_path)
    (tmp_path / "cut.csv").write_bytes(b"setting,seed,a\r\nA,0,1.25\r\nB,0,3.12")
    assert tables.table("cut").to_dict("list") == {"setting": ["A"], "seed": [0], "a": [1.25]}


def test_the_sweep_averages_over_seeds():
    sweep, rows = tables.sweep(), rows_of(tables.DATA / "sweep.csv")
    assert list(sweep.index) == list(dict.fromkeys(row["setting"] for row in rows))
    name = sweep_name(rho=0.05, beta=3.0, lam2=0.003)
    runs = [float(row["sse_test"]) for row in rows if row["setting"] == name]
    row = sweep.loc[name]
    assert row.sse_test == pytest.approx(np.mean(runs)) and row.seeds == len(runs)
    assert (row.activation, row.rho, row.beta) == ("sigmoid", 0.05, 3)


def test_a_penalty_that_is_not_there_has_strength_0():
    row = tables.sweep().loc[sweep_name(lam2=0.0)]
    assert row.beta == row.lam1 == row.lam2 == 0 and np.isnan(row.rho)


def test_pictures_are_named_by_setting():
    path = tables.sweep_picture("relu lam1=1 lam2=0", "features")
    assert path == tables.DATA / "sweep" / "relu_lam1=1_lam2=0_features.png" and path.exists()
