"""Runs, a setting with a seed each, into a table: in parallel, resumable, failures kept apart."""

import contextlib
import csv
import io
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from ..archives import reason
from ..files import locked, save
from ..images import load_images
from ..tables import whole_lines

SECONDS_TO_ANSWER = 10  # for a scheduler


@dataclass(frozen=True)
class Table:
    """A CSV file of results, and how its rows are made.

    Attributes:
        run: function (setting, seed, data) → rows, dicts of the columns. A row may also hold
            "files": path, seen from the table's folder → bytes. Worker processes import it.
        settings: name → what `run` is given.
        columns: of the file, after "setting" and "seed".
        seeds: how many of each setting.
        needs_images: whether `run` is given MNIST; else it is given None.
        rows: how many a whole run has at least. One with fewer is made again.
    """

    run: Callable
    settings: dict
    columns: list
    seeds: int
    needs_images: bool = True
    rows: int = 1

    @property
    def header(self):
        """The names of all columns."""
        return ["setting", "seed", *self.columns]


def fill(table, path, only=(), seeds=None, jobs=-1, scheduler=None):
    """Run what the file does not hold yet. A killed run loses only what was in training.

    Lines that a kill or a full disk damaged are dropped, and their runs made again.

    Args:
        table: a Table.
        path: of its file, which need not exist.
        only: names of some of the settings; all by default.
        seeds: another number of them.
        jobs: processes, -1 for one a core.
        scheduler: address of a Dask cluster to run on, instead of this computer's cores.

    Raises:
        SystemExit: a name is wrong, no cluster answers, the file is another table's, is being
            filled already or cannot be written, or some runs failed; the others are kept.
    """
    for name in only:
        if name not in table.settings:
            known = ", ".join(map(repr, table.settings))
            sys.exit(f"There is no setting {name!r}. There are: {known}.")
    path = path.resolve()  # a link stays one
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(path))
        except BlockingIOError:
            sys.exit(f"{path} is being filled by another process: wait for it, or write elsewhere.")
        except OSError as error:
            sys.exit(f"{path} cannot be written ({reason(error)}).")
        _fill(table, path, only or table.settings, seeds or table.seeds, jobs, scheduler)


def _fill(table, path, names, seeds, jobs, scheduler):
    """Fill a table whose lock is held."""
    for part in path.parent.glob(f"{path.name}.*.part"):
        shutil.rmtree(part, ignore_errors=True)  # of a writer that was killed
    lines, done = _whole_runs(table, path)
    todo = [(name, seed) for seed in range(seeds) for name in names if (name, seed) not in done]
    if table.needs_images:
        load_images("mnist")  # downloaded here, once, rather than by each worker

    failures = []
    for name, seed, rows, error in _in_parallel(table, todo, jobs, scheduler):
        if error:
            failures.append(f"{name}, seed {seed}: {error}")
            continue
        for row in rows:
            for place, content in row.pop("files", {}).items():
                _save(path.parent / place, [content])
        rows = [{"setting": name, "seed": seed, **row} for row in rows]
        lines += _lines(table, [{key: _short(row[key]) for key in row} for row in rows])
        _save(path, lines)
    if failures:
        sys.exit(
            f"{len(failures)} of {len(todo)} runs failed; the others are in {path}. The same "
            "command tries the failed ones again.\n" + "\n".join(failures)
        )


def _whole_runs(table, path):
    """The lines of whole runs, header first, and these runs as (setting, seed).

    The file is left with these lines: it is made if it is not there.
    """
    header = _lines(table)
    content = path.read_bytes() if path.exists() else b""
    lines = whole_lines(path) if content else []
    if not lines and header[0].startswith(content):
        lines = header  # a new file, or one cut in its header
    columns, *rows = csv.reader(line.decode("utf-8-sig", "replace") for line in lines or [b"?"])
    if columns != table.header:
        sys.exit(f"{path} has other columns than this table: move it away, or write elsewhere.")
    runs = [(name, int(seed)) if seed.isdecimal() else None for name, seed, *_ in rows]
    count = Counter(runs)
    whole = {run for run in count if run and count[run] >= table.rows}
    kept = [lines[0], *(line for line, run in zip(lines[1:], runs, strict=True) if run in whole)]
    if b"".join(kept) != content:
        if content:
            print(f"{path.name} had damaged lines: these are dropped, their runs made again.")
        _save(path, kept)
    return kept, whole


def _lines(table, rows=None):
    """Rows as lines of the file; without any, its header."""
    writer = csv.DictWriter(text := io.StringIO(newline=""), table.header)
    if rows is None:
        writer.writeheader()
    else:
        writer.writerows(rows)
    return [line + b"\n" for line in text.getvalue().encode().split(b"\n")[:-1]]


def _save(path, lines):
    """Make a file of these bytes, or stop with what is there."""
    try:
        save(path, lambda file: file.writelines(lines))
    except OSError as error:
        sys.exit(
            f"{path} could not be written ({reason(error)}). What the table holds already is "
            "whole; the same command goes on from there."
        )


def _in_parallel(table, todo, jobs, scheduler):
    """Yields what _run_alone returns for each run, in the order in which they end."""
    from joblib import Parallel, delayed, parallel_config
    from tqdm import tqdm

    with contextlib.ExitStack() as stack:
        if scheduler is not None:
            from distributed import Client

            try:
                stack.enter_context(Client(scheduler, timeout=SECONDS_TO_ANSWER))
            except (OSError, ValueError) as error:
                sys.exit(f"No Dask scheduler answers at {scheduler}: {error}")
            stack.enter_context(parallel_config(backend="dask", wait_for_workers_timeout=30))
        tasks = [delayed(_run_alone)(table, name, seed) for name, seed in todo]
        runs = Parallel(jobs, return_as="generator_unordered")(tasks)
        yield from tqdm(runs, total=len(todo), unit="run")


def _run_alone(table, name, seed):
    """One run in a worker process, which keeps to one core so that workers do not crowd.

    Returns:
        name, seed, the rows, and None or the error that stopped it.
    """
    import keras
    import tensorflow as tf
    from threadpoolctl import threadpool_limits

    with contextlib.suppress(RuntimeError):  # too late where TensorFlow is at work already
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.clear_session()  # frees the model of the run before
    keras.utils.set_random_seed(seed)
    try:
        data = load_images("mnist") if table.needs_images else None
        with threadpool_limits(1):
            return name, seed, table.run(table.settings[name], seed, data), None
    except Exception as error:  # a setting that diverges, say: the others go on
        return name, seed, None, f"{type(error).__name__}: {error}"


def _short(value):
    return f"{value:.5g}" if isinstance(value, float) else value
