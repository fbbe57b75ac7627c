"""Runs: resumable, a failure kept apart, on this computer or on a Dask cluster."""

import contextlib
import os
import subprocess
import sys
import time

import pytest
from conftest import rows_of

from sparse_autoencoder.studies import runs


def two_rows(setting, seed, data):
    rows = [{"x": setting + seed + x + 1 / 3} for x in (0, 1)]
    rows[0]["files"] = {f"pictures/{setting}{seed}": b"bytes"}
    return rows


def b_fails(setting, seed, data):
    if setting == 20:
        raise FloatingPointError("the loss became nan")
    return two_rows(setting, seed, data)


def not_again(setting, seed, data):
    raise AssertionError("this was run already")


def fill(folder, run, needs_images=False, **options):
    table = runs.Table(run, {"a": 10, "b": 20}, ["x"], 2, needs_images)
    runs.fill(table, folder / "t.csv", **({"jobs": 1} | options))


def filled(folder):
    return sorted((r["setting"], int(r["seed"]), r["x"]) for r in rows_of(folder / "t.csv"))


def test_every_setting_is_run_with_every_seed_and_files_are_kept(tmp_path):
    fill(tmp_path, two_rows)
    assert filled(tmp_path) == [
        *(("a", 0, "10.333"), ("a", 0, "11.333"), ("a", 1, "11.333"), ("a", 1, "12.333")),
        *(("b", 0, "20.333"), ("b", 0, "21.333"), ("b", 1, "21.333"), ("b", 1, "22.333")),
    ]
    assert (tmp_path / "pictures" / "101").read_bytes() == b"bytes"


def test_what_is_there_is_not_run_again(tmp_path):
    fill(tmp_path, two_rows, seeds=1)
    before = (tmp_path / "t.csv").read_text()
    fill(tmp_path, not_again, seeds=1)
    assert (tmp_path / "t.csv").read_text() == before
    fill(tmp_path, two_rows, only=["b"])
    assert (tmp_path / "t.csv").read_text().startswith(before)
    assert len(filled(tmp_path)) == 6


def test_a_failure_is_reported_and_loses_nothing(tmp_path):
    with pytest.raises(SystemExit) as stopped:
        fill(tmp_path, b_fails)
    message = str(stopped.value)
    assert "2 of 4 runs failed" in message and "b, seed 1: FloatingPointError: the loss" in message
    assert {setting for setting, *_ in filled(tmp_path)} == {"a"}
    fill(tmp_path, two_rows)
    assert len(filled(tmp_path)) == 8


def test_a_table_in_which_nothing_succeeded_is_filled_later(tmp_path):
    with pytest.raises(SystemExit, match="4 of 4 runs failed"):
        fill(tmp_path, not_again)
    assert filled(tmp_path) == []
    fill(tmp_path, two_rows)
    assert len(filled(tmp_path)) == 8


def test_a_wrong_name_lists_the_right_ones(tmp_path):
    with pytest.raises(SystemExit, match="no setting 'c'. There are: 'a', 'b'"):
        fill(tmp_path, two_rows, only=["c"])
    assert not (tmp_path / "t.csv").exists()


def test_images_are_loaded_for_the_tables_that_need_them_and_for_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "load_images", lambda source: f"the images of {source}")
    given = []

    def look(setting, seed, data):
        given.append(data)
        return []

    fill(tmp_path, look, needs_images=True, seeds=1)
    assert given == ["the images of mnist"] * 2
    monkeypatch.setattr(runs, "load_images", None)  # calling it would fail
    fill(tmp_path, look, seeds=1)
    assert given[2:] == [None] * 2


def test_a_cluster_that_does_not_answer_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "SECONDS_TO_ANSWER", 0.5)
    with pytest.raises(SystemExit, match="No Dask scheduler answers at tcp://127.0.0.1:9"):
        fill(tmp_path, two_rows, scheduler="tcp://127.0.0.1:9")


@pytest.mark.slow
@pytest.mark.setup
def test_on_a_real_cluster(tmp_path):
    """A scheduler and two workers, each a process of its own, on 127.0.0.1."""
    from distributed import Client

    def which_process(setting, seed, data):  # defined here, so that workers need not import it
        (tmp_path / f"{os.getpid()}.pid").touch()
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob("*.pid"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)  # for the other worker, which has its share to do
        return [{"x": os.getpid()}]

    address = ["--scheduler-file", str(tmp_path / "scheduler.json")]
    python = [sys.executable, "-m"]
    local = ["--host", "127.0.0.1", "--no-dashboard"]
    scheduler = [*python, "distributed.cli.dask_scheduler", *address, *local, "--port", "0"]
    worker = [
        *python,
        "distributed.cli.dask_worker",
        *address,
        *local,
        "--no-nanny",
        "--nthreads",
        "1",
    ]
    with contextlib.ExitStack() as stack:
        processes = []
        for command in (scheduler, worker, worker):
            processes.append(stack.enter_context(subprocess.Popen(command)))
            stack.callback(processes[-1].terminate)
        with Client(scheduler_file=address[1]) as client:
            client.wait_for_workers(2, timeout=60)
            fill(tmp_path, which_process, scheduler=client.scheduler.address)
    assert [row[:2] for row in filled(tmp_path)] == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert {int(pid) for *_, pid in filled(tmp_path)} == {worker.pid for worker in processes[1:]}
