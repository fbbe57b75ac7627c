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


@pytest.mark.parametrize(
    "run, kept, message",
    [
        (b_fails, {"a"}, "(?s)2 of 4 runs failed.*\nb, seed 1: FloatingPointError: the loss"),
        (not_again, set(), "4 of 4 runs failed"),
    ],
)
def test_a_failure_is_reported_loses_nothing_and_is_tried_again(run, kept, message, tmp_path):
    with pytest.raises(SystemExit, match=message):
        fill(tmp_path, run)
    assert {setting for setting, *_ in filled(tmp_path)} == kept
    fill(tmp_path, two_rows)
    assert len(filled(tmp_path)) == 8


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"only": ["c"]}, "no setting 'c'. There are: 'a', 'b'"),
        ({"scheduler": "tcp://127.0.0.1:9"}, "No Dask scheduler answers at tcp://127.0.0.1:9"),
    ],
)
def test_what_is_not_there_is_named(wrong, message, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "SECONDS_TO_ANSWER", 0.5)
    with pytest.raises(SystemExit, match=message):
        fill(tmp_path, two_rows, **wrong)


def test_images_are_loaded_for_the_tables_that_need_them_and_for_no_other(tmp_path, monkeypatch):
    given = []

    def look(setting, seed, data):
        given.append(data)
        return []

    monkeypatch.setattr(runs, "load_images", lambda source: f"the images of {source}")
    fill(tmp_path, look, needs_images=True, seeds=1)
    monkeypatch.setattr(runs, "load_images", None)  # calling it would fail
    fill(tmp_path, look, seeds=1)
    assert given == ["the images of mnist"] * 2 + [None] * 2


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
    with contextlib.ExitStack() as stack:

        def start(program, *options):
            command = [sys.executable, "-m", f"distributed.cli.{program}", *address, *options]
            command += ["--host", "127.0.0.1", "--no-dashboard"]
            process = stack.enter_context(subprocess.Popen(command))
            stack.callback(process.terminate)
            return process.pid

        start("dask_scheduler", "--port", "0")
        workers = {start("dask_worker", "--no-nanny", "--nthreads", "1") for _ in range(2)}
        with Client(scheduler_file=address[1]) as client:
            client.wait_for_workers(2, timeout=60)
            fill(tmp_path, which_process, scheduler=client.scheduler.address, jobs=-1)
    assert [row[:2] for row in filled(tmp_path)] == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert {int(pid) for *_, pid in filled(tmp_path)} == workers
