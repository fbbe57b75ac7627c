"""Runs in parallel: resumable, a failure kept apart, on this computer or on a Dask cluster."""

import csv
import subprocess
import sys
import time
from pathlib import Path

import pytest

import runs

TESTS = Path(__file__).parent


@pytest.fixture(autouse=True)
def digits(monkeypatch, tmp_path):
    """Runs need no MNIST here, and workers find this file."""
    monkeypatch.setattr(runs, "load_mnist", lambda source: None)
    monkeypatch.setattr(runs, "_mnist", lambda: None)
    monkeypatch.setenv("RUNS_TEST_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("PYTHONPATH", str(TESTS))


def table(tmp_path, run, settings=("a", "b"), seeds=2):
    return runs.Table(tmp_path / "t.csv", ["setting", "seed", "x"], list(settings), seeds, run)


def rows(tmp_path):
    with open(tmp_path / "t.csv", newline="", encoding="utf-8") as file:
        return sorted((r["setting"], int(r["seed"]), r["x"]) for r in csv.DictReader(file))


def two_rows(setting, seed, data):
    found = [{"setting": setting, "seed": seed, "x": x + 1 / 3} for x in (0, 1)]
    return found, {f"pictures/{setting}{seed}": b"bytes"}


def b_fails(setting, seed, data):
    if setting == "b":
        raise FloatingPointError("the loss became nan")
    return two_rows(setting, seed, data)


def not_again(setting, seed, data):
    raise AssertionError("this was run already")


def test_every_setting_is_run_with_every_seed_and_files_are_kept(tmp_path):
    runs.fill(table(tmp_path, two_rows), jobs=1)
    names = [(setting, seed) for setting in "ab" for seed in (0, 1)]
    expected = [(*name, x) for name in names for x in ("0.33333", "1.3333")]
    assert rows(tmp_path) == expected
    assert (tmp_path / "pictures" / "a1").read_bytes() == b"bytes"


def test_what_is_there_is_not_run_again(tmp_path):
    runs.fill(table(tmp_path, two_rows), seeds=1, jobs=1)
    before = (tmp_path / "t.csv").read_text()
    runs.fill(table(tmp_path, not_again), seeds=1, jobs=1)
    assert (tmp_path / "t.csv").read_text() == before
    runs.fill(table(tmp_path, two_rows), only=["b"], jobs=1)
    assert (tmp_path / "t.csv").read_text().startswith(before)
    assert len(rows(tmp_path)) == 6


def test_a_failure_is_reported_and_loses_nothing(tmp_path):
    with pytest.raises(SystemExit) as stopped:
        runs.fill(table(tmp_path, b_fails), jobs=1)
    message = str(stopped.value)
    assert "2 of 4 runs failed" in message and "b, seed 1: FloatingPointError: the loss" in message
    assert {setting for setting, *_ in rows(tmp_path)} == {"a"}
    runs.fill(table(tmp_path, two_rows), jobs=1)
    assert len(rows(tmp_path)) == 8


def test_a_table_in_which_nothing_succeeded_is_filled_later(tmp_path):
    with pytest.raises(SystemExit, match="4 of 4 runs failed"):
        runs.fill(table(tmp_path, not_again), jobs=1)
    assert rows(tmp_path) == []
    runs.fill(table(tmp_path, two_rows), jobs=1)
    assert len(rows(tmp_path)) == 8


def test_a_wrong_name_lists_the_right_ones(tmp_path):
    with pytest.raises(SystemExit, match="no setting 'c'. There are: 'a', 'b'"):
        runs.fill(table(tmp_path, two_rows), only=["c"], jobs=1)
    assert not (tmp_path / "t.csv").exists()


def test_a_cluster_that_does_not_answer_is_named(tmp_path):
    with pytest.raises(SystemExit, match="No Dask scheduler answers at tcp://127.0.0.1:9"):
        runs.fill(table(tmp_path, two_rows), scheduler="tcp://127.0.0.1:9")


def which_process(setting, seed, data):
    import os

    time.sleep(0.5)
    return [{"setting": setting, "seed": seed, "x": os.getpid()}], {}


@pytest.mark.slow
def test_on_a_real_cluster(tmp_path):
    """A scheduler and two workers, each a process of its own, on 127.0.0.1."""
    address = "tcp://127.0.0.1:18786"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1"]
    command += ["--port", "18786", "--no-dashboard"]
    processes = [subprocess.Popen(command, cwd=TESTS)]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1"]
    worker += ["--no-dashboard", "--no-nanny"]
    processes += [subprocess.Popen(worker, cwd=TESTS) for _ in range(2)]
    try:
        time.sleep(5)
        runs.fill(table(tmp_path, which_process, settings="abcd"), scheduler=address)
    finally:
        for process in processes:
            process.terminate()
    found = rows(tmp_path)
    assert [(setting, seed) for setting, seed, _ in found] == [
        (setting, seed) for setting in "abcd" for seed in (0, 1)
    ]
    assert {int(pid) for *_, pid in found} == {process.pid for process in processes[1:]}
