"""The comparison of speed: what it prints, never how fast anything is."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def run(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("run")


def worker(run, seconds, costs):
    """A worker that has already run."""
    finished = object.__new__(run.Worker)
    vars(finished).update(seconds=seconds, costs=costs, memory=5e8)
    return finished


@pytest.fixture
def results(run):
    """Whole seconds per epoch for (a) to (e), and a first epoch that took 10 more; no (f)."""
    seconds = {"a": 1, "b": 3, "c": 2, "d": 4, "e": 1}
    workers = {key: worker(run, [10 + s, s, s, s], [9, 8, 7, 6]) for key, s in seconds.items()}
    return workers | {"f": "numpy is not installed"}


def test_a_row_tells_the_median_the_ratios_and_the_warm_up(run, results):
    rows = {row[2:5]: row for row in run.table_of_ways(results).splitlines()[2:]}
    assert rows["(b)"].endswith("| 3.00 | 3.00–3.00 | 3.00 |  | 10.0 | 500 | 6.00 |")
    assert "| numpy is not installed |" in rows["(f)"]


def test_recipes_are_compared_at_the_sources_final_cost(run):
    source = worker(run, [14, 4, 4, 4], [9, 8, 7, 6])
    course = worker(run, [5, 1, 1, 1], [8, 6, 5, 4])  # there after two epochs
    rows, sooner = run.table_of_recipes(source, course)
    assert rows.splitlines()[2].endswith("| 4 | 6.00 | 16.0 | 26.0 |")
    assert rows.splitlines()[3].endswith("| 2 | 6.00 | 2.0 | 6.0 |")
    assert sooner == 26 / 6


def test_a_recipe_that_never_gets_there_is_not_called_sooner(run):
    rows, sooner = run.table_of_recipes(worker(run, [2, 2], [5, 4]), worker(run, [1, 1], [9, 8]))
    assert sooner == 0 and "| 2 | 8.00 |" in rows


def test_floors_pass_fail_or_were_not_measured(run, results):
    lines = run.verdicts(results, sooner=7.9).splitlines()
    verdicts = [line.split("**")[1] for line in lines]
    not_measured = "not measured"
    assert verdicts[:3] == ["pass, 3.00", "pass, 4.00", "pass, 0.50"]
    assert verdicts[3:] == [not_measured, "FAIL, 7.90", not_measured, "pass, 1.00"]


def test_tables_replace_only_what_is_between_the_markers(run, tmp_path):
    readme = tmp_path / "README.md"
    begin, end = run.MARKERS
    readme.write_text(f"ä {begin}\nold\n{end} b\n", encoding="utf-8")
    for text in ("one", "two"):
        run.write(readme, text)
        assert readme.read_text(encoding="utf-8") == f"ä {begin}\n{text}\n{end} b\n"


def test_readme_has_a_place_for_the_tables(run):
    text = (BENCHMARKS / "README.md").read_text(encoding="utf-8")
    assert all(text.count(marker) == 1 for marker in run.MARKERS)


def test_sizes_are_told_by_epoch_and_by_step(run):
    found = {(1000, 12_800): worker(run, [9, 2, 2, 2], [1] * 4)}
    assert run.table_of_sizes(found).endswith("| 1,000 | 12,800 | 2.00 | 20.00 | 500 |")


@pytest.fixture
def no_work(run, monkeypatch):
    """Workers that never start a process: each epoch takes a second and lowers the cost by 1."""

    class Idle(run.Worker):
        def __init__(self, key, images, learning_rate=None, **settings):
            self.key, self.seconds, self.costs, self.memory = key, [], [], 5e8

        def receive(self):
            return "torch is not installed" if self.key == "d" else None

        def turn(self):
            self.seconds.append(1.0)
            self.costs.append(100.0 - len(self.costs))

        def stop(self):
            pass

    monkeypatch.setattr(run, "Worker", Idle)


@pytest.mark.parametrize("epochs, courses", [(100, 10), (25, 10), (10, 10), (3, 3)])
def test_the_courses_epochs_are_spread_over_the_sources(run, no_work, epochs, courses):
    source, course = run.compare_recipes(50_000, epochs)
    assert (len(source.seconds), len(course.seconds)) == (epochs, courses)


def test_it_prints_and_writes_the_same_tables(run, no_work, monkeypatch, tmp_path, capsys):
    readme = tmp_path / "README.md"
    readme.write_text("".join(run.MARKERS), encoding="utf-8")
    monkeypatch.setattr(run.ways, "MNIST", readme)  # there, so nothing is downloaded
    monkeypatch.setattr(sys, "argv", ["run.py", "--readme", str(readme)])
    run.main()
    printed = capsys.readouterr().out.strip()
    assert printed in readme.read_text(encoding="utf-8")
    rows = [line for line in printed.splitlines() if line.startswith("| (")]
    assert [row[3] for row in rows] == list("abcdef")
    assert [row[3] for row in rows if "torch is not installed" in row] == ["d"]
    sizes = ["| 196 | 50,000 |", "| 1,000 | 50,000 |", "| 4,000 | 50,000 |", "| 196 | 10,000 |"]
    assert all(printed.count(size) == 1 for size in sizes)


def test_a_reduced_run_leaves_the_readme_alone(run, no_work, monkeypatch, tmp_path):
    monkeypatch.setattr(run.ways, "MNIST", tmp_path)
    monkeypatch.setattr(run, "write", None)  # calling it would fail
    monkeypatch.setattr(sys, "argv", ["run.py", "--repeats", "2", "--epochs", "0"])
    run.main()


@pytest.mark.slow
def test_a_reduced_run_has_every_row_and_the_costs_agree(run, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("".join(run.MARKERS), encoding="utf-8")
    before = run.README.read_text(encoding="utf-8")
    command = [sys.executable, BENCHMARKS / "run.py", "--images", "6400", "--repeats", "3"]
    command += ["--epochs", "3", "--no-sizes", "--readme", readme]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() in readme.read_text(encoding="utf-8")
    assert run.README.read_text(encoding="utf-8") == before
    rows = {line[2:5]: line.split(" | ") for line in ran.stdout.splitlines() if line[:3] == "| ("}
    assert "".join(key[1] for key in rows) == "abcdef"
    costs = {}
    for key, row in rows.items():
        if "is not installed" in row[1]:
            assert key in ("(d)", "(e)"), row
        elif key != "(f)":
            costs[key] = float(row[-1].rstrip("| "))
    in_file_order = costs.pop("(c)")  # other batches: apart at first, near the others after epochs
    assert max(costs.values()) < 1.02 * min(costs.values()), costs  # the same work
    assert abs(in_file_order / costs["(a)"] - 1) < 0.1
    assert ran.stdout.count("| the source's: ") == ran.stdout.count("| the course's: ") == 1
    assert ran.stdout.count("- floor: ") == 5
