"""Runs: resumable, a failure kept apart, on this computer or on a Dask cluster."""

import contextlib
import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import threadpoolctl
from conftest import ROOT, rows_of

from sparse_autoencoder import files, keras
from sparse_autoencoder.studies import runs
from sparse_autoencoder.tables import whole_lines


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
    table = runs.Table(run, {"a": 10, "b": 20}, ["x"], 2, needs_images, rows=2)
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


# Damage: whatever is cut or killed, nothing right is lost, and nothing wrong is read


def lines(folder):
    return sorted((folder / "t.csv").read_bytes().splitlines(keepends=True))


@pytest.fixture
def quick(monkeypatch):
    """Many fills: no models to free, no threads to limit, and no power cut to be ready for."""
    monkeypatch.setattr(os, "fsync", lambda file: None)
    monkeypatch.setattr(keras.utils, "clear_session", lambda: None)
    monkeypatch.setattr(threadpoolctl, "threadpool_limits", contextlib.nullcontext)


@pytest.fixture
def whole(tmp_path, quick):
    """A folder with a whole table of 4 runs, 2 rows each, as bytes."""
    fill(tmp_path, two_rows)
    return (tmp_path / "t.csv").read_bytes()


def test_a_table_cut_at_any_byte_is_made_whole_again(tmp_path, whole):
    assert len(whole) > 100
    right, again = lines(tmp_path), []

    def counted(setting, seed, data):
        again.append((setting, seed))
        return two_rows(setting, seed, data)

    for length in range(len(whole)):
        cut = whole[:length]
        (tmp_path / "t.csv").write_bytes(cut)
        read = whole_lines(tmp_path / "t.csv")
        assert read == whole.splitlines(keepends=True)[: cut.count(b"\n")]
        again.clear()
        fill(tmp_path, counted)
        assert lines(tmp_path) == right, length
        assert len(again) == 4 - max(0, len(read) - 1) // 2  # only runs that were not whole


def test_the_row_that_was_glued_to_a_cut_one_is_no_row(tmp_path, whole, capsys):
    header, *rows = whole.splitlines(keepends=True)
    right = sorted([header, *rows])
    for damaged in (
        [header, *rows[:3], rows[3][:5], *rows[4:]],  # glued
        [header, *rows[:4], b"\0" * 9 + b"\r\n", *rows[4:6]],  # as a power cut leaves it
        [header, *rows, header],  # of two writers without a lock
    ):
        (tmp_path / "t.csv").write_bytes(b"".join(damaged))
        assert set(whole_lines(tmp_path / "t.csv")) <= set(right)
        fill(tmp_path, two_rows)
        assert lines(tmp_path) == right
        assert capsys.readouterr().out == (
            "t.csv had damaged lines: these are dropped, their runs made again.\n"
        )


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"setting,seed,y\r\na,0,1\r\n", b"my notes"])
def test_another_file_is_refused_and_left_as_it_was(tmp_path, content):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(SystemExit, match="t.csv has other columns than this table"):
        fill(tmp_path, not_again)
    assert (tmp_path / "t.csv").read_bytes() == content


