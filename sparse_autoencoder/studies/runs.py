"""Named settings, run over seeds in parallel, into a table.

Resumable, and a run that fails is reported and does not stop the others.

What is run, and what for, is said in experiments.py and studies.py.
"""

import argparse
import contextlib
import csv
import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from helpers import load_mnist


@dataclass
class Table:
    """A CSV file, and how its rows are made.

    path: of the file. columns: of the file; "setting" and "seed" are the first two.
    settings: names of what is run. seeds: how many of each.
    run: (setting, seed, data) → a list of rows (dicts), and name of a file → its bytes.
    """

    path: Path
    columns: list
    settings: list
    seeds: int
    run: Callable


def fill(table, only=(), seeds=None, jobs=-1, scheduler=None):
    """Run what the table does not hold yet. A killed run loses only what was in training.

    Args:
        only: some of the settings; all by default. seeds: another number of them.
        jobs: processes, -1 for one a core; or scheduler: address of a Dask cluster to run on.

    Raises:
        SystemExit: a name is wrong, no cluster answers, or some runs failed; the others are kept.
    """
    for name in only:
        if name not in table.settings:
            known = ", ".join(map(repr, table.settings))
            sys.exit(f"There is no setting {name!r}. There are: {known}.")
    done = set()
    if table.path.exists():
        with open(table.path, newline="", encoding="utf-8") as file:
            done = {(row["setting"], int(row["seed"])) for row in csv.DictReader(file)}
    todo = [(n, seed) for seed in range(seeds or table.seeds) for n in only or table.settings]
    todo = [task for task in todo if task not in done]
    load_mnist("mnist")  # downloaded here, once, rather than by each worker

    failures = []
    with open(table.path, "a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, table.columns)
        if file.tell() == 0:
            writer.writeheader()
        for setting, seed, found, error in _in_parallel(table.run, todo, jobs, scheduler):
            if error:
                failures.append(f"{setting}, seed {seed}: {error}")
                continue
            rows, files = found
            for path, content in files.items():
                (table.path.parent / path).parent.mkdir(exist_ok=True)
                (table.path.parent / path).write_bytes(content)
            # At once, so that a table never holds a part of a run.
            writer.writerows([{k: _short(v) for k, v in row.items()} for row in rows])
            file.flush()
    if failures:
        sys.exit(
            f"{len(failures)} of {len(todo)} runs failed; the others are in {table.path}. The same "
            "command tries the failed ones again.\n" + "\n".join(failures)
        )


def _in_parallel(run, todo, jobs, scheduler):
    """Yields what _run_alone returns for each task, in the order in which they end."""
    from joblib import Parallel, delayed, parallel_config
    from tqdm import tqdm

    tasks = (delayed(_run_alone)(run, *task) for task in todo)
    progress = functools.partial(tqdm, total=len(todo), unit="run")
    if scheduler is None:
        yield from progress(Parallel(jobs, return_as="generator_unordered")(tasks))
        return
    try:
        from distributed import Client
    except ImportError:
        sys.exit("A Dask cluster needs the package distributed: pip install distributed.")
    try:
        client = Client(scheduler, timeout=10)
    except (OSError, ValueError) as error:
        sys.exit(f"No Dask scheduler answers at {scheduler}: {error}")
    with client, parallel_config(backend="dask", wait_for_workers_timeout=30):
        yield from progress(Parallel(return_as="generator_unordered")(tasks))


def _run_alone(run, setting, seed):
    """One run in a worker process, which keeps to one core so that workers do not crowd.

    Returns:
        setting, seed, what `run` returned, and None or the error that stopped it.
    """
    from threadpoolctl import threadpool_limits

    from sparse_autoencoder import keras, tf

    with contextlib.suppress(RuntimeError):  # too late where TensorFlow is at work already
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.clear_session()  # frees the model of the run before
    keras.utils.set_random_seed(seed)
    try:
        with threadpool_limits(1):
            return setting, seed, run(setting, seed, _mnist()), None
    except Exception as error:  # a setting that diverges, say: the others go on
        return setting, seed, None, f"{type(error).__name__}: {error}"


@functools.cache
def _mnist():
    return load_mnist("mnist")


def _short(value):
    return f"{value:.5g}" if isinstance(value, float) else value


def command_line(tables, description):
    """Fill one of the tables (name → Table), as the words on the command line say."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", choices=tables, help="the table to fill")
    parser.add_argument("--only", nargs="+", metavar="SETTING", default=[])
    parser.add_argument("--seeds", type=int, help="seeds per setting")
    parser.add_argument("--jobs", type=int, default=-1, help="processes (default: one a core)")
    parser.add_argument("--scheduler", help="address of a Dask scheduler, to run on its workers")
    parser.add_argument("--path", type=Path, help="another file to write to")
    options = parser.parse_args()
    table = tables[options.table]
    table.path = options.path or table.path
    fill(table, options.only, options.seeds, options.jobs, options.scheduler)
