"""Real nbgrader on the exercises of a lesson: hand out, hand in, and grade."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import nbformat
import pytest

from tools.exercises import SOLUTIONS, handed_out, split

NAME = "03_kl_sparsity_solutions.ipynb"
# The course does not install nbgrader, which would put a teacher's buttons into every JupyterLab.
PACKAGES = ["nbgrader>=0.9.5", "alembic", "mako", "sqlalchemy>=2", "rapidfuzz"]
SCORES = """
import json
from nbgrader.api import Gradebook
with Gradebook("sqlite:///gradebook.db") as book:
    print(json.dumps({
        s.student.id: {g.name: [g.auto_score, g.max_score] for n in s.notebooks for g in n.grades}
        for s in book.assignment_submissions("kl")
    }))
"""


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A folder with a course of one assignment, and a function that runs its Python there."""
    folder = tmp_path_factory.mktemp("course")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    scripts = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    path = os.pathsep.join([str(scripts), os.environ["PATH"]])  # nbgrader looks for alembic there

    def run(*arguments):
        done = subprocess.run(
            [scripts / "python", *arguments],
            cwd=folder,
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    site = run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    also = [sysconfig.get_path("purelib"), str(Path(__file__).parent.parent)]
    Path(site, "course.pth").write_text("\n".join(also))
    run("-m", "pip", "install", "--quiet", "--no-deps", *PACKAGES)

    shutil.copy(SOLUTIONS / "nbgrader_config.py", folder)
    source = nbformat.read(SOLUTIONS / NAME, as_version=4)
    for cell in source.cells:
        if cell.id == "parameters":
            cell.source = cell.source.replace("SOURCE = None ", 'SOURCE = "digits" ')
            assert '"digits" ' in cell.source
    (folder / "source" / "kl").mkdir(parents=True)
    nbformat.write(source, folder / "source" / "kl" / NAME)
    run("-m", "nbgrader", "generate_assignment", "kl")
    return folder, run


def hand_in(course, student, answers):
    """Submit what was handed out, with these sources in place of stubs: cell id → source."""
    folder, _ = course
    notebook = nbformat.read(folder / "release" / "kl" / NAME, as_version=4)
    for cell in notebook.cells:
        cell.source = answers.get(cell.id, cell.source)
    submitted = folder / "submitted" / student / "kl"
    submitted.mkdir(parents=True)
    nbformat.write(notebook, submitted / NAME)


@pytest.mark.slow
def test_nbgrader_hands_out_what_the_lesson_has(course):
    folder, _ = course
    released = nbformat.read(folder / "release" / "kl" / NAME, as_version=4)
    solutions = nbformat.read(SOLUTIONS / NAME, as_version=4)
    _, exercises = split(released)
    expected = [(cell.id, cell.source) for cell in handed_out(solutions)]
    assert [(cell.id, cell.source) for cell in exercises] == expected


@pytest.mark.slow
def test_nbgrader_grades_a_right_and_a_wrong_submission(course):
    cells = nbformat.read(SOLUTIONS / NAME, as_version=4).cells
    right = {cell.id: cell.source for cell in cells if cell.id.endswith("-answer")}
    (mistake,) = [cell for cell in cells if cell.id == "ex-layer-mistake-axis"]
    wrong = {"ex-layer-answer": mistake.source.split("```python\n")[1].split("```")[0]}
    hand_in(course, "ada", right)
    hand_in(course, "ben", wrong | {"ex-bias-answer": right["ex-bias-answer"]})

    _, run = course
    run("-m", "nbgrader", "autograde", "kl")
    scores = json.loads(run("-c", SCORES))
    points = {c.id: c.metadata.nbgrader.points for c in cells if c.id.endswith("-check")}
    assert scores["ada"] == {name: [full, full] for name, full in points.items()}
    assert scores["ben"] == {
        name: [full if name == "ex-bias-check" else 0, full] for name, full in points.items()
    }
