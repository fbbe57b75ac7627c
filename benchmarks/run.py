"""Compare the speed of the course's training with other ways to train the same model.

    python benchmarks/run.py

prints three tables and writes them into benchmarks/README.md. Every way has a process of its own;
they take turns, one epoch at a time, so that a machine that slows down slows all of them alike.
"""

import argparse
import importlib.metadata
import multiprocessing
import os
import platform
import re
import subprocess
import sys
import tempfile
from contextlib import suppress
from datetime import date
from functools import partial
from math import isnan
from operator import ge, le
from pathlib import Path
from statistics import median

import ways

README = Path(__file__).parent / "README.md"
MARKERS = "<!-- written by run.py: begin -->", "<!-- written by run.py: end -->"
LEARNING_RATE, SOURCES_LEARNING_RATE = 3e-3, 1e-4
COURSES_EPOCHS = 10
UNITS = (196, 1_000, 4_000)
SPAWN = multiprocessing.get_context("spawn")  # a fresh Python for each way, on every system


class Worker:
    """The process of one way: every turn() trains one epoch."""

    def __init__(self, key, images, learning_rate=LEARNING_RATE, **settings):
        self.pipe, theirs = SPAWN.Pipe()
        self.log = tempfile.NamedTemporaryFile()
        arguments = theirs, self.log.name, key, images, learning_rate, settings
        self.process = SPAWN.Process(target=ways.work, args=arguments, daemon=True)
        self.process.start()
        theirs.close()  # so that a worker that dies ends the waiting in receive()
        self.key, self.seconds, self.costs, self.memory = key, [], [], 0

    def receive(self):
        """The worker's next message; the first is None, or says why it cannot start."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            why = f"({self.key}) failed with exit code {self.process.exitcode}"
            raise SystemExit(f"{why}:\n{self.log.read().decode()}") from None

    def turn(self):
        self.pipe.send(None)
        seconds, cost, self.memory = self.receive()
        self.seconds.append(seconds)
        self.costs.append(cost)

    def stop(self):
        self.process.terminate()
        self.process.join()

    @property
    def epoch(self):
        """The median epoch without the first, in seconds."""
        return median(self.seconds[1:] or self.seconds)

    @property
    def warm_up(self):
        """What the first epoch took beyond another one: building and compiling the model."""
        return max(0.0, self.seconds[0] - self.epoch)


def compare_ways(keys, images, repeats):
    """Time the ways; return {key: Worker, or why it could not run}."""
    workers = {key: Worker(key, images) for key in keys}
    missing = {key: worker.receive() for key, worker in workers.items()}
    ready = [worker for key, worker in workers.items() if missing[key] is None]
    for number in range(1 + repeats):
        for worker in ready:
            say(f"round {number} of {repeats}: {worker.key}")
            worker.turn()
    for worker in workers.values():
        worker.stop()
    return {key: missing[key] or workers[key] for key in keys}


def compare_recipes(images, epochs):
    """Train `epochs` epochs by the source's recipe, and meanwhile at most 10 by the course's."""
    source = Worker("c", images, SOURCES_LEARNING_RATE)
    course = Worker("a", images)
    for worker in (source, course):
        worker.receive()
    for number in range(epochs):
        source.turn()
        if number * COURSES_EPOCHS % epochs < COURSES_EPOCHS:  # spread evenly over the source's
            course.turn()
        say(f"epoch {number + 1} of {epochs} by the source's recipe")
    for worker in (source, course):
        worker.stop()
    return source, course


def compare_sizes(images):
    """The course's way as models and training sets grow: {(units, images): Worker}, one by one."""
    sizes = [(units, images) for units in UNITS]
    sizes += [(UNITS[0], images * part // 5) for part in (1, 2, 3)]
    found = {}
    for units, some in sizes:
        worker = found[units, some] = Worker("a", some, units=units)
        worker.receive()
        for number in range(4):
            say(f"{units} units, {some} images: epoch {number + 1} of 4")
            worker.turn()
        worker.stop()
    return found


def table(header, rows):
    lines = [header, ["---"] + ["--:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def table_of_ways(results):
    header = ["way", "seconds per epoch", "fastest–slowest", "÷ (a)", "÷ (f)"]
    header += ["warm-up, s", "peak memory, MB", "cost at the end"]
    rows = []
    for key, worker in results.items():
        name = f"({key}) {ways.WAYS[key][0]}"
        if isinstance(worker, str):
            rows.append([name, worker] + [""] * (len(header) - 2))
            continue
        row = [name, f"{worker.epoch:.2f}"]
        row.append(f"{min(worker.seconds[1:]):.2f}–{max(worker.seconds[1:]):.2f}")
        row += [show(ratio(results, key, other)) for other in "af"]
        row += [f"{worker.warm_up:.1f}", f"{worker.memory / 1e6:.0f}"]
        row.append("" if isnan(worker.costs[-1]) else f"{worker.costs[-1]:.2f}")  # (f) has none
        rows.append(row)
    return table(header, rows)


def table_of_recipes(source, course):
    """The table, and how many times sooner the course's recipe is there (0 if it never is)."""
    goal = source.costs[-1]
    reached = next((n for n, cost in enumerate(course.costs, 1) if cost <= goal), None)
    header = ["recipe", "epochs", "cost", "seconds of training", "with warm-up"]
    rows, totals = [], []
    for name, worker, epochs in (
        ("the source's: Adam 1e-4, file order, (c)", source, len(source.seconds)),
        ("the course's: Adam 3e-3, shuffled, (a)", course, reached or len(course.seconds)),
    ):
        totals.append(sum(worker.seconds[:epochs]))
        numbers = f"{totals[-1] - worker.warm_up:.1f}", f"{totals[-1]:.1f}"
        rows.append([name, f"{epochs}", f"{worker.costs[epochs - 1]:.2f}", *numbers])
    return table(header, rows), totals[0] / totals[1] if reached else 0.0


def table_of_sizes(found):
    header = ["hidden units", "images", "seconds per epoch", "ms a step", "peak memory, MB"]
    rows = []
    for (units, images), worker in found.items():
        row = [f"{units:,}", f"{images:,}", f"{worker.epoch:.2f}"]
        row.append(f"{1000 * worker.epoch / (images // ways.BATCH):.2f}")
        rows.append([*row, f"{worker.memory / 1e6:.0f}"])
    return table(header, rows)


def ratio(results, key, other):
    """How many times as long way `key` takes as way `other`; None if either was not timed."""
    pair = results.get(key), results.get(other)
    return pair[0].epoch / pair[1].epoch if all(isinstance(x, Worker) for x in pair) else None


def show(number):
    return "" if number is None else f"{number:.2f}"


def verdicts(results, sooner):
    """What the course's speed must be (floors) and should be (goals), line by line."""
    as_long = partial(ratio, results)
    rows = [
        ("floor", "(b) takes at least 2 times as long as (a)", as_long("b", "a"), ge, 2),
        ("floor", "(d) takes at least 2 times as long as (a)", as_long("d", "a"), ge, 2),
        ("floor", "(a) takes no longer than (c)", as_long("a", "c"), le, 1),
        ("floor", "(a) takes at most 2 times as long as (f)", as_long("a", "f"), le, 2),
        ("floor", "the course's recipe is there at least 8 times sooner", sooner, ge, 8),
        ("goal", "(a) takes at most 1.3 times as long as (f)", as_long("a", "f"), le, 1.3),
        ("goal", "(a) takes at most 1.1 times as long as (e)", as_long("a", "e"), le, 1.1),
    ]
    lines = []
    for kind, wish, number, holds, limit in rows:
        verdict = "not measured"
        if number is not None:
            verdict = f"{'pass' if holds(number, limit) else 'FAIL'}, {number:.2f}"
        lines.append(f"- {kind}: {wish}: **{verdict}**")
    return "\n".join(lines)


def machine():
    """One sentence on what this was measured on."""
    cpu = platform.processor() or platform.machine()
    with suppress(OSError, TypeError):  # Linux, where some processors have no such line
        cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[1]
    with suppress(OSError, subprocess.CalledProcessError):  # macOS
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        cpu = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = [f"Python {platform.python_version()}"]
    for package in ("numpy", "tensorflow", "keras", "torch", "jax"):
        with suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{package} {importlib.metadata.version(package)}")
    return (
        f"{date.today()}, {cpu}, {cores} cores, {platform.system()}, {', '.join(versions)}; "
        f"{os.getloadavg()[0]:.1f} cores were busy before the start."
    )


def write(readme, text, markers=MARKERS):
    """Put the text between the markers."""
    begin, end = markers
    before, rest = readme.read_text(encoding="utf-8").split(begin)
    after = rest.split(end)[1]
    readme.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def say(text):
    """Progress, on a line of its own that the next one replaces."""
    if sys.stderr.isatty():
        print(f"\r{text:<60}\r", end="", file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ways", default="abcdef", help="which of a to f (%(default)s)")
    parser.add_argument("--images", type=int, default=50_000, help="in an epoch (%(default)s)")
    parser.add_argument("--repeats", type=int, default=9, help="epochs timed (%(default)s)")
    parser.add_argument(
        "--epochs", type=int, default=100, help="by the source's recipe, 0 for none (%(default)s)"
    )
    parser.add_argument(
        "--no-sizes", dest="sizes", action="store_false", help="without larger models"
    )
    parser.add_argument("--readme", type=Path, help="where to write the tables")
    options = parser.parse_args()
    reduced = any(vars(options)[name] != parser.get_default(name) for name in vars(options))

    text = [machine()]
    if not ways.MNIST.exists():  # in a process of its own, for a new one counts our memory too
        fetching = SPAWN.Process(target=ways.fetch_mnist)
        fetching.start()
        fetching.join()
    if not ways.MNIST.exists():
        text.append("data/mnist.npz could not be had: the images are random, so mind no cost.")
    results = compare_ways(options.ways, options.images, options.repeats)
    text.append(table_of_ways(results))
    sooner = None
    if options.epochs:
        recipes, sooner = table_of_recipes(*compare_recipes(options.images, options.epochs))
        text.append(recipes)
    text.append(verdicts(results, sooner))
    if options.sizes:
        text.append(table_of_sizes(compare_sizes(options.images)))
    text = "\n\n".join(text)
    say("")
    print(text)
    readme = options.readme or (None if reduced else README)
    if readme:
        write(readme, text)


if __name__ == "__main__":
    main()
