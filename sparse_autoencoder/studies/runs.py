"""Runs, a setting with a seed each, into a table: in parallel, resumable, failures kept apart."""

import contextlib
import csv
import sys
from collections.abc import Callable
from dataclasses import dataclass

from ..images import load_images

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
    """

    run: Callable
    settings: dict
    columns: list
    seeds: int
    needs_images: bool = True


def fill(table, path, only=(), seeds=None, jobs=-1, scheduler=None):
    """Run what the file does not hold yet. A killed run loses only what was in training.

    Args:
        table: a Table.
        path: of its file, which need not exist.
        only: names of some of the settings; all by default.
        seeds: another number of them.
        jobs: processes, -1 for one a core.
        scheduler: address of a Dask cluster to run on, instead of this computer's cores.

    Raises:
        SystemExit: a name is wrong, no cluster answers, or some runs failed; the others are kept.
    """
    for name in only:
        if name not in table.settings:
            known = ", ".join(map(repr, table.settings))
            sys.exit(f"There is no setting {name!r}. There are: {known}.")
    done = set()
    if path.exists():
        with open(path, newline="", encoding="utf-8") as file:
            done = {(row["setting"], int(row["seed"])) for row in csv.DictReader(file)}
    todo = [(n, seed) for seed in range(seeds or table.seeds) for n in only or table.settings]
    todo = [run for run in todo if run not in done]
    if table.needs_images:
        load_images("mnist")  # downloaded here, once, rather than by each worker

    failures = []
    with open(path, "a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["setting", "seed", *table.columns])
        if file.tell() == 0:
            writer.writeheader()
        for name, seed, rows, error in _in_parallel(table, todo, jobs, scheduler):
            if error:
                failures.append(f"{name}, seed {seed}: {error}")
                continue
            for row in rows:
                for place, content in row.pop("files", {}).items():
                    (path.parent / place).parent.mkdir(exist_ok=True)
                    (path.parent / place).write_bytes(content)
                row |= {"setting": name, "seed": seed}
            # At once, so that a table never holds a part of a run.
            writer.writerows([{key: _short(row[key]) for key in row} for row in rows])
            file.flush()
    if failures:
        sys.exit(
            f"{len(failures)} of {len(todo)} runs failed; the others are in {path}. The same "
            "command tries the failed ones again.\n" + "\n".join(failures)
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
