"""The comparison of speed: what it prints, never how fast anything is."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT

sys.path.append(str(ROOT / "benchmarks"))
import classroom  # noqa: E402
import report  # noqa: E402
import training_speed  # noqa: E402


def test_tables_tell_medians_ratios_and_what_was_not_measured(monkeypatch):
    seconds = {"a": 1, "b": 3, "c": 2, "f": 1}  # of an epoch; the first takes 10 more

    def alone(key, count, epochs, learning_rate=3e-3):
        times = np.full(epochs, seconds[key]) + 10.0 * (np.arange(epochs) == 0)
        return times, [float("nan") if key == "f" else 20.0 - n for n in range(epochs)], 500

    monkeypatch.setattr(training_speed, "alone", alone)
    monkeypatch.setitem(training_speed.WAYS, "d", ("", None, "a_library_that_is_not_installed"))
    rows, ratios = training_speed.compare_ways(6400, 3, rounds=2)
    assert rows[1][1:] == ["3.00", "3.00–3.00", "3.00", "3.00", "10.0", "500", "17.00"]
    assert [row[0][:3] for row in rows] == ["(a)", "(b)", "(c)", "(f)"] and rows[3][-1] == ""
    (source, course), ratios["sooner"] = training_speed.compare_recipes(6400, 4)
    assert source[1:] == ["4", "17.00", "8.0", "18.0"]  # there after 4 epochs, as the course is
    assert course[1:] == ["4", "17.00", "4.0", "14.0"] and ratios["sooner"] == 18 / 14
    verdicts = [line.split("**")[1] for line in training_speed.verdicts(ratios).splitlines()]
    assert verdicts[:3] == ["pass, 3.00", "not measured", "pass, 0.50"]
    assert verdicts[3:5] == ["pass, 1.00", "FAIL, 1.29"]
    assert training_speed.compare_recipes(6400, 12)[1] == 0  # a cost that the course never reaches


def test_a_class_is_judged_by_its_floors():
    def student(name, login, failed=None):
        return SimpleNamespace(
            person=SimpleNamespace(name=name),
            login=login,
            server=10 * login,
            failed=failed,
            steps=500,
            cells={"imports": 4.0, "quick": 0.1},
            after_lesson={"kernel": 400, "server": 90},
            cpu={"lesson": 80, "playground": 20},
        )

    crowd = [student("ada", 1.0), student("ben", 1.5), student("cem", 99, "cem: KernelDied")]
    peaks = {name: {"kernel": 420, "server": 95} for name in ("ada", "ben", "cem")}
    peaks["ben"]["kernel"] = 520
    text = classroom.report(student("ada", 0.5), crowd, peaks, 600)
    verdicts = [line.split("**")[1] for line in text.splitlines() if line.startswith("- ")]
    assert verdicts == [
        "FAIL, 1",
        "pass, 1.475",
        "pass, 12.5",
        "pass, 15",
        "FAIL, 615",
        "FAIL, 615",
    ]
    assert "| imports | 4.0 | 4.0 |" in text and "quick" not in text
    assert text.endswith("cem: KernelDied") and "| 3 students, 10 minutes |" in text


def test_text_replaces_only_what_is_between_its_marks(tmp_path):
    marks = [f"<!-- written by training_speed.py: {mark} -->" for mark in ("begin", "end")]
    readme = tmp_path / "README.md"
    readme.write_text(f"ä {marks[0]}\nold\n{marks[1]} b\n", encoding="utf-8")
    for text in ("one", "two"):
        report.write(text, "training_speed.py", readme)
        assert readme.read_text(encoding="utf-8") == f"ä {marks[0]}\n{text}\n{marks[1]} b\n"
    for mark in (*marks, *(mark.replace("training", "playground") for mark in marks)):
        assert report.README.read_text(encoding="utf-8").count(mark) == 1


@pytest.mark.slow
@pytest.mark.setup
def test_every_way_does_the_same_work():
    before = report.README.read_bytes()
    command = [sys.executable, ROOT / "benchmarks" / "training_speed.py", "--quick"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split(" | ") for line in ran.splitlines() if line.startswith("| (")]
    costs = {row[0][2:5]: float(cost) for row in rows if (cost := row[-1].strip("| "))}
    in_file_order = costs.pop("(c)")  # other batches: apart at first, near the others later
    assert max(costs.values()) < 1.02 * min(costs.values())
    assert abs(in_file_order / costs["(a)"] - 1) < 0.1
    assert {"(a)", "(b)"} <= costs.keys() and ran.count("- floor: ") == 5
    assert report.README.read_bytes() == before