@pytest.mark.parametrize(
    "stop", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]
)
def test_a_disk_that_is_full_after_any_byte_costs_one_run(tmp_path, monkeypatch, quick, stop):
    class Full:
        """A file in which there is room for so many bytes, over all saves."""

        def __init__(self, path, mode):
            self.file = open(path, mode, buffering=0)
            self.name = self.file.name

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

        def writelines(self, lines):
            for line in lines:
                self.file.write(line[: max(0, room[0])])
                room[0] -= len(line)
                if room[0] < 0:
                    raise stop

        def flush(self):
            pass

        def fileno(self):
            return self.file.fileno()

    def fill_a_disk(of_size):
        (tmp_path / "t.csv").unlink(missing_ok=True)
        room[0] = of_size
        with monkeypatch.context() as patch:
            patch.setattr(
                files,
                "open",
                lambda p, mode: (Full if mode == "wb" else open)(p, mode),
                raising=False,
            )
            fill(tmp_path, two_rows)

    room = [0]
    fill_a_disk(10_000)
    right, needed = lines(tmp_path), 10_000 - room[0]
    for size in range(0, needed, 5):
        with pytest.raises((SystemExit, KeyboardInterrupt)) as stopped:
            fill_a_disk(size)
        if isinstance(stop, OSError):
            assert "could not be written (No space left on device)" in str(stopped.value)
        if (tmp_path / "t.csv").exists():
            assert lines(tmp_path) == sorted(whole_lines(tmp_path / "t.csv"))
            assert set(lines(tmp_path)) <= set(right)
        fill(tmp_path, two_rows)
        assert lines(tmp_path) == right
    assert {path.name for path in tmp_path.iterdir()} == {"pictures", "t.csv", "t.csv.lock"}


def test_a_second_writer_is_told_to_wait(tmp_path, quick):
    with files.locked(tmp_path / "t.csv"):
        with pytest.raises(SystemExit, match="t.csv is being filled by another process: wait"):
            fill(tmp_path, not_again)
    fill(tmp_path, two_rows)
    assert len(filled(tmp_path)) == 8


def test_where_nothing_can_be_written_a_sentence_says_so(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match=r"t.csv cannot be written \((File exists|Not a dir)"):
        fill(tmp_path / "file", not_again)


def test_a_file_system_without_locks_is_written_all_the_same(tmp_path, monkeypatch, capsys, quick):
    fcntl = pytest.importorskip("fcntl")

    def refuse(*args):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    fill(tmp_path, two_rows)
    assert len(filled(tmp_path)) == 8
    assert "without a lock (Operation not supported)" in capsys.readouterr().out


FILL_IN_CHILDREN = """
import gc, os, random, signal, sys, time
from pathlib import Path
from sparse_autoencoder.studies import runs

def run(setting, seed, data):
    time.sleep(0.001)
    return [{"x": 1000 * seed + row} for row in range(3)]

def child():
    pid = os.fork()
    if pid:
        return pid
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        runs.fill(runs.Table(run, dict.fromkeys("abcde"), ["x"], 40, False, rows=3), path, jobs=1)
        os._exit(0)
    except SystemExit as stopped:
        os._exit(3 if "filled by another process" in str(stopped) else 4)
    except BaseException:
        os._exit(5)

gc.freeze()  # else each run looks through all that was imported
path = Path(sys.argv[1], "killed.csv")
killed = 0
for n in range(100):
    pid = child()
    time.sleep(random.Random(n).uniform(0.001, 0.06))
    os.kill(pid, signal.SIGKILL)
    killed += os.waitpid(pid, 0)[1] == signal.SIGKILL
    print(path.stat().st_size if path.exists() else 0, end=" ")
assert os.waitpid(child(), 0)[1] == 0, "a killed one left it locked"

path = Path(sys.argv[1], "two.csv")
two = [child(), child()]
codes = sorted(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in two)
print("\\n", killed, *codes)
"""


@pytest.mark.slow
@pytest.mark.setup
@pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")
def test_a_hundred_kills_and_two_writers_for_real(tmp_path):
    (tmp_path / "children.py").write_text(FILL_IN_CHILDREN)
    command = [sys.executable, str(tmp_path / "children.py"), str(tmp_path)]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    killed, *codes = map(int, done.stdout.splitlines()[-1].split())
    assert killed > 50 and codes == [0, 3], "of two writers the second one is refused"
    for name in ("killed", "two"):
        rows = [
            (r["setting"], int(r["seed"]), int(r["x"])) for r in rows_of(tmp_path / f"{name}.csv")
        ]
        assert sorted(rows) == [
            (setting, seed, 1000 * seed + row)
            for setting in "abcde"
            for seed in range(40)
            for row in range(3)
        ]
    assert not list(Path(tmp_path).glob("*.part"))


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
